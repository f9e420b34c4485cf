//! Sets of users, as they come out of a relation's rewrite.
//!
//! `kind:*` stands for everybody except those who are named with [`Found::has_relation`]
//! false, so exclusions are carried along until they meet the wildcard they cut from.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::condition::holds;
use crate::error::EngineError;
use crate::model::{Facet, Model, Relation, Rewrite};
use crate::snapshot::{Members, View};
use crate::tree::Entry;
use crate::tuple::Context;
use crate::validity;

const MAX_DEPTH: u32 = 25;
const MAX_STEPS: u32 = 2_000_000;

/// Object and relation symbol (0 for a plain user).
pub(super) type UserKey = (u32, u32);

#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) user: UserKey,
    /// Users that an exclusion below cut out of a wildcard.
    excluded: Vec<UserKey>,
    pub(super) has_relation: bool,
}

impl Found {
    const fn new(user: UserKey, has_relation: bool) -> Self {
        Self { user, excluded: Vec::new(), has_relation }
    }
}

#[derive(Default)]
struct Expanded {
    has_cycle: bool,
    fault: Option<Box<EngineError>>,
}

struct Visited<'p> {
    object: u32,
    relation: usize,
    before: Option<&'p Self>,
}

#[derive(Clone, Copy)]
struct At<'r, 'p> {
    object: u32,
    relation: &'r Relation,
    depth: u32,
    path: Option<&'p Visited<'p>>,
}

pub(super) struct Expansion<'a> {
    pub(super) model: &'a Model,
    pub(super) view: &'a View<'a>,
    pub(super) context: Option<&'a Context>,
    /// Type of the users that are asked for.
    pub(super) kind: u32,
    /// The userset that is asked for, if not plain users.
    pub(super) userset: Option<&'a Relation>,
    /// Number of the wildcard of `kind`.
    pub(super) everybody: u32,
    pub(super) steps: u32,
}

impl<'a> Expansion<'a> {
    /// Collects the users of a relation; returns what went wrong on the way.
    pub(super) fn run(
        &mut self,
        object: u32,
        relation: &'a Relation,
        found: &mut Vec<Found>,
    ) -> Option<Box<EngineError>> {
        self.expand(object, relation, 0, None, found).fault
    }

    fn expand(
        &mut self,
        object: u32,
        relation: &'a Relation,
        depth: u32,
        path: Option<&Visited<'_>>,
        found: &mut Vec<Found>,
    ) -> Expanded {
        self.steps += 1;
        if depth >= MAX_DEPTH || self.steps > MAX_STEPS {
            let fault = if depth >= MAX_DEPTH {
                EngineError::too_complex()
            } else {
                EngineError::deadline_exceeded()
            };
            return Expanded { has_cycle: false, fault: Some(Box::new(fault)) };
        }
        let mut step = path;
        while let Some(visited) = step {
            if (visited.object, visited.relation) == (object, relation.index) {
                return Expanded { has_cycle: true, fault: None };
            }
            step = visited.before;
        }
        if self.userset.is_some_and(|userset| userset.index == relation.index) {
            found.push(Found::new((object, relation.symbol), true));
        }
        let path = Visited { object, relation: relation.index, before: path };
        let at = At { object, relation, depth: depth + 1, path: Some(&path) };
        self.rewrite(&relation.rewrite, at, found)
    }

    fn rewrite(
        &mut self,
        rewrite: &'a Rewrite,
        at: At<'a, '_>,
        found: &mut Vec<Found>,
    ) -> Expanded {
        match rewrite {
            Rewrite::This => self.direct(at, found),
            Rewrite::Computed(index) => match self.model.relation(*index) {
                Some(relation) => self.expand(at.object, relation, at.depth, at.path, found),
                None => Expanded::default(),
            },
            Rewrite::TupleToUserset { tupleset, computed } => {
                self.tuple_to_userset(*tupleset, computed, at, found)
            }
            Rewrite::Union(children) => self.union(children, at, found),
            Rewrite::Intersection(children) => self.intersection(children, at, found),
            Rewrite::Difference(operands) => self.difference(&operands.0, &operands.1, at, found),
        }
    }

    fn direct(&mut self, at: At<'a, '_>, found: &mut Vec<Found>) -> Expanded {
        let mut result = Expanded::default();
        let view = self.view;
        for entry in view.scan(at.object, at.relation.symbol, Members::All) {
            let Some(kind) = self.counting(at.relation, entry, &mut result.fault) else {
                continue;
            };
            let (user, userset) = (entry.key.user(), entry.key.user_relation());
            if userset == 0 {
                if kind == self.kind {
                    found.push(Found::new((user, 0), true));
                }
                continue;
            }
            let Some(relation) = self.model.relation_by_symbols(kind, userset) else {
                continue;
            };
            let below = self.expand(user, relation, at.depth, at.path, found);
            result.has_cycle |= below.has_cycle;
            result.fault = result.fault.or(below.fault);
        }
        result
    }

    fn tuple_to_userset(
        &mut self,
        tupleset: usize,
        computed: &[(u32, usize)],
        at: At<'a, '_>,
        found: &mut Vec<Found>,
    ) -> Expanded {
        let mut result = Expanded::default();
        let Some(tupleset) = self.model.relation(tupleset) else {
            return result;
        };
        let view = self.view;
        for entry in view.scan(at.object, tupleset.symbol, Members::Plain) {
            let Some(kind) = self.counting(tupleset, entry, &mut result.fault) else {
                continue;
            };
            let target = computed.iter().find(|(computed, _)| *computed == kind);
            let Some(relation) = target.and_then(|(_, index)| self.model.relation(*index)) else {
                continue;
            };
            let below = self.expand(entry.key.user(), relation, at.depth, at.path, found);
            result.fault = result.fault.or(below.fault);
        }
        result
    }

