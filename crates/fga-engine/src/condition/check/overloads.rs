//! The functions and operators of CEL's standard library, by argument types.

use cel::common::ast::operators;

use crate::condition::kind::Kind;

const ORDERED: [Kind; 8] = [
    Kind::Bool,
    Kind::Int,
    Kind::Uint,
    Kind::Double,
    Kind::String,
    Kind::Bytes,
    Kind::Timestamp,
    Kind::Duration,
];

pub(super) enum Lookup {
    Found(Kind),
    NoOverload,
    UnknownFunction,
}

impl From<Option<Kind>> for Lookup {
    fn from(kind: Option<Kind>) -> Self {
        kind.map_or(Self::NoOverload, Self::Found)
    }
}

pub(super) fn global(name: &str, arguments: &[Kind]) -> Lookup {
    match arguments {
        [argument] => unary(name, argument),
        [left, right] => binary(name, left, right),
        [condition, left, right] if name == operators::CONDITIONAL => {
            let fits = condition.fits(&Kind::Bool) && left.fits(right);
            fits.then(|| if *left == Kind::Dyn { right.clone() } else { left.clone() }).into()
        }
        _ => unknown_arity(name),
    }
}

fn unknown_arity(name: &str) -> Lookup {
    let known = ["size", "int", "string", "timestamp", "duration", "matches", "ipaddress"];
    if known.contains(&name) { Lookup::NoOverload } else { Lookup::UnknownFunction }
}

fn unary(name: &str, argument: &Kind) -> Lookup {
    use Kind::{Bool, Bytes, Double, Duration, Dyn, Int, Ip, String, Timestamp, Type, Uint};
    let one_of = |kinds: &[Kind], result: Kind| -> Lookup {
        kinds.iter().any(|kind| kind.fits(argument)).then_some(result).into()
    };
    match name {
        operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE => one_of(&[Bool], Bool),
        operators::NEGATE => {
            let result = if *argument == Double { Double } else { Int };
            one_of(&[Int, Double], result)
        }
        "size" => size(argument).into(),
        "bool" => one_of(&[Bool, String], Bool),
        "bytes" => one_of(&[Bytes, String], Bytes),
        "double" => one_of(&[Double, Int, String, Uint], Double),
        "duration" => one_of(&[Duration, Int, String], Duration),
        "int" => one_of(&[Int, Double, Duration, String, Timestamp, Uint], Int),
        "string" => one_of(&[String, Bool, Bytes, Double, Duration, Int, Timestamp, Uint], String),
        "timestamp" => one_of(&[Timestamp, Int, String], Timestamp),
        "uint" => one_of(&[Uint, Double, Int, String], Uint),
        "dyn" => Lookup::Found(Dyn),
        "type" => Lookup::Found(Type),
        "ipaddress" => one_of(&[String], Ip),
        _ => Lookup::UnknownFunction,
    }
}

fn size(argument: &Kind) -> Option<Kind> {
    let sized =
        matches!(argument, Kind::Dyn | Kind::String | Kind::Bytes | Kind::List(_) | Kind::Map(..));
    sized.then_some(Kind::Int)
}

fn binary(name: &str, left: &Kind, right: &Kind) -> Lookup {
    match name {
        operators::LOGICAL_AND | operators::LOGICAL_OR => {
            (left.fits(&Kind::Bool) && right.fits(&Kind::Bool)).then_some(Kind::Bool).into()
        }
        operators::EQUALS | operators::NOT_EQUALS => left.fits(right).then_some(Kind::Bool).into(),
        operators::ADD => add(left, right).into(),
        operators::SUBSTRACT => subtract(left, right).into(),
        operators::MULTIPLY | operators::DIVIDE => {
            same(left, right, &[Kind::Int, Kind::Uint, Kind::Double]).into()
        }
        operators::MODULO => same(left, right, &[Kind::Int, Kind::Uint]).into(),
        operators::INDEX => index(left, right).into(),
        operators::IN | "in" => contained(left, right).then_some(Kind::Bool).into(),
        "matches" => {
            (left.fits(&Kind::String) && right.fits(&Kind::String)).then_some(Kind::Bool).into()
        }
        _ if is_ordering(name) => same(left, right, &ORDERED).map(|_| Kind::Bool).into(),
        _ => unknown_arity(name),
    }
}

