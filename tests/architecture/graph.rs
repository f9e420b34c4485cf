//! Which file knows which, read from the paths that the sources write.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::Source;

/// A path from a crate's root: the crate's name, then the segments.
pub type Names = Vec<String>;

/// The source files of the workspace by the paths of their modules.
pub struct Modules(BTreeMap<Names, Module>);

#[derive(Default)]
struct Module {
    file: String,
    code: String,
    /// Names that are at hand here, and what they stand for.
    at_hand: BTreeMap<String, Names>,
    /// Those among them that others may take from here.
    handed_on: BTreeSet<String>,
    /// Paths that a glob opens.
    opened: Vec<Names>,
}

impl Modules {
    pub fn new(sources: Vec<Source>) -> Self {
        let mut modules = BTreeMap::new();
        for source in sources {
            let mut at = vec![source.package.to_owned()];
            let stem = source.path.with_extension("");
            let names = stem.iter().map(|name| name.to_str().unwrap().to_owned());
            at.extend(names.filter(|name| name != "lib"));
            let (uses, code) = split_uses(&plain(&source.code));
            let mut module = Module { file: source.file(), code, ..Module::default() };
            for line in &uses {
                module.take_in(line, &at);
            }
            modules.insert(at, module);
        }
        Self(modules)
    }

    /// File by file, the other files that it names something of. A `mod` or a `pub use` alone is no such
    /// naming: a room's door does not live in the room.
    pub fn arrows(&self) -> BTreeMap<String, BTreeSet<String>> {
        let arrows = self.0.iter().map(|(at, module)| {
            let paths = module.opened.iter().cloned().chain(self.named(at, module));
            let mut files: BTreeSet<String> =
                paths.filter_map(|path| self.home(&path, 8)).collect();
            files.remove(&module.file);
            (module.file.clone(), files)
        });
        arrows.collect()
    }

    /// The paths that a module's code names, from their crate's root.
    fn named(&self, at: &Names, module: &Module) -> Vec<Names> {
        let mut found = Vec::new();
        for path in paths(&module.code) {
            let names: Names = path.split("::").map(str::to_owned).collect();
            if let Some(target) = module.at_hand.get(&names[0]) {
                found.push(target.iter().chain(&names[1..]).cloned().collect());
            } else if names.len() > 1 {
                let child: Names = at.iter().chain(&names[..1]).cloned().collect();
                let is_child = self.0.contains_key(&child);
                found.extend(if is_child {
                    Some(at.iter().chain(&names).cloned().collect())
                } else {
                    absolute(&names, at)
                });
            }
        }
        found
    }

    /// The file that defines a path's end; names that are handed on are followed to where they come from.
    fn home(&self, path: &[String], hops: usize) -> Option<String> {
        let depth = (1..=path.len()).rev().find(|depth| self.0.contains_key(&path[..*depth]))?;
        let module = &self.0[&path[..depth]];
        if let Some(name) = path.get(depth)
            && hops > 0
        {
            if module.handed_on.contains(name) {
                let target: Names =
                    module.at_hand[name].iter().chain(&path[depth + 1..]).cloned().collect();
                return self.home(&target, hops - 1);
            }
        } else if path.len() == depth && hops > 0 {
            // A module as such: what of it is used stands elsewhere in the code.
            return None;
        }
        Some(module.file.clone())
    }
}

impl Module {
    /// Takes in one `use`: visibility, then a tree of paths.
    fn take_in(&mut self, line: &str, at: &Names) {
        let (visibility, tree) = line.split_once("use ").unwrap_or_default();
        for (path, name) in leaves(tree) {
            let names: Names = path.split("::").map(|name| name.trim().to_owned()).collect();
            let Some(path) = absolute(&names, at) else { continue };
            if name == "*" {
                self.opened.push([path, vec!["*".to_owned()]].concat());
                continue;
            }
            if visibility.contains("pub") {
                self.handed_on.insert(name.clone());
            }
            self.at_hand.insert(name, path);
        }
    }
}

/// A path from its crate's root; `None` if it leads out of the workspace.
fn absolute(names: &[String], at: &Names) -> Option<Names> {
    let (first, rest) = names.split_first()?;
    let mut base = match first.as_str() {
        "crate" => at[..1].to_vec(),
        "self" => at.clone(),
        "super" => at[..at.len().max(2) - 1].to_vec(),
        "auth_gateway" | "fga_engine" => vec![first.clone()],
        _ => return None,
    };
    for name in rest {
        match name.as_str() {
            "super" => drop(base.pop()),
            _ => base.push(name.clone()),
        }
    }
    Some(base)
}

