//! Laying an operator's file over the shipped one.

use serde_json::{Map, Value, json};

use crate::rules::UpstreamRole;

/// `over` wins key by key; lists are replaced whole. Entries that the shipped file does not have
/// (a further upstream, limit or issuer) start from the shipped entry of the same kind.
pub fn lay(defaults: &Value, over: Value) -> Value {
    let mut base = defaults.clone();
    let Value::Object(mut over) = over else { return base };
    if let Some(issuers) = over.remove("issuers").filter(|issuers| !issuers.is_null()) {
        set(&mut base, "issuers", lay_issuers(defaults, issuers));
    }
    if let Some(upstreams) = over.get_mut("upstreams") {
        let template = without(defaults.pointer("/upstreams/app"), &["url"]);
        start_new_entries(defaults.get("upstreams"), upstreams, &template);
    }
    merge(&mut base, Value::Object(over));
    base
}

fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                match base.get_mut(&key) {
                    Some(slot) => merge(slot, value),
                    None => {
                        base.insert(key, value);
                    }
                }
            }
        }
        // A key without a value means "as shipped", which is what its author sees in the file.
        (_, Value::Null) => {}
        (slot, value) => *slot = value,
    }
}

/// An embedded engine needs no server, so what only says where the server is need not be set.
pub fn drop_server_if_embedded(value: &mut Value, defaults: &Value) {
    if value.pointer("/authz/mode").and_then(Value::as_str) != Some("embedded") {
        return;
    }
    for (pointer, stand_in) in
        [("/openfga/url", "http://openfga.invalid"), ("/openfga/store_id", "embedded")]
    {
        if let Some(slot) = value.pointer_mut(pointer)
            && Some(&*slot) == defaults.pointer(pointer)
        {
            *slot = json!(stand_in);
        }
    }
    let shipped = defaults.pointer("/upstreams/openfga/url");
    if value.pointer("/upstreams/openfga/url") == shipped
        && let Some(upstreams) = value.get_mut("upstreams").and_then(Value::as_object_mut)
    {
        upstreams.remove(UpstreamRole::OpenFga.name());
    }
}

/// The first issuer is ZITADEL's and keeps the shipped placeholders; a further one must name its own
/// URL and audience, and does not inherit ZITADEL's client credentials.
fn lay_issuers(defaults: &Value, issuers: Value) -> Value {
    let Value::Array(items) = issuers else { return issuers };
    let first = defaults.pointer("/issuers/0").cloned().unwrap_or(Value::Null);
    let mut further = without(Some(&first), &["url", "audience"]);
    if let Some(introspection) = further.get_mut("introspection") {
        merge(introspection, json!({"client_id": "", "client_secret": "", "key_file": ""}));
    }
    let items = items.into_iter().enumerate().map(|(index, item)| {
        let mut issuer = if index == 0 { first.clone() } else { further.clone() };
        merge(&mut issuer, item);
        issuer
    });
    Value::Array(items.collect())
}

fn start_new_entries(shipped: Option<&Value>, over: &mut Value, template: &Value) {
    let Value::Object(over) = over else { return };
    for (name, entry) in over {
        if shipped.and_then(|s| s.get(name)).is_none() {
            let mut started = template.clone();
            merge(&mut started, std::mem::take(entry));
            *entry = started;
        }
    }
}

fn without(value: Option<&Value>, keys: &[&str]) -> Value {
    let mut map: Map<String, Value> = value.and_then(Value::as_object).cloned().unwrap_or_default();
    for key in keys {
        map.remove(*key);
    }
    Value::Object(map)
}

fn set(base: &mut Value, key: &str, value: Value) {
    if let Some(slot) = base.get_mut(key) {
        *slot = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Value {
        serde_yaml::from_str(super::super::DEFAULTS).unwrap()
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        assert_eq!(lay(&defaults(), json!({})), defaults());
    }

    #[test]
    fn a_new_upstream_starts_from_the_shipped_one_but_needs_its_own_url() {
        let laid = lay(&defaults(), json!({"upstreams": {"billing": {"read_timeout": "5s"}}}));
        assert_eq!(laid["upstreams"]["billing"]["read_timeout"], "5s");
        assert_eq!(laid["upstreams"]["billing"]["host"], "client");
        assert!(laid["upstreams"]["billing"].get("url").is_none());
        assert_eq!(laid["upstreams"]["app"], defaults()["upstreams"]["app"]);
    }

    #[test]
    fn a_further_issuer_inherits_no_credentials_and_no_audience() {
        let issuers = json!({"issuers": [{"clock_skew": "5s"}, {"url": "https://b.example"}]});
        let laid = lay(&defaults(), issuers);
        assert_eq!(laid["issuers"][0]["url"], "${ZITADEL_ISSUER_URL}");
        assert_eq!(laid["issuers"][0]["clock_skew"], "5s");
        assert!(laid["issuers"][1].get("audience").is_none());
        for name in ["client_id", "client_secret", "key_file"] {
            assert_eq!(laid["issuers"][1]["introspection"][name], "", "{name}");
        }
    }
}
