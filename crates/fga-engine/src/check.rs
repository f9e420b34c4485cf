//! Does a user have a relation with an object?
//!
//! The request is validated and turned into numbers here; `resolver` follows them.

pub(crate) mod answer;
pub(crate) mod condition;
pub(crate) mod resolver;

use crate::error::EngineError;
use crate::model::Model;
use crate::snapshot::{Snapshot, View};
use crate::tree::Key;
use crate::tuple::{Context, TupleKey};
use crate::validity;
use answer::Verdict;
use resolver::{Resolver, Subject};

const MAX_CONTEXTUAL: usize = 100;
const UNKNOWN_OBJECT: u32 = u32::MAX;
const UNKNOWN_USER: u32 = u32::MAX - 1;

/// One question, with what the caller adds to the stored tuples.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckRequest<'a> {
    /// `kind:id`, `kind:id#relation` or `kind:*`.
    pub user: &'a str,
    /// A relation of the object's type.
    pub relation: &'a str,
    /// `kind:id`.
    pub object: &'a str,
    /// Treated as if they were stored.
    pub contextual_tuples: &'a [TupleKey],
    /// Parameters of conditions; those of a tuple win over them.
    pub context: Option<&'a Context>,
}

/// Answers a check against one version of the tuples.
pub(crate) fn check(
    model: &Model,
    snapshot: &Snapshot,
    request: &CheckRequest<'_>,
) -> Result<bool, EngineError> {
    let key = validity::resolve(model, request.object, request.relation, request.user)
        .map_err(|fault| EngineError::validation(format!("invalid relation: {fault}")))?;
    let mut view = View::new(snapshot);
    if let Some(context) = request.context {
        validity::accept_context(context)
            .map_err(|fault| EngineError::validation(format!("invalid context: {fault}")))?;
    }
    add_contextual(model, &mut view, request.contextual_tuples, validity::TupleFault::in_check)?;
    // No tuple has these numbers, so unknown names need none of their own.
    let object = view.find(key.object_kind, key.object.id).unwrap_or(UNKNOWN_OBJECT);
    let is_same = (key.object_kind, key.object.id) == (key.user_kind, key.user.id());
    let unknown = if is_same { UNKNOWN_OBJECT } else { UNKNOWN_USER };
    let subject = Subject {
        object: view.find(key.user_kind, key.user.id()).unwrap_or(unknown),
        kind: key.user_kind,
        relation: key.user_relation,
        facet: key.facet(),
        label: key.user_label,
    };
    let mut resolver = Resolver::new(model, &view, subject, request.context);
    match resolver.resolve(object, key.relation, 0, None) {
        Ok(answer) => Ok(answer.verdict == Verdict::Allowed),
        Err(fault) => Err(*fault),
    }
}

/// Validates contextual tuples as if they were written, and adds them to the view.
pub(crate) fn add_contextual(
    model: &Model,
    view: &mut View<'_>,
    tuples: &[TupleKey],
    refuse: impl Fn(&validity::TupleFault, &TupleKey) -> EngineError,
) -> Result<(), EngineError> {
    if tuples.len() > MAX_CONTEXTUAL {
        return Err(EngineError::validation(
            "invalid ContextualTupleKeys.TupleKeys: value must contain no more than 100 item(s)",
        ));
    }
    for tuple in tuples {
        let resolved = validity::for_write(model, tuple).map_err(|fault| refuse(&fault, tuple))?;
        let object = view.name(resolved.object_kind, resolved.object.id);
        let user = view.name(resolved.user_kind, resolved.user.id());
        let key = Key::new(object, resolved.relation.symbol, resolved.user_relation, user);
        view.add(key, tuple.condition.as_ref());
    }
    view.seal();
    Ok(())
}
