//! From an entry to a rule: every field is checked, whatever is wrong with the others.

use std::time::Duration;

use http::Method;

use super::error::{Fault, Faults};
use super::file::{OnUnavailable, RuleEntry};
use super::host_pattern::HostPattern;
use super::object::{CheckTemplate, ObjectTemplate, is_relation};
use super::pattern::Pattern;
use super::rule::{Access, Methods, Requirements, Rule};
use super::set::Names;

const PUBLIC: &str = "public_access";
const AUTHENTICATED: &str = "authenticated";
/// The type of a feature that is written without one.
const FEATURE_TYPE: &str = "feature";
const MAX_ID: usize = 128;
const MAX_TIMEOUT: Duration = Duration::from_hours(1);

pub(super) fn build(
    index: usize,
    entry: RuleEntry,
    names: &Names,
    faults: &mut Faults,
) -> Option<Rule> {
    let pattern = read_pattern(entry.path.as_deref(), faults);
    let methods = read_methods(&entry, faults);
    let host = entry.host.as_deref().and_then(|text| faults.keep("host", parse_host(text)));
    let feature =
        entry.feature.as_deref().and_then(|text| faults.keep("feature", parse_feature(text)));
    let access = read_access(&entry, feature.as_ref(), pattern.as_ref(), names, faults);
    let target = entry.target.as_deref().unwrap_or(&names.default_target);
    check_defined("target", target, names.targets.iter(), faults);
    if let Some(limit) = &entry.rate_limit {
        check_defined("rate_limit", limit, names.limits.iter(), faults);
    }
    let timeout =
        entry.timeout.as_deref().and_then(|text| faults.keep("timeout", parse_timeout(text)));
    let id = entry.id.as_deref().and_then(|text| faults.keep("id", check_id(text)));
    let is_public_openfga =
        matches!(access, Some(Access::Public)) && names.openfga_targets.contains(target);
    let exposes_openfga = entry.expose_openfga.unwrap_or(false);
    if exposes_openfga && access.is_some() && !is_public_openfga {
        faults.add("expose_openfga", Fault::NothingToExpose);
    }
    let target = target.into();
    let requirements = Requirements {
        roles: read_list("roles", entry.roles, faults),
        scopes: read_list("scopes", entry.scopes, faults),
        audience: read_list(
            "audience",
            entry.audience.map(super::file::OneOrMany::into_vec),
            faults,
        ),
    };
    if !faults.is_empty() {
        return None;
    }
    let (pattern, methods, access) = (pattern?, methods?, access?);
    Some(Rule {
        index,
        id: id.unwrap_or_else(|| derive_id(host.as_ref(), &pattern, &methods)),
        host,
        pattern,
        methods,
        access,
        requirements,
        feature: match feature {
            Some(Feature::Object(object)) => Some(object.as_str().into()),
            _ => None,
        },
        target,
        limit: entry.rate_limit.map(String::into_boxed_str),
        timeout,
        consistency: entry.consistency.unwrap_or_default(),
        on_unavailable: entry.on_unavailable.unwrap_or(OnUnavailable::Deny),
        is_private_only: is_public_openfga && !exposes_openfga,
    })
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

fn check_defined<'n>(
    field: &str,
    value: &str,
    known: impl Iterator<Item = &'n String>,
    faults: &mut Faults,
) {
    let known: Vec<_> = known.map(String::as_str).collect();
    if !known.contains(&value) {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        faults.add(field, Fault::Undefined { value: value.to_owned(), known });
    }
}

fn parse_timeout(text: &str) -> Result<Duration, Fault> {
    let fault = || Fault::Duration { value: text.to_owned() };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_millis = match text.get(digits.len()..) {
        Some("ms") => 1,
        Some("s") => 1_000,
        Some("m") => 60_000,
        Some("h") => 3_600_000,
        _ => return Err(fault()),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(fault());
    }
    let count: u64 = digits.parse().map_err(|_| fault())?;
    let timeout = Duration::from_millis(count.checked_mul(unit_millis).ok_or_else(fault)?);
    if timeout.is_zero() || timeout > MAX_TIMEOUT { Err(fault()) } else { Ok(timeout) }
}

fn check_id(text: &str) -> Result<Box<str>, Fault> {
    let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if text.is_empty() || text.len() > MAX_ID || !is_printable {
        return Err(Fault::Id { value: text.to_owned() });
    }
    Ok(text.into())
}

fn derive_id(host: Option<&HostPattern>, pattern: &Pattern, methods: &Methods) -> Box<str> {
    let methods = methods.to_string().to_ascii_lowercase();
    match host {
        Some(host) => format!("{methods} {host}{pattern}").into(),
        None => format!("{methods} {pattern}").into(),
    }
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
