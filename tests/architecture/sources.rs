//! The source files of the workspace, without their tests.

use std::path::{Path, PathBuf};

/// The embedded engine, a package of its own.
pub const ENGINE: &str = "crates/fga-engine";

pub struct Source {
    /// The crate's name, as paths in code write it.
    pub package: &'static str,
    /// Where the package's `src` is.
    folder: PathBuf,
    /// Below the package's `src`.
    pub path: PathBuf,
    pub code: String,
}

impl Source {
    /// The path from the root of the workspace.
    pub fn file(&self) -> String {
        self.folder.join(&self.path).to_str().unwrap().to_owned()
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The gateway's source files, named from `src`.
pub fn sources() -> Vec<(PathBuf, String)> {
    let gateway = below("auth_gateway", Path::new("src"));
    gateway.into_iter().map(|source| (source.path, source.code)).collect()
}

/// The source files of all packages.
pub fn of_the_workspace() -> Vec<Source> {
    let engine = below("fga_engine", &Path::new(ENGINE).join("src"));
    below("auth_gateway", Path::new("src")).into_iter().chain(engine).collect()
}

fn below(package: &'static str, folder: &Path) -> Vec<Source> {
    let top = root().join(folder);
    let mut folders = vec![top.clone()];
    let mut found = Vec::new();
    while let Some(inner) = folders.pop() {
        for entry in std::fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let is_test = matches!(name, "tests" | "tests.rs" | "testing" | "testing.rs");
            if path.is_dir() && !is_test {
                folders.push(path);
            } else if name.ends_with(".rs") && !is_test {
                let code = without_tests(&std::fs::read_to_string(&path).unwrap());
                let path = path.strip_prefix(&top).unwrap().to_owned();
                found.push(Source { package, folder: folder.to_owned(), path, code });
            }
        }
    }
    assert!(found.len() > 50, "the sources below {} were found", folder.display());
    found
}

/// Tests stand at a file's end, or in files of their own that the file names.
fn without_tests(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.replace("#[cfg(test)]\nmod tests;\n", "")
}
