//! From an entry to a rule: every field is checked, whatever is wrong with the others.

use std::time::Duration;

use crate::finding::nearest;
use crate::span::Span;

use super::fault::{Fault, Faults};
use super::file::{EncodedSlashes, OneOrMany, RuleEntry};
use super::names::{Links, Names, TargetName};
use super::object::{CheckTemplate, ObjectTemplate, is_relation};
use super::pattern::Pattern;
use super::place::Place;
use super::rule::{Access, Requirements, Rule};
use super::spot::Spot;
use super::upstream_role::UpstreamRole;

const PUBLIC: &str = "public_access";
const AUTHENTICATED: &str = "authenticated";
/// The type of a feature that is written without one.
const FEATURE_TYPE: &str = "feature";
const MAX_TIMEOUT: Duration = Duration::from_hours(1);
/// What other products call a rule without authentication; as a feature it would be an OpenFGA object.
const WORDS_FOR_PUBLIC: [&str; 5] =
    ["anonymous", "everybody", "everyone", "none", "unauthenticated"];

/// Builds the rule for a place; `place` is `None` when its fields cannot be read.
pub(super) fn build<L: Clone>(
    (index, spot): (usize, Spot),
    place: Option<Place>,
    entry: RuleEntry,
    names: &Names<L>,
    faults: &mut Faults,
) -> Option<(Rule, Links<L>)> {
    let feature =
        entry.feature.as_deref().and_then(|text| faults.keep("feature", parse_feature(text)));
    let pattern = place.as_ref().map(|place| &place.pattern);
    let access = read_access(&entry, feature.as_ref(), pattern, names, faults);
    let target: Box<str> = entry.target.as_deref().unwrap_or(&names.default_target).into();
    let upstream = find_target(&target, names, faults);
    let is_public = matches!(access, Some(Access::Public));
    let limit = entry.rate_limit.as_deref();
    let limit = limit.and_then(|name| find_limit(name, is_public, names, faults));
    question_feature(&entry, faults);
    let timeout =
        entry.timeout.as_deref().and_then(|text| faults.keep("timeout", parse_timeout(text)));
    let encoded_slashes = entry.encoded_slashes.unwrap_or_default();
    if let Some(pattern) = pattern
        && pattern.has_encoded_slashes()
        && encoded_slashes == EncodedSlashes::Refuse
    {
        faults.add("path", Fault::EncodedSlash { value: pattern.as_str().to_owned() });
    }
    let is_private_only = read_private_only(&entry, access.as_ref(), &target, names, faults);
    let requirements = Requirements {
        roles: read_list("roles", entry.roles, faults),
        scopes: read_list("scopes", entry.scopes, faults),
        audience: read_list("audience", entry.audience.map(OneOrMany::into_vec), faults),
    };
    if !faults.is_empty() {
        return None;
    }
    let place = place?;
    let links = Links { upstream: upstream?.position, limit };
    let rule = Rule {
        index,
        spot,
        id: entry.id.map_or_else(|| place.derive_id(), String::into_boxed_str),
        place,
        access: access?,
        requirements,
        feature: match feature {
            Some(Feature::Object(object)) => Some(object.as_str().into()),
            _ => None,
        },
        target,
        limit: entry.rate_limit.map(String::into_boxed_str),
        timeout,
        consistency: entry.consistency.unwrap_or_default(),
        on_unavailable: entry.on_unavailable.unwrap_or_default(),
        is_private_only,
        exposes_openfga: entry.expose_openfga.unwrap_or_default(),
        encoded_slashes,
    };
    Some((rule, links))
}

/// Whether the rule opens OpenFGA's API to private peers only.
fn read_private_only<L>(
    entry: &RuleEntry,
    access: Option<&Access>,
    target: &str,
    names: &Names<L>,
    faults: &mut Faults,
) -> bool {
    let is_public_openfga = matches!(access, Some(Access::Public)) && names.is_openfga(target);
    let exposes_openfga = entry.expose_openfga == Some(true);
    if exposes_openfga && access.is_some() && !is_public_openfga {
        faults.add("expose_openfga", Fault::NothingToExpose);
    }
    is_public_openfga && !exposes_openfga
}

enum Feature {
    Public,
    Authenticated,
    Object(ObjectTemplate),
}

fn parse_feature(text: &str) -> Result<Feature, Fault> {
    let object = match text {
        PUBLIC => return Ok(Feature::Public),
        AUTHENTICATED => return Ok(Feature::Authenticated),
        _ if text.contains(['{', '}']) => {
            return Err(Fault::TemplateInFeature { value: text.to_owned() });
        }
        _ if text.contains(':') => ObjectTemplate::fixed(text),
        _ => ObjectTemplate::fixed(&format!("{FEATURE_TYPE}:{text}")),
    };
    object.map(Feature::Object).map_err(|cause| Fault::Object { value: text.to_owned(), cause })
}

/// A bare word that nearly is a reserved one. With its type before it, an object is called whatever it
/// likes.
fn question_feature(entry: &RuleEntry, faults: &mut Faults) {
    let Some(word) = entry.feature.as_deref().filter(|_| !faults.concern("feature")) else {
        return;
    };
    if [PUBLIC, AUTHENTICATED].contains(&word) || word.contains(':') || entry.object.is_some() {
        return;
    }
    let lower = word.to_lowercase();
    let reserved = if WORDS_FOR_PUBLIC.contains(&&*lower) {
        Some(PUBLIC)
    } else {
        // `access` is a part of the word, and a name of its own.
        nearest(word, [PUBLIC, AUTHENTICATED]).filter(|_| lower != "access")
    };
    if let Some(reserved) = reserved {
        faults.question("feature", Fault::NearlyReserved { value: word.to_owned(), reserved });
    }
}

