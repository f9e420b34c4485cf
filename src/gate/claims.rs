//! What a rule asks of a token that is valid.

use super::policy::BoundRule;
use super::rejection::Reason;
use super::request::Request;
use crate::authn::Principal;

pub(super) fn check(
    bound: &BoundRule,
    principal: &Principal,
    request: &Request<'_>,
) -> Result<(), Reason> {
    let wanted = bound.rule.requirements();
    if !wanted.audience().is_empty() && !principal.has_any_audience(wanted.audience()) {
        tell_of_audience(bound, principal, request);
        return Err(Reason::WrongAudience);
    }
    if !wanted.roles().is_empty() && !principal.has_any_role(wanted.roles()) {
        tell_of_doubt(bound, principal, request);
        return Err(Reason::MissingRole);
    }
    if !principal.has_all_scopes(wanted.scopes()) {
        return Err(Reason::MissingScope);
    }
    Ok(())
}

fn tell_of_audience(bound: &BoundRule, principal: &Principal, request: &Request<'_>) {
    tracing::warn!(
        reason = Reason::WrongAudience.word(),
        detail = principal.explain_audience(bound.rule.requirements().audience()),
        client = %request.client.addr,
        rule = bound.rule.id(),
        request_id = request.request_id.to_str().ok(),
        "JWT validation failed"
    );
}

/// Whoever reads the token finds the role in it, so the log says why it does not count.
fn tell_of_doubt(bound: &BoundRule, principal: &Principal, request: &Request<'_>) {
    let detail = principal.explain_missing_role(bound.rule.requirements().roles());
    if let Some(detail) = detail {
        tracing::warn!(
            reason = Reason::MissingRole.word(),
            detail,
            client = %request.client.addr,
            rule = bound.rule.id(),
            request_id = request.request_id.to_str().ok(),
            hint = "the claim is about the client's project: ask for {project}:{role}, have the \
                    project's id in issuers[].audience or, where tokens name no project, the \
                    client's in issuers[].clients",
            "Role not believed"
        );
    }
}
