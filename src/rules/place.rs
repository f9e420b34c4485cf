//! Where a rule applies: hosts, paths and methods; no two rules may share a place.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use http::Method;

use super::fault::{Fault, Faults};
use super::file::RuleEntry;
use super::host_pattern::HostPattern;
use super::pattern::Pattern;

const MAX_ID: usize = 128;

/// Methods that applications use.
pub(super) const HTTP_METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE", "CONNECT"];
/// What else is registered with IANA, and what caches answer to.
const OTHER_METHODS: [&str; 32] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "ORDERPATCH",
    "PRI",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "REBIND",
    "REPORT",
    "SEARCH",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
    "BAN",
];

/// The methods a rule serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Methods {
    /// `*`.
    Any,
    /// These, sorted by name; GET stands for HEAD too.
    Listed(Box<[Method]>),
}

#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) host: Option<HostPattern>,
    pub(super) pattern: Pattern,
    pub(super) methods: Methods,
}

impl Place {
    pub(super) fn read(entry: &RuleEntry, faults: &mut Faults) -> Option<Self> {
        let pattern = read_pattern(entry.path.as_deref(), faults);
        let methods = read_methods(entry, faults);
        let host = match &entry.host {
            Some(text) => faults.keep("host", parse_host(text)).map(Some),
            None if faults.concern("host") => None,
            None => Some(None),
        };
        Some(Self { host: host?, pattern: pattern?, methods: methods? })
    }

    /// The id of a rule that gives itself none.
    pub(super) fn derive_id(&self) -> Box<str> {
        let methods = self.methods.to_string().to_ascii_lowercase();
        match &self.host {
            Some(host) => format!("{methods} {host}{}", self.pattern).into(),
            None => format!("{methods} {}", self.pattern).into(),
        }
    }
}

/// What earlier rules of the file have taken, by the position of the rule.
///
/// Kept apart from the index so that a rule with other faults takes its place too.
#[derive(Default)]
pub(super) struct Claims {
    places: HashMap<(Option<HostPattern>, String, Option<Method>), usize>,
    ids: HashMap<Box<str>, usize>,
}

impl Claims {
    pub(super) fn claim(
        &mut self,
        rule: usize,
        id: Option<&str>,
        place: Option<&Place>,
        faults: &mut Faults,
    ) {
        if let Some(place) = place
            && let Err(fault) = self.claim_place(rule, place)
        {
            // A derived id is the same too, for the same reason.
            return faults.add_to_rule(fault);
        }
        let id = match (id, place) {
            (Some(id), _) => match check_id(id) {
                Ok(id) => id,
                Err(fault) => return faults.add("id", fault),
            },
            (None, Some(place)) if !faults.concern("id") => place.derive_id(),
            (None, _) => return,
        };
        match self.ids.entry(id) {
            Entry::Occupied(first) => {
                let value = first.key().to_string();
                faults.add("id", Fault::DuplicateId { value, other: *first.get() });
            }
            Entry::Vacant(free) => drop(free.insert(rule)),
        }
    }

    fn claim_place(&mut self, rule: usize, place: &Place) -> Result<(), Fault> {
        let methods = match &place.methods {
            Methods::Any => vec![None],
            Methods::Listed(methods) => methods.iter().cloned().map(Some).collect(),
        };
        let shape = place.pattern.shape();
        for method in methods {
            match self.places.entry((place.host.clone(), shape.clone(), method)) {
                Entry::Occupied(first) => {
                    let (_, _, method) = first.key();
                    return Err(Fault::DuplicateRule {
                        method: method.as_ref().map_or("*", Method::as_str).to_owned(),
                        path: place.pattern.as_str().to_owned(),
                        other: *first.get(),
                    });
                }
                Entry::Vacant(free) => drop(free.insert(rule)),
            }
        }
        Ok(())
    }
}

fn read_pattern(path: Option<&str>, faults: &mut Faults) -> Option<Pattern> {
    let Some(path) = path else {
        if !faults.concern("path") {
            faults.add("path", Fault::Missing { expected: "a pattern such as /api/*path" });
        }
        return None;
    };
    let parsed =
        Pattern::parse(path).map_err(|cause| Fault::Pattern { value: path.to_owned(), cause });
    faults.keep("path", parsed)
}

fn read_methods(entry: &RuleEntry, faults: &mut Faults) -> Option<Methods> {
    let methods = read_either(entry, faults);
    let field = if entry.methods.is_some() { "methods" } else { "method" };
    if let Some(Methods::Listed(listed)) = &methods {
        let is_odd =
            |method: &&str| !HTTP_METHODS.contains(method) && !OTHER_METHODS.contains(method);
        for odd in listed.iter().map(Method::as_str).filter(is_odd) {
            faults.question(field, Fault::OddMethod { value: odd.to_owned() });
        }
    }
    methods
}

fn read_either(entry: &RuleEntry, faults: &mut Faults) -> Option<Methods> {
    match (&entry.method, &entry.methods) {
        (Some(_), Some(_)) => {
            faults.add("methods", Fault::Beside { other: "method" });
            None
        }
        (Some(text), None) => faults.keep("method", parse_methods(text.split(',').map(str::trim))),
        (None, Some(list)) if list.is_empty() => faults.keep("methods", Err(Fault::EmptyList)),
        (None, Some(list)) => {
            faults.keep("methods", parse_methods(list.iter().map(String::as_str)))
        }
        (None, None) => {
            if !faults.concern("method") && !faults.concern("methods") {
                faults.add("method", Fault::Missing { expected: "a method, a list of them, or *" });
            }
            None
        }
    }
}

fn parse_methods<'a>(words: impl Iterator<Item = &'a str>) -> Result<Methods, Fault> {
    let words: Vec<&str> = words.collect();
    if words == ["*"] {
        return Ok(Methods::Any);
    }
    let mut methods = words.into_iter().map(parse_method).collect::<Result<Vec<_>, _>>()?;
    methods.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    methods.dedup();
    Ok(Methods::Listed(methods.into()))
}

/// Methods are case-sensitive (RFC 9110 section 9.1), and all that are registered are upper case.
fn parse_method(word: &str) -> Result<Method, Fault> {
    let not_a_method = || Fault::NotAMethod { value: word.to_owned() };
    if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-') {
        return Err(not_a_method());
    }
    Method::from_bytes(word.to_ascii_uppercase().as_bytes()).map_err(|_| not_a_method())
}

fn parse_host(text: &str) -> Result<HostPattern, Fault> {
    HostPattern::parse(text).map_err(|cause| Fault::Host { value: text.to_owned(), cause })
}

fn check_id(text: &str) -> Result<Box<str>, Fault> {
    let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if text.is_empty() || text.len() > MAX_ID || !is_printable {
        return Err(Fault::Id { value: text.to_owned() });
    }
    Ok(text.into())
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Listed(methods) => {
                for (position, method) in methods.iter().enumerate() {
                    let separator = if position == 0 { "" } else { "," };
                    write!(f, "{separator}{method}")?;
                }
                Ok(())
            }
        }
    }
}
