//! A validated authorization model, compiled so that a check follows numbers.
//!
//! Types and relations get store-wide symbols, because tuples outlive the model they
//! were written under. [`ModelError`] lists what makes a model invalid.

pub(crate) mod entrypoints;
pub(crate) mod error;
pub(crate) mod limits;
pub(crate) mod lookup;
pub(crate) mod reach;
pub(crate) mod relation;
pub(crate) mod validate;
pub(crate) mod walk;

pub(crate) use relation::{Facet, Relation, Rewrite};

use ahash::AHashMap;

use crate::condition::{Condition, ConditionError};
use crate::error::EngineError;
use crate::name::{ObjectRef, UserRef};
use crate::symbols::Symbols;
use crate::wire::{AuthorizationModel, RelationReference, TypeDefinition, Userset};
use error::ModelError;
use lookup::Lookup;
use reach::Reach;
use relation::{RelationIndex, Restriction, TypeInfo};

/// A model that passed validation, as [`Store::model`](crate::Store::model) has it.
pub struct Model {
    definition: AuthorizationModel,
    types: Lookup<TypeInfo>,
    relations: Vec<Relation>,
    by_symbols: AHashMap<(u32, u32), RelationIndex>,
    conditions: AHashMap<Box<str>, Condition>,
    reach: Reach,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("id", &self.definition.id).finish_non_exhaustive()
    }
}

impl Model {
    /// Validates and compiles a model.
    ///
    /// # Errors
    /// [`ModelError`] with the first rule that the model breaks.
    pub(crate) fn compile(
        definition: AuthorizationModel,
        symbols: &mut Symbols,
    ) -> Result<Self, ModelError> {
        validate::validate(&definition)?;
        let conditions = definition
            .conditions
            .iter()
            .map(|(name, condition)| Ok((name.as_str().into(), Condition::compile(condition)?)))
            .collect::<Result<_, ConditionError>>()?;
        let mut model = Self {
            definition,
            types: Lookup::default(),
            relations: Vec::new(),
            by_symbols: AHashMap::new(),
            conditions,
            reach: Reach::default(),
        };
        let definition = std::mem::take(&mut model.definition);
        model.declare(&definition, symbols);
        model.define(&definition, symbols)?;
        model.mark_tuplesets();
        model.reach = Reach::of(&model.types, &model.relations, &model.by_symbols);
        model.definition = definition;
        Ok(model)
    }

    /// Gives every type and relation its symbol and index, so that rewrites can refer to
    /// relations that come later.
    fn declare(&mut self, definition: &AuthorizationModel, symbols: &mut Symbols) {
        for (label, kind) in definition.type_definitions.iter().enumerate() {
            let symbol = symbols.intern_kind(&kind.kind);
            let mut relations = Lookup::default();
            for name in kind.relations.keys() {
                let index = self.relations.len();
                let relation = Relation {
                    kind: kind.kind.as_str().into(),
                    name: name.as_str().into(),
                    symbol: symbols.intern_relation(name),
                    index,
                    rewrite: Rewrite::This,
                    restrictions: Vec::new(),
                    is_tupleset: false,
                };
                self.by_symbols.insert((symbol, relation.symbol), index);
                self.relations.push(relation);
                relations.insert(name, index);
            }
            self.types.insert(&kind.kind, TypeInfo { symbol, label, relations });
        }
    }

    fn define(
        &mut self,
        definition: &AuthorizationModel,
        symbols: &mut Symbols,
    ) -> Result<(), ModelError> {
        for kind in &definition.type_definitions {
            for (name, userset) in &kind.relations {
                let metadata = kind.metadata.as_ref().and_then(|m| m.relations.get(name));
                let references = metadata.map_or(&[][..], |m| &m.directly_related_user_types);
                let restrictions =
                    references.iter().map(|reference| restriction(reference, symbols)).collect();
                let rewrite = self.rewrite(&kind.kind, userset, references_of(kind))?;
                if let Some(index) = self.index_of(&kind.kind, name)
                    && let Some(relation) = self.relations.get_mut(index)
                {
                    relation.rewrite = rewrite;
                    relation.restrictions = restrictions;
                }
            }
        }
        Ok(())
    }

