//! Project roles as ZITADEL writes them, and which of them are ours.
//!
//! A claim that names a project says whose roles it holds. The bare one holds those of the client's
//! project, and anybody can have a project of his own, give himself any role in it, and ask for
//! tokens with our audience (ADR 8).

use super::claims::Claims;
use super::json::Value;
use super::settings::Audiences;

/// The claim that does not tell whose roles it holds.
pub const BARE_ROLES: &str = "urn:zitadel:iam:org:project:roles";
const PROJECT_PREFIX: &str = "urn:zitadel:iam:org:project:";
/// ZITADEL's ids have some twenty digits. Each role is held with the id before it, so that one of
/// a kilobyte would let a small token stand for megabytes.
const MAX_PROJECT_BYTES: usize = 64;

/// By what roles are known to be in a project of ours.
#[derive(Debug)]
pub(super) struct Ours {
    /// `None` where tokens for any audience are accepted, so that nothing is known.
    projects: Option<Vec<String>>,
    clients: Vec<String>,
}

impl Ours {
    /// The audiences that can be projects. Whoever creates one may choose its id, and none of ours
    /// has that of a client: `clients`, and the one that introspects.
    pub(super) fn new(
        audiences: &Audiences,
        clients: Vec<String>,
        introspecting: Option<&str>,
    ) -> Self {
        let is_client = |id: &String| clients.contains(id) || introspecting == Some(id);
        let projects = match audiences {
            Audiences::Any => None,
            Audiences::List(ids) => Some(ids.iter().filter(|id| !is_client(id)).cloned().collect()),
        };
        Self { projects, clients }
    }

    fn has_project(&self, id: &str) -> bool {
        self.projects.as_ref().is_some_and(|projects| projects.iter().any(|ours| ours == id))
    }

    fn has_client_of(&self, claims: &Claims<'_>) -> bool {
        let client = claims.get("client_id").and_then(Value::as_str);
        client.is_some_and(|client| self.clients.iter().any(|ours| ours == client))
    }
}

/// What a token says about roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Roles {
    /// Sorted: `{project}:{role}` for each role in a named project, `{role}` for each in one of
    /// ours. The latter never holds a colon, so that no key of a role can pose as the former.
    pub(super) believed: Vec<String>,
    /// Roles that only the bare claim has, of a project that nothing shows to be ours.
    pub(super) doubted: Vec<String>,
}

impl Roles {
    pub(super) fn read(claims: &Claims<'_>, ours: &Ours) -> Self {
        let mut believed = Vec::new();
        let mut names_a_project = false;
        for (claim, value) in claims.iter() {
            let Some(project) = project_of(claim) else { continue };
            names_a_project = true;
            if !is_legal(project) {
                continue;
            }
            let is_ours = ours.has_project(project);
            for role in role_names(value) {
                believed.push(format!("{project}:{role}"));
                if is_ours && is_bare(role) {
                    believed.push(role.to_owned());
                }
            }
        }
        let is_ours = ours.projects.is_none() || (!names_a_project && ours.has_client_of(claims));
        let bare = claims.get(BARE_ROLES).into_iter().flat_map(role_names);
        let (ours, mut doubted): (Vec<_>, Vec<_>) =
            bare.map(str::to_owned).partition(|role| is_ours && is_bare(role));
        believed.extend(ours);
        believed.sort_unstable();
        believed.dedup();
        doubted.retain(|role| !is_bare(role) || believed.binary_search(role).is_err());
        Self { believed, doubted }
    }
}

fn is_bare(role: &str) -> bool {
    !role.contains(':')
}

/// The project of `urn:zitadel:iam:org:project:{id}:roles`.
fn project_of(claim: &str) -> Option<&str> {
    claim.strip_prefix(PROJECT_PREFIX)?.strip_suffix(":roles")
}

fn is_legal(project: &str) -> bool {
    (1..=MAX_PROJECT_BYTES).contains(&project.len()) && !project.contains(':')
}

