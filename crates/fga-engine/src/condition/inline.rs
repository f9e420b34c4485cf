//! `$expression` conditions, whose expression stands in the tuple.

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use serde_json::Value as Json;

use super::{Condition, ConditionError, INLINE, functions};
use crate::tuple::Context;
use crate::wire::{ConditionDefinition, ParameterType, TypeName};

/// Compiles the condition that a tuple carries; identifiers without a declared type are
/// strings.
pub(crate) fn compile(context: &Context) -> Result<Condition, ConditionError> {
    let fail = |cause: &str| ConditionError::Inline { cause: cause.to_owned() };
    let expression = match context.get("expression") {
        None => return Err(fail("missing required context field \"expression\"")),
        Some(Json::String(expression)) if !expression.is_empty() => expression.clone(),
        Some(_) => {
            return Err(fail("context field \"expression\" must be a non-empty string"));
        }
    };
    let mut definition =
        ConditionDefinition { name: INLINE.to_owned(), expression, ..Default::default() };
    match context.get("parameters") {
        None => {}
        Some(Json::Object(parameters)) => {
            for (name, kind) in parameters {
                let parsed = parse_type(kind.as_str().unwrap_or_default(), 0);
                let kind = parsed.ok_or_else(|| fail("invalid parameter type"))?;
                definition.parameters.insert(name.clone(), kind);
            }
        }
        Some(_) => return Err(fail("context field \"parameters\" must be a struct")),
    }
    let program = functions::parse(&definition.expression).map_err(|cause| fail(&cause))?;
    let mut names = Vec::new();
    identifiers(program.expression(), &mut Vec::new(), &mut names);
    for name in names {
        definition.parameters.entry(name).or_insert_with(|| ParameterType {
            type_name: TypeName::String,
            generic_types: Vec::new(),
        });
    }
    Condition::compile(&definition)
}

fn parse_type(text: &str, depth: usize) -> Option<ParameterType> {
    if depth > 8 {
        return None;
    }
    let Some((outer, inner)) = text.split_once('<') else {
        let type_name = TypeName::from_keyword(text)?;
        return Some(ParameterType { type_name, generic_types: Vec::new() });
    };
    let type_name = TypeName::from_keyword(outer)?;
    let generic = parse_type(inner.strip_suffix('>')?, depth + 1)?;
    Some(ParameterType { type_name, generic_types: vec![generic] })
}

/// Free identifiers of an expression, in no particular order.
fn identifiers(expression: &IdedExpr, bound: &mut Vec<String>, found: &mut Vec<String>) {
    match &expression.expr {
        Expr::Ident(name) if !bound.contains(name) => {
            found.push(name.clone());
        }
        Expr::Select(select) => identifiers(&select.operand, bound, found),
        Expr::Call(call) => {
            call.target.iter().for_each(|target| identifiers(target, bound, found));
            call.args.iter().for_each(|argument| identifiers(argument, bound, found));
        }
        Expr::List(list) => list.elements.iter().for_each(|item| identifiers(item, bound, found)),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    identifiers(&entry.key, bound, found);
                    identifiers(&entry.value, bound, found);
                }
            }
        }
        Expr::Comprehension(comprehension) => {
            identifiers(&comprehension.iter_range, bound, found);
            let before = bound.len();
            bound.push(comprehension.iter_var.clone());
            bound.extend(comprehension.iter_var2.clone());
            bound.push(comprehension.accu_var.clone());
            let parts = [
                &comprehension.accu_init,
                &comprehension.loop_cond,
                &comprehension.loop_step,
                &comprehension.result,
            ];
            for part in parts {
                identifiers(part, bound, found);
            }
            bound.truncate(before);
        }
        _ => {}
    }
}
