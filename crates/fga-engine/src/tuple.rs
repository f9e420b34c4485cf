//! Tuples as the API and the files write them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::wire::default_on_null;

/// A condition's parameters, as JSON.
pub type Context = Map<String, Value>;

/// `user` has `relation` with `object`, perhaps only under a condition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TupleKey {
    #[serde(deserialize_with = "default_on_null")]
    pub user: String,
    #[serde(deserialize_with = "default_on_null")]
    pub relation: String,
    #[serde(deserialize_with = "default_on_null")]
    pub object: String,
    pub condition: Option<RelationshipCondition>,
}

/// The name of a condition of the model, and the parameters that the tuple fixes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RelationshipCondition {
    #[serde(deserialize_with = "default_on_null")]
    pub name: String,
    #[serde(deserialize_with = "default_on_null")]
    pub context: Context,
}

impl TupleKey {
    #[must_use]
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
