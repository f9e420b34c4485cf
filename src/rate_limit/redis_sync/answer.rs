//! Reading what Redis answers about one key, whatever stands there.
//!
//! An answer that makes no sense for one key is left out and told; only an error that would meet every
//! key (READONLY, OOM, LOADING and the like) fails the round.

use redis::Value;

use super::fault::SyncFault;

/// More than there can be replicas in the life of a window, restarted ones among them.
pub(super) const MAX_FIELDS: usize = 1_024;

/// Why something about one key could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Odd {
    /// Somebody else writes there.
    #[error("a value of another type is stored there")]
    WrongType,
    /// Not what the command answers.
    #[error("the answer has another form than was asked for")]
    WrongForm,
    /// One field at least; the others were read.
    #[error("a field holds something else than a count")]
    NoCount,
    /// Nobody reads them all.
    #[error("more fields are stored there than replicas can have written")]
    TooManyFields,
}

/// What all replicas together told about one key in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The sum of what could be read; `None` when nothing could.
    pub(super) total: Option<u64>,
    /// Why something could not.
    pub(super) odd: Option<Odd>,
}

impl Reading {
    /// Reads the answers to so many commands about one key, the last of which scans its fields.
    pub(super) fn of(
        answers: &mut impl Iterator<Item = Value>,
        commands: usize,
    ) -> Result<Self, SyncFault> {
        let scanned = last(answers.by_ref().take(commands))?;
        let sum = scanned.and_then(|scan| fields(&scan).map(Self::sum));
        Ok(sum.unwrap_or_else(|odd| Self { total: None, odd: Some(odd) }))
    }

    fn sum(fields: &[[Value; 2]]) -> Self {
        let counts = fields.iter().filter_map(|[_, value]| count(value));
        let odd = (counts.clone().count() < fields.len()).then_some(Odd::NoCount);
        Self { total: Some(counts.fold(0, u64::saturating_add)), odd }
    }
}

/// How many members a set has, from the answer to the last of some commands about it.
pub(super) fn members(answers: impl Iterator<Item = Value>) -> Result<Result<u32, Odd>, SyncFault> {
    Ok(last(answers)?.and_then(|answer| {
        let members = count(&answer).and_then(|members| u32::try_from(members).ok());
        members.ok_or(Odd::WrongForm)
    }))
}

/// Names and values, from a scan that had room for all of them.
fn fields(scan: &Value) -> Result<&[[Value; 2]], Odd> {
    let Value::Array(parts) = scan else { return Err(Odd::WrongForm) };
    let [cursor, Value::Array(fields)] = parts.as_slice() else { return Err(Odd::WrongForm) };
    let (fields, []) = fields.as_chunks() else { return Err(Odd::WrongForm) };
    let is_whole = count(cursor).ok_or(Odd::WrongForm)? == 0;
    if is_whole && fields.len() <= MAX_FIELDS { Ok(fields) } else { Err(Odd::TooManyFields) }
}

fn last(answers: impl Iterator<Item = Value>) -> Result<Result<Value, Odd>, SyncFault> {
    let mut last = Ok(Value::Nil);
    for answer in answers {
        last = match answer {
            Value::ServerError(error) if error.code() == "WRONGTYPE" => Err(Odd::WrongType),
            Value::ServerError(error) => return Err(SyncFault::refused(&error)),
            answer => last.map(|_| answer),
        };
    }
    Ok(last)
}

fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Int(count) => u64::try_from(*count).ok(),
        Value::BulkString(digits) => str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn refusal(line: &str) -> Value {
        redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap()
    }

    fn scanned(cursor: &str, values: Vec<Value>) -> Value {
        let fields = values.into_iter().flat_map(|value| [bulk("replica"), value]).collect();
        Value::Array(vec![bulk(cursor), Value::Array(fields)])
    }

    #[test]
    fn good_fields_count_beside_odd_ones() {
        for (values, total, odd) in [
            (vec![], 0, None),
            (vec![bulk("5"), bulk("7")], 12, None),
            (vec![bulk("5"), bulk("abc")], 5, Some(Odd::NoCount)),
            (vec![bulk("-1"), bulk("1.5"), bulk("")], 0, Some(Odd::NoCount)),
            (vec![bulk("123456789012345678901234"), bulk("1")], 1, Some(Odd::NoCount)),
            (vec![bulk("18446744073709551615"), bulk("1")], u64::MAX, None),
            (vec![Value::Array(vec![bulk("5")]), Value::Nil], 0, Some(Odd::NoCount)),
        ] {
            let mut answers = [Value::Int(1), Value::Int(1), scanned("0", values)].into_iter();
            let reading = Reading::of(&mut answers, 3).unwrap();
            assert_eq!(reading, Reading { total: Some(total), odd });
        }
    }

    #[test]
    fn an_odd_answer_costs_its_own_key_only() {
        let odd = [
            (refusal("WRONGTYPE Operation against a key"), Odd::WrongType),
            (Value::Int(5), Odd::WrongForm),
            (Value::Nil, Odd::WrongForm),
            (Value::Okay, Odd::WrongForm),
            (bulk("5"), Odd::WrongForm),
            (Value::Map(vec![(bulk("a"), bulk("5"))]), Odd::WrongForm),
            (Value::Array(vec![]), Odd::WrongForm),
            (Value::Array(vec![bulk("0")]), Odd::WrongForm),
            (Value::Array(vec![bulk("0"), bulk("5")]), Odd::WrongForm),
            (Value::Array(vec![bulk("0"), Value::Array(vec![bulk("5")])]), Odd::WrongForm),
            (scanned("x", vec![bulk("5")]), Odd::WrongForm),
            (scanned("7", vec![bulk("5")]), Odd::TooManyFields),
            (scanned("0", vec![bulk("5"); MAX_FIELDS + 1]), Odd::TooManyFields),
        ];
        for (answer, expected) in odd {
            let mut answers = [answer, scanned("0", vec![bulk("5"); MAX_FIELDS])].into_iter();
            let first = Reading::of(&mut answers, 1).unwrap();
            assert_eq!(first, Reading { total: None, odd: Some(expected) });
            let second = Reading::of(&mut answers, 1).unwrap();
            assert_eq!(second, Reading { total: Some(5 * 1_024), odd: None });
        }
    }

    #[test]
    fn an_error_that_would_meet_every_key_fails_the_round() {
        for code in ["READONLY", "OOM", "LOADING", "NOAUTH", "NOPERM", "MASTERDOWN", "ERR"] {
            let refused = refusal(&format!("{code} for a reason"));
            let answers = [refused, Value::Int(1), Value::Array(vec![])];
            let fault = Reading::of(&mut answers.into_iter(), 3).unwrap_err();
            assert!(fault.to_string().contains(code), "{fault}");
        }
    }

    #[test]
    fn members_are_a_number() {
        let read = |answer| members([Value::Int(1), answer].into_iter()).unwrap();
        assert_eq!(read(Value::Int(3)), Ok(3));
        assert_eq!(read(Value::Int(-3)), Err(Odd::WrongForm));
        assert_eq!(read(Value::Int(i64::MAX)), Err(Odd::WrongForm));
        assert_eq!(read(refusal("WRONGTYPE x")), Err(Odd::WrongType));
    }
}
