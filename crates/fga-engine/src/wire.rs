//! An authorization model as OpenFGA's API writes it in JSON.
//!
//! Both spellings that protobuf's JSON mapping accepts are read, `null` counts as
//! absent, and unknown fields are ignored.
//!
//! ```
//! use fga_engine::AuthorizationModel;
//!
//! let model = r#"{
//!   "schema_version": "1.1",
//!   "type_definitions": [
//!     { "type": "user" },
//!     {
//!       "type": "document",
//!       "relations": { "viewer": { "this": {} } },
//!       "metadata": {
//!         "relations": { "viewer": { "directly_related_user_types": [{ "type": "user" }] } }
//!       }
//!     }
//!   ]
//! }"#;
//! let model: AuthorizationModel = serde_json::from_str(model)?;
//! assert_eq!(model.type_definitions[1].kind, "document");
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// A model: what `POST /authorization-models` takes and gives back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthorizationModel {
    #[serde(deserialize_with = "default_on_null", skip_serializing_if = "String::is_empty")]
    pub id: String,
    #[serde(alias = "schemaVersion", deserialize_with = "default_on_null")]
    pub schema_version: String,
    #[serde(alias = "typeDefinitions", deserialize_with = "default_on_null")]
    pub type_definitions: Vec<TypeDefinition>,
    #[serde(deserialize_with = "default_on_null")]
    pub conditions: BTreeMap<String, ConditionDefinition>,
}

/// A type, its relations and who may stand in their tuples.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TypeDefinition {
    #[serde(rename = "type", deserialize_with = "default_on_null")]
    pub kind: String,
    #[serde(deserialize_with = "default_on_null")]
    pub relations: BTreeMap<String, Userset>,
    pub metadata: Option<Metadata>,
}

/// What does not change an answer, but for the type restrictions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    #[serde(deserialize_with = "default_on_null")]
    pub relations: BTreeMap<String, RelationMetadata>,
    #[serde(deserialize_with = "default_on_null")]
    pub module: String,
    #[serde(alias = "sourceInfo")]
    pub source_info: Option<SourceInfo>,
}

/// The type restrictions of a relation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RelationMetadata {
    #[serde(alias = "directlyRelatedUserTypes", deserialize_with = "default_on_null")]
    pub directly_related_user_types: Vec<RelationReference>,
    #[serde(deserialize_with = "default_on_null")]
    pub module: String,
    #[serde(alias = "sourceInfo")]
    pub source_info: Option<SourceInfo>,
}

/// The module file that something was written in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceInfo {
    #[serde(deserialize_with = "default_on_null")]
    pub file: String,
}

/// One entry of a type restriction: `user`, `user:*` or `group#member`, perhaps with a
/// condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RelationReference {
    #[serde(rename = "type", deserialize_with = "default_on_null")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wildcard: Option<Empty>,
    #[serde(deserialize_with = "default_on_null")]
    pub condition: String,
}

/// A message without fields: that it is there is all it says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// How a relation is computed; exactly one field is set in a valid model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Userset {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub this: Option<Empty>,
    #[serde(
        rename = "computedUserset",
        alias = "computed_userset",
        skip_serializing_if = "Option::is_none"
    )]
    pub computed_userset: Option<ObjectRelation>,
    #[serde(
        rename = "tupleToUserset",
        alias = "tuple_to_userset",
        skip_serializing_if = "Option::is_none"
    )]
    pub tuple_to_userset: Option<TupleToUserset>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub union: Option<Usersets>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intersection: Option<Usersets>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

/// A relation of the object at hand; `object` is always empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectRelation {
    #[serde(deserialize_with = "default_on_null")]
    pub object: String,
    #[serde(deserialize_with = "default_on_null")]
    pub relation: String,
}

/// `computed_userset from tupleset`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TupleToUserset {
    pub tupleset: Option<ObjectRelation>,
    #[serde(rename = "computedUserset", alias = "computed_userset")]
    pub computed_userset: Option<ObjectRelation>,
}

/// The operands of a union or an intersection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usersets {
    #[serde(deserialize_with = "default_on_null")]
    pub child: Vec<Userset>,
}

/// `base but not subtract`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Difference {
    pub base: Option<Box<Userset>>,
    pub subtract: Option<Box<Userset>>,
}

/// A CEL expression over typed parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConditionDefinition {
    #[serde(deserialize_with = "default_on_null")]
    pub name: String,
    #[serde(deserialize_with = "default_on_null")]
    pub expression: String,
    #[serde(deserialize_with = "default_on_null")]
    pub parameters: BTreeMap<String, ParameterType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ConditionMetadata>,
}

/// Where a condition comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConditionMetadata {
    #[serde(deserialize_with = "default_on_null")]
    pub module: String,
    #[serde(alias = "sourceInfo")]
    pub source_info: Option<SourceInfo>,
}

/// The type of a parameter; lists and maps have one generic type, that of their values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ParameterType {
    #[serde(alias = "typeName", deserialize_with = "default_on_null")]
    pub type_name: TypeName,
    #[serde(alias = "genericTypes", deserialize_with = "default_on_null")]
    pub generic_types: Vec<Self>,
}

/// The types that parameters of conditions may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TypeName {
    #[default]
    #[serde(rename = "TYPE_NAME_UNSPECIFIED")]
    Unspecified,
    #[serde(rename = "TYPE_NAME_ANY")]
    Any,
    #[serde(rename = "TYPE_NAME_BOOL")]
    Bool,
    #[serde(rename = "TYPE_NAME_STRING")]
    String,
    #[serde(rename = "TYPE_NAME_INT")]
    Int,
    #[serde(rename = "TYPE_NAME_UINT")]
    Uint,
    #[serde(rename = "TYPE_NAME_DOUBLE")]
    Double,
    #[serde(rename = "TYPE_NAME_DURATION")]
    Duration,
    #[serde(rename = "TYPE_NAME_TIMESTAMP")]
    Timestamp,
    #[serde(rename = "TYPE_NAME_MAP")]
    Map,
    #[serde(rename = "TYPE_NAME_LIST")]
    List,
    #[serde(rename = "TYPE_NAME_IPADDRESS")]
    IpAddress,
}

impl TypeName {
    /// The keyword of the DSL.
    pub(crate) fn from_keyword(keyword: &str) -> Option<Self> {
        Some(match keyword {
            "any" => Self::Any,
            "bool" => Self::Bool,
            "string" => Self::String,
            "int" => Self::Int,
            "uint" => Self::Uint,
            "double" => Self::Double,
            "duration" => Self::Duration,
            "timestamp" => Self::Timestamp,
            "map" => Self::Map,
            "list" => Self::List,
            "ipaddress" => Self::IpAddress,
            _ => return None,
        })
    }
}

/// Protobuf's JSON: `null` is the default.
pub(crate) fn default_on_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
