//! From JSON to the typed values of a condition (`condition/types/converters.go`).

use std::collections::HashMap;
use std::sync::Arc;

use cel::Value;
use cel::objects::Key;
use serde_json::Value as Json;
use thiserror::Error;

use super::functions::Ip;
use super::{decimal, time};
use crate::wire::{ParameterType, TypeName};

/// Parameters nest as deeply as their types, but `any` takes what JSON brings.
const MAX_DEPTH: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ParameterError {
    #[error("expected type value '{expected}', but found '{found}'")]
    WrongType { expected: &'static str, found: &'static str },
    #[error("expected {expected} value, but found numeric value '{found}'")]
    NotIntegral { expected: &'static str, found: String },
    #[error("expected a {expected} value, but found invalid string value '{found}'")]
    NotNumeric { expected: &'static str, found: String },
    #[error("number cannot be represented as a float64: {found}")]
    Inexact { found: String },
    #[error("expected a valid duration string, but found: '{found}'")]
    NotADuration { found: String },
    #[error("expected RFC 3339 formatted timestamp string, but found '{found}'")]
    NotATimestamp { found: String },
    #[error("expected a well-formed IP address, but found: '{found}'")]
    NotAnAddress { found: String },
    #[error("{expected} requires a {expected}, found: {found}")]
    NotAContainer { expected: &'static str, found: &'static str },
    #[error("found an invalid value at '{at}': {cause}")]
    Item { at: String, cause: Box<Self> },
    #[error("the value is nested too deeply")]
    TooDeep,
    #[error("unknown condition parameter type")]
    UnknownType,
}

pub(crate) fn cast(kind: &ParameterType, value: &Json) -> Result<Value, ParameterError> {
    cast_at(kind, value, 0)
}

fn cast_at(kind: &ParameterType, value: &Json, depth: usize) -> Result<Value, ParameterError> {
    if depth > MAX_DEPTH {
        return Err(ParameterError::TooDeep);
    }
    match kind.type_name {
        TypeName::Any => any(value, depth),
        TypeName::Bool => value.as_bool().map(Value::Bool).ok_or_else(|| wrong("bool", value)),
        TypeName::String => text("string", value).map(string),
        TypeName::Int => integer("int64", "an int", value).map(Value::Int),
        TypeName::Uint => {
            let number = integer("uint64", "a uint", value)?;
            let unsigned = u64::try_from(number).map_err(|_| ParameterError::NotIntegral {
                expected: "a uint",
                found: number.to_string(),
            })?;
            Ok(Value::UInt(unsigned))
        }
        TypeName::Double => double(value).map(Value::Float),
        TypeName::Duration => {
            let text = text("duration", value)?;
            let duration = time::parse_duration(text);
            duration
                .map(Value::Duration)
                .ok_or_else(|| ParameterError::NotADuration { found: text.to_owned() })
        }
        TypeName::Timestamp => {
            let text = text("timestamp", value)?;
            let timestamp = time::parse_timestamp(text);
            timestamp
                .map(Value::Timestamp)
                .ok_or_else(|| ParameterError::NotATimestamp { found: text.to_owned() })
        }
        TypeName::IpAddress => {
            let text = text("ipaddress", value)?;
            let address = Ip::parse(text);
            address
                .map(|ip| Value::Opaque(Arc::new(ip)))
                .ok_or_else(|| ParameterError::NotAnAddress { found: text.to_owned() })
        }
        TypeName::List => list(kind, value, depth),
        TypeName::Map => map(kind, value, depth),
        TypeName::Unspecified => Err(ParameterError::UnknownType),
    }
}

fn list(kind: &ParameterType, value: &Json, depth: usize) -> Result<Value, ParameterError> {
    let item = kind.generic_types.first().ok_or(ParameterError::UnknownType)?;
    let Json::Array(values) = value else {
        return Err(ParameterError::NotAContainer { expected: "list", found: name_of(value) });
    };
    let items = values.iter().enumerate().map(|(index, value)| {
        cast_at(item, value, depth + 1).map_err(|cause| item_error(index.to_string(), cause))
    });
    Ok(Value::List(Arc::new(items.collect::<Result<_, _>>()?)))
}

fn map(kind: &ParameterType, value: &Json, depth: usize) -> Result<Value, ParameterError> {
    let item = kind.generic_types.first().ok_or(ParameterError::UnknownType)?;
    let Json::Object(values) = value else {
        return Err(ParameterError::NotAContainer { expected: "map", found: name_of(value) });
    };
    let items = values.iter().map(|(key, value)| {
        let value =
            cast_at(item, value, depth + 1).map_err(|cause| item_error(key.clone(), cause))?;
        Ok((Key::from(key.clone()), value))
    });
    let items: HashMap<Key, Value> = items.collect::<Result<_, ParameterError>>()?;
    Ok(Value::Map(items.into()))
}

fn item_error(at: String, cause: ParameterError) -> ParameterError {
    ParameterError::Item { at, cause: Box::new(cause) }
}

fn any(value: &Json, depth: usize) -> Result<Value, ParameterError> {
    const ANY: ParameterType =
        ParameterType { type_name: TypeName::Any, generic_types: Vec::new() };
    Ok(match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        // Protobuf's Struct knows only doubles.
        Json::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => string(text),
        Json::Array(_) => {
            let kind = ParameterType { type_name: TypeName::List, generic_types: vec![ANY] };
            return list(&kind, value, depth);
        }
        Json::Object(_) => {
            let kind = ParameterType { type_name: TypeName::Map, generic_types: vec![ANY] };
            return map(&kind, value, depth);
        }
    })
}

fn string(text: &str) -> Value {
    Value::String(Arc::new(text.to_owned()))
}

fn text<'v>(expected: &'static str, value: &'v Json) -> Result<&'v str, ParameterError> {
    value.as_str().ok_or_else(|| wrong(expected, value))
}

#[expect(clippy::cast_possible_truncation, reason = "OpenFGA saturates too")]
fn integer(
    expected: &'static str,
    integral: &'static str,
    value: &Json,
) -> Result<i64, ParameterError> {
    let number = match value {
        Json::Number(number) => number.as_f64().unwrap_or(f64::NAN),
        Json::String(text) => {
            // Integers beyond 2^53 keep their digits only as text.
            if let Ok(exact) = text.parse::<i128>() {
                return Ok(saturate(exact));
            }
            numeric(expected, text)?
        }
        _ => return Err(wrong(expected, value)),
    };
    if number.fract() != 0.0 || !number.is_finite() {
        let found = number.to_string();
        return Err(ParameterError::NotIntegral { expected: integral, found });
    }
    Ok(number as i64)
}

fn saturate(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

fn double(value: &Json) -> Result<f64, ParameterError> {
    match value {
        Json::Number(number) => Ok(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => {
            let number = numeric("float64", text)?;
            if !decimal::is_held_by(text, number) {
                return Err(ParameterError::Inexact { found: text.clone() });
            }
            Ok(number)
        }
        _ => Err(wrong("float64", value)),
    }
}

fn numeric(expected: &'static str, text: &str) -> Result<f64, ParameterError> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let number = text.parse::<f64>().ok().filter(|_| plain);
    number.ok_or_else(|| ParameterError::NotNumeric { expected, found: text.to_owned() })
}

const fn wrong(expected: &'static str, value: &Json) -> ParameterError {
    ParameterError::WrongType { expected, found: name_of(value) }
}

const fn name_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "bool",
        Json::Number(_) => "float64",
        Json::String(_) => "string",
        Json::Array(_) => "list",
        Json::Object(_) => "map",
    }
}
