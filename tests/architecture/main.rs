//! The invariants of ARCHITECTURE.md that a compiler does not check: who may know whom, who may read
//! what, and that generated files are what the code generates.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "tests fail by panicking"
)]
#![allow(missing_docs, unreachable_pub, reason = "nothing here is a public API")]

mod graph;
mod order;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use auth_gateway::gate::Reason;
use auth_gateway::{config, rules};

use sources::{ENGINE, Source, of_the_workspace, root, sources};

/// The module at the top of the tree that a file belongs to.
fn module(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Lines of code, comments left out.
fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// The modules of this crate that each module names.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources() {
        let known = imports.entry(module(&path)).or_default();
        for line in code_lines(&text) {
            for part in line.split("crate::").skip(1) {
                let name: String =
                    part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if !name.is_empty() {
                    known.insert(name);
                } else if let Some(list) = part.strip_prefix('{') {
                    let names = list.trim_end_matches(['}', ';']).split(',');
                    known.extend(names.map(|n| n.split("::").next().unwrap().trim().to_owned()));
                }
            }
        }
    }
    for (module, names) in &mut imports {
        names.remove(module);
    }
    imports
}

/// Modules that anybody may use: they know nothing but the outside world and each other.
const LEAVES: [&str; 11] = [
    "breaker",
    "clock",
    "finding",
    "flight",
    "http_body",
    "metrics",
    "outage",
    "secret",
    "span",
    "sweep",
    "underway",
];

#[test]
fn dependencies_point_one_way() {
    let allowed: [(&str, &[&str]); 11] = [
        ("rules", &[]),
        ("authn", &[]),
        ("authz", &[]),
        ("rate_limit", &[]),
        ("gate", &["rules", "authn", "authz", "rate_limit"]),
        ("edge", &[]),
        ("upstream", &[]),
        (
            "proxy",
            &[
                "edge",
                "upstream",
                "gate",
                "rules",
                "authn",
                "authz",
                "rate_limit",
                "readiness",
                "telemetry",
            ],
        ),
        ("reload", &["gate", "rules", "authz", "rate_limit", "readiness"]),
        ("status", &["gate", "rules", "authn", "authz", "rate_limit", "readiness"]),
        ("admin", &["gate", "rules", "reload", "status"]),
    ];
    let imports = imports();
    for (module, may_know) in allowed {
        let knows = &imports[module];
        let strangers: Vec<_> = knows
            .iter()
            .filter(|name| !may_know.contains(&name.as_str()) && !LEAVES.contains(&name.as_str()))
            .collect();
        assert!(strangers.is_empty(), "{module} knows {strangers:?}");
    }
    for leaf in LEAVES {
        let knows = &imports[leaf];
        assert!(knows.iter().all(|name| LEAVES.contains(&name.as_str())), "{leaf}: {knows:?}");
    }
    for (module, knows) in &imports {
        let is_root = matches!(module.as_str(), "app" | "cli" | "main");
        assert!(is_root || !knows.contains("app"), "{module} knows the composition root");
    }
}

#[test]
fn only_the_adapters_know_pingora() {
    for (path, text) in sources() {
        let module = module(&path);
        let adapters = ["edge", "upstream", "proxy", "admin", "app", "main"];
        let may = adapters.contains(&module.as_str());
        for line in code_lines(&text) {
            let names = ["pingora::", "pingora_proxy::", "pingora_core::"];
            // What stands in quotes is no path but a name in a log.
            let mut code = line.split('"').step_by(2);
            let names = code.any(|code| names.iter().any(|name| code.contains(name)));
            assert!(may || !names, "{}: {line}", path.display());
        }
    }
}

#[test]
fn only_the_clock_reads_time_and_only_the_configuration_the_environment() {
    for Source { path, code, .. } in of_the_workspace() {
        let module = module(&path);
        for line in code_lines(&code) {
            let reads_time = ["Instant::now", "SystemTime::now"].iter().any(|n| line.contains(n));
            assert!(module == "clock" || !reads_time, "{}: {line}", path.display());
            let reads_environment = line.contains("env::var");
            assert!(module == "config" || !reads_environment, "{}: {line}", path.display());
        }
    }
}

#[test]
fn only_the_gate_makes_admissions() {
    for (path, text) in sources() {
        for line in code_lines(&text) {
            let makes = line.contains("Admission::new(") || line.contains("Admission {");
            let may = path == Path::new("gate.rs") || path == Path::new("gate/admission.rs");
            assert!(may || !makes, "{}: {line}", path.display());
        }
    }
    let gate = std::fs::read_to_string(root().join("src/gate/admission.rs")).unwrap();
    assert!(gate.contains("pub(super) fn new("), "the constructor stays private to the gate");
}

/// What the engine is built and tested with, on its own: nothing of the gateway's, and none of what the
/// gateway is heavy with.
#[test]
fn the_engine_stands_alone() {
    let cargo = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "-p", "fga-engine", "-e", "normal,build,dev"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let packages = String::from_utf8(cargo.stdout).unwrap();
    assert!(packages.contains("fga-engine"), "{packages}");
    for heavy in ["auth-gateway", "pingora", "reqwest", "redis", "rustls"] {
        assert!(!packages.contains(heavy), "{heavy}: {packages}");
    }
}

/// The engine is for whoever wants OpenFGA's answers: not a word of what this program makes of them.
#[test]
fn the_engine_knows_no_gateway() {
    let words = ["gateway", "zitadel", "pingora"];
    let mut folders = vec![root().join(ENGINE)];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // Where a fuzzer has run, it leaves much.
            if path.is_dir() && !path.ends_with("fuzz/target") {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let text = text.to_lowercase();
                count += 1;
                for word in words {
                    assert!(!text.contains(word), "{} says {word}", path.display());
                }
            }
        }
    }
    assert!(count > 80, "the engine's files were found");
}

