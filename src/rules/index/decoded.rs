//! Which other rules' paths a service that decodes `%2F` reads in those of a rule that allows it.
//!
//! `/projects/{id}` serves `/projects/x%2Fsecrets`, and a service that decodes it serves
//! `/projects/x/secrets`, which another rule may protect. The search walks the index with everything
//! that the rule's pattern can become, and asks the index itself which rule decides about what was
//! found: one that never would is not told.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use http::Method;

use super::{Endpoint, Index, Node};
use crate::rules::host_pattern::HostPattern;
use crate::rules::path::ENCODED_SLASH;
use crate::rules::pattern::{MAX_SEGMENTS, Segment, Tail};
use crate::rules::place::Methods;
use crate::rules::rule::Rule;

/// Places that are searched for the rules of one file before the rest is left uncompared: some tenths
/// of a second.
const MAX_PLACES: usize = 2_000_000;

/// A path of one rule that is another's once it is decoded.
#[derive(Clone, Debug)]
pub(in crate::rules) struct Confusion {
    /// The path, not decoded.
    pub(in crate::rules) path: String,
    /// The other rule.
    pub(in crate::rules) rule: Arc<Rule>,
}

/// Compares rules with all others, as long as that does not take too long.
pub(in crate::rules) struct Comparison<'a> {
    index: &'a Index,
    /// Stands for any value: no pattern has it as a static segment.
    value: String,
    places: usize,
}

/// A segment and the slash before it, raw or encoded.
type Part<'a> = (&'a str, &'a str);

/// What the pattern takes of a decoded path.
#[derive(Clone, Copy)]
enum Step<'a> {
    Static(Part<'a>),
    /// One segment, and more behind encoded slashes. A rest is one too.
    Value,
}

struct Search<'a> {
    index: &'a Index,
    rule: &'a Rule,
    host: Option<&'a str>,
    steps: Vec<Step<'a>>,
    value: &'a str,
    path: Vec<Part<'a>>,
    /// Where the search was: a node, the steps taken, and whether a slash is encoded so far.
    seen: HashSet<(*const Node, usize, bool)>,
    found: BTreeMap<usize, Confusion>,
}

impl<'a> Comparison<'a> {
    pub(in crate::rules) fn new(index: &'a Index, rules: &[Arc<Rule>]) -> Self {
        Self { index, value: unused_segment(rules), places: 0 }
    }

    /// One confusion for each other rule, in the file's order; `None` when the rules before have
    /// taken too long.
    pub(in crate::rules) fn confusions(&mut self, rule: &Rule) -> Option<Vec<Confusion>> {
        if !rule.allows_encoded_slashes() {
            return Some(Vec::new());
        }
        if self.places > MAX_PLACES {
            return None;
        }
        let mut found = BTreeMap::new();
        for (pattern, root) in self.index.roots() {
            let hosts = [rule.host(), pattern.as_ref()];
            let hosts = hosts.map(|host| Some(example(host?, &self.value)));
            let common = hosts.into_iter().find(|host| {
                [rule.host(), pattern.as_ref()].iter().all(|side| serves(*side, host.as_deref()))
            });
            let Some(host) = common else { continue };
            let mut search = Search {
                index: self.index,
                rule,
                host: host.as_deref(),
                steps: steps(rule),
                value: &self.value,
                path: Vec::new(),
                seen: HashSet::new(),
                found,
            };
            search.visit(root, 0, false);
            found = search.found;
            self.places += search.seen.len();
        }
        Some(found.into_values().collect())
    }
}

impl Index {
    fn roots(&self) -> impl Iterator<Item = (Option<HostPattern>, &Node)> {
        let exact = self.exact.iter().map(|(host, node)| (HostPattern::Exact(host.clone()), node));
        let below =
            self.wildcards.iter().map(|(host, node)| (HostPattern::Below(host.clone()), node));
        let named = exact.chain(below).map(|(host, node)| (Some(host), node));
        named.chain([(None, &self.any)])
    }
}

impl Endpoint {
    /// Its rules for requests that `rule` serves too.
    fn shared_with<'a>(&'a self, rule: &'a Rule) -> Vec<&'a Arc<Rule>> {
        match rule.methods() {
            Methods::Any => self.rules().collect(),
            Methods::Listed(methods) => {
                let head = methods.contains(&Method::GET).then_some(&Method::HEAD);
                methods.iter().chain(head).filter_map(|method| self.find(method)).collect()
            }
        }
    }
}

impl<'a> Search<'a> {
    /// Goes on from a node when the first `taken` steps have led to it.
    fn visit(&mut self, node: &'a Node, taken: usize, is_encoded: bool) {
        let is_rest_ahead = matches!(self.rule.pattern().tail(), Tail::Rest(_));
        let needed = (self.steps.len() - taken).saturating_sub(usize::from(is_rest_ahead));
        if node.reach < needed || !self.seen.insert((std::ptr::from_ref(node), taken, is_encoded)) {
            return;
        }
        if let Some(rest) = node.rest.as_deref() {
            self.follow(rest, taken, is_encoded);
        }
        if is_encoded {
            self.ask(&self.path.clone(), taken);
        }
        match self.steps.get(taken).copied() {
            Some(Step::Static((slash, text))) => {
                self.descend(node, (slash, Some(text)), taken + 1, is_encoded || slash != "/");
            }
            Some(Step::Value) => self.descend(node, ("/", None), taken + 1, is_encoded),
            None => {}
        }
        if self.takes_more(taken) {
            self.descend(node, (ENCODED_SLASH, None), taken, true);
        }
    }

