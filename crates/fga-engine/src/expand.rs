//! One level of a relation's rewrite, as a tree (`openfga/pkg/server/commands/expand.go`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::check;
use crate::error::EngineError;
use crate::model::{Facet, Model, Relation};
use crate::name::{self, ObjectRef};
use crate::snapshot::{Members, View};
use crate::store::Store;
use crate::tuple::TupleKey;
use crate::validity::{self, TupleFault};
use crate::wire::Userset;

/// What is expanded.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExpandRequest<'a> {
    /// `kind:id`.
    pub object: &'a str,
    /// A relation of the object's type.
    pub relation: &'a str,
    /// Treated as if they were stored.
    pub contextual_tuples: &'a [TupleKey],
}

impl Store {
    /// The `tree` of OpenFGA's API in its JSON: why a relation holds, one level deep.
    ///
    /// ```
    /// # use fga_engine::{Engine, ExpandRequest, TupleKey, dsl};
    /// # let store = Engine::default().create_store("documents");
    /// # store.write_model(dsl::parse("model\n  schema 1.1\ntype user\ntype document\n  relations\n    define viewer: [user]")?)?;
    /// store.load_tuples(vec![TupleKey::new("document:plan", "viewer", "user:anne")])?;
    /// let request = ExpandRequest {
    ///     object: "document:plan",
    ///     relation: "viewer",
    ///     ..ExpandRequest::default()
    /// };
    /// let tree = store.expand(None, &request)?;
    /// assert_eq!(tree["root"]["leaf"]["users"]["users"][0], "user:anne");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// OpenFGA's code and message: no such type, relation or model, or an object that is none.
    pub fn expand(
        &self,
        model: Option<&str>,
        request: &ExpandRequest<'_>,
    ) -> Result<Value, EngineError> {
        let ExpandRequest { object, relation, contextual_tuples } = *request;
        let model = self.model(model)?;
        let snapshot = self.snapshot();
        let mut view = View::new(&snapshot);
        check::add_contextual(&model, &mut view, contextual_tuples, TupleFault::in_list)?;
        let parsed = ObjectRef::parse(object)
            .ok_or_else(|| EngineError::validation("invalid 'object' field format"))?;
        if parsed.id == "*" {
            let message = "the 'object' field cannot reference a typed wildcard";
            return Err(EngineError::validation(message));
        }
        let invalid = |fault: EngineError| EngineError::validation(fault.message);
        let found = model.find_relation(parsed.kind, relation).map_err(invalid)?;
        let definitions = &model.definition().type_definitions;
        let definition = definitions.iter().find(|kind| kind.kind == parsed.kind);
        let rewrite = definition.and_then(|kind| kind.relations.get(relation));
        let kind = model.kind(parsed.kind).map_or(0, |kind| kind.symbol);
        let number = view.name(kind, parsed.id);
        let expansion = Expansion { model: &model, view: &view, object, number, relation: found };
        Ok(json!({ "root": rewrite.map(|rewrite| expansion.node(rewrite)) }))
    }
}

struct Expansion<'a> {
    model: &'a Model,
    view: &'a View<'a>,
    object: &'a str,
    number: u32,
    relation: &'a Relation,
}

impl Expansion<'_> {
    fn node(&self, rewrite: &Userset) -> Value {
        let name = format!("{}#{}", self.object, self.relation.name);
        let nodes = |children: &[Userset]| -> Value {
            json!({ "nodes": children.iter().map(|child| self.node(child)).collect::<Vec<_>>() })
        };
        if let Some(computed) = &rewrite.computed_userset {
            let userset = format!("{}#{}", self.object, computed.relation);
            return json!({ "name": name, "leaf": { "computed": { "userset": userset } } });
        }
        if let Some(ttu) = &rewrite.tuple_to_userset {
            let relation = |part: &Option<crate::wire::ObjectRelation>| {
                part.as_ref().map_or_else(String::new, |part| part.relation.clone())
            };
            let (tupleset, computed) = (relation(&ttu.tupleset), relation(&ttu.computed_userset));
            let usersets = self.users(&tupleset).into_iter().map(|user| {
                let (object, userset) = name::split_userset(&user);
                let userset = if userset.is_empty() { &computed } else { userset };
                json!({ "userset": format!("{object}#{userset}") })
            });
            let leaf = json!({
                "tupleset": format!("{}#{tupleset}", self.object),
                "computed": usersets.collect::<Vec<_>>(),
            });
            return json!({ "name": name, "leaf": { "tupleToUserset": leaf } });
        }
        if let Some(union) = &rewrite.union {
            return json!({ "name": name, "union": nodes(&union.child) });
        }
        if let Some(intersection) = &rewrite.intersection {
            return json!({ "name": name, "intersection": nodes(&intersection.child) });
        }
        if let Some(difference) = &rewrite.difference {
            let operand = |part: &Option<Box<Userset>>| part.as_ref().map(|part| self.node(part));
            let difference = json!({ "base": operand(&difference.base), "subtract": operand(&difference.subtract) });
            return json!({ "name": name, "difference": difference });
        }
        let users = self.users(&self.relation.name);
        json!({ "name": name, "leaf": { "users": { "users": users } } })
    }

    /// Users of valid tuples; conditions are not evaluated.
    fn users(&self, relation: &str) -> BTreeSet<String> {
        let Ok(relation) = self.model.find_relation(&self.relation.kind, relation) else {
            return BTreeSet::new();
        };
        let entries = self.view.scan(self.number, relation.symbol, Members::All);
        let users = entries.filter_map(|entry| {
            let (kind, id) = self.view.record(entry.key.user())?;
            let facet = match (entry.key.user_relation(), id) {
                (0, "*") => Facet::Wildcard,
                (0, _) => Facet::Object,
                (userset, _) => Facet::Userset(userset),
            };
            let condition = self.view.condition(entry);
            validity::is_readable(self.model, relation, kind, facet, condition)
                .then(|| self.view.user(entry.key))
        });
        users.collect()
    }
}
