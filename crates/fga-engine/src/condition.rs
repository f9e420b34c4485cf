//! Conditions: CEL expressions over typed parameters (`openfga/internal/condition`).
//!
//! OpenFGA demands every declared parameter, whether or not the expression needs it for
//! this answer, so no partial evaluation is needed. A tuple's own parameters win over
//! those of the request.

pub(crate) mod bound;
pub(crate) mod check;
pub(crate) mod decimal;
pub(crate) mod functions;
pub(crate) mod inline;
pub(crate) mod kind;
pub(crate) mod parameter;
pub(crate) mod time;

use std::collections::BTreeMap;

use cel::{Program, Value};
use thiserror::Error;

use crate::tuple::Context;
use crate::wire::{ConditionDefinition, ParameterType};
use kind::Kind;
use parameter::ParameterError;

/// The reserved condition name whose expression stands in the tuple itself.
pub(crate) const INLINE: &str = "$expression";

/// Why a condition cannot be compiled or evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ConditionError {
    #[error("failed to compile expression on condition '{name}' - {cause}")]
    Compilation { name: String, cause: String },
    #[error("parameter type error on condition '{name}' - no parameters defined for the condition")]
    NoParameters { name: String },
    #[error(
        "parameter type error on condition '{name}' - failed to convert context parameter '{parameter}': {cause}"
    )]
    Parameter { name: String, parameter: String, cause: ParameterError },
    #[error("'{name}' - tuple '{tuple}' is missing context parameters '[{}]'", missing.join(" "))]
    Missing { name: String, tuple: String, missing: Vec<String> },
    #[error("'{name}' - failed to evaluate condition expression: {cause}")]
    Evaluation { name: String, cause: String },
    #[error("'{name}' - condition was not found")]
    NotFound { name: String },
    #[error("found invalid context parameter: {parameter}")]
    UnknownParameter { parameter: String },
    #[error("{INLINE}: {cause}")]
    Inline { cause: String },
}

/// A condition of a model, ready to evaluate.
pub(crate) struct Condition {
    name: Box<str>,
    parameters: BTreeMap<String, ParameterType>,
    program: Program,
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Condition").field("name", &self.name).finish_non_exhaustive()
    }
}

type Parameters = Vec<(String, Value)>;

impl Condition {
    pub(crate) fn compile(definition: &ConditionDefinition) -> Result<Self, ConditionError> {
        let fail =
            |cause: String| ConditionError::Compilation { name: definition.name.clone(), cause };
        let mut kinds = BTreeMap::new();
        for (name, parameter) in &definition.parameters {
            let kind = Kind::of_parameter(parameter).map_err(|cause| {
                fail(format!("failed to decode parameter type for parameter '{name}': {cause}"))
            })?;
            kinds.insert(name.as_str(), kind);
        }
        let program = functions::parse(&definition.expression).map_err(fail)?;
        let output = check::check(program.expression(), &kinds).map_err(|e| fail(e.to_string()))?;
        if output != Kind::Bool {
            let cause = format!("expected a bool condition expression output, but got '{output}'");
            return Err(fail(cause));
        }
        Ok(Self {
            name: definition.name.as_str().into(),
            parameters: definition.parameters.clone(),
            program,
        })
    }

    pub(crate) fn takes_parameters(&self) -> bool {
        !self.parameters.is_empty()
    }

    /// Whether a tuple of this condition may carry these parameters.
    ///
    /// # Errors
    /// [`ConditionError`] if a value has the wrong type or a name is not declared.
    pub(crate) fn accept(&self, context: &Context) -> Result<(), ConditionError> {
        let typed = self.cast(|name| context.get(name), context.is_empty())?;
        let unknown = context.keys().find(|key| typed.iter().all(|(name, _)| name != *key));
        match unknown {
            Some(parameter) => {
                Err(ConditionError::UnknownParameter { parameter: parameter.clone() })
            }
            None => Ok(()),
        }
    }