fn read_access<L>(
    entry: &RuleEntry,
    feature: Option<&Feature>,
    pattern: Option<&Pattern>,
    names: &Names<L>,
    faults: &mut Faults,
) -> Option<Access> {
    let relation = read_relation(entry, names, faults);
    match feature {
        Some(Feature::Public) => {
            refuse_check_fields(entry, PUBLIC, faults);
            for (field, is_present) in [
                ("roles", entry.roles.is_some()),
                ("scopes", entry.scopes.is_some()),
                ("audience", entry.audience.is_some()),
            ] {
                if is_present {
                    faults.add(field, Fault::NeedsAuthentication);
                }
            }
            Some(Access::Public)
        }
        Some(Feature::Authenticated) => {
            refuse_check_fields(entry, AUTHENTICATED, faults);
            Some(Access::Authenticated)
        }
        Some(Feature::Object(object)) => {
            let object = match &entry.object {
                Some(text) => read_object(text, pattern, faults)?,
                None => object.clone(),
            };
            Some(Access::Check(CheckTemplate { relation: relation?, object }))
        }
        None => {
            let object =
                entry.object.as_deref().and_then(|text| read_object(text, pattern, faults));
            if entry.object.is_none() && !faults.concern("feature") && !faults.concern("object") {
                let expected = "public_access, authenticated or an OpenFGA object type:id";
                faults.add("feature", Fault::Missing { expected });
            }
            Some(Access::Check(CheckTemplate { relation: relation?, object: object? }))
        }
    }
}

/// Without a readable pattern, the parameters of an object cannot be judged.
fn read_object(
    text: &str,
    pattern: Option<&Pattern>,
    faults: &mut Faults,
) -> Option<ObjectTemplate> {
    let parsed = ObjectTemplate::parse(text, pattern?)
        .map_err(|cause| Fault::Object { value: text.to_owned(), cause });
    faults.keep("object", parsed)
}

fn read_relation<L>(entry: &RuleEntry, names: &Names<L>, faults: &mut Faults) -> Option<Box<str>> {
    let (field, relation) = match (&entry.action, &entry.relation) {
        (Some(_), Some(_)) => {
            faults.add("relation", Fault::Beside { other: "action" });
            return None;
        }
        (Some(relation), None) => ("action", relation),
        (None, Some(relation)) => ("relation", relation),
        (None, None) => ("action", &names.default_relation),
    };
    if is_relation(relation) {
        return Some(relation.as_str().into());
    }
    faults.add(field, Fault::Relation { value: relation.clone() });
    None
}

fn refuse_check_fields(entry: &RuleEntry, feature: &'static str, faults: &mut Faults) {
    for (field, is_present) in [
        ("action", entry.action.is_some()),
        ("relation", entry.relation.is_some()),
        ("object", entry.object.is_some()),
        ("consistency", entry.consistency.is_some()),
        ("on_unavailable", entry.on_unavailable.is_some()),
    ] {
        if is_present {
            faults.add(field, Fault::NeedsCheck { feature });
        }
    }
}

fn find_target<L>(target: &str, names: &Names<L>, faults: &mut Faults) -> Option<TargetName> {
    let found = names.targets.get(target).copied();
    if found.is_none() {
        // Without an embedded engine, the configuration insists on this upstream.
        let is_embedded = target == UpstreamRole::OpenFga.name()
            && !names.targets.values().any(|name| name.is_openfga);
        let undefined = Fault::Undefined { value: target.to_owned() };
        faults.add("target", if is_embedded { Fault::NoOpenFga } else { undefined });
    }
    found
}

fn find_limit<L: Clone>(
    name: &str,
    is_public: bool,
    names: &Names<L>,
    faults: &mut Faults,
) -> Option<L> {
    let value = || name.to_owned();
    let fault = match names.limits.get(name) {
        None => Fault::Undefined { value: value() },
        Some(limit) if limit.counts_principals && is_public => {
            Fault::NobodyToCount { value: value() }
        }
        Some(limit) => return Some(limit.limit.clone()),
    };
    faults.add("rate_limit", fault);
    None
}

fn parse_timeout(text: &str) -> Result<Duration, Fault> {
    let timeout = text.parse().ok().map(|Span(timeout)| timeout);
    let timeout = timeout.filter(|timeout| !timeout.is_zero() && *timeout <= MAX_TIMEOUT);
    timeout.ok_or_else(|| Fault::Duration { value: text.to_owned() })
}

fn read_list(field: &str, items: Option<Vec<String>>, faults: &mut Faults) -> Box<[Box<str>]> {
    let Some(items) = items else { return Box::default() };
    if items.is_empty() {
        faults.add(field, Fault::EmptyList);
    }
    for (position, item) in items.iter().enumerate() {
        let has_space = if field == "scopes" {
            item.contains(char::is_whitespace)
        } else {
            item.trim() != item
        };
        if item.is_empty() || has_space || item.contains(char::is_control) {
            faults.add_to_item(field, position, Fault::Item { value: item.clone() });
        }
    }
    items.into_iter().map(String::into_boxed_str).collect()
}
