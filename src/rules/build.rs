//! From an entry to a rule: every field is checked, whatever is wrong with the others.

use std::collections::BTreeSet;
use std::time::Duration;

use super::error::{Fault, Faults};
use super::file::{EncodedSlashes, OneOrMany, RuleEntry};
use super::object::{CheckTemplate, ObjectTemplate, is_relation};
use super::pattern::Pattern;
use super::place::Place;
use super::rule::{Access, Requirements, Rule};
use super::set::Names;
use super::upstream_role::UpstreamRole;
use crate::span::Span;

const PUBLIC: &str = "public_access";
const AUTHENTICATED: &str = "authenticated";
/// The type of a feature that is written without one.
const FEATURE_TYPE: &str = "feature";
const MAX_TIMEOUT: Duration = Duration::from_hours(1);

/// Builds the rule for a place; `place` is `None` when its fields cannot be read.
pub(super) fn build(
    index: usize,
    place: Option<Place>,
    entry: RuleEntry,
    names: &Names,
    faults: &mut Faults,
) -> Option<Rule> {
    let feature =
        entry.feature.as_deref().and_then(|text| faults.keep("feature", parse_feature(text)));
    let pattern = place.as_ref().map(|place| &place.pattern);
    let access = read_access(&entry, feature.as_ref(), pattern, names, faults);
    let target: Box<str> = entry.target.as_deref().unwrap_or(&names.default_target).into();
    check_target(&target, names, faults);
    if let Some(limit) = &entry.rate_limit {
        check_defined("rate_limit", limit, &names.limits, faults);
    }
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
    Some(Rule {
        index,
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
    })
}

/// Whether the rule opens OpenFGA's API to private peers only.
fn read_private_only(
    entry: &RuleEntry,
    access: Option<&Access>,
    target: &str,
    names: &Names,
    faults: &mut Faults,
) -> bool {
    let is_public_openfga =
        matches!(access, Some(Access::Public)) && names.openfga_targets.contains(target);
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

fn read_access(
    entry: &RuleEntry,
    feature: Option<&Feature>,
    pattern: Option<&Pattern>,
    names: &Names,
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

fn read_relation(entry: &RuleEntry, names: &Names, faults: &mut Faults) -> Option<Box<str>> {
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

fn check_target(target: &str, names: &Names, faults: &mut Faults) {
    // Without an embedded engine, the configuration insists on this upstream.
    if target == UpstreamRole::OpenFga.name() && names.openfga_targets.is_empty() {
        faults.add("target", Fault::NoOpenFga { known: list(&names.targets) });
    } else {
        check_defined("target", target, &names.targets, faults);
    }
}

fn check_defined(field: &str, value: &str, known: &BTreeSet<String>, faults: &mut Faults) {
    if !known.contains(value) {
        faults.add(field, Fault::Undefined { value: value.to_owned(), known: list(known) });
    }
}

fn list(names: &BTreeSet<String>) -> String {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
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
    for item in &items {
        let has_space = if field == "scopes" {
            item.contains(char::is_whitespace)
        } else {
            item.trim() != item
        };
        if item.is_empty() || has_space || item.contains(char::is_control) {
            faults.add(field, Fault::Item { value: item.clone() });
        }
    }
    items.into_iter().map(String::into_boxed_str).collect()
}
