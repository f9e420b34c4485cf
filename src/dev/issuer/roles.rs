//! Role claims as ZITADEL fills them (ADR 8): one for each project, and a bare one that repeats
//! that of the client's project.

use serde_json::{Value, json};

use super::grants::Claims;

const BARE: &str = "urn:zitadel:iam:org:project:roles";

pub(super) fn claim_of(project: &str) -> String {
    format!("urn:zitadel:iam:org:project:{project}:roles")
}

/// Gives these roles in `project`, which is the client's own or another.
pub(super) fn give<'a>(
    claims: &mut Claims,
    project: &str,
    of_client: Option<&str>,
    roles: impl IntoIterator<Item = &'a str>,
) {
    let org = json!({"212345678901234567": "example.localhost"});
    let roles: Value = roles.into_iter().map(|role| (role.to_owned(), org.clone())).collect();
    if of_client == Some(project) {
        claims.insert(BARE.to_owned(), roles.clone());
    }
    claims.insert(claim_of(project), roles);
}

/// Introspection tells whoever asks of the roles in his own project, and of no other's. Claims that
/// name no project stay as they are: versions that fill such are older than this distinction.
pub(super) fn tell(claims: &mut Claims, project: &str) {
    if !claims.keys().any(|claim| names_a_project(claim)) {
        return;
    }
    let ours = claims.get(&claim_of(project)).cloned();
    claims.retain(|claim, _| claim != BARE && !names_a_project(claim));
    if let Some(roles) = ours {
        claims.insert(BARE.to_owned(), roles.clone());
        claims.insert(claim_of(project), roles);
    }
}

fn names_a_project(claim: &str) -> bool {
    claim.starts_with("urn:zitadel:iam:org:project:") && claim.ends_with(":roles") && claim != BARE
}
