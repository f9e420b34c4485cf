//! Tuples in order of (object, relation, user), as a B-tree whose versions share nodes.
//!
//! A reader holds a version and never waits; a writer copies the few nodes it changes.
//! Plain users sort before usersets, so a check that needs only the usersets of a
//! relation starts where they start and never walks over a million users.

mod key;

pub(crate) use key::{Entry, Key};

use std::sync::Arc;

const LEAF: usize = 32;
const BRANCH: usize = 256;
/// Branch levels of a tree that could hold 2^32 tuples at the lowest fill.
const LEVELS: usize = 8;

#[derive(Clone)]
enum Node {
    Leaf(Arc<[Entry]>),
    Branch(Arc<Branch>),
}

#[derive(Clone)]
struct Branch {
    /// `firsts[i]` is not above any key below `children[i]`; the first one counts as
    /// the lowest of all keys.
    firsts: Vec<Key>,
    children: Vec<Node>,
}

impl Branch {
    fn position(&self, key: Key) -> usize {
        self.firsts.partition_point(|first| *first <= key).saturating_sub(1)
    }
}

#[derive(Clone)]
pub(crate) struct Tree {
    root: Node,
    len: usize,
}

impl Tree {
    pub(crate) fn new() -> Self {
        Self { root: Node::Leaf(Arc::new([])), len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Entry> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Branch(branch) => node = branch.children.get(branch.position(key))?,
                Node::Leaf(leaf) => {
                    let at = leaf.partition_point(|entry| entry.key < key);
                    return leaf.get(at).filter(|entry| entry.key == key);
                }
            }
        }
    }

    /// Adds an entry, or replaces the one with its key.
    pub(crate) fn insert(&mut self, entry: Entry) {
        let outcome = self.root.insert(entry);
        self.len += usize::from(!outcome.replaced);
        if let Some((first, sibling)) = outcome.split {
            let old = std::mem::replace(&mut self.root, Node::Leaf(Arc::new([])));
            let branch = Branch { firsts: vec![entry.key, first], children: vec![old, sibling] };
            self.root = Node::Branch(Arc::new(branch));
        }
    }

    pub(crate) fn remove(&mut self, key: Key) -> bool {
        let removed = self.root.remove(key);
        self.len -= usize::from(removed);
        while let Node::Branch(branch) = &self.root {
            match branch.children.as_slice() {
                [only] => self.root = only.clone(),
                [] => self.root = Node::Leaf(Arc::new([])),
                _ => break,
            }
        }
        removed
    }

    /// All entries from `start` on, in order.
    pub(crate) fn from(&self, start: Key) -> Entries<'_> {
        let mut entries = Entries { path: [None; LEVELS], depth: 0, leaf: &[] };
        let mut node = &self.root;
        loop {
            match node {
                Node::Branch(branch) => {
                    let at = branch.position(start);
                    entries.push(branch, at + 1);
                    match branch.children.get(at) {
                        Some(child) => node = child,
                        None => return entries,
                    }
                }
                Node::Leaf(leaf) => {
                    let at = leaf.partition_point(|entry| entry.key < start);
                    entries.leaf = leaf.get(at..).unwrap_or_default();
                    return entries;
                }
            }
        }
    }
}

struct Inserted {
    replaced: bool,
    split: Option<(Key, Node)>,
}

impl Node {
    fn insert(&mut self, entry: Entry) -> Inserted {
        match self {
            Self::Leaf(leaf) => insert_into_leaf(leaf, entry),
            Self::Branch(branch) => insert_into_branch(Arc::make_mut(branch), entry),
        }
    }

