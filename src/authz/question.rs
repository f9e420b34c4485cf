//! What is asked: a user, a relation, an object.

use std::hash::{Hash, Hasher};

use quick_cache::Equivalent;

/// How recent an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Consistency {
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
    /// How recent the answer must be.
    pub consistency: Consistency,
}

/// A question with the model generation it is asked of: what caches and flights are keyed by.
///
/// The parts are compared one by one, so no choice of separators can make two questions equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Generation of the pinned authorization model.
    pub generation: u32,
    /// OpenFGA user.
    pub user: Box<str>,
    /// OpenFGA relation.
    pub relation: Box<str>,
    /// OpenFGA object.
    pub object: Box<str>,
    /// How recent the answer must be.
    pub consistency: Consistency,
}

/// A borrowed [`Check`] for look-ups without allocation.
#[derive(Debug, Clone, Copy)]
pub(super) struct CheckRef<'a>(pub(super) &'a Question<'a>, pub(super) u32);

impl Question<'_> {
    /// The owned form.
    pub fn to_check(&self, generation: u32) -> Check {
        Check {
            generation,
            user: self.user.into(),
            relation: self.relation.into(),
            object: self.object.into(),
            consistency: self.consistency,
        }
    }
}

impl Hash for Check {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.generation, &*self.user, &*self.relation, &*self.object).hash(state);
    }
}

impl Hash for CheckRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.1, self.0.user, self.0.relation, self.0.object).hash(state);
    }
}

impl Equivalent<Check> for CheckRef<'_> {
    fn equivalent(&self, key: &Check) -> bool {
        self.1 == key.generation
            && self.0.user == &*key.user
            && self.0.object == &*key.object
            && self.0.relation == &*key.relation
    }
}
