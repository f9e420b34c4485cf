//! The search behind a check (`openfga/internal/graph`, the default resolver).

use std::cell::OnceCell;

use super::answer::{All, Answer, Outcome, Union, Verdict, cost};
use super::condition::holds;
use crate::error::EngineError;
use crate::model::{Facet, Model, Relation, Rewrite};
use crate::snapshot::{Members, View};
use crate::tree::{Entry, Key};
use crate::tuple::Context;
use crate::validity;

/// Usersets and tuplesets that may be followed in a row; following one more is an error,
/// even when nothing would be found there.
const MAX_DEPTH: u32 = 25;
/// Rewrites inside each other, computed usersets included. OpenFGA's stack grows, ours
/// must not overflow.
const MAX_FRAMES: u32 = 800;
/// Work after which a check counts as timed out; about as much as OpenFGA's three
/// seconds, but the same on every machine.
const MAX_STEPS: u32 = 2_000_000;
/// A condition is an interpreter's run beside look-ups: counted as one step, a check whose every tuple has
/// one would go on for many times as long before it counts as timed out.
const CONDITION_STEPS: u32 = 20;

/// The user of a check, in numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    pub object: u32,
    pub kind: u32,
    /// Symbol of the userset's relation, or 0.
    pub relation: u32,
    pub facet: Facet,
    /// Place in the model's graph.
    pub label: usize,
}

/// The objects and relations between the question and the current one, as a list through
/// the stack.
pub(crate) struct Visited<'p> {
    object: u32,
    relation: usize,
    before: Option<&'p Self>,
}

impl<'p> Visited<'p> {
    fn contains(mut path: Option<&'p Self>, object: u32, relation: usize) -> bool {
        while let Some(step) = path {
            if step.object == object && step.relation == relation {
                return true;
            }
            path = step.before;
        }
        false
    }
}

/// Where in the search the resolver is.
#[derive(Clone, Copy)]
struct At<'r, 'p> {
    object: u32,
    relation: &'r Relation,
    depth: u32,
    path: Option<&'p Visited<'p>>,
}

pub(crate) struct Resolver<'a> {
    model: &'a Model,
    view: &'a View<'a>,
    user: Subject,
    context: Option<&'a Context>,
    everybody: OnceCell<Option<u32>>,
    frames: u32,
    steps: u32,
    /// Exclusions whose subtracted side is being evaluated.
    subtracting: u32,
}

impl<'a> Resolver<'a> {
    pub(crate) const fn new(
        model: &'a Model,
        view: &'a View<'a>,
        user: Subject,
        context: Option<&'a Context>,
    ) -> Self {
        Self {
            model,
            view,
            user,
            context,
            everybody: OnceCell::new(),
            frames: 0,
            steps: 0,
            subtracting: 0,
        }
    }

    pub(crate) fn resolve(
        &mut self,
        object: u32,
        relation: &'a Relation,
        depth: u32,
        path: Option<&Visited<'_>>,
    ) -> Outcome {
        if depth == MAX_DEPTH {
            return Err(Box::new(EngineError::too_complex()));
        }
        if Visited::contains(path, object, relation.index) {
            return Ok(Answer::new(Verdict::Cycle, 0));
        }
        if self.user.object == object && self.user.relation == relation.symbol {
            return Ok(Answer::new(Verdict::Allowed, 0));
        }
        if !self.model.path_exists(self.user.label, relation.index) {
            return Ok(Answer::new(Verdict::Denied, 0));
        }
        self.spend(1)?;
        let path = Visited { object, relation: relation.index, before: path };
        self.rewrite(&relation.rewrite, At { object, relation, depth, path: Some(&path) })
    }

