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

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use auth_gateway::{config, rules};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The embedded engine, a package of its own.
const ENGINE: &str = "crates/fga-engine";

/// The gateway's source files, named from `src`.
fn sources() -> Vec<(PathBuf, String)> {
    sources_below("src")
}

/// The source files of all packages, each named from its `src`.
fn sources_of_the_workspace() -> Vec<(PathBuf, String)> {
    let engine = sources_below(&format!("{ENGINE}/src"));
    sources().into_iter().chain(engine).collect()
}

/// All source files below a folder, test modules cut away.
fn sources_below(folder: &str) -> Vec<(PathBuf, String)> {
    let top = root().join(folder);
    let mut folders = vec![top.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let is_test = matches!(name, "tests" | "tests.rs" | "testing" | "testing.rs");
            if path.is_dir() && !is_test {
                folders.push(path);
            } else if name.ends_with(".rs") && !is_test {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
                files.push((path.strip_prefix(&top).unwrap().to_owned(), code));
            }
        }
    }
    assert!(files.len() > 50, "the sources below {folder} were found");
    files
}

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
const LEAVES: [&str; 10] = [
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
];

#[test]
fn dependencies_point_one_way() {
    let allowed: [(&str, &[&str]); 10] = [
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
        ("admin", &["gate", "rules", "readiness", "reload"]),
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
    for (path, text) in sources_of_the_workspace() {
        let module = module(&path);
        for line in code_lines(&text) {
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

#[test]
fn files_stay_readable() {
    for (path, text) in sources_of_the_workspace() {
        let lines = text.lines().count();
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