/// Files are no circle: whoever reads one has to know only what it names, and not in the end everything.
///
/// A file knows another if it names something that the other defines; a `mod` or a `pub use` is no naming,
/// it opens a door. What a file takes from the file of a room that it is in (`super::Type`) is not counted
/// either: that is what the room's files share, as in `config.rs` and `config/expand.rs`. So a circle
/// leads through neighbours, or through two rooms. In the engine what is taken from the room's file counts
/// too.
#[test]
fn no_files_know_each_other_in_circles() {
    let arrows = graph::Modules::new(of_the_workspace()).arrows();
    assert!(arrows.values().map(BTreeSet::len).sum::<usize>() > 300, "imports were found");
    let outside_rooms = arrows.iter().map(|(file, targets)| {
        let targets = targets.iter().filter(|target| !graph::is_room_of(target, file));
        (file.clone(), targets.cloned().collect())
    });
    let mut circles = graph::circles(&outside_rooms.collect());
    let engine = arrows.into_iter().filter(|(file, _)| file.starts_with(ENGINE));
    circles.extend(graph::circles(&engine.collect()));
    let circles: Vec<String> = circles.iter().map(|circle| circle.join(" -> ")).collect();
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

/// Files whose order is still to come; each must still need it, so that the list only gets shorter.
const OUT_OF_ORDER: [&str; 9] = [
    "src/authn.rs",
    "src/authn/bearer.rs",
    "src/authn/introspection.rs",
    "src/authn/introspection/answer.rs",
    "src/authn/keys.rs",
    "src/authn/keys/jwks.rs",
    "src/dev/issuer.rs",
    "src/dev/issuer/endpoints.rs",
    "src/telemetry.rs",
];

/// ARCHITECTURE, "One order of a file", as far as a look at the lines can tell.
#[test]
fn files_have_one_order() {
    let mut faults = Vec::new();
    let mut awaited: BTreeSet<&str> = OUT_OF_ORDER.into();
    for source in of_the_workspace() {
        let found = order::faults(&source);
        if !found.is_empty() && !awaited.remove(source.file().as_str()) {
            faults.extend(found);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(awaited.is_empty(), "in order, to be taken off the list: {awaited:?}");
}

/// A refusal that nobody gives would be a promise of the README that is never kept.
#[test]
fn every_reason_is_given_somewhere() {
    let sources = sources();
    let named = sources
        .iter()
        .flat_map(|(_, text)| code_lines(text))
        .flat_map(|line| line.split("Reason::").skip(1))
        .map(|rest| rest.split_at(rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len())));
    // Who matches on a reason does not give it.
    let is_pattern =
        |rest: &str| ["=>", "|"].iter().any(|sign| rest.trim_start().starts_with(sign));
    let given: BTreeSet<_> =
        named.filter(|(_, rest)| !is_pattern(rest)).map(|(name, _)| name).collect();
    for reason in Reason::ALL {
        let name = format!("{reason:?}");
        assert!(given.contains(name.as_str()), "{name} is given by nobody");
    }
}

/// The type that a line declares, if others than its own file may name it.
fn declared_for_others(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub")?;
    let rest = rest.strip_prefix('(').map_or(rest, |rest| rest.split_once(')').unwrap().1);
    let words = ["struct ", "enum ", "trait ", "type "];
    let rest = words.iter().find_map(|word| rest.trim_start().strip_prefix(word))?;
    rest.split(|c: char| !c.is_alphanumeric()).next()
}

/// Names of types that still stand for more than one; none may be added.
const SHARED_NAMES: [&str; 13] = [
    "Admin",
    "Algorithm",
    "Claims",
    "Credentials",
    "Fault",
    "Names",
    "OpenFga",
    "Options",
    "Origin",
    "Sandbox",
    "Server",
    "Settings",
    "StartError",
];

/// Whoever meets a name in a signature knows which type it is; one that is private to its file cannot
/// be met elsewhere.
#[test]
fn a_type_has_its_name_for_itself() {
    let mut places: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for (path, text) in sources() {
        for name in code_lines(&text).filter_map(declared_for_others) {
            places.entry(name.to_owned()).or_default().push(path.clone());
        }
    }
    assert!(places.len() > 100, "the types were found");
    for (name, places) in places {
        let is_known = SHARED_NAMES.contains(&name.as_str());
        assert!(is_known || places.len() == 1, "{name} stands in {places:?}");
    }
}

#[test]
fn files_stay_readable() {
    for Source { path, code, .. } in of_the_workspace() {
        let lines = code.lines().count();
        assert!(lines <= 400, "{} has {lines} lines", path.display());
        assert!(path.file_name().unwrap() != "mod.rs", "{}", path.display());
    }
}

/// Compares a committed file with what the code generates; `UPDATE_GENERATED=1` writes it instead.
fn check_generated(name: &str, value: &serde_json::Value) {
    let path = root().join(name);
    let generated = format!("{}\n", serde_json::to_string_pretty(value).unwrap());
    if std::env::var("UPDATE_GENERATED").is_ok() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{name} is not what the code generates; run UPDATE_GENERATED=1 cargo test --test architecture"
    );
}

#[test]
fn the_committed_schemas_are_the_generated_ones() {
    check_generated("conf/gateway.schema.json", &config::schema::for_editors());
    check_generated("conf/access_rules.schema.json", &rules::file::schema());
}