    /// Takes a segment, any where none is given.
    fn descend(
        &mut self,
        node: &'a Node,
        (slash, text): (&'a str, Option<&'a str>),
        taken: usize,
        is_encoded: bool,
    ) {
        let any = text.unwrap_or(self.value);
        let mut go = |segment: &'a str, child: &'a Node| {
            self.path.push((slash, segment));
            self.visit(child, taken, is_encoded);
            self.path.pop();
        };
        if let Some(child) = node.parameter.as_deref() {
            go(any, child);
        }
        match text {
            Some(text) => {
                if let Some(child) = node.statics.get(text) {
                    go(text, child);
                }
            }
            // One with an encoded slash takes no decoded path.
            None => node
                .statics
                .iter()
                .filter(|(name, _)| !name.contains(ENCODED_SLASH))
                .for_each(|(name, child)| go(name, child)),
        }
    }

    /// Completes the path below a rest, with as many segments as it takes to get past more specific
    /// patterns.
    fn follow(&mut self, rest: &Endpoint, taken: usize, is_encoded: bool) {
        let ahead = self.steps.get(taken..).unwrap_or_default();
        let grows = self.takes_more(taken) || ahead.iter().any(|step| matches!(step, Step::Value));
        let is_encoded = is_encoded
            || ahead.iter().any(|step| matches!(step, Step::Static((slash, _)) if *slash != "/"));
        let longest = if grows { MAX_SEGMENTS } else { 0 };
        for more in usize::from(!is_encoded)..=longest {
            let path = self.complete(taken, more);
            if self.ask(&path, self.steps.len()).is_some_and(|found| std::ptr::eq(found, rest)) {
                return;
            }
        }
    }

    /// The path with the remaining steps, the next value taking `more` further segments.
    fn complete(&self, taken: usize, mut more: usize) -> Vec<Part<'a>> {
        let mut path = self.path.clone();
        let mut grow = |path: &mut Vec<Part<'a>>| {
            let further =
                std::iter::repeat_n((ENCODED_SLASH, self.value), std::mem::take(&mut more));
            path.extend(further);
        };
        if self.takes_more(taken) {
            grow(&mut path);
        }
        for step in self.steps.iter().skip(taken) {
            match step {
                Step::Static(part) => path.push(*part),
                Step::Value => {
                    path.push(("/", self.value));
                    grow(&mut path);
                }
            }
        }
        path
    }

    /// Notes the rule that decides about the decoded path where the pattern may end there, and gives
    /// the endpoint that was found last.
    fn ask(&mut self, path: &[Part<'a>], taken: usize) -> Option<&'a Endpoint> {
        let mut last = None;
        for end in self.ends(taken) {
            let decoded: String =
                path.iter().flat_map(|(_, segment)| ["/", segment]).chain([*end]).collect();
            let Some(endpoint) = self.index.find(self.host, &decoded) else { continue };
            last = Some(endpoint);
            if endpoint.rules().any(|other| other.index() == self.rule.index()) {
                continue;
            }
            for other in endpoint.shared_with(self.rule) {
                self.found.entry(other.index()).or_insert_with(|| Confusion {
                    path: path
                        .iter()
                        .flat_map(|(slash, text)| [*slash, text])
                        .chain([*end])
                        .collect(),
                    rule: Arc::clone(other),
                });
            }
        }
        last
    }

    /// What may follow the steps taken at the end of a path of the rule.
    fn ends(&self, taken: usize) -> &'static [&'static str] {
        match (self.rule.pattern().tail(), self.steps.len() - taken) {
            (Tail::Open | Tail::Rest(_), 0) => &["", "/"],
            (Tail::Slash, 0) | (Tail::Rest(_), 1) => &["/"],
            _ => &[],
        }
    }

    /// Whether the step taken last was a value.
    fn takes_more(&self, taken: usize) -> bool {
        let last = taken.checked_sub(1).and_then(|last| self.steps.get(last));
        matches!(last, Some(Step::Value))
    }
}

fn steps(rule: &Rule) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for segment in rule.pattern().segments() {
        match segment {
            Segment::Static(text) => {
                let parts = text.split(ENCODED_SLASH).enumerate();
                steps.extend(parts.map(|(position, part)| {
                    Step::Static((if position == 0 { "/" } else { ENCODED_SLASH }, part))
                }));
            }
            Segment::Parameter(_) => steps.push(Step::Value),
        }
    }
    if matches!(rule.pattern().tail(), Tail::Rest(_)) {
        steps.push(Step::Value);
    }
    steps
}

/// A segment that no pattern names.
fn unused_segment(rules: &[Arc<Rule>]) -> String {
    let mut name = "x".to_owned();
    let is_named = |name: &str| {
        let is_it = |segment: &Segment| matches!(segment, Segment::Static(text) if **text == *name);
        rules.iter().any(|rule| rule.pattern().segments().iter().any(is_it))
    };
    while is_named(&name) {
        name.push('x');
    }
    name
}

/// A host that the pattern serves, and no more specific one.
fn example(pattern: &HostPattern, label: &str) -> String {
    match pattern {
        HostPattern::Exact(host) => host.to_string(),
        HostPattern::Below(suffix) => format!("{label}.{suffix}"),
    }
}

fn serves(pattern: Option<&HostPattern>, host: Option<&str>) -> bool {
    pattern.is_none_or(|pattern| host.is_some_and(|host| pattern.matches(host)))
}

#[cfg(test)]
mod tests;