    /// # Errors
    /// [`ConditionError`] if a parameter is missing or of the wrong type, or if the
    /// expression itself fails.
    pub(crate) fn evaluate(
        &self,
        tuple: &dyn std::fmt::Display,
        stored: &Context,
        request: Option<&Context>,
    ) -> Result<bool, ConditionError> {
        let value =
            |name: &str| stored.get(name).or_else(|| request.and_then(|request| request.get(name)));
        let is_empty = stored.is_empty() && request.is_none_or(Context::is_empty);
        let typed = self.cast(value, is_empty)?;
        let missing: Vec<String> = self
            .parameters
            .keys()
            .filter(|name| typed.iter().all(|(typed, _)| typed != *name))
            .cloned()
            .collect();
        if !missing.is_empty() {
            let (name, tuple) = (self.name.to_string(), tuple.to_string());
            return Err(ConditionError::Missing { name, tuple, missing });
        }
        functions::run(&self.program, typed)
            .map_err(|cause| ConditionError::Evaluation { name: self.name.to_string(), cause })
    }

    fn cast<'v>(
        &self,
        value: impl Fn(&str) -> Option<&'v serde_json::Value>,
        is_empty: bool,
    ) -> Result<Parameters, ConditionError> {
        if is_empty {
            return Ok(Vec::new());
        }
        if self.parameters.is_empty() {
            return Err(ConditionError::NoParameters { name: self.name.to_string() });
        }
        let present =
            self.parameters.iter().filter_map(|(name, kind)| Some((name, kind, value(name)?)));
        present
            .map(|(name, kind, value)| {
                let value = parameter::cast(kind, value).map_err(|cause| {
                    let (condition, parameter) = (self.name.to_string(), name.clone());
                    ConditionError::Parameter { name: condition, parameter, cause }
                })?;
                Ok((name.clone(), value))
            })
            .collect()
    }
}

