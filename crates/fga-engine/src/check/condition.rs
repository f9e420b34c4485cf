//! Whether a tuple counts for a request: its condition, with the request's parameters.

use crate::condition::{ConditionError, inline, is_inline};
use crate::error::EngineError;
use crate::model::Model;
use crate::snapshot::View;
use crate::tree::Entry;
use crate::tuple::Context;

/// Evaluates the condition of a tuple; without one it holds.
pub(crate) fn holds(
    model: &Model,
    view: &View<'_>,
    entry: &Entry,
    context: Option<&Context>,
) -> Result<bool, Box<EngineError>> {
    let Some(condition) = view.condition(entry) else {
        return Ok(true);
    };
    let name = condition.name.as_str();
    let tuple = view.display(entry);
    let result = if is_inline(name) {
        let compiled = inline::compile(&condition.context);
        compiled.and_then(|compiled| {
            let context = context.filter(|_| compiled.takes_parameters());
            compiled.evaluate(&tuple, &Context::new(), context)
        })
    } else if let Some(compiled) = model.condition(name) {
        compiled.evaluate(&tuple, &condition.context, context)
    } else {
        Err(ConditionError::NotFound { name: name.to_owned() })
    };
    result.map_err(|fault| {
        let message = format!("failed to evaluate relationship condition: {fault}");
        Box::new(EngineError::validation(message))
    })
}