    fn remove(&mut self, key: Key) -> bool {
        match self {
            Self::Leaf(leaf) => {
                let Ok(at) = leaf.binary_search_by_key(&key, |entry| entry.key) else {
                    return false;
                };
                let (before, rest) = leaf.split_at(at);
                let after = rest.get(1..).unwrap_or_default();
                *leaf = before.iter().chain(after).copied().collect();
                true
            }
            Self::Branch(branch) => {
                let branch = Arc::make_mut(branch);
                let at = branch.position(key);
                let Some(child) = branch.children.get_mut(at) else {
                    return false;
                };
                let removed = child.remove(key);
                if removed {
                    tidy(branch, at);
                }
                removed
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.is_empty(),
            Self::Branch(branch) => branch.children.is_empty(),
        }
    }
}

fn insert_into_leaf(leaf: &mut Arc<[Entry]>, entry: Entry) -> Inserted {
    let at = match leaf.binary_search_by_key(&entry.key, |entry| entry.key) {
        Ok(at) => {
            let (before, rest) = leaf.split_at(at);
            let after = rest.get(1..).unwrap_or_default();
            *leaf = join(before, entry, after);
            return Inserted { replaced: true, split: None };
        }
        Err(at) => at,
    };
    let (before, after) = leaf.split_at(at);
    if leaf.len() < LEAF {
        *leaf = join(before, entry, after);
        return Inserted { replaced: false, split: None };
    }
    if after.is_empty() {
        // Ascending loads fill leaves to the brim instead of halving each of them.
        let sibling = Node::Leaf(Arc::new([entry]));
        return Inserted { replaced: false, split: Some((entry.key, sibling)) };
    }
    let all = join(before, entry, after);
    let (left, right) = all.split_at(all.len() / 2);
    let first = right.first().map_or(entry.key, |entry| entry.key);
    let sibling = Node::Leaf(right.into());
    *leaf = left.into();
    Inserted { replaced: false, split: Some((first, sibling)) }
}

fn join(before: &[Entry], entry: Entry, after: &[Entry]) -> Arc<[Entry]> {
    before.iter().copied().chain(std::iter::once(entry)).chain(after.iter().copied()).collect()
}

fn insert_into_branch(branch: &mut Branch, entry: Entry) -> Inserted {
    let at = branch.position(entry.key);
    let Some(child) = branch.children.get_mut(at) else {
        branch.firsts.push(entry.key);
        branch.children.push(Node::Leaf(Arc::new([entry])));
        return Inserted { replaced: false, split: None };
    };
    let outcome = child.insert(entry);
    let Some((first, sibling)) = outcome.split else {
        return outcome;
    };
    branch.firsts.insert(at + 1, first);
    branch.children.insert(at + 1, sibling);
    if branch.children.len() <= BRANCH {
        return Inserted { replaced: outcome.replaced, split: None };
    }
    let cut = if at + 2 == branch.children.len() { BRANCH } else { BRANCH / 2 };
    let right =
        Branch { firsts: branch.firsts.split_off(cut), children: branch.children.split_off(cut) };
    let first = right.firsts.first().copied().unwrap_or(entry.key);
    Inserted { replaced: outcome.replaced, split: Some((first, Node::Branch(Arc::new(right)))) }
}

/// After a removal below `at`: drops an empty child, and joins two small leaves, so that
/// deleting most of a store gives its memory back.
fn tidy(branch: &mut Branch, at: usize) {
    if branch.children.get(at).is_some_and(Node::is_empty) {
        branch.children.remove(at);
        branch.firsts.remove(at);
        return;
    }
    let (Some(Node::Leaf(left)), Some(Node::Leaf(right))) =
        (branch.children.get(at), branch.children.get(at + 1))
    else {
        return;
    };
    if left.len() + right.len() <= LEAF / 2 {
        let joined = left.iter().chain(right.iter()).copied().collect();
        if let Some(child) = branch.children.get_mut(at) {
            *child = Node::Leaf(joined);
            branch.children.remove(at + 1);
            branch.firsts.remove(at + 1);
        }
    }
}

/// Iterator over entries in key order.
pub(crate) struct Entries<'a> {
    path: [Option<(&'a Branch, usize)>; LEVELS],
    depth: usize,
    leaf: &'a [Entry],
}

impl<'a> Entries<'a> {
    fn push(&mut self, branch: &'a Branch, next: usize) {
        if let Some(slot) = self.path.get_mut(self.depth) {
            *slot = Some((branch, next));
            self.depth += 1;
        }
    }

    fn next_leaf(&mut self) -> Option<()> {
        loop {
            let (branch, next) = self.path.get_mut(self.depth.checked_sub(1)?)?.as_mut()?;
            let Some(child) = branch.children.get(*next) else {
                self.depth -= 1;
                continue;
            };
            *next += 1;
            match child {
                Node::Branch(branch) => self.push(branch, 0),
                Node::Leaf(leaf) => {
                    self.leaf = leaf;
                    return Some(());
                }
            }
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = &'a Entry;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((entry, rest)) = self.leaf.split_first() {
                self.leaf = rest;
                return Some(entry);
            }
            self.next_leaf()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn entry(number: u32) -> Entry {
        Entry { key: Key::new(number / 7, 0, 0, number), written: u64::from(number), condition: 0 }
    }

    fn check(operations: &[(bool, u32)]) {
        let mut tree = Tree::new();
        let mut model = BTreeMap::new();
        for (add, number) in operations {
            let entry = entry(*number);
            if *add {
                tree.insert(entry);
                model.insert(entry.key, entry);
            } else {
                assert_eq!(tree.remove(entry.key), model.remove(&entry.key).is_some());
            }
        }
        assert_eq!(tree.len(), model.len());
        let start = entry(300).key;
        let found: Vec<_> = tree.from(start).collect();
        let expected: Vec<_> = model.range(start..).map(|(_, entry)| entry).collect();
        assert_eq!(found, expected);
        for number in 0..1000 {
            assert_eq!(tree.get(entry(number).key), model.get(&entry(number).key));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn behaves_like_a_btree_map(operations in prop::collection::vec((any::<bool>(), 0..1000u32), 0..3000)) {
            check(&operations);
        }
    }

    #[test]
    fn many_levels_keep_their_order_and_shrink_again() {
        let mut tree = Tree::new();
        let numbers = (0..40_000u32).map(|i| i.wrapping_mul(2_654_435_761) % 1_000_003);
        for number in numbers.clone() {
            tree.insert(entry(number));
        }
        let keys: Vec<_> = tree.from(Key::new(0, 0, 0, 0)).map(|entry| entry.key).collect();
        assert_eq!(keys.len(), tree.len());
        assert!(keys.is_sorted());
        for number in numbers {
            tree.remove(entry(number).key);
        }
        assert_eq!((tree.len(), tree.from(Key::new(0, 0, 0, 0)).count()), (0, 0));
    }

    #[test]
    fn a_version_does_not_see_later_writes() {
        let mut tree = Tree::new();
        (0..500).for_each(|number| tree.insert(entry(number)));
        let before = tree.clone();
        tree.remove(entry(1).key);
        tree.insert(entry(900));
        assert!(before.get(entry(1).key).is_some() && before.get(entry(900).key).is_none());
    }
}
