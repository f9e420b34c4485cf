//! Refuses conditions whose evaluation could take long.
//!
//! OpenFGA meters the evaluation and stops at cost 100. The `cel` crate has no meter, so
//! this is an upper bound from the expression and the sizes of its parameters, far
//! above what OpenFGA lets pass and far below what would be felt.

use cel::Value;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr};

const AFFORDABLE: u64 = 100_000;

pub(crate) fn is_affordable(expression: &IdedExpr, parameters: &[(String, Value)]) -> bool {
    let largest = parameters.iter().map(|(_, value)| size(value)).max().unwrap_or(0);
    // Literals of at most 512 bytes of source cannot be longer than this.
    cost(expression, largest.max(512)) <= AFFORDABLE.max(largest.saturating_mul(64))
}

/// Elements and bytes of the largest container in a value.
fn size(value: &Value) -> u64 {
    let length = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    match value {
        Value::String(text) => length(text.len()) / 16,
        Value::Bytes(bytes) => length(bytes.len()) / 16,
        Value::List(items) => items.iter().map(size).max().unwrap_or(0).max(length(items.len())),
        Value::Map(map) => map.map.values().map(size).max().unwrap_or(0).max(length(map.map.len())),
        _ => 1,
    }
}

/// Levels of the syntax tree. The caller's stack must have room for them.
pub(crate) fn depth(expression: &IdedExpr) -> usize {
    let deepest = |parts: &mut dyn Iterator<Item = &IdedExpr>| parts.map(depth).max().unwrap_or(0);
    1 + match &expression.expr {
        Expr::Call(CallExpr { target, args, .. }) => {
            deepest(&mut target.as_deref().into_iter().chain(args))
        }
        Expr::Comprehension(comprehension) => deepest(
            &mut [
                &comprehension.iter_range,
                &comprehension.accu_init,
                &comprehension.loop_cond,
                &comprehension.loop_step,
                &comprehension.result,
            ]
            .into_iter(),
        ),
        Expr::List(list) => deepest(&mut list.elements.iter()),
        Expr::Map(map) => deepest(&mut map.entries.iter().flat_map(|entry| parts_of(&entry.expr))),
        Expr::Struct(fields) => {
            deepest(&mut fields.entries.iter().flat_map(|entry| parts_of(&entry.expr)))
        }
        Expr::Select(select) => depth(&select.operand),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => 0,
    }
}

fn parts_of(entry: &EntryExpr) -> impl Iterator<Item = &IdedExpr> {
    let (first, second) = match entry {
        EntryExpr::MapEntry(entry) => (&entry.value, Some(&entry.key)),
        EntryExpr::StructField(field) => (&field.value, None),
    };
    std::iter::once(first).chain(second)
}

fn cost(expression: &IdedExpr, largest: u64) -> u64 {
    let of = |expression: &IdedExpr| cost(expression, largest);
    match &expression.expr {
        Expr::Call(CallExpr { target, args, .. }) => {
            let target = target.as_deref().map_or(0, of);
            args.iter().map(of).fold(target.saturating_add(1), u64::saturating_add)
        }
        Expr::Comprehension(comprehension) => {
            let range = of(&comprehension.iter_range);
            let length = match &comprehension.iter_range.expr {
                Expr::List(list) => u64::try_from(list.elements.len()).unwrap_or(largest),
                Expr::Map(map) => u64::try_from(map.entries.len()).unwrap_or(largest),
                _ => largest,
            };
            let step = of(&comprehension.loop_step).saturating_add(of(&comprehension.loop_cond));
            let steps = length.saturating_mul(step.saturating_add(1));
            range.saturating_add(steps).saturating_add(of(&comprehension.result))
        }
        Expr::List(list) => list.elements.iter().map(of).fold(1, u64::saturating_add),
        Expr::Map(map) => {
            let entries = map.entries.iter().map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => of(&entry.key).saturating_add(of(&entry.value)),
                EntryExpr::StructField(field) => of(&field.value),
            });
            entries.fold(1, u64::saturating_add)
        }
        Expr::Select(select) => of(&select.operand).saturating_add(1),
        _ => 1,
    }
}
