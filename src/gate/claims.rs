//! What a rule asks of a token that is valid.

use super::Request;
use super::policy::Bound;
use super::rejection::{Reason, Refused};
use crate::authn::Principal;

pub(super) fn check(
    rule: &Bound,
    principal: &Principal,
    request: &Request<'_>,
) -> Result<(), Refused> {
    let wanted = rule.requirements();
    if !wanted.audience().is_empty() && !principal.has_any_audience(wanted.audience()) {
        tell_of_audience(rule, principal, request);
        return Err(Reason::WrongAudience.into());
    }
    if !wanted.roles().is_empty() && !principal.has_any_role(wanted.roles()) {
        tell_of_doubt(rule, principal, request);
        return Err(Reason::MissingRole.into());
    }
    if !principal.has_all_scopes(wanted.scopes()) {
        return Err(Reason::MissingScope.into());
    }
    Ok(())
}

fn tell_of_audience(rule: &Bound, principal: &Principal, request: &Request<'_>) {
    tracing::warn!(
        reason = Reason::WrongAudience.word(),
        detail = principal.explain_audience(rule.requirements().audience()),
        client = %request.client.addr,
        rule = rule.id(),
        request_id = request.request_id.to_str().ok(),
        "JWT validation failed"
    );
}

/// Whoever reads the token finds the role in it, so the log says why it does not count.
fn tell_of_doubt(rule: &Bound, principal: &Principal, request: &Request<'_>) {
    let detail = principal.explain_missing_role(rule.requirements().roles());
    if let Some(detail) = detail {
        tracing::warn!(
            reason = Reason::MissingRole.word(),
            detail,
            client = %request.client.addr,
            rule = rule.id(),
            request_id = request.request_id.to_str().ok(),
            hint = "the claim is about the client's project: ask for {project}:{role}, have the \
                    project's id in issuers[].audience or, where tokens name no project, the \
                    client's in issuers[].clients",
            "Role not believed"
        );
    }
}