/// The keys of `{"role": {"org": "domain"}}`, bare as ZITADEL sends it or in a list as its
/// documentation shows it.
fn role_names<'a>(value: &'a Value<'_>) -> impl Iterator<Item = &'a str> {
    let objects = match value {
        Value::Array(items) => items.as_slice(),
        other => std::slice::from_ref(other),
    };
    let objects = objects.iter().filter_map(Value::as_object);
    objects.flat_map(|object| object.iter().map(|(role, _)| role))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    const OURS: &str = "urn:zitadel:iam:org:project:77:roles";
    const THEIRS: &str = "urn:zitadel:iam:org:project:999:roles";

    fn of(ids: &[&str]) -> Audiences {
        Audiences::List(ids.iter().map(|id| (*id).to_owned()).collect())
    }

    fn roles(claims: &Value, audiences: &Audiences, clients: &[&str]) -> Roles {
        let claims = claims.to_string();
        let claims = Claims::parse(claims.as_bytes()).expect("claims");
        Roles::read(&claims, &Ours::new(audiences, owned(clients), Some("api@ours")))
    }

    #[track_caller]
    fn check(claims: &Value, believed: &[&str], doubted: &[&str]) {
        let audiences = of(&["app@ours", "77", "78", "api@ours"]);
        let found = roles(claims, &audiences, &["app@ours"]);
        assert_eq!((found.believed, found.doubted), (owned(believed), owned(doubted)), "{claims}");
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_bare_claim_counts_where_a_claim_of_one_of_our_projects_holds_the_same() {
        let admin = json!({"admin": {"1": "a.example"}});
        check(&json!({BARE_ROLES: admin, OURS: admin}), &["77:admin", "admin"], &[]);
        check(&json!({OURS: admin}), &["77:admin", "admin"], &[]);
        check(&json!({BARE_ROLES: admin, THEIRS: admin}), &["999:admin"], &["admin"]);
        let both = json!({BARE_ROLES: admin, THEIRS: admin, OURS: {"viewer": {}}});
        check(&both, &["77:viewer", "999:admin", "viewer"], &["admin"]);
        let more = json!({BARE_ROLES: {"admin": {}, "viewer": {}}, OURS: {"viewer": {}}});
        check(&more, &["77:viewer", "viewer"], &["admin"]);
        // A claim without roles names its project all the same, and so does an odd id.
        for odd in [THEIRS, "urn:zitadel:iam:org:project:77:78:roles"] {
            check(&json!({BARE_ROLES: admin, odd: {}, "client_id": "app@ours"}), &[], &["admin"]);
        }
    }

    #[test]
    fn without_a_claim_that_names_a_project_only_our_clients_are_believed() {
        let by = |client: &Value| json!({BARE_ROLES: {"admin": {}}, "client_id": client});
        check(&by(&json!("app@ours")), &["admin"], &[]);
        for client in ["app@theirs", "app@ours ", "App@ours", "77", ""] {
            check(&by(&json!(client)), &[], &["admin"]);
        }
        for client in [json!(null), json!(["app@ours"]), json!({"app@ours": 1})] {
            check(&by(&client), &[], &["admin"]);
        }
        // The authorised party of another kind of token is no client of this one.
        check(&json!({BARE_ROLES: {"admin": {}}, "azp": "app@ours"}), &[], &["admin"]);
        let nobody = roles(&by(&json!("app@ours")), &of(&["77"]), &[]);
        assert_eq!(nobody.doubted, ["admin"]);
    }

    /// The id of a project may be chosen, so a stranger's may be that of one of our clients.
    #[test]
    fn a_project_that_is_called_like_a_client_of_ours_is_not_ours() {
        for id in ["app@ours", "api@ours"] {
            let claim = format!("urn:zitadel:iam:org:project:{id}:roles");
            let claims =
                json!({BARE_ROLES: {"admin": {}}, claim: {"admin": {}}, "client_id": "app@ours"});
            check(&claims, &[&format!("{id}:admin")], &["admin"]);
        }
    }

    #[test]
    fn where_any_audience_is_accepted_the_bare_claim_counts() {
        let claims = json!({BARE_ROLES: {"admin": {}}, THEIRS: {"editor": {}}});
        let found = roles(&claims, &Audiences::Any, &[]);
        assert_eq!(found.believed, ["999:editor", "admin"]);
        assert!(found.doubted.is_empty());
    }

    #[test]
    fn a_key_with_a_colon_is_only_ever_a_role_of_its_own_project() {
        let keys = json!({"77:admin": {}, "999:admin": {}, ":": {}});
        check(
            &json!({BARE_ROLES: keys, "client_id": "app@ours"}),
            &[],
            &["77:admin", "999:admin", ":"],
        );
        check(&json!({THEIRS: keys}), &["999:77:admin", "999:999:admin", "999::"], &[]);
        check(&json!({OURS: keys}), &["77:77:admin", "77:999:admin", "77::"], &[]);
        let any = roles(&json!({BARE_ROLES: keys}), &Audiences::Any, &[]);
        assert_eq!((any.believed.len(), any.doubted.len()), (0, 3));
    }

    #[test]
    fn roles_come_as_an_object_or_in_a_list_and_as_nothing_else() {
        let list = json!({OURS: [{"editor": {"1": "a"}}, {"x": {}}, "y", ["z"]]});
        check(&list, &["77:editor", "77:x", "editor", "x"], &[]);
        for none in [
            json!({"urn:zitadel:iam:org:project:77:78:roles": {"a": {}}}),
            json!({"urn:zitadel:iam:org:project::roles": {"a": {}}}),
            json!({"urn:zitadel:iam:org:projects:roles": {"a": {}}}),
            json!({format!("urn:zitadel:iam:org:project:{}:roles", "7".repeat(65)): {"a": {}}}),
            json!({BARE_ROLES: "admin"}),
            json!({"roles": {"admin": {}}}),
        ] {
            check(&none, &[], &[]);
        }
    }

    proptest! {
        /// Whatever a stranger calls his roles, and wherever they stand but in our own claims, they
        /// give him none of ours.
        #[test]
        fn no_name_of_a_role_in_another_project_is_one_in_ours(
            keys in proptest::collection::btree_set("(77|999|:|admin|%3A|\\PC){0,4}", 0..5),
            bare in any::<bool>(),
        ) {
            let keys: Map<String, Value> = keys.into_iter().map(|key| (key, json!({}))).collect();
            let mut claims = json!({THEIRS: keys, "client_id": "app@theirs"});
            if bare {
                claims[BARE_ROLES] = json!(keys);
            }
            let found = roles(&claims, &of(&["app@ours", "77"]), &["app@ours"]);
            prop_assert!(found.believed.iter().all(|role| role.starts_with("999:")), "{found:?}");
        }
    }
}
