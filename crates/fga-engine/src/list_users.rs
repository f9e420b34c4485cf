//! Which users of a type have a relation with an object?
//! (`openfga/pkg/server/commands/listusers`)
//!
//! Unlike a check this expands sets of users, see [`expansion`].

mod expansion;

use std::collections::BTreeMap;

use crate::check;
use crate::error::EngineError;
use crate::model::{Model, Relation};
use crate::name::{ObjectRef, UserRef};
use crate::snapshot::View;
use crate::store::Store;
use crate::tuple::{Context, TupleKey};
use crate::validity::TupleFault;
use expansion::{Expansion, Found};

const MAX_RESULTS: usize = 1000;

/// Users of a type, or of a userset type if `relation` is set.
#[derive(Debug, Clone, Copy, Default)]
pub struct UserFilter<'a> {
    /// The users' type.
    pub kind: &'a str,
    /// The userset's relation.
    pub relation: Option<&'a str>,
}

/// Which users are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListUsersRequest<'a> {
    /// The object's type.
    pub object_kind: &'a str,
    /// The object's id, without its type.
    pub object_id: &'a str,
    /// What they must have with the object.
    pub relation: &'a str,
    /// Of which kind they must be.
    pub filter: UserFilter<'a>,
    /// Treated as if they were stored.
    pub contextual_tuples: &'a [TupleKey],
    /// Parameters of conditions; those of a tuple win over them.
    pub context: Option<&'a Context>,
}

/// A user that was found.
#[expect(missing_docs, reason = "the parts of a user are called alike everywhere")]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListedUser {
    /// `kind:id`.
    Object { kind: String, id: String },
    /// `kind:id#relation`.
    Userset { kind: String, id: String, relation: String },
    /// Everybody of the type.
    Wildcard { kind: String },
}

impl Store {
    /// At most 1,000 users, in no particular order.
    ///
    /// ```
    /// # use fga_engine::{Engine, ListUsersRequest, ListedUser, TupleKey, UserFilter, dsl};
    /// # let store = Engine::default().create_store("documents");
    /// # store.write_model(dsl::parse("model\n  schema 1.1\ntype user\ntype document\n  relations\n    define viewer: [user]")?)?;
    /// store.load_tuples(vec![TupleKey::new("document:plan", "viewer", "user:anne")])?;
    /// let request = ListUsersRequest {
    ///     object_kind: "document",
    ///     object_id: "plan",
    ///     relation: "viewer",
    ///     filter: UserFilter { kind: "user", relation: None },
    ///     ..ListUsersRequest::default()
    /// };
    /// let anne = ListedUser::Object { kind: "user".to_owned(), id: "anne".to_owned() };
    /// assert_eq!(store.list_users(None, &request)?, [anne]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// OpenFGA's code and message, as for [`check`](Self::check). A search that takes too long is none: what
    /// was found by then is the answer.
    pub fn list_users(
        &self,
        model: Option<&str>,
        request: &ListUsersRequest<'_>,
    ) -> Result<Vec<ListedUser>, EngineError> {
        let model = self.model(model)?;
        let snapshot = self.snapshot();
        let mut view = View::new(&snapshot);
        check::add_contextual(&model, &mut view, request.contextual_tuples, TupleFault::in_list)?;
        let filter = request.filter;
        let Some(filter_kind) = model.kind(filter.kind).map(|kind| kind.symbol) else {
            return Err(EngineError::type_not_found(filter.kind));
        };
        let userset = match filter.relation {
            Some(relation) => Some(model.find_relation(filter.kind, relation)?),
            None => None,
        };
        let relation = model.find_relation(request.object_kind, request.relation)?;
        let is_itself = userset.is_some_and(|userset| userset.index == relation.index);
        if !is_itself && !is_reachable(&model, &filter, relation) {
            return Ok(Vec::new());
        }
        let kind = model.kind(request.object_kind).map_or(0, |kind| kind.symbol);
        let object = view.name(kind, request.object_id);
        let everybody = view.name(filter_kind, "*");
        let mut expansion = Expansion {
            model: &model,
            view: &view,
            context: request.context,
            kind: filter_kind,
            userset,
            everybody,
            steps: 0,
        };
        let mut found = Vec::new();
        match expansion.run(object, relation, &mut found) {
            Some(fault) if *fault != EngineError::deadline_exceeded() => Err(*fault),
            _ => Ok(listed(&view, found)),
        }
    }
}

fn is_reachable(model: &Model, filter: &UserFilter<'_>, relation: &Relation) -> bool {
    let object = ObjectRef { kind: filter.kind, id: "" };
    let user = match filter.relation {
        Some(userset) => UserRef::Userset(object, userset),
        None => UserRef::Object(object),
    };
    model.label(&user).is_some_and(|from| model.path_exists(from, relation.index))
}

fn listed(view: &View<'_>, found: Vec<Found>) -> Vec<ListedUser> {
    let mut unique = BTreeMap::new();
    for found in found {
        unique.insert(found.user, found.has_relation);
    }
    let present = unique.into_iter().filter(|(_, has_relation)| *has_relation);
    let users = present.filter_map(|((object, relation), _)| {
        let (kind, id) = view.record(object)?;
        let kind = view.snapshot.symbols.kind(kind).to_owned();
        Some(match (relation, id) {
            (0, "*") => ListedUser::Wildcard { kind },
            (0, id) => ListedUser::Object { kind, id: id.to_owned() },
            (relation, id) => {
                let relation = view.snapshot.symbols.relation(relation).to_owned();
                ListedUser::Userset { kind, id: id.to_owned(), relation }
            }
        })
    });
    users.take(MAX_RESULTS).collect()
}
