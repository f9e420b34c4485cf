//! What is asked: a user, a relation, an object.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use quick_cache::Equivalent;

/// How recent an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ConsistencyPreference {
    /// Remembered answers will do, here and in OpenFGA.
    #[default]
    MinimizeLatency,
    /// No cache, neither ours nor OpenFGA's.
    HigherConsistency,
}

/// A question as the request path has it: borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// `user:ann`
    pub user: &'a str,
    /// `viewer`
    pub relation: &'a str,
    /// `feature:report_viewer`
    pub object: &'a str,
    /// Whose question it is: the id of a rule, for the log.
    pub rule: &'a str,
    /// How recent the answer must be.
    pub consistency: ConsistencyPreference,
}

/// A question with the model generation it is asked of: what caches and flights are keyed by.
///
/// The parts are compared one by one, so no choice of separators can make two questions equal. They
/// lie side by side: a look-up that finds its question reads one place in memory, not three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Generation of the pinned authorization model.
    pub generation: u32,
    /// How recent the answer must be.
    pub consistency: ConsistencyPreference,
    user_len: usize,
    relation_len: usize,
    text: Arc<str>,
}

/// A borrowed [`Check`] for look-ups without allocation.
#[derive(Debug, Clone, Copy)]
pub(super) struct CheckRef<'a>(pub(super) &'a Question<'a>, pub(super) u32);

impl Question<'_> {
    /// The owned form.
    pub fn to_check(&self, generation: u32) -> Check {
        Check {
            generation,
            consistency: self.consistency,
            user_len: self.user.len(),
            relation_len: self.relation.len(),
            text: [self.user, self.relation, self.object].concat().into(),
        }
    }
}

impl Check {
    /// Bytes of the question's texts.
    pub(super) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// OpenFGA user.
    pub fn user(&self) -> &str {
        self.parts().0
    }

    /// OpenFGA relation.
    pub fn relation(&self) -> &str {
        self.parts().1
    }

    /// OpenFGA object.
    pub fn object(&self) -> &str {
        self.parts().2
    }

    fn parts(&self) -> (&str, &str, &str) {
        let (user, rest) = self.text.split_at(self.user_len);
        let (relation, object) = rest.split_at(self.relation_len);
        (user, relation, object)
    }
}

impl Hash for Check {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.generation, self.user(), self.relation(), self.object()).hash(state);
    }
}

impl Hash for CheckRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.1, self.0.user, self.0.relation, self.0.object).hash(state);
    }
}

impl Equivalent<Check> for CheckRef<'_> {
    fn equivalent(&self, key: &Check) -> bool {
        self.1 == key.generation && (self.0.user, self.0.relation, self.0.object) == key.parts()
    }
}
