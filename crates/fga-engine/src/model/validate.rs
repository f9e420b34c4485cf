//! OpenFGA's rules for models (`pkg/typesystem`, `NewAndValidate`), in its order.

use std::collections::BTreeSet;

use super::entrypoints::{self, Types};
use super::error::ModelError;
use super::walk::{MAX_NESTING, children, walk};
use crate::condition::is_inline;
use crate::wire::{AuthorizationModel, RelationReference, TypeDefinition, Userset};

/// Computed usersets in a row; bounds the stack that a check needs.
const MAX_CHAIN: usize = 300;

pub(crate) fn validate(model: &AuthorizationModel) -> Result<(), ModelError> {
    if !matches!(model.schema_version.as_str(), "1.1" | "1.2") {
        return Err(ModelError::SchemaVersion);
    }
    let types: Types<'_> =
        model.type_definitions.iter().map(|kind| (kind.kind.as_str(), kind)).collect();
    if types.len() != model.type_definitions.len() {
        return Err(ModelError::DuplicateTypes);
    }
    types.values().try_for_each(|kind| validate_names(kind))?;
    let tuplesets = tuplesets(&types);
    for kind in types.values() {
        for (name, rewrite) in &kind.relations {
            let at = Place { types: &types, kind, relation: name };
            at.validate_rewrite(rewrite, 0)?;
            at.validate_restrictions(rewrite, model, &tuplesets)?;
            at.validate_entrypoints(rewrite)?;
            at.validate_no_cycle()?;
        }
    }
    for (key, condition) in &model.conditions {
        if *key != condition.name {
            let (key, name) = (key.clone(), condition.name.clone());
            return Err(ModelError::ConditionName { key, name });
        }
    }
    Ok(())
}

fn validate_names(kind: &TypeDefinition) -> Result<(), ModelError> {
    const RESERVED: [&str; 2] = ["self", "this"];
    if kind.kind.is_empty() {
        return Err(ModelError::EmptyTypeName);
    }
    if RESERVED.contains(&kind.kind.as_str()) {
        return Err(ModelError::ReservedType { kind: kind.kind.clone() });
    }
    for relation in kind.relations.keys() {
        if relation.is_empty() {
            return Err(ModelError::EmptyRelationName { kind: kind.kind.clone() });
        }
        if RESERVED.contains(&relation.as_str()) {
            return Err(ModelError::InvalidRelation {
                kind: kind.kind.clone(),
                relation: relation.clone(),
                cause: "self and this are reserved keywords",
            });
        }
    }
    Ok(())
}

/// All (type, relation) pairs that some rewrite of the type reads as a tupleset.
fn tuplesets<'m>(types: &Types<'m>) -> BTreeSet<(&'m str, &'m str)> {
    let mut found = BTreeSet::new();
    for (kind, definition) in types {
        for rewrite in definition.relations.values() {
            walk(rewrite, &mut |userset| {
                let tupleset = userset.tuple_to_userset.as_ref().and_then(|t| t.tupleset.as_ref());
                found.extend(tupleset.map(|t| (*kind, t.relation.as_str())));
            });
        }
    }
    found
}

/// A relation under validation.
struct Place<'a, 'm> {
    types: &'a Types<'m>,
    kind: &'m TypeDefinition,
    relation: &'m str,
}

