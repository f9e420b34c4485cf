//! The one list of names: what marks a relay, what is stripped from whom, and by which aliases and
//! spellings applications would take something else for it.

mod alias;
mod kind;
mod list;
mod pattern;
mod table;

pub use kind::Kind;
pub use list::listed;
pub use pattern::{NameError, NamePattern};

use alias::{Alias, real_name};
use table::Table;

/// Under which conditions a header goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Whoever sends it.
    Free,
    /// From our own proxies.
    FromProxies,
    /// To upstreams that are given credentials.
    WithCredentials,
    /// From our own proxies, to upstreams that are given credentials.
    FromProxiesWithCredentials,
    /// Not as it came.
    Never,
}

/// The list, with what a configuration adds, to be asked for every header of every request.
#[derive(Debug)]
pub struct Names {
    table: Table,
}

impl Names {
    /// The list, and further names that never pass.
    pub fn new(reserved: impl IntoIterator<Item = NamePattern>) -> Self {
        let listed = listed().map(|(kind, text)| (NamePattern::listed(text), kind));
        let reserved = reserved.into_iter().map(|pattern| (pattern, Kind::Reserved));
        Self { table: Table::new(listed.chain(reserved).collect()) }
    }

    /// Under which conditions a header that came as `name` goes on.
    pub fn passage(&self, name: &str) -> Passage {
        let (inner, alias) = real_name(name);
        if alias.is_some() && self.kind_of(name) == Some(Kind::Reserved) {
            return Passage::Never;
        }
        let Some((pattern, kind)) = self.table.find(inner) else {
            return if alias == Some(Alias::Grpc) { Passage::FromProxies } else { Passage::Free };
        };
        // Those that may say it spell it with dashes.
        if !pattern.is_stem(name) && is_odd(name) {
            return Passage::Never;
        }
        match (kind, alias) {
            (Kind::Report, Some(Alias::Grpc) | None) => Passage::FromProxies,
            (Kind::Credential, None) => Passage::WithCredentials,
            (Kind::Credential, Some(_)) => Passage::FromProxiesWithCredentials,
            (Kind::Hop | Kind::Message, None) => Passage::Free,
            _ => Passage::Never,
        }
    }

    /// Whether only a proxy sends a header of this name.
    pub fn marks_relay(&self, name: &str) -> bool {
        let (inner, _) = real_name(name);
        matches!(self.kind_of(inner), Some(Kind::Way | Kind::Report | Kind::Hop))
    }

    fn kind_of(&self, name: &str) -> Option<Kind> {
        self.table.find(name).map(|(_, kind)| kind)
    }
}

fn is_odd(name: &str) -> bool {
    name.bytes().any(|b| b != b'-' && !b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests;
