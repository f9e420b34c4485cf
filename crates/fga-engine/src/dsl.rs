//! OpenFGA's modelling language (`openfga/language`), read into the JSON form.
//!
//! Comments are taken out first, as OpenFGA does it: whole lines that start with `#`, and
//! the rest of a line after ` #`. Module files (`module`, `extend`) are not read: they
//! only make sense together, and the JSON of the merged model is accepted instead.

mod error;
mod lexer;
mod parser;
mod rewrite;

pub use error::{DslError, DslProblem};

use crate::wire::AuthorizationModel;

/// Reads a model.
///
/// ```
/// use fga_engine::dsl;
///
/// let model = dsl::parse("
/// model
///   schema 1.1
/// type user
/// type document
///   relations
///     define owner: [user]
///     define viewer: [user with in_office] or owner
/// condition in_office(address: ipaddress) {
///   address.in_cidr('10.0.0.0/8')
/// }
/// ")?;
/// assert_eq!(model.type_definitions.len(), 2);
///
/// let error = dsl::parse("model\n  schema 1.1\ntype user\n  relations\n    define a: b or c and d").unwrap_err();
/// assert_eq!(error.to_string(), "line 5: operators cannot be mixed without parentheses");
/// # Ok::<(), dsl::DslError>(())
/// ```
///
/// # Errors
/// [`DslError`] for the first place that cannot be read. Whether the model makes sense
/// is not asked here.
pub fn parse(text: &str) -> Result<AuthorizationModel, DslError> {
    parser::Parser::new(&without_comments(text)).model()
}

fn without_comments(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for line in text.lines() {
        if !line.trim_start().starts_with('#') {
            clean.push_str(line.split(" #").next().unwrap_or_default().trim_end());
        }
        clean.push('\n');
    }
    clean
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_construct_is_read() {
        let model = parse(
            "# header\nmodel\n  schema 1.1\n\ntype user\n\ntype group\n  relations\n    define member: [user, user:*, group#member with in_time]\n\
             type document # trailing\n  relations\n    define parent: [document]\n    define owner: [user]\n\
             \x20   define editor: ([user] or owner) but not (member from parent and owner)\n\n\
             condition in_time(\n  now: timestamp,\n  tags: list<string>\n) {\n  now < timestamp('2023-01-01T00:00:00Z') && {'a': 1}.a == 1 && '}' != '{'\n}\n",
        )
        .unwrap();
        let json = serde_json::to_value(&model).unwrap();
        assert_eq!(json["schema_version"], "1.1");
        let member = &json["type_definitions"][1]["metadata"]["relations"]["member"];
        assert_eq!(
            member["directly_related_user_types"][2],
            json!({"type": "group", "relation": "member", "condition": "in_time"})
        );
        let editor = &json["type_definitions"][2]["relations"]["editor"]["difference"];
        assert_eq!(editor["base"]["union"]["child"][1]["computedUserset"]["relation"], "owner");
        let first = &editor["subtract"]["intersection"]["child"][0]["tupleToUserset"];
        assert_eq!(
            (&first["tupleset"]["relation"], &first["computedUserset"]["relation"]),
            (&json!("parent"), &json!("member"))
        );
        assert_eq!(
            json["conditions"]["in_time"]["parameters"]["tags"]["generic_types"][0]["type_name"],
            "TYPE_NAME_STRING"
        );
        assert_eq!(
            json["conditions"]["in_time"]["expression"],
            "now < timestamp('2023-01-01T00:00:00Z') && {'a': 1}.a == 1 && '}' != '{'"
        );
    }

    #[test]
    fn errors_name_the_line() {
        let cases = [
            ("", 1),
            ("model\n  schema 1.1\ntype user\n  relations\n    define a: [user] or b and c", 5),
            ("model\n  schema 1.1\ntype user\n  relations\n    define a: b or [user]", 5),
            (
                "model\n  schema 1.1\ntype user\n  relations\n    define a: [user]\n    define a: [user]",
                6,
            ),
            ("model\n  schema 1.1\ntype user\ncondition c(x: int) {\n x < 1", 4),
            ("model\n  schema 1.1\ntype user\ncondition c(x: decimal) { x < 1 }", 4),
            ("module a\ntype user", 1),
            ("model\n  schema 1.1\nextend type user", 3),
        ];
        for (text, line) in cases {
            assert_eq!(parse(text).map_err(|error| error.line), Err(line), "{text}");
        }
    }

    #[test]
    fn deep_parentheses_are_an_error_and_no_stack_overflow() {
        let deep = format!(
            "model\n  schema 1.1\ntype user\n  relations\n    define a: {}b",
            "(".repeat(100_000)
        );
        assert_eq!(parse(&deep).map_err(|error| error.problem), Err(DslProblem::TooDeep));
    }
}