    fn rewrite(&mut self, rewrite: &'a Rewrite, at: At<'a, '_>) -> Outcome {
        if self.frames == MAX_FRAMES {
            return Err(Box::new(EngineError::too_complex()));
        }
        self.frames += 1;
        let outcome = match rewrite {
            Rewrite::This => self.direct(at),
            Rewrite::Computed(index) => match self.model.relation(*index) {
                // No dispatch: a computed userset does not count towards the depth.
                Some(relation) => {
                    let outcome = self.resolve(at.object, relation, at.depth, at.path);
                    outcome.map(|answer| answer.after(cost::REWRITE))
                }
                None => Ok(Answer::new(Verdict::Denied, 0)),
            },
            Rewrite::TupleToUserset { tupleset, computed } => {
                self.tuple_to_userset(*tupleset, computed, at)
            }
            Rewrite::Union(children) => {
                let mut union = Union::default();
                for child in children {
                    if union.is_allowed_by(self.rewrite(child, at)) {
                        break;
                    }
                }
                union.outcome()
            }
            Rewrite::Intersection(children) => self.intersection(children, at),
            Rewrite::Difference(operands) => self.difference(operands, at),
        };
        self.frames -= 1;
        outcome
    }

    /// Tuples of the relation itself: the user's own, everybody's, and usersets.
    fn direct(&mut self, at: At<'a, '_>) -> Outcome {
        let mut union = Union::default();
        let user = self.user;
        if at.relation.allows(user.kind, user.facet) {
            let key = Key::new(at.object, at.relation.symbol, user.relation, user.object);
            if union.is_allowed_by(self.exact(at.relation, key, user.facet)) {
                return union.outcome();
            }
        }
        if user.facet == Facet::Object
            && at.relation.allows(user.kind, Facet::Wildcard)
            && let Some(everybody) = self.everybody()
        {
            let key = Key::new(at.object, at.relation.symbol, 0, everybody);
            if union.is_allowed_by(self.exact(at.relation, key, Facet::Wildcard)) {
                return union.outcome();
            }
        }
        if at.relation.takes_usersets() {
            self.usersets(at, &mut union)?;
        }
        union.outcome()
    }

    fn exact(&mut self, relation: &Relation, key: Key, facet: Facet) -> Outcome {
        match self.view.get(key) {
            Some(entry) if self.counts(relation, entry, self.user.kind, facet)? => {
                Ok(Answer::new(Verdict::Allowed, cost::READ))
            }
            _ => Ok(Answer::new(Verdict::Denied, cost::READ)),
        }
    }

    fn everybody(&self) -> Option<u32> {
        *self.everybody.get_or_init(|| self.view.find(self.user.kind, "*"))
    }