    fn rewrite<'d>(
        &self,
        kind: &str,
        userset: &Userset,
        references: impl Fn(&str) -> &'d [RelationReference] + Copy,
    ) -> Result<Rewrite, ModelError> {
        let index = |relation: &str| {
            self.index_of(kind, relation).ok_or_else(|| ModelError::UndefinedRelation {
                kind: kind.to_owned(),
                relation: relation.to_owned(),
            })
        };
        let all = |children: &[Userset]| -> Result<Vec<Rewrite>, ModelError> {
            children.iter().map(|child| self.rewrite(kind, child, references)).collect()
        };
        if let Some(computed) = &userset.computed_userset {
            return Ok(Rewrite::Computed(index(&computed.relation)?));
        }
        if let Some(ttu) = &userset.tuple_to_userset {
            let tupleset = ttu.tupleset.as_ref().map_or("", |t| t.relation.as_str());
            let relation = ttu.computed_userset.as_ref().map_or("", |c| c.relation.as_str());
            let mut computed: Vec<(u32, RelationIndex)> = references(tupleset)
                .iter()
                .filter_map(|reference| {
                    let info = self.types.get(reference.kind.as_str())?;
                    Some((info.symbol, *info.relations.get(relation)?))
                })
                .collect();
            computed.sort_unstable();
            computed.dedup();
            return Ok(Rewrite::TupleToUserset { tupleset: index(tupleset)?, computed });
        }
        if let Some(union) = &userset.union {
            return Ok(Rewrite::Union(all(&union.child)?));
        }
        if let Some(intersection) = &userset.intersection {
            return Ok(Rewrite::Intersection(all(&intersection.child)?));
        }
        if let Some(difference) = &userset.difference
            && let (Some(base), Some(subtract)) = (&difference.base, &difference.subtract)
        {
            let base = self.rewrite(kind, base, references)?;
            let subtract = self.rewrite(kind, subtract, references)?;
            return Ok(Rewrite::Difference(Box::new((base, subtract))));
        }
        Ok(Rewrite::This)
    }

    fn mark_tuplesets(&mut self) {
        let mut tuplesets = Vec::new();
        for relation in &self.relations {
            collect_tuplesets(&relation.rewrite, &mut tuplesets);
        }
        for index in tuplesets {
            if let Some(relation) = self.relations.get_mut(index) {
                relation.is_tupleset = true;
            }
        }
    }

    /// A ULID, the newest model's the greatest.
    pub fn id(&self) -> &str {
        &self.definition.id
    }

    /// The model as it was written.
    pub const fn definition(&self) -> &AuthorizationModel {
        &self.definition
    }

    pub(crate) fn kind(&self, name: &str) -> Option<&TypeInfo> {
        self.types.get(name)
    }

    fn index_of(&self, kind: &str, relation: &str) -> Option<RelationIndex> {
        self.types.get(kind)?.relations.get(relation).copied()
    }

    pub(crate) fn relation(&self, index: RelationIndex) -> Option<&Relation> {
        self.relations.get(index)
    }

    /// # Errors
    /// `type_not_found` or `relation_not_found`.
    pub(crate) fn find_relation(&self, kind: &str, name: &str) -> Result<&Relation, EngineError> {
        let Some(info) = self.types.get(kind) else {
            return Err(EngineError::type_not_found(kind));
        };
        let relation = info.relations.get(name).and_then(|index| self.relations.get(*index));
        relation.ok_or_else(|| EngineError::relation_not_found(kind, name))
    }

    pub(crate) fn relation_by_symbols(&self, kind: u32, relation: u32) -> Option<&Relation> {
        self.relations.get(*self.by_symbols.get(&(kind, relation))?)
    }

    pub(crate) fn condition(&self, name: &str) -> Option<&Condition> {
        self.conditions.get(name)
    }

    /// The place of a user in the model's graph, for [`path_exists`](Self::path_exists).
    pub(crate) fn label(&self, user: &UserRef<'_>) -> Option<usize> {
        match user {
            UserRef::Object(ObjectRef { kind, .. }) | UserRef::Wildcard(kind) => {
                Some(self.types.get(kind)?.label)
            }
            UserRef::Userset(object, name) => {
                Some(self.reach.label(self.index_of(object.kind, name)?))
            }
        }
    }

    /// Whether tuples can lead from a relation back to itself.
    pub(crate) fn is_recursive(&self, relation: RelationIndex) -> bool {
        self.reach.is_recursive(relation)
    }

    /// The place of a relation in the model's graph.
    pub(crate) fn relation_label(&self, relation: RelationIndex) -> usize {
        self.reach.label(relation)
    }

    /// Whether any tuples at all could relate such a user to the relation. Without a
    /// path a check is false before a cycle or a condition can say otherwise.
    pub(crate) fn path_exists(&self, from: usize, relation: RelationIndex) -> bool {
        self.reach.reaches(from, relation)
    }
}

fn references_of<'d>(kind: &'d TypeDefinition) -> impl Fn(&str) -> &'d [RelationReference] + Copy {
    move |relation| {
        let metadata = kind.metadata.as_ref().and_then(|m| m.relations.get(relation));
        metadata.map_or(&[][..], |m| &m.directly_related_user_types)
    }
}

fn restriction(reference: &RelationReference, symbols: &mut Symbols) -> Restriction {
    let facet = match &reference.relation {
        Some(relation) if !relation.is_empty() => Facet::Userset(symbols.intern_relation(relation)),
        _ if reference.wildcard.is_some() => Facet::Wildcard,
        _ => Facet::Object,
    };
    let condition = (!reference.condition.is_empty()).then(|| reference.condition.as_str().into());
    Restriction { kind: symbols.intern_kind(&reference.kind), facet, condition }
}

fn collect_tuplesets(rewrite: &Rewrite, found: &mut Vec<RelationIndex>) {
    match rewrite {
        Rewrite::This | Rewrite::Computed(_) => {}
        Rewrite::TupleToUserset { tupleset, .. } => found.push(*tupleset),
        Rewrite::Union(children) | Rewrite::Intersection(children) => {
            for child in children {
                collect_tuplesets(child, found);
            }
        }
        Rewrite::Difference(operands) => {
            collect_tuplesets(&operands.0, found);
            collect_tuplesets(&operands.1, found);
        }
    }
}
