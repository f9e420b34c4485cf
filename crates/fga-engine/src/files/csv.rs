//! The `fga` command's tables of tuples.

use crate::tuple::{RelationshipCondition, TupleKey};

/// Reads a table whose first line names the columns `user_type`, `user_id`,
/// `user_relation`, `relation`, `object_type`, `object_id`, `condition_name` and
/// `condition_context` in any order. On failure returns the line's number.
pub(super) fn tuples(text: &str) -> Result<Vec<TupleKey>, usize> {
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let header = lines.next().map_or_else(Vec::new, |(_, line)| fields(line));
    lines.map(|(number, line)| tuple(&header, &fields(line)).ok_or(number)).collect()
}

fn tuple(header: &[String], row: &[String]) -> Option<TupleKey> {
    let field = |name: &str| {
        let column = header.iter().position(|column| column == name)?;
        row.get(column).map(String::as_str).filter(|text| !text.is_empty())
    };
    let mut user = format!("{}:{}", field("user_type")?, field("user_id")?);
    if let Some(relation) = field("user_relation") {
        user.push('#');
        user.push_str(relation);
    }
    let object = format!("{}:{}", field("object_type")?, field("object_id")?);
    let mut tuple = TupleKey::new(&object, field("relation")?, &user);
    if let Some(name) = field("condition_name") {
        let context = field("condition_context").map(serde_json::from_str).transpose().ok()?;
        let (name, context) = (name.to_owned(), context.unwrap_or_default());
        tuple.condition = Some(RelationshipCondition { name, context });
    }
    Some(tuple)
}

/// Fields of a line; a quoted field may hold commas and doubled quotes.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        let Some(field) = fields.last_mut() else {
            break;
        };
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    fields.iter().map(|field| field.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_with_conditions_and_usersets_is_read() {
        let text = "user_type,user_id,user_relation,relation,object_type,object_id,condition_name,condition_context\n\
            user,anne,,viewer,doc,1,c,\"{\"\"x\"\": 1}\"\ngroup,eng,member,viewer,doc,1,,\n";
        let read = tuples(text).unwrap();
        assert_eq!(read[0].condition.as_ref().unwrap().context["x"], 1);
        assert_eq!(read[1], TupleKey::new("doc:1", "viewer", "group:eng#member"));
        assert_eq!(tuples("user_type,user_id\nuser,anne\n"), Err(2));
    }
}
