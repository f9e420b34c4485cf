//! Tuples as the API and the files write them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::wire::default_on_null;

/// A condition's parameters, as JSON.
pub type Context = Map<String, Value>;

/// `user` has `relation` with `object`, perhaps only under a condition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TupleKey {
    /// `kind:id`, `kind:id#relation` or `kind:*`.
    #[serde(deserialize_with = "default_on_null")]
    pub user: String,
    /// A relation of the object's type.
    #[serde(deserialize_with = "default_on_null")]
    pub relation: String,
    /// `kind:id`.
    #[serde(deserialize_with = "default_on_null")]
    pub object: String,
    /// Without one it always counts.
    pub condition: Option<RelationshipCondition>,
}

/// The name of a condition of the model, and the parameters that the tuple fixes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RelationshipCondition {
    /// A condition of the model.
    #[serde(deserialize_with = "default_on_null")]
    pub name: String,
    /// What the tuple fixes; a request brings the rest.
    #[serde(deserialize_with = "default_on_null")]
    pub context: Context,
}

impl TupleKey {
    /// Without a condition; in the order in which models are read: the object's relation is the user's.
    pub fn new(object: &str, relation: &str, user: &str) -> Self {
        Self {
            user: user.to_owned(),
            relation: relation.to_owned(),
            object: object.to_owned(),
            condition: None,
        }
    }
}

impl std::fmt::Display for TupleKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}@{}", self.object, self.relation, self.user)
    }
}
