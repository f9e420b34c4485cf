//! Finds the rule for a target: host, then path, then method.

mod decoded;

pub(super) use decoded::{Comparison, Confusion};

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use http::Method;

use super::host_pattern::HostPattern;
use super::pattern::{Segment, Tail};
use super::place::Methods;
use super::rule::Rule;

/// All rules, arranged by host.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact: HashMap<Box<str>, Node, RandomState>,
    /// By the suffix after `*.`.
    wildcards: HashMap<Box<str>, Node, RandomState>,
    any: Node,
}

/// One position in the patterns of a host.
///
/// A request's path is compared from the root; every node is visited at most once per search, because
/// a node has one parent and stands at one depth. A search is therefore bounded by the number of
/// pattern segments in the file, whatever the client sends.
#[derive(Debug, Default)]
struct Node {
    statics: HashMap<Box<str>, Node, RandomState>,
    parameter: Option<Box<Node>>,
    /// Patterns that end here.
    here: Option<Box<Endpoint>>,
    /// Patterns that end here with a slash.
    slash: Option<Box<Endpoint>>,
    /// Patterns that take the rest from here.
    rest: Option<Box<Endpoint>>,
    /// How many more segments a path may have that some pattern takes from here.
    reach: usize,
}

/// The rules of one pattern, by method.
#[derive(Debug, Default)]
pub(super) struct Endpoint {
    exact: Vec<(Method, Arc<Rule>)>,
    any: Option<Arc<Rule>>,
    allow: Box<str>,
}

impl Index {
    /// Adds a rule whose place no other has.
    pub(super) fn insert(&mut self, rule: &Arc<Rule>) {
        let root = match rule.host() {
            None => &mut self.any,
            Some(HostPattern::Exact(host)) => self.exact.entry(host.clone()).or_default(),
            Some(HostPattern::Below(suffix)) => self.wildcards.entry(suffix.clone()).or_default(),
        };
        root.endpoint(rule).insert(rule);
    }

    /// The most specific endpoint for a host and a path in the form of `CanonicalPath::match_key`.
    pub(super) fn find(&self, host: Option<&str>, path: &str) -> Option<&Endpoint> {
        let relative = path.strip_prefix('/')?;
        host.and_then(|host| self.find_by_host(host, relative))
            .or_else(|| self.any.find(Some(relative)))
    }

    fn find_by_host(&self, host: &str, relative: &str) -> Option<&Endpoint> {
        if !self.exact.is_empty()
            && let Some(root) = self.exact.get(host)
            && let Some(endpoint) = root.find(Some(relative))
        {
            return Some(endpoint);
        }
        if self.wildcards.is_empty() {
            return None;
        }
        let mut name = host;
        while let Some((_, suffix)) = name.split_once('.') {
            if let Some(root) = self.wildcards.get(suffix)
                && let Some(endpoint) = root.find(Some(relative))
            {
                return Some(endpoint);
            }
            name = suffix;
        }
        None
    }
}

impl Node {
    fn endpoint(&mut self, rule: &Rule) -> &mut Endpoint {
        let mut node = self;
        let mut reach = match rule.pattern().tail() {
            Tail::Open | Tail::Slash => rule.pattern().segments().len(),
            Tail::Rest(_) => usize::MAX,
        };
        node.reach = node.reach.max(reach);
        for segment in rule.pattern().segments() {
            node = match segment {
                Segment::Static(text) => node.statics.entry(text.clone()).or_default(),
                Segment::Parameter(_) => node.parameter.get_or_insert_default(),
            };
            reach = reach.saturating_sub(1);
            node.reach = node.reach.max(reach);
        }
        match rule.pattern().tail() {
            Tail::Open => node.here.get_or_insert_default(),
            Tail::Slash => node.slash.get_or_insert_default(),
            Tail::Rest(_) => node.rest.get_or_insert_default(),
        }
    }

    /// `path` is what follows the slash after this node's segment; `None` without that slash.
    fn find(&self, path: Option<&str>) -> Option<&Endpoint> {
        let Some(path) = path else { return self.here.as_deref() };
        if path.is_empty() {
            return self.slash.as_deref().or(self.here.as_deref()).or(self.rest.as_deref());
        }
        let (segment, after) = match path.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (path, None),
        };
        let below = if segment.is_empty() {
            None
        } else {
            self.statics
                .get(segment)
                .and_then(|node| node.find(after))
                .or_else(|| self.parameter.as_deref().and_then(|node| node.find(after)))
        };
        below.or(self.rest.as_deref())
    }
}

impl Endpoint {
    fn insert(&mut self, rule: &Arc<Rule>) {
        match rule.methods() {
            Methods::Any => self.any = Some(Arc::clone(rule)),
            Methods::Listed(methods) => {
                self.exact.extend(methods.iter().map(|method| (method.clone(), Arc::clone(rule))));
                self.allow = self.join_methods();
            }
        }
    }

    /// The rule for a method: the method's own, GET's for HEAD, then the rule for all methods.
    pub(super) fn find(&self, method: &Method) -> Option<&Arc<Rule>> {
        self.exact(method)
            .or_else(|| if *method == Method::HEAD { self.exact(&Method::GET) } else { None })
            .or(self.any.as_ref())
    }

    /// The value of `Allow`, for when [`Endpoint::find`] found nothing.
    pub(super) fn allow(&self) -> &str {
        &self.allow
    }

    /// Whether any of its rules does.
    pub(super) fn allows_encoded_slashes(&self) -> bool {
        self.rules().any(|rule| rule.allows_encoded_slashes())
    }

    fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.exact.iter().map(|(_, rule)| rule).chain(&self.any)
    }

    fn exact(&self, method: &Method) -> Option<&Arc<Rule>> {
        self.exact.iter().find_map(|(known, rule)| (known == method).then_some(rule))
    }

    fn join_methods(&self) -> Box<str> {
        let mut names: Vec<_> = self.exact.iter().map(|(method, _)| method.as_str()).collect();
        if names.contains(&"GET") && !names.contains(&"HEAD") {
            names.push("HEAD");
        }
        names.sort_unstable();
        names.join(", ").into()
    }
}

#[cfg(test)]
mod tests;
