//! A type checker for condition expressions: OpenFGA refuses a model whose conditions do
//! not type-check, and the `cel` crate has no checker.
//!
//! It knows CEL's standard declarations and OpenFGA's IP addresses. `dyn` fits anything.

mod overloads;

use std::collections::BTreeMap;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};
use thiserror::Error;

use super::kind::Kind;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum CheckError {
    #[error("undeclared reference to '{0}' (in container '')")]
    Undeclared(String),
    #[error("found no matching overload for '{function}' applied to '({arguments})'")]
    NoOverload { function: String, arguments: String },
    #[error("type '{0}' does not support field selection")]
    NoFields(Kind),
    #[error("expression of type '{0}' cannot be range of a comprehension")]
    NoRange(Kind),
    #[error("expected type '{expected}' but found '{found}'")]
    Mismatch { expected: Kind, found: Kind },
    #[error("the expression uses a feature that conditions do not have")]
    Unsupported,
}

/// The type of an expression whose variables have the given types.
pub(crate) fn check(
    expression: &IdedExpr,
    variables: &BTreeMap<&str, Kind>,
) -> Result<Kind, CheckError> {
    Checker { variables, locals: Vec::new() }.check(expression)
}

struct Checker<'a> {
    variables: &'a BTreeMap<&'a str, Kind>,
    locals: Vec<(String, Kind)>,
}

impl Checker<'_> {
    fn check(&mut self, expression: &IdedExpr) -> Result<Kind, CheckError> {
        match &expression.expr {
            Expr::Literal(literal) => Ok(literal_kind(literal)),
            Expr::Ident(name) => self.identifier(name),
            Expr::Select(select) => {
                let operand = self.check(&select.operand)?;
                let field = match operand {
                    Kind::Dyn => Kind::Dyn,
                    Kind::Map(key, value) if key.fits(&Kind::String) => *value,
                    other => return Err(CheckError::NoFields(other)),
                };
                Ok(if select.test { Kind::Bool } else { field })
            }
            Expr::List(list) => {
                let item = self.joined(list.elements.iter())?;
                Ok(Kind::List(Box::new(item)))
            }
            Expr::Map(map) => {
                let mut keys = Vec::new();
                let mut values = Vec::new();
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return Err(CheckError::Unsupported);
                    };
                    keys.push(&entry.key);
                    values.push(&entry.value);
                }
                let key = self.joined(keys.into_iter())?;
                let value = self.joined(values.into_iter())?;
                Ok(Kind::Map(Box::new(key), Box::new(value)))
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(_) | Expr::Unspecified => Err(CheckError::Unsupported),
        }
    }

    fn joined<'e>(
        &mut self,
        mut expressions: impl Iterator<Item = &'e IdedExpr>,
    ) -> Result<Kind, CheckError> {
        let Some(first) = expressions.next() else {
            return Ok(Kind::Dyn);
        };
        let first = self.check(first)?;
        expressions.try_fold(first, |joined, next| Ok(joined.join(self.check(next)?)))
    }

    fn identifier(&self, name: &str) -> Result<Kind, CheckError> {
        const TYPES: [&str; 10] = [
            "bool",
            "bytes",
            "double",
            "int",
            "list",
            "map",
            "null_type",
            "string",
            "type",
            "uint",
        ];
        let local = self.locals.iter().rev().find(|(local, _)| local == name).map(|(_, kind)| kind);
        match local.or_else(|| self.variables.get(name)) {
            Some(kind) => Ok(kind.clone()),
            None if TYPES.contains(&name) => Ok(Kind::Type),
            None => Err(CheckError::Undeclared(name.to_owned())),
        }
    }

    fn call(&mut self, call: &CallExpr) -> Result<Kind, CheckError> {
        let target = call.target.as_deref().map(|target| self.check(target)).transpose()?;
        let arguments = call.args.iter().map(|a| self.check(a)).collect::<Result<Vec<_>, _>>()?;
        let name = call.func_name.as_str();
        let found = match &target {
            Some(target) => overloads::member(name, target, &arguments),
            None => overloads::global(name, &arguments),
        };
        match found {
            overloads::Lookup::Found(kind) => Ok(kind),
            overloads::Lookup::UnknownFunction => Err(CheckError::Undeclared(name.to_owned())),
            overloads::Lookup::NoOverload => {
                let all = target.iter().chain(&arguments).map(ToString::to_string);
                let arguments = all.collect::<Vec<_>>().join(", ");
                Err(CheckError::NoOverload { function: name.to_owned(), arguments })
            }
        }
    }

    fn comprehension(&mut self, loops: &ComprehensionExpr) -> Result<Kind, CheckError> {
        let (first, second) = match self.check(&loops.iter_range)? {
            Kind::Dyn => (Kind::Dyn, Kind::Dyn),
            Kind::List(item) if loops.iter_var2.is_some() => (Kind::Int, *item),
            Kind::List(item) => (*item, Kind::Dyn),
            Kind::Map(key, value) => (*key, *value),
            other => return Err(CheckError::NoRange(other)),
        };
        let start = self.check(&loops.accu_init)?;
        let before = self.locals.len();
        self.locals.push((loops.accu_var.clone(), start.clone()));
        self.locals.push((loops.iter_var.clone(), first));
        if let Some(name) = &loops.iter_var2 {
            self.locals.push((name.clone(), second));
        }
        let outcome = self.loop_body(loops, &start, before);
        self.locals.truncate(before);
        outcome
    }

    fn loop_body(
        &mut self,
        loops: &ComprehensionExpr,
        start: &Kind,
        accumulator: usize,
    ) -> Result<Kind, CheckError> {
        let condition = self.check(&loops.loop_cond)?;
        if !condition.fits(&Kind::Bool) {
            return Err(CheckError::Mismatch { expected: Kind::Bool, found: condition });
        }
        let step = self.check(&loops.loop_step)?;
        if !step.fits(start) {
            return Err(CheckError::Mismatch { expected: start.clone(), found: step });
        }
        if let Some((_, kind)) = self.locals.get_mut(accumulator) {
            // `map` starts with an empty list, whose item type only the step knows.
            *kind = step;
        }
        self.check(&loops.result)
    }
}

fn literal_kind(literal: &LiteralValue) -> Kind {
    match literal {
        LiteralValue::Boolean(_) => Kind::Bool,
        LiteralValue::Bytes(_) => Kind::Bytes,
        LiteralValue::Double(_) => Kind::Double,
        LiteralValue::Int(_) => Kind::Int,
        LiteralValue::Null => Kind::Null,
        LiteralValue::String(_) => Kind::String,
        LiteralValue::UInt(_) => Kind::Uint,
    }
}
