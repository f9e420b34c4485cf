//! The static types of condition expressions.

use std::fmt;

use crate::wire::{ParameterType, TypeName};

/// The static type of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Dyn,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Null,
    Duration,
    Timestamp,
    Ip,
    Type,
    List(Box<Self>),
    Map(Box<Self>, Box<Self>),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Null => f.write_str("null"),
            Self::Duration => f.write_str("google.protobuf.Duration"),
            Self::Timestamp => f.write_str("google.protobuf.Timestamp"),
            Self::Ip => f.write_str("IPAddress"),
            Self::Type => f.write_str("type"),
            Self::List(item) => write!(f, "list({item})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
        }
    }
}

impl Kind {
    /// # Errors
    /// A description, if the type is unspecified or has the wrong number of generics.
    pub(crate) fn of_parameter(parameter: &ParameterType) -> Result<Self, String> {
        let expected = usize::from(matches!(parameter.type_name, TypeName::Map | TypeName::List));
        let found = parameter.generic_types.len();
        if found != expected {
            return Err(format!(
                "condition parameter type requires {expected} generic types; found {found}"
            ));
        }
        let item = || {
            let generic = parameter.generic_types.first();
            generic.map_or(Ok(Self::Dyn), Self::of_parameter).map(Box::new)
        };
        Ok(match parameter.type_name {
            TypeName::Any => Self::Dyn,
            TypeName::Bool => Self::Bool,
            TypeName::String => Self::String,
            TypeName::Int => Self::Int,
            TypeName::Uint => Self::Uint,
            TypeName::Double => Self::Double,
            TypeName::Duration => Self::Duration,
            TypeName::Timestamp => Self::Timestamp,
            TypeName::IpAddress => Self::Ip,
            TypeName::List => Self::List(item()?),
            TypeName::Map => Self::Map(Box::new(Self::String), item()?),
            TypeName::Unspecified => return Err("unknown condition parameter type".to_owned()),
        })
    }

    /// Whether a value of type `other` may stand where `self` is expected, or the other
    /// way round.
    pub(crate) fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _)
            | (_, Self::Dyn)
            | (Self::Null, Self::Duration | Self::Timestamp | Self::Ip)
            | (Self::Duration | Self::Timestamp | Self::Ip, Self::Null) => true,
            (Self::List(a), Self::List(b)) => a.fits(b),
            (Self::Map(k, v), Self::Map(l, w)) => k.fits(l) && v.fits(w),
            _ => self == other,
        }
    }

    /// The type of a container that holds both.
    pub(crate) fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::List(a), Self::List(b)) => Self::List(Box::new(a.join(*b))),
            _ => Self::Dyn,
        }
    }
}
