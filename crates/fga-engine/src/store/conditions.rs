//! Equal conditions of tuples are stored once.

use ahash::AHashMap;

use crate::names::Arena;
use crate::tuple::RelationshipCondition;

/// The numbers that conditions have in a store's arena. Only writers need it, one at a time.
#[derive(Default)]
pub(crate) struct Conditions {
    /// By the condition's JSON.
    numbers: AHashMap<String, u32>,
}

impl Conditions {
    /// The number of a condition as tuples bear it, 0 for none; an equal one that is there already is shared.
    pub(crate) fn number(
        &mut self,
        stored: &Arena<RelationshipCondition>,
        condition: Option<&RelationshipCondition>,
    ) -> u32 {
        let Some(condition) = condition else { return 0 };
        let json = serde_json::to_string(condition).unwrap_or_default();
        let index = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(json).or_insert_with(|| {
            stored.set(index, condition.clone());
            index.saturating_add(1)
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(crate) fn clear(&mut self) {
        self.numbers.clear();
    }
}
