//! Types, relations and conditions.

use super::error::{DslError, DslProblem};
use super::lexer::{Lexer, Token};
use crate::wire::{
    AuthorizationModel, ConditionDefinition, Metadata, ParameterType, RelationMetadata,
    RelationReference, TypeDefinition, TypeName,
};

pub(super) struct Parser<'t> {
    pub(super) lexer: Lexer<'t>,
    /// The type restriction of the relation being read.
    pub(super) restriction: Vec<RelationReference>,
}

impl<'t> Parser<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { lexer: Lexer::new(text), restriction: Vec::new() }
    }

    pub(super) fn model(mut self) -> Result<AuthorizationModel, DslError> {
        let mut model = AuthorizationModel::default();
        self.skip_newlines();
        if self.lexer.peek() == Token::Word("module") {
            return Err(self.error(DslProblem::Module));
        }
        self.keyword("model", "'model'")?;
        self.newline()?;
        self.keyword("schema", "'schema'")?;
        self.word("a schema version")?.clone_into(&mut model.schema_version);
        loop {
            let line_ended = self.skip_newlines();
            match self.lexer.peek() {
                Token::End => return Ok(model),
                Token::Word("type") if line_ended => {
                    let kind = self.kind()?;
                    model.type_definitions.push(kind);
                }
                Token::Word("condition") if line_ended => self.condition(&mut model)?,
                Token::Word("extend") => return Err(self.error(DslProblem::Module)),
                _ => return Err(self.unexpected("'type' or 'condition'")),
            }
        }
    }

    fn kind(&mut self) -> Result<TypeDefinition, DslError> {
        self.keyword("type", "'type'")?;
        let mut kind = TypeDefinition { kind: self.name("a type name")?, ..Default::default() };
        let before = self.lexer.clone();
        self.skip_newlines();
        if self.lexer.peek() != Token::Word("relations") {
            self.lexer = before;
            return Ok(kind);
        }
        self.lexer.next();
        let mut metadata = Metadata::default();
        loop {
            let before = self.lexer.clone();
            self.skip_newlines();
            if self.lexer.peek() != Token::Word("define") {
                self.lexer = before;
                break;
            }
            self.relation(&mut kind, &mut metadata)?;
        }
        if kind.relations.is_empty() {
            return Err(self.unexpected("'define'"));
        }
        kind.metadata = Some(metadata);
        Ok(kind)
    }

    fn relation(
        &mut self,
        kind: &mut TypeDefinition,
        metadata: &mut Metadata,
    ) -> Result<(), DslError> {
        self.keyword("define", "'define'")?;
        let name = self.name("a relation name")?;
        self.symbol(':', "':'")?;
        self.restriction.clear();
        let rewrite = self.rewrite(true, 0)?;
        let directly_related_user_types = std::mem::take(&mut self.restriction);
        if kind.relations.insert(name.clone(), rewrite).is_some() {
            let place = kind.kind.clone();
            return Err(self.error(DslProblem::Duplicate { name, place }));
        }
        let relation = RelationMetadata { directly_related_user_types, ..Default::default() };
        metadata.relations.insert(name, relation);
        Ok(())
    }

    fn condition(&mut self, model: &mut AuthorizationModel) -> Result<(), DslError> {
        self.keyword("condition", "'condition'")?;
        let name = self.name("a condition name")?;
        let mut condition = ConditionDefinition { name: name.clone(), ..Default::default() };
        self.symbol('(', "'('")?;
        loop {
            self.skip_newlines();
            let parameter = self.name("a parameter name")?;
            self.symbol(':', "':'")?;
            let kind = self.parameter_type()?;
            if condition.parameters.insert(parameter.clone(), kind).is_some() {
                let problem = DslProblem::Duplicate { name: parameter, place: name };
                return Err(self.error(problem));
            }
            self.skip_newlines();
            match self.lexer.next() {
                Token::Symbol(',') => {}
                Token::Symbol(')') => break,
                found => return Err(self.found("',' or ')'", found)),
            }
        }
        self.symbol('{', "'{'")?;
        let Some(expression) = self.lexer.until_closing_brace() else {
            return Err(self.found("'}'", Token::End));
        };
        expression.trim().clone_into(&mut condition.expression);
        if model.conditions.insert(name.clone(), condition).is_some() {
            let place = "the model".to_owned();
            return Err(self.error(DslProblem::Duplicate { name, place }));
        }
        Ok(())
    }

    fn parameter_type(&mut self) -> Result<ParameterType, DslError> {
        const EXPECTED: &str = "a parameter type";
        let word = self.word(EXPECTED)?;
        let Some(type_name) = TypeName::from_keyword(word) else {
            return Err(self.found(EXPECTED, Token::Word(word)));
        };
        let mut generic_types = Vec::new();
        if matches!(type_name, TypeName::Map | TypeName::List) {
            self.symbol('<', "'<'")?;
            let word = self.word(EXPECTED)?;
            let Some(type_name) = TypeName::from_keyword(word) else {
                return Err(self.found(EXPECTED, Token::Word(word)));
            };
            generic_types.push(ParameterType { type_name, generic_types: Vec::new() });
            self.symbol('>', "'>'")?;
        }
        Ok(ParameterType { type_name, generic_types })
    }

    /// Returns whether there was one.
    pub(super) fn skip_newlines(&mut self) -> bool {
        let is_newline = self.lexer.peek() == Token::Newline;
        if is_newline {
            self.lexer.next();
        }
        is_newline
    }

    fn newline(&mut self) -> Result<(), DslError> {
        match self.lexer.next() {
            Token::Newline => Ok(()),
            found => Err(self.found("a new line", found)),
        }
    }

    pub(super) fn keyword(
        &mut self,
        keyword: &str,
        expected: &'static str,
    ) -> Result<(), DslError> {
        match self.lexer.next() {
            Token::Word(word) if word == keyword => Ok(()),
            found => Err(self.found(expected, found)),
        }
    }

    pub(super) fn symbol(&mut self, symbol: char, expected: &'static str) -> Result<(), DslError> {
        match self.lexer.next() {
            Token::Symbol(found) if found == symbol => Ok(()),
            found => Err(self.found(expected, found)),
        }
    }

    fn word(&mut self, expected: &'static str) -> Result<&'t str, DslError> {
        match self.lexer.next() {
            Token::Word(word) => Ok(word),
            found => Err(self.found(expected, found)),
        }
    }

    /// An identifier: a letter or `_`, then letters, digits, `_`, `-`, `.` and `/`.
    pub(super) fn name(&mut self, expected: &'static str) -> Result<String, DslError> {
        let word = self.word(expected)?;
        let starts_well = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if starts_well && !word.contains('$') {
            return Ok(word.to_owned());
        }
        Err(self.found(expected, Token::Word(word)))
    }

    /// For a token that was only looked at.
    pub(super) fn unexpected(&self, expected: &'static str) -> DslError {
        self.error(problem(expected, self.lexer.peek()))
    }

    /// For a token that was taken.
    pub(super) fn found(&self, expected: &'static str, found: Token<'_>) -> DslError {
        DslError { line: self.lexer.start(), problem: problem(expected, found) }
    }

    pub(super) const fn error(&self, problem: DslProblem) -> DslError {
        DslError { line: self.lexer.line(), problem }
    }
}

fn problem(expected: &'static str, found: Token<'_>) -> DslProblem {
    let found = match found {
        Token::Word(word) => format!("'{word}'"),
        Token::Symbol(symbol) => format!("'{symbol}'"),
        Token::Newline => "the end of the line".to_owned(),
        Token::End => "the end of the text".to_owned(),
    };
    DslProblem::Unexpected { expected, found }
}