/// The type that both sides have, if the operator knows it.
fn same(left: &Kind, right: &Kind, known: &[Kind]) -> Option<Kind> {
    match (left, right) {
        (Kind::Dyn, Kind::Dyn) => Some(Kind::Dyn),
        (Kind::Dyn, kind) | (kind, Kind::Dyn) => known.contains(kind).then(|| kind.clone()),
        (left, right) => (left == right && known.contains(left)).then(|| left.clone()),
    }
}

fn add(left: &Kind, right: &Kind) -> Option<Kind> {
    match (left, right) {
        (Kind::Timestamp, Kind::Duration) | (Kind::Duration, Kind::Timestamp) => {
            Some(Kind::Timestamp)
        }
        (Kind::List(a), Kind::List(b)) => {
            a.fits(b).then(|| if **a == Kind::Dyn { right.clone() } else { left.clone() })
        }
        (Kind::Dyn, Kind::List(_)) => Some(right.clone()),
        (Kind::List(_), Kind::Dyn) => Some(left.clone()),
        (Kind::Dyn, Kind::Timestamp | Kind::Duration)
        | (Kind::Timestamp | Kind::Duration, Kind::Dyn) => Some(Kind::Dyn),
        _ => {
            let known =
                [Kind::Int, Kind::Uint, Kind::Double, Kind::String, Kind::Bytes, Kind::Duration];
            same(left, right, &known)
        }
    }
}

fn subtract(left: &Kind, right: &Kind) -> Option<Kind> {
    match (left, right) {
        (Kind::Timestamp, Kind::Timestamp) => Some(Kind::Duration),
        (Kind::Timestamp, Kind::Duration) => Some(Kind::Timestamp),
        (Kind::Timestamp, Kind::Dyn) | (Kind::Dyn, Kind::Timestamp | Kind::Duration) => {
            Some(Kind::Dyn)
        }
        _ => same(left, right, &[Kind::Int, Kind::Uint, Kind::Double, Kind::Duration]),
    }
}

fn index(container: &Kind, at: &Kind) -> Option<Kind> {
    match container {
        Kind::Dyn => Some(Kind::Dyn),
        Kind::List(item) => at.fits(&Kind::Int).then(|| (**item).clone()),
        Kind::Map(key, value) => key.fits(at).then(|| (**value).clone()),
        _ => None,
    }
}

fn contained(item: &Kind, container: &Kind) -> bool {
    match container {
        Kind::Dyn => true,
        Kind::List(member) | Kind::Map(member, _) => member.fits(item),
        _ => false,
    }
}

pub(super) fn member(name: &str, target: &Kind, arguments: &[Kind]) -> Lookup {
    let strings = || target.fits(&Kind::String) && arguments.iter().all(|a| a.fits(&Kind::String));
    let is = |fits: bool, result: Kind| -> Lookup { fits.then_some(result).into() };
    match name {
        "size" if arguments.is_empty() => size(target).into(),
        "contains" | "startsWith" | "endsWith" | "matches" => {
            is(arguments.len() == 1 && strings(), Kind::Bool)
        }
        "in_cidr" => {
            let fits =
                target.fits(&Kind::Ip) && matches!(arguments, [cidr] if cidr.fits(&Kind::String));
            is(fits, Kind::Bool)
        }
        "getHours" | "getMinutes" | "getSeconds" | "getMilliseconds" => {
            let of_duration = target.fits(&Kind::Duration) && arguments.is_empty();
            is(of_duration || of_timestamp(target, arguments), Kind::Int)
        }
        "getFullYear" | "getMonth" | "getDate" | "getDayOfMonth" | "getDayOfWeek"
        | "getDayOfYear" => is(of_timestamp(target, arguments), Kind::Int),
        _ => Lookup::UnknownFunction,
    }
}

/// The getters of a timestamp take an optional time zone.
fn of_timestamp(target: &Kind, arguments: &[Kind]) -> bool {
    let zone = match arguments {
        [] => true,
        [zone] => zone.fits(&Kind::String),
        _ => false,
    };
    target.fits(&Kind::Timestamp) && zone
}

/// Whether the operator compares in order.
fn is_ordering(name: &str) -> bool {
    [operators::LESS, operators::LESS_EQUALS, operators::GREATER, operators::GREATER_EQUALS]
        .contains(&name)
}
