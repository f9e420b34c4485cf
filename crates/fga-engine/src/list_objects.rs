//! Which objects of a type does a user have a relation with?
//!
//! Every object of the type that occurs in a tuple is checked. That costs the size of
//! the store, where OpenFGA walks backwards from the user; the answers are the same.

use std::collections::BTreeSet;

use crate::check;
use crate::check::answer::Verdict;
use crate::check::resolver::{Resolver, Subject};
use crate::error::EngineError;
use crate::model::Relation;
use crate::name::UserRef;
use crate::snapshot::View;
use crate::store::Store;
use crate::tree::Key;
use crate::tuple::{Context, TupleKey};
use crate::validity::{self, ResolvedUser, TupleFault};

/// OpenFGA's `--listObjects-max-results`.
const MAX_RESULTS: usize = 1000;

/// Whose objects are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListObjectsRequest<'a> {
    /// The objects' type.
    pub kind: &'a str,
    /// What the user must have with them.
    pub relation: &'a str,
    /// `kind:id`, `kind:id#relation` or `kind:*`.
    pub user: &'a str,
    /// Treated as if they were stored.
    pub contextual_tuples: &'a [TupleKey],
    /// Parameters of conditions; those of a tuple win over them.
    pub context: Option<&'a Context>,
}

impl Store {
    /// Objects (`kind:id`) in no particular order, at most 1,000.
    ///
    /// ```
    /// # use fga_engine::{Engine, ListObjectsRequest, TupleKey, dsl};
    /// # let store = Engine::default().create_store("documents");
    /// # store.write_model(dsl::parse("model\n  schema 1.1\ntype user\ntype document\n  relations\n    define viewer: [user, user:*]")?)?;
    /// store.load_tuples(vec![
    ///     TupleKey::new("document:plan", "viewer", "user:anne"),
    ///     TupleKey::new("document:news", "viewer", "user:*"),
    ///     TupleKey::new("document:diary", "viewer", "user:bob"),
    /// ])?;
    /// let request = ListObjectsRequest {
    ///     kind: "document",
    ///     relation: "viewer",
    ///     user: "user:anne",
    ///     ..ListObjectsRequest::default()
    /// };
    /// let mut objects = store.list_objects(None, &request)?;
    /// objects.sort();
    /// assert_eq!(objects, ["document:news", "document:plan"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// OpenFGA's code and message, as for [`check`](Self::check). A search that takes too long is none: what
    /// was found by then is the answer.
    pub fn list_objects(
        &self,
        model: Option<&str>,
        request: &ListObjectsRequest<'_>,
    ) -> Result<Vec<String>, EngineError> {
        let model = self.model(model)?;
        let snapshot = self.snapshot();
        let mut view = View::new(&snapshot);
        check::add_contextual(&model, &mut view, request.contextual_tuples, TupleFault::in_list)?;
        let relation = model.find_relation(request.kind, request.relation)?;
        let ResolvedUser { user, kind: user_kind, relation: user_relation, label } =
            validity::resolve_user(&model, request.user).map_err(|fault| {
                EngineError::validation(format!("invalid 'user' value: {fault}"))
            })?;
        let kind = snapshot.symbols.find_kind(request.kind).unwrap_or(u32::MAX);
        let object = view.name(user_kind, user.id());
        let facet = validity::facet(&user, user_relation);
        let subject = Subject { object, kind: user_kind, relation: user_relation, facet, label };
        let candidates = candidates(&view, kind, &user, subject);
        let mut resolver = Resolver::new(&model, &view, subject, request.context);
        collect(&view, &candidates, relation, &mut resolver)
    }
}

fn collect<'a>(
    view: &View<'_>,
    candidates: &BTreeSet<u32>,
    relation: &'a Relation,
    resolver: &mut Resolver<'a>,
) -> Result<Vec<String>, EngineError> {
    let mut objects = Vec::new();
    let mut fault = None;
    for candidate in candidates {
        match resolver.resolve(*candidate, relation, 0, None) {
            Ok(answer) if answer.verdict == Verdict::Allowed => {
                objects.push(view.object(*candidate));
            }
            Ok(_) => {}
            // Out of time: what was found so far is the answer.
            Err(error) if *error == EngineError::deadline_exceeded() => return Ok(objects),
            Err(error) => fault = Some(error),
        }
        if objects.len() == MAX_RESULTS {
            return Ok(objects);
        }
    }
    fault.map_or(Ok(objects), |fault| Err(*fault))
}

/// Objects of the type that have a tuple. A userset may also have its own relation with
/// its own object, which needs no tuple.
fn candidates(view: &View<'_>, kind: u32, user: &UserRef<'_>, subject: Subject) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let snapshot = view.snapshot;
    let mut start = Some(0);
    while let Some(object) = start {
        let entry = snapshot.tuples.from(Key::new(object, 0, 0, 0)).next();
        let Some(entry) = entry else { break };
        let object = entry.key.object();
        if view.kind_of(object) == Some(kind) {
            found.insert(object);
        }
        start = object.checked_add(1);
    }
    let contextual = view.contextual().iter().map(|entry| entry.key.object());
    found.extend(contextual.filter(|object| view.kind_of(*object) == Some(kind)));
    if matches!(user, UserRef::Userset(..)) && subject.kind == kind {
        found.insert(subject.object);
    }
    found
}