impl<'m> Place<'_, 'm> {
    fn invalid(&self, cause: &'static str) -> ModelError {
        let (kind, relation) = self.names();
        ModelError::InvalidRelation { kind, relation, cause }
    }

    fn names(&self) -> (String, String) {
        (self.kind.kind.clone(), self.relation.to_owned())
    }

    fn has_relation(&self, kind: &str, relation: &str) -> bool {
        self.types.get(kind).is_some_and(|kind| kind.relations.contains_key(relation))
    }

    fn references(&self, relation: &str) -> &'m [RelationReference] {
        let metadata = self.kind.metadata.as_ref().and_then(|m| m.relations.get(relation));
        metadata.map_or(&[], |m| &m.directly_related_user_types)
    }

    fn validate_rewrite(&self, rewrite: &'m Userset, depth: usize) -> Result<(), ModelError> {
        if depth > MAX_NESTING {
            let (kind, relation) = self.names();
            return Err(ModelError::TooDeep { kind, relation });
        }
        let set = [
            rewrite.this.is_some(),
            rewrite.computed_userset.is_some(),
            rewrite.tuple_to_userset.is_some(),
            rewrite.union.is_some(),
            rewrite.intersection.is_some(),
            rewrite.difference.is_some(),
        ];
        let incomplete =
            rewrite.difference.as_ref().is_some_and(|d| d.base.is_none() || d.subtract.is_none());
        if set.iter().filter(|set| **set).count() != 1 || incomplete {
            return Err(self.invalid("invalid userset rewrite definition"));
        }
        if let Some(computed) = &rewrite.computed_userset {
            if computed.relation == self.relation {
                return Err(self.invalid("invalid userset rewrite definition"));
            }
            self.require_relation(&computed.relation)?;
        }
        if rewrite.tuple_to_userset.is_some() {
            self.validate_tuple_to_userset(rewrite)?;
        }
        children(rewrite).try_for_each(|child| self.validate_rewrite(child, depth + 1))
    }

    fn require_relation(&self, relation: &str) -> Result<(), ModelError> {
        if self.kind.relations.contains_key(relation) {
            return Ok(());
        }
        let (kind, relation) = (self.kind.kind.clone(), relation.to_owned());
        Err(ModelError::UndefinedRelation { kind, relation })
    }

    fn validate_tuple_to_userset(&self, rewrite: &'m Userset) -> Result<(), ModelError> {
        let ttu = rewrite.tuple_to_userset.as_ref();
        let name = |part: Option<&'m crate::wire::ObjectRelation>| part.map_or("", |p| &p.relation);
        let tupleset = name(ttu.and_then(|t| t.tupleset.as_ref()));
        let computed = name(ttu.and_then(|t| t.computed_userset.as_ref()));
        self.require_relation(tupleset)?;
        if self.kind.relations.get(tupleset).is_none_or(|rewrite| rewrite.this.is_none()) {
            let (kind, relation) = (self.kind.kind.clone(), tupleset.to_owned());
            return Err(ModelError::IndirectTupleset { kind, relation });
        }
        let references = self.references(tupleset);
        if references.iter().any(|reference| self.has_relation(&reference.kind, computed)) {
            return Ok(());
        }
        let tupleset = format!("{}#{tupleset}", self.kind.kind);
        Err(ModelError::UndefinedComputedRelation { tupleset, relation: computed.to_owned() })
    }

    fn validate_restrictions(
        &self,
        rewrite: &'m Userset,
        model: &AuthorizationModel,
        tuplesets: &BTreeSet<(&str, &str)>,
    ) -> Result<(), ModelError> {
        let mut assignable = false;
        walk(rewrite, &mut |userset| {
            assignable |= userset.this.is_some();
        });
        let references = self.references(self.relation);
        let (kind, relation) = self.names();
        match (assignable, references.is_empty()) {
            (true, true) => return Err(ModelError::AssignableWithoutTypes { kind, relation }),
            (false, false) => return Err(ModelError::TypesWithoutAssignable { kind, relation }),
            _ => {}
        }
        let is_tupleset = tuplesets.contains(&(self.kind.kind.as_str(), self.relation));
        for reference in references {
            if !self.is_valid_reference(reference, is_tupleset) {
                let reference = match &reference.relation {
                    Some(relation) => format!("{}#{relation}", reference.kind),
                    None => reference.kind.clone(),
                };
                return Err(ModelError::InvalidRelationType { kind, relation, reference });
            }
            let condition = reference.condition.as_str();
            if !condition.is_empty()
                && !is_inline(condition)
                && !model.conditions.contains_key(condition)
            {
                let condition = condition.to_owned();
                return Err(ModelError::UndefinedCondition { relation, condition });
            }
        }
        Ok(())
    }

    fn is_valid_reference(&self, reference: &RelationReference, is_tupleset: bool) -> bool {
        if !self.types.contains_key(reference.kind.as_str()) {
            return false;
        }
        match (&reference.relation, reference.wildcard) {
            (None, None) => true,
            (None, Some(_)) => !is_tupleset,
            (Some(relation), None) => !is_tupleset && self.has_relation(&reference.kind, relation),
            (Some(_), Some(_)) => false,
        }
    }

    fn validate_entrypoints(&self, rewrite: &'m Userset) -> Result<(), ModelError> {
        let found = entrypoints::find(self.types, self.kind, self.relation, rewrite)?;
        match (found.entrypoint, found.is_loop) {
            (true, _) => Ok(()),
            (false, true) => Err(self.invalid("potential loop")),
            (false, false) => Err(self.invalid("no entrypoints defined")),
        }
    }

    /// No relation may reach itself, or a relation that does, through computed usersets
    /// alone: no tuple could break such a cycle.
    fn validate_no_cycle(&self) -> Result<(), ModelError> {
        let mut path = vec![(self.relation, self.computed(self.relation))];
        let mut done: BTreeSet<&str> = BTreeSet::new();
        while let Some((name, next)) = path.last_mut() {
            let Some(following) = next.pop() else {
                done.insert(name);
                path.pop();
                continue;
            };
            if path.iter().any(|(name, _)| *name == following) {
                return Err(self.invalid("an authorization model cannot contain a cycle"));
            }
            if path.len() > MAX_CHAIN {
                let (kind, relation) = self.names();
                return Err(ModelError::TooDeep { kind, relation });
            }
            if !done.contains(following) {
                path.push((following, self.computed(following)));
            }
        }
        Ok(())
    }

    fn computed(&self, relation: &str) -> Vec<&'m str> {
        let mut found = Vec::new();
        if let Some(rewrite) = self.kind.relations.get(relation) {
            walk(rewrite, &mut |userset| {
                found.extend(userset.computed_userset.as_ref().map(|c| c.relation.as_str()));
            });
        }
        found
    }
}
