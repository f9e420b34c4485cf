//! Gives back the memory of names and conditions that went out of use.

use std::sync::Arc;

use super::change_log::ChangeLog;
use super::conditions::Conditions;
use crate::names::{Arena, Names};
use crate::snapshot::Snapshot;
use crate::tree::{Entry, Key, Tree};

/// Names and conditions are swept when they are this many and at least twice as many as
/// tuples and kept changes could use.
const SWEEP_FROM: usize = 1 << 16;

pub(super) fn if_worth_it(conditions: &mut Conditions, next: &mut Snapshot, log: &mut ChangeLog) {
    let users = next.tuples.len() + log.len();
    if (next.names.count() as usize) > SWEEP_FROM.max(users * 4) {
        sweep_names(next, log);
    }
    if conditions.len() > SWEEP_FROM.max(users * 2) {
        sweep_conditions(conditions, next, log);
    }
}

fn sweep_conditions(conditions: &mut Conditions, next: &mut Snapshot, log: &mut ChangeLog) {
    let old = std::mem::replace(&mut next.conditions, Arc::new(Arena::new()));
    conditions.clear();
    let mut renumbered = |entry: Entry| {
        let condition = entry.condition.checked_sub(1).and_then(|number| old.get(number));
        Entry { condition: conditions.number(&next.conditions, condition), ..entry }
    };
    let mut tuples = Tree::new();
    for entry in next.tuples.from(Key::new(0, 0, 0, 0)) {
        tuples.insert(renumbered(*entry));
    }
    log.rewrite(renumbered);
    next.tuples = tuples;
}

/// Drops names that neither a tuple nor a kept change uses. The others keep their order,
/// so that pages of a running read stay in place.
fn sweep_names(next: &mut Snapshot, log: &mut ChangeLog) {
    let old = next.names.clone();
    let mut in_use = vec![false; old.count() as usize];
    let mut mark = |key: Key| {
        for number in [key.object(), key.user()] {
            if let Some(in_use) = in_use.get_mut(number as usize) {
                *in_use = true;
            }
        }
    };
    next.tuples.from(Key::new(0, 0, 0, 0)).for_each(|entry| mark(entry.key));
    log.keys().for_each(&mut mark);
    let mut fresh = Names::new();
    let numbers: Vec<Option<u32>> = (0..)
        .zip(&in_use)
        .map(|(number, in_use)| {
            let record = old.record(number).filter(|_| *in_use)?;
            fresh.intern(record.kind, &record.id)
        })
        .collect();
    let renumbered = |key: Key| {
        let number = |old: u32| numbers.get(old as usize).copied().flatten();
        let (object, user) = (number(key.object())?, number(key.user())?);
        Some(Key::new(object, key.relation(), key.user_relation(), user))
    };
    let mut tuples = Tree::new();
    for entry in next.tuples.from(Key::new(0, 0, 0, 0)) {
        if let Some(key) = renumbered(entry.key) {
            tuples.insert(Entry { key, ..*entry });
        }
    }
    log.rewrite(|entry| renumbered(entry.key).map_or(entry, |key| Entry { key, ..entry }));
    next.tuples = tuples;
    next.names = fresh;
}
