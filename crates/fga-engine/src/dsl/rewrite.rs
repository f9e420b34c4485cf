//! What stands right of `define relation:`.

use super::error::{DslError, DslProblem};
use super::lexer::Token;
use super::parser::Parser;
use crate::condition::INLINE;
use crate::wire::{
    Difference, Empty, ObjectRelation, RelationReference, TupleToUserset, Userset, Usersets,
};

const MAX_DEPTH: usize = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    ButNot,
}

impl Parser<'_> {
    /// Operands joined by one kind of operator. A type restriction may only be the very
    /// first of them.
    pub(super) fn rewrite(
        &mut self,
        may_restrict: bool,
        depth: usize,
    ) -> Result<Userset, DslError> {
        if depth > MAX_DEPTH {
            return Err(self.error(DslProblem::TooDeep));
        }
        let mut operands = vec![self.operand(may_restrict, depth)?];
        let mut operator = None;
        while let Some(next) = self.operator()? {
            let is_chain = operator == Some(next) && next != Operator::ButNot;
            if operator.is_some() && !is_chain {
                return Err(self.error(DslProblem::MixedOperators));
            }
            operator = Some(next);
            operands.push(self.operand(false, depth)?);
        }
        Ok(join(operator, operands))
    }

    fn operator(&mut self) -> Result<Option<Operator>, DslError> {
        let operator = match self.lexer.peek() {
            Token::Word("or") => Operator::Or,
            Token::Word("and") => Operator::And,
            Token::Word("but") => Operator::ButNot,
            _ => return Ok(None),
        };
        self.lexer.next();
        if operator == Operator::ButNot {
            self.keyword("not", "'not'")?;
        }
        Ok(Some(operator))
    }

    fn operand(&mut self, may_restrict: bool, depth: usize) -> Result<Userset, DslError> {
        match self.lexer.peek() {
            Token::Symbol('[') if may_restrict => {
                self.lexer.next();
                self.restriction_list()?;
                Ok(Userset { this: Some(Empty {}), ..Default::default() })
            }
            Token::Symbol('[') => Err(self.error(DslProblem::LateRestriction)),
            Token::Symbol('(') => {
                self.lexer.next();
                let inner = self.rewrite(may_restrict, depth + 1)?;
                self.symbol(')', "')'")?;
                Ok(inner)
            }
            _ => self.relation_or_tupleset(),
        }
    }

    fn relation_or_tupleset(&mut self) -> Result<Userset, DslError> {
        let relation = |relation| Some(ObjectRelation { object: String::new(), relation });
        let computed_userset = relation(self.name("a relation")?);
        if self.lexer.peek() != Token::Word("from") {
            return Ok(Userset { computed_userset, ..Default::default() });
        }
        self.lexer.next();
        let tupleset = relation(self.name("a relation")?);
        let tuple_to_userset = Some(TupleToUserset { tupleset, computed_userset });
        Ok(Userset { tuple_to_userset, ..Default::default() })
    }

    fn restriction_list(&mut self) -> Result<(), DslError> {
        loop {
            self.skip_newlines();
            let reference = self.restriction()?;
            self.restriction.push(reference);
            self.skip_newlines();
            match self.lexer.next() {
                Token::Symbol(',') => {}
                Token::Symbol(']') => return Ok(()),
                found => return Err(self.found("',' or ']'", found)),
            }
        }
    }

    fn restriction(&mut self) -> Result<RelationReference, DslError> {
        let kind = self.name("a type")?;
        let mut reference = RelationReference { kind, ..Default::default() };
        match self.lexer.peek() {
            Token::Symbol(':') => {
                self.lexer.next();
                self.symbol('*', "'*'")?;
                reference.wildcard = Some(Empty {});
            }
            Token::Symbol('#') => {
                self.lexer.next();
                reference.relation = Some(self.name("a relation")?);
            }
            _ => {}
        }
        if self.lexer.peek() == Token::Word("with") {
            self.lexer.next();
            if self.lexer.peek() == Token::Word(INLINE) {
                self.lexer.next();
                INLINE.clone_into(&mut reference.condition);
            } else {
                reference.condition = self.name("a condition")?;
            }
        }
        Ok(reference)
    }
}

fn join(operator: Option<Operator>, mut operands: Vec<Userset>) -> Userset {
    let mut joined = Userset::default();
    match operator {
        None => return operands.pop().unwrap_or_default(),
        Some(Operator::Or) => joined.union = Some(Usersets { child: operands }),
        Some(Operator::And) => joined.intersection = Some(Usersets { child: operands }),
        Some(Operator::ButNot) => {
            let subtract = operands.pop().map(Box::new);
            let base = operands.pop().map(Box::new);
            joined.difference = Some(Difference { base, subtract });
        }
    }
    joined
}