/// Whether a condition name is the reserved one.
pub(crate) fn is_inline(condition: &str) -> bool {
    condition == INLINE
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn condition(
        expression: &str,
        parameters: &serde_json::Value,
    ) -> Result<Condition, ConditionError> {
        let definition = json!({"name": "c", "expression": expression, "parameters": parameters});
        Condition::compile(&serde_json::from_value(definition).unwrap())
    }

    fn check(
        expression: &str,
        types: &[(&str, &str)],
        context: serde_json::Value,
    ) -> Result<bool, ConditionError> {
        let parameters = types.iter().map(|(name, kind)| {
            let (outer, generic) = kind.split_once('<').unwrap_or((kind, ""));
            let name_of = |kind: &str| format!("TYPE_NAME_{}", kind.to_uppercase());
            let generics = if generic.is_empty() {
                json!([])
            } else {
                json!([{"type_name": name_of(generic.trim_end_matches('>'))}])
            };
            ((*name).to_owned(), json!({"type_name": name_of(outer), "generic_types": generics}))
        });
        let parameters = serde_json::Value::Object(parameters.collect());
        let context = serde_json::from_value(context).unwrap();
        condition(expression, &parameters)?.evaluate(&"t", &Context::new(), Some(&context))
    }

    #[test]
    fn every_parameter_type_evaluates() {
        let table = [
            ("x < 100", vec![("x", "int")], json!({"x": "99"}), true),
            ("x == 5u", vec![("x", "uint")], json!({"x": 5}), true),
            ("x > 1.5", vec![("x", "double")], json!({"x": 1.75}), true),
            (
                "x == 'a' && y",
                vec![("x", "string"), ("y", "bool")],
                json!({"x": "a", "y": true}),
                true,
            ),
            ("x <= duration('1h')", vec![("x", "duration")], json!({"x": "59m59.5s"}), true),
            (
                "now < t + d",
                vec![("now", "timestamp"), ("t", "timestamp"), ("d", "duration")],
                json!({"now": "2023-01-01T00:10:01Z", "t": "2023-01-01T01:00:00+01:00", "d": "10m"}),
                false,
            ),
            ("'a' in x", vec![("x", "list<string>")], json!({"x": ["b", "a"]}), true),
            (
                "x.k == 1 && x['l'] == 2",
                vec![("x", "map<int>")],
                json!({"x": {"k": 1, "l": 2}}),
                true,
            ),
            ("x.all(e, e > 0)", vec![("x", "list<int>")], json!({"x": [1, 2]}), true),
            (
                "x.in_cidr('192.168.0.0/24')",
                vec![("x", "ipaddress")],
                json!({"x": "192.168.0.7"}),
                true,
            ),
            (
                "x.in_cidr('10.0.0.0/8')",
                vec![("x", "ipaddress")],
                json!({"x": "::ffff:10.1.2.3"}),
                true,
            ),
            (
                "x == ipaddress('::1')",
                vec![("x", "ipaddress")],
                json!({"x": "0:0:0:0:0:0:0:1"}),
                true,
            ),
            ("x.a[0].b == 'c'", vec![("x", "any")], json!({"x": {"a": [{"b": "c"}]}}), true),
            (
                "x.getFullYear() == 2023",
                vec![("x", "timestamp")],
                json!({"x": "2023-01-01T00:00:00Z"}),
                true,
            ),
            ("x.matches('^a+$') || size(x) == 1", vec![("x", "string")], json!({"x": "aa"}), true),
        ];
        for (expression, types, context, expected) in table {
            assert_eq!(check(expression, &types, context), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn a_missing_parameter_is_an_error_even_if_the_answer_is_clear_without_it() {
        let result = check("x || y", &[("x", "bool"), ("y", "bool")], json!({"x": true}));
        assert!(matches!(result, Err(ConditionError::Missing { missing, .. }) if missing == ["y"]));
    }

    #[test]
    fn expressions_that_cannot_be_bool_do_not_compile() {
        let parameters =
            json!({"x": {"type_name": "TYPE_NAME_INT"}, "s": {"type_name": "TYPE_NAME_STRING"}});
        for bad in [
            "x",
            "x + 1",
            "s < 1",
            "y",
            "x == 's'",
            "s.in_cidr('10.0.0.0/8')",
            "f(x)",
            "x <",
            "",
            "x < 1.0",
            "s.x == 1",
            "min(x, 1) == 1",
            "x in s",
            "[1].all(e, e)",
        ] {
            let result = condition(bad, &parameters);
            assert!(matches!(result, Err(ConditionError::Compilation { .. })), "{bad}: {result:?}");
        }
    }

    #[test]
    fn values_of_the_wrong_type_are_errors() {
        for (kind, value) in [
            ("int", json!(1.5)),
            ("int", json!("a")),
            ("uint", json!(-1)),
            ("bool", json!("true")),
            ("string", json!(1)),
            ("duration", json!("1d")),
            ("timestamp", json!("2023-01-01")),
            ("ipaddress", json!("1.2.3")),
            ("list<int>", json!(1)),
            ("map<int>", json!({"a": "b"})),
            ("double", json!("0.1")),
        ] {
            let parameters = [("x", kind)];
            let result = check("true", &parameters, json!({"x": value}));
            assert!(matches!(result, Err(ConditionError::Parameter { .. })), "{kind} {result:?}");
        }
    }

    #[test]
    fn nested_loops_over_long_lists_are_refused_instead_of_run() {
        let expression = "l.all(a, l.all(b, l.all(c, l.all(d, a + b + c + d >= 0))))";
        let long: Vec<u32> = (0..1000).collect();
        let result = check(expression, &[("l", "list<int>")], json!({"l": long}));
        assert!(matches!(result, Err(ConditionError::Evaluation { .. })), "{result:?}");
    }
}