    /// The type of the tuple's user, if the tuple is valid and its condition holds.
    fn counting(
        &self,
        relation: &Relation,
        entry: &Entry,
        fault: &mut Option<Box<EngineError>>,
    ) -> Option<u32> {
        let (kind, id) = self.view.record(entry.key.user())?;
        let facet = match (entry.key.user_relation(), id) {
            (0, "*") => Facet::Wildcard,
            (0, _) => Facet::Object,
            (userset, _) => Facet::Userset(userset),
        };
        let condition = self.view.condition(entry);
        if !validity::is_readable(self.model, relation, kind, facet, condition) {
            return None;
        }
        match holds(self.model, self.view, entry, self.context) {
            Ok(true) => Some(kind),
            Ok(false) => None,
            Err(error) => {
                fault.get_or_insert(error);
                None
            }
        }
    }

    fn operand(&mut self, child: &'a Rewrite, at: At<'a, '_>) -> (Vec<Found>, Expanded) {
        let mut found = Vec::new();
        let expanded = self.rewrite(child, at, &mut found);
        (found, expanded)
    }

    fn union(
        &mut self,
        children: &'a [Rewrite],
        at: At<'a, '_>,
        found: &mut Vec<Found>,
    ) -> Expanded {
        let mut fault = None;
        let mut present = BTreeSet::new();
        let mut exclusions: BTreeMap<UserKey, usize> = BTreeMap::new();
        for child in children {
            let (below, expanded) = self.operand(child, at);
            fault = fault.or(expanded.fault);
            for item in below {
                for excluded in item.excluded {
                    *exclusions.entry(excluded).or_default() += 1;
                }
                if item.has_relation {
                    present.insert(item.user);
                }
            }
        }
        let everywhere = exclusions.into_iter().filter(|(_, count)| *count == children.len());
        let excluded: Vec<UserKey> = everywhere.map(|(user, _)| user).collect();
        found.extend(present.into_iter().map(|user| Found {
            user,
            excluded: excluded.clone(),
            has_relation: true,
        }));
        Expanded { has_cycle: false, fault }
    }

    fn intersection(
        &mut self,
        children: &'a [Rewrite],
        at: At<'a, '_>,
        found: &mut Vec<Found>,
    ) -> Expanded {
        let mut fault = None;
        let mut counts: BTreeMap<UserKey, usize> = BTreeMap::new();
        let mut excluded = BTreeSet::new();
        let mut wildcards = 0;
        for child in children {
            let (below, expanded) = self.operand(child, at);
            fault = fault.or(expanded.fault);
            let mut present = BTreeSet::new();
            for item in below {
                excluded.extend(item.excluded);
                if item.has_relation {
                    present.insert(item.user);
                }
            }
            let has_wildcard = present.contains(&(self.everybody, 0));
            wildcards += usize::from(has_wildcard);
            for user in present {
                // A wildcard already counts for everybody in this operand.
                *counts.entry(user).or_default() += usize::from(!has_wildcard);
            }
        }
        let exclusions: Vec<UserKey> = excluded.iter().copied().collect();
        for (user, count) in counts {
            if count + wildcards == children.len() && !excluded.contains(&user) {
                found.push(Found { user, excluded: exclusions.clone(), has_relation: true });
            }
        }
        Expanded { has_cycle: false, fault }
    }

    fn difference(
        &mut self,
        base: &'a Rewrite,
        subtract: &'a Rewrite,
        at: At<'a, '_>,
        found: &mut Vec<Found>,
    ) -> Expanded {
        let (base, base_outcome) = self.operand(base, at);
        let (subtract, subtract_outcome) = self.operand(subtract, at);
        if subtract_outcome.has_cycle {
            // Not knowing who is excluded excludes all.
            return Expanded::default();
        }
        let by_user = |found: Vec<Found>| -> BTreeMap<UserKey, Found> {
            found.into_iter().map(|found| (found.user, found)).collect()
        };
        let (base, subtract) = (by_user(base), by_user(subtract));
        let everybody = (self.everybody, 0);
        for (user, item) in &base {
            if base.contains_key(&everybody) {
                subtract_from_everybody(item, &subtract, everybody, found);
                continue;
            }
            match subtract.get(user) {
                // Named in both: excluded, unless the subtracted side itself excludes him.
                Some(subtracted) => found.push(Found::new(*user, !subtracted.has_relation)),
                None if subtract.contains_key(&everybody) => found.push(Found::new(*user, false)),
                None => found.push(Found::new(*user, item.has_relation)),
            }
        }
        Expanded { has_cycle: false, fault: base_outcome.fault.or(subtract_outcome.fault) }
    }
}

fn subtract_from_everybody(
    item: &Found,
    subtract: &BTreeMap<UserKey, Found>,
    everybody: UserKey,
    found: &mut Vec<Found>,
) {
    let is_subtracted = subtract.contains_key(&item.user);
    if !is_subtracted && !subtract.contains_key(&everybody) {
        found.push(item.clone());
    }
    for (user, subtracted) in subtract {
        if *user == everybody {
            if !is_subtracted {
                found.push(Found::new(item.user, false));
            }
        } else if subtracted.has_relation {
            found.push(Found { user: *user, excluded: vec![*user], has_relation: false });
        } else {
            found.push(Found::new(*user, true));
        }
    }
}