/// `a::{b, c::{self, d as e}}` as the paths and the names that they get.
fn leaves(tree: &str) -> Vec<(String, String)> {
    let tree = tree.trim();
    let Some((prefix, list)) = tree.split_once('{') else {
        let (path, name) = tree.split_once(" as ").unwrap_or((tree, ""));
        let last = path.rsplit("::").next().unwrap_or_default();
        let name = if name.is_empty() { last } else { name };
        let path = if last == "*" { path.trim_end_matches("::*") } else { path };
        return vec![(path.trim().to_owned(), name.trim().to_owned())];
    };
    let list = list.trim_end().trim_end_matches('}');
    let mut depth = 0;
    let parts = list.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let mut found = Vec::new();
    for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
        match part.strip_prefix("self").filter(|rest| rest.is_empty() || rest.starts_with(" as ")) {
            Some(rest) => found.extend(leaves(&format!("{}{rest}", prefix.trim_end_matches("::")))),
            None => found.extend(leaves(&format!("{prefix}{part}"))),
        }
    }
    found
}

/// The code without comments and texts.
fn plain(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        let mut quoted = false;
        let mut characters = line.trim_start().chars().peekable();
        while let Some(c) = characters.next() {
            match c {
                '/' if !quoted && characters.peek() == Some(&'/') => break,
                '\\' if quoted => drop(characters.next()),
                '"' => quoted = !quoted,
                c if !quoted => code.push(c),
                _ => {}
            }
        }
        code.push('\n');
    }
    code
}

/// The `use` lines, each in one piece, and the rest without visibilities, which name but do not use.
fn split_uses(code: &str) -> (Vec<String>, String) {
    let (mut uses, mut rest) = (Vec::new(), String::new());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let start = line.split("use ").next().unwrap_or_default().trim();
        let is_use = line.contains("use ")
            && (start.is_empty() || start == "pub" || start.starts_with("pub("));
        if !is_use {
            rest.push_str(line);
            rest.push('\n');
            continue;
        }
        let mut whole = line.to_owned();
        while !whole.contains(';') {
            let Some(next) = lines.next() else { break };
            whole.push_str(next);
        }
        uses.push(whole.trim_end_matches(';').to_owned());
    }
    let rest = rest.split("pub(in ").enumerate().map(|(number, part)| {
        if number == 0 { part } else { part.split_once(')').map_or("", |(_, after)| after) }
    });
    (uses, rest.collect())
}

/// Everything in code that is a path or a single name.
fn paths(code: &str) -> BTreeSet<&str> {
    let inside = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = code.split(|c| !inside(c)).map(|word| word.trim_matches(':'));
    words
        .filter(|word| !word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit()))
        .collect()
}

/// Whether `room` is the file of a room that `file` is in: `a.rs` of `a/b.rs`.
pub fn is_room_of(room: &str, file: &str) -> bool {
    let stem = room.trim_end_matches(".rs");
    let stem = stem.strip_suffix("/lib").unwrap_or(stem);
    file.strip_prefix(stem).is_some_and(|rest| rest.starts_with('/'))
}

/// Files that reach themselves again, circle by circle, the shortest way round.
pub fn circles(arrows: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<Vec<String>> {
    arrows.keys().filter_map(|start| shortest_way_back(arrows, start)).collect()
}

/// Starts with the first file of the circle in the order of names, so that a circle has one form.
fn shortest_way_back(
    arrows: &BTreeMap<String, BTreeSet<String>>,
    start: &str,
) -> Option<Vec<String>> {
    let mut ways = vec![vec![start.to_owned()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in way.last().and_then(|last| arrows.get(last)).into_iter().flatten() {
                if next == start {
                    let first = way.iter().enumerate().min_by_key(|(_, file)| *file)?.0;
                    return Some([&way[first..], &way[..first]].concat());
                }
                if seen.insert(next.clone()) {
                    longer.push([way.as_slice(), std::slice::from_ref(next)].concat());
                }
            }
        }
        ways = longer;
    }
    None
}
