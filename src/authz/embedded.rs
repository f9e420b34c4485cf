//! Decisions of the engine in this process: no network, no cache, effective at once.

use fga_engine::{CheckRequest, EngineError, Store};

use super::fault::CheckFault;
use super::question::Question;

/// Evaluates `question` against the store's latest model and tuples.
pub(super) fn decide(store: &Store, question: &Question<'_>) -> Result<bool, CheckFault> {
    let request = CheckRequest {
        user: question.user,
        relation: question.relation,
        object: question.object,
        ..CheckRequest::default()
    };
    store.check(None, &request).map_err(|error| refused(&error))
}

fn refused(error: &EngineError) -> CheckFault {
    CheckFault::Refused {
        status: error.code.http_status(),
        code: error.code.as_str().to_owned(),
        message: error.message.clone(),
    }
}
