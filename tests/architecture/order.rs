//! The order of a file, by the first words of its lines.

use super::sources::Source;

/// What stands at the left edge of a file, in the order in which it has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Modules,
    HandedOn,
    Uses,
    Constants,
    Rest,
}

/// Where a file departs from the order, with the lines.
pub fn faults(source: &Source) -> Vec<String> {
    let file = source.file();
    let mut faults = Vec::new();
    if !source.code.starts_with("//!") {
        faults.push(format!("{file}: does not say first what it is"));
    }
    let mut reached = Part::Modules;
    for (number, line) in (1..).zip(source.code.lines()) {
        if let Some(part) = part(line) {
            if part < reached {
                faults.push(format!("{file}:{number}: {part:?} after {reached:?}"));
            }
            reached = reached.max(part);
        }
        if let Some(way) = detour(source, line) {
            faults.push(format!("{file}:{number}: {way}"));
        }
    }
    faults
}

fn part(line: &str) -> Option<Part> {
    let (is_public, rest) = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => (true, rest.split_once(") ")?.1),
        Some(rest) => (true, rest.strip_prefix(' ')?),
        None => (false, line),
    };
    let mut words = rest.split([' ', '<', '(']);
    Some(match (words.next()?, words.next().unwrap_or_default()) {
        ("mod", _) if rest.ends_with(';') => Part::Modules,
        ("use", _) if is_public => Part::HandedOn,
        ("use", _) => Part::Uses,
        // An assertion about what stands above it.
        ("const", "_:") => return None,
        ("const", next) if !matches!(next, "fn" | "unsafe") => Part::Constants,
        ("static", _) => Part::Constants,
        ("const" | "mod" | "struct" | "enum" | "trait" | "type" | "fn" | "async" | "impl", _) => {
            Part::Rest
        }
        _ => return None,
    })
}

/// `super::` leads to what is in the same room and a bare name to what is inside, `crate::` to everything
/// else.
fn detour(source: &Source, line: &str) -> Option<&'static str> {
    let path = line.trim_start().trim_start_matches("pub ").strip_prefix("use ")?;
    let stem = source.path.with_extension("");
    let names: Vec<&str> = stem.iter().map(|name| name.to_str().unwrap()).collect();
    let inside = format!("crate::{}::", names.join("::"));
    let (room, _) = inside.trim_end_matches("::").rsplit_once("::").unwrap();
    if path.starts_with("self::") || path.starts_with(&inside) {
        return Some("a bare name would do");
    }
    if names.len() > 1 && path.strip_prefix(room).is_some_and(|rest| rest.starts_with("::")) {
        return Some("super:: would do");
    }
    path.starts_with("super::super::").then_some("crate:: says where that is")
}
