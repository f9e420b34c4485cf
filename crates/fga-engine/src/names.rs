//! Every object of a store gets a number once, so that tuples are numbers.
//!
//! Readers never wait: records are set once, and the hash table is an array of atomic
//! words. One writer at a time adds names (the store's write lock sees to that).

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use ahash::RandomState;
use compact_str::CompactString;

const CHUNK: usize = 1024;
const FANOUT: usize = 1024;
const FIRST_TABLE: usize = 64;

type Chunk<T> = OnceLock<Box<[OnceLock<T>]>>;
type Chunks<T> = Box<[OnceLock<Box<[Chunk<T>]>>]>;

/// Append-only storage whose elements never move, readable while it grows.
pub(crate) struct Arena<T> {
    chunks: Chunks<T>,
}

impl<T> Arena<T> {
    pub(crate) fn new() -> Self {
        Self { chunks: cells(FANOUT) }
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let (outer, middle, inner) = locate(index);
        self.chunks.get(outer)?.get()?.get(middle)?.get()?.get(inner)?.get()
    }

    /// Returns false if the slot is taken or beyond the arena's end.
    pub(crate) fn set(&self, index: u32, value: T) -> bool {
        let (outer, middle, inner) = locate(index);
        let Some(chunk) = self.chunks.get(outer) else {
            return false;
        };
        let Some(chunk) = chunk.get_or_init(|| cells(FANOUT)).get(middle) else {
            return false;
        };
        let slot = chunk.get_or_init(|| cells(CHUNK)).get(inner);
        slot.is_some_and(|slot| slot.set(value).is_ok())
    }
}

fn cells<T>(count: usize) -> Box<[OnceLock<T>]> {
    std::iter::repeat_with(OnceLock::new).take(count).collect()
}

fn locate(index: u32) -> (usize, usize, usize) {
    let index = index as usize;
    (index / (CHUNK * FANOUT), (index / CHUNK) % FANOUT, index % CHUNK)
}

/// What a number stands for: the type's symbol and the id without the type.
pub(crate) struct Record {
    pub kind: u32,
    pub id: CompactString,
}

/// The names of a store: (type symbol, id) to number and back. Cheap to clone; clones
/// share their records, and a clone taken earlier does not find later names.
#[derive(Clone)]
pub(crate) struct Names {
    hasher: RandomState,
    table: Arc<[AtomicU64]>,
    records: Arc<Arena<Record>>,
    count: u32,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            table: empty_table(FIRST_TABLE),
            records: Arc::new(Arena::new()),
            count: 0,
        }
    }

    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn record(&self, number: u32) -> Option<&Record> {
        self.records.get(number)
    }

    pub(crate) fn find(&self, kind: u32, id: &str) -> Option<u32> {
        let hash = self.hash(kind, id);
        let mask = self.table.len() - 1;
        let mut at = slot_of(hash) & mask;
        loop {
            let word = self.table.get(at)?.load(Ordering::Acquire);
            if word == 0 {
                return None;
            }
            if tag_of(word) == tag_of(hash) {
                let number = number_of(word);
                let record = self.records.get(number);
                if record.is_some_and(|r| r.kind == kind && r.id == id) {
                    return Some(number);
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// The number of a name, a new one if it has none. `None` only when all numbers
    /// are used up.
    pub(crate) fn intern(&mut self, kind: u32, id: &str) -> Option<u32> {
        if let Some(number) = self.find(kind, id) {
            return Some(number);
        }
        if (self.count as usize + 1) * 8 > self.table.len() * 5 {
            self.grow();
        }
        let number = self.count;
        let record = Record { kind, id: CompactString::new(id) };
        if !self.records.set(number, record) {
            return None;
        }
        self.count += 1;
        insert(&self.table, self.hash(kind, id), number);
        Some(number)
    }

    fn grow(&mut self) {
        let table = empty_table(self.table.len() * 2);
        for number in 0..self.count {
            if let Some(record) = self.records.get(number) {
                insert(&table, self.hash(record.kind, &record.id), number);
            }
        }
        self.table = table;
    }

    fn hash(&self, kind: u32, id: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u32(kind);
        hasher.write(id.as_bytes());
        hasher.finish()
    }
}

fn empty_table(slots: usize) -> Arc<[AtomicU64]> {
    std::iter::repeat_with(|| AtomicU64::new(0)).take(slots).collect()
}

fn insert(table: &[AtomicU64], hash: u64, number: u32) {
    let mask = table.len() - 1;
    let mut at = slot_of(hash) & mask;
    let word = (hash & !u64::from(u32::MAX)) | (u64::from(number) + 1);
    while let Some(slot) = table.get(at) {
        if slot.load(Ordering::Relaxed) == 0 {
            slot.store(word, Ordering::Release);
            return;
        }
        at = (at + 1) & mask;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half places, the high half tags")]
const fn slot_of(hash: u64) -> usize {
    hash as u32 as usize
}

const fn tag_of(word: u64) -> u32 {
    (word >> 32) as u32
}

#[expect(clippy::cast_possible_truncation, reason = "the low half of the word")]
const fn number_of(word: u64) -> u32 {
    (word as u32).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_while_the_table_grows() {
        let mut names = Names::new();
        let numbers: Vec<_> = (0..5000).map(|i| names.intern(i % 3, &format!("n{i}"))).collect();
        for (i, number) in numbers.iter().enumerate() {
            let kind = u32::try_from(i).unwrap() % 3;
            assert_eq!(names.find(kind, &format!("n{i}")), *number);
            assert_eq!(names.record(number.unwrap()).unwrap().id, format!("n{i}"));
        }
        assert_eq!(names.find(0, "n1"), None);
        assert_eq!(names.count(), 5000);
    }

    #[test]
    fn an_earlier_clone_does_not_find_names_of_a_later_table() {
        let mut names = Names::new();
        let before = names.clone();
        for i in 0..100 {
            names.intern(0, &i.to_string());
        }
        assert_eq!(before.find(0, "99"), None);
        assert!(names.find(0, "99").is_some());
    }
}