    fn usersets(&mut self, at: At<'a, '_>, union: &mut Union) -> Result<(), Box<EngineError>> {
        let view = self.view;
        union.wait(cost::READ);
        let mut faults: Vec<((u32, u32), Box<EngineError>)> = Vec::new();
        for entry in view.scan(at.object, at.relation.symbol, Members::Usersets) {
            self.spend(1)?;
            let Some(kind) = view.kind_of(entry.key.user()) else {
                continue;
            };
            let member = entry.key.user_relation();
            match self.counts(at.relation, entry, kind, Facet::Userset(member)) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(fault) => {
                    // One per group is enough, and few groups keep this bounded.
                    faults.retain(|(group, _)| *group != (kind, member));
                    faults.push(((kind, member), fault));
                    continue;
                }
            }
            let Some(relation) = self.model.relation_by_symbols(kind, member) else {
                continue;
            };
            if union.is_allowed_by(self.dispatch(entry, relation, at)) {
                return Ok(());
            }
        }
        let is_joint = matches!(self.user.facet, Facet::Userset(_))
            || self.model.is_recursive(at.relation.index);
        for ((kind, member), fault) in faults {
            let of_group = |k: u32, m: u32| is_joint || (k, m) == (kind, member);
            if !self.any_counts(at.object, at.relation, Members::Usersets, of_group) {
                union.is_allowed_by(Err(fault));
            }
        }
        Ok(())
    }

    fn tuple_to_userset(
        &mut self,
        tupleset: usize,
        computed: &[(u32, usize)],
        at: At<'a, '_>,
    ) -> Outcome {
        let mut union = Union::default();
        let Some(tupleset) = self.model.relation(tupleset) else {
            return union.outcome();
        };
        let view = self.view;
        union.wait(cost::READ);
        let mut failed = None;
        for entry in view.scan(at.object, tupleset.symbol, Members::Plain) {
            self.spend(1)?;
            let Some((kind, id)) = view.record(entry.key.user()) else {
                continue;
            };
            let facet = if id == "*" { Facet::Wildcard } else { Facet::Object };
            match self.counts(tupleset, entry, kind, facet) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(fault) => {
                    failed = Some(fault);
                    continue;
                }
            }
            let target = computed.iter().find(|(computed, _)| *computed == kind);
            let Some(relation) = target.and_then(|(_, index)| self.model.relation(*index)) else {
                continue;
            };
            if union.is_allowed_by(self.dispatch(entry, relation, at)) {
                return union.outcome();
            }
        }
        if let Some(fault) = failed
            && !self.any_counts(at.object, tupleset, Members::Plain, |_, _| true)
        {
            union.is_allowed_by(Err(fault));
        }
        union.outcome()
    }

    /// Whether a condition's failure is hidden: OpenFGA reads usersets of one type and
    /// relation together (all of them if the relation is recursive, or the user a userset),
    /// and a tupleset as a whole, and there one tuple whose condition holds hides the
    /// failures of the others.
    fn any_counts(
        &mut self,
        object: u32,
        relation: &Relation,
        members: Members,
        is_in_group: impl Fn(u32, u32) -> bool,
    ) -> bool {
        let view = self.view;
        view.scan(object, relation.symbol, members).any(|entry| {
            let Some((kind, id)) = view.record(entry.key.user()) else {
                return false;
            };
            let member = entry.key.user_relation();
            let facet = match (member, id) {
                (0, "*") => Facet::Wildcard,
                (0, _) => Facet::Object,
                (member, _) => Facet::Userset(member),
            };
            is_in_group(kind, member)
                && matches!(self.counts(relation, entry, kind, facet), Ok(true))
        })
    }

    /// Asks the relation of a tuple's user; only this counts towards the depth.
    fn dispatch(&mut self, entry: &Entry, relation: &'a Relation, at: At<'a, '_>) -> Outcome {
        let outcome = self.resolve(entry.key.user(), relation, at.depth + 1, at.path);
        outcome.map(|answer| answer.after(cost::READ + cost::DISPATCH))
    }

    /// A "no" of any operand hides the errors of the others.
    fn intersection(&mut self, children: &'a [Rewrite], at: At<'a, '_>) -> Outcome {
        let mut all = All::default();
        for child in children {
            let outcome = self.rewrite(child, at);
            if all.is_denied_by(outcome, Verdict::Allowed) && self.subtracting == 0 {
                break;
            }
        }
        all.outcome()
    }

    fn difference(&mut self, operands: &'a (Rewrite, Rewrite), at: At<'a, '_>) -> Outcome {
        let mut all = All::default();
        let base = self.rewrite(&operands.0, at);
        if all.is_denied_by(base, Verdict::Allowed) && self.subtracting == 0 {
            return all.outcome();
        }
        self.subtracting += 1;
        let subtract = self.rewrite(&operands.1, at);
        self.subtracting -= 1;
        // Not knowing whether the user is excluded excludes him: a cycle denies here too.
        all.is_denied_by(subtract, Verdict::Denied);
        all.outcome()
    }

    /// Whether a tuple is valid under the model and its condition holds.
    fn counts(
        &mut self,
        relation: &Relation,
        entry: &Entry,
        user_kind: u32,
        facet: Facet,
    ) -> Result<bool, Box<EngineError>> {
        let condition = self.view.condition(entry);
        if !validity::is_readable(self.model, relation, user_kind, facet, condition) {
            return Ok(false);
        }
        if condition.is_none() {
            return Ok(true);
        }
        self.spend(CONDITION_STEPS)?;
        holds(self.model, self.view, entry, self.context)
    }

    fn spend(&mut self, steps: u32) -> Result<(), Box<EngineError>> {
        self.steps += steps;
        if self.steps > MAX_STEPS {
            return Err(Box::new(EngineError::deadline_exceeded()));
        }
        Ok(())
    }
}
