//! Finds the files of the workspace.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Function, Module, NamedPath, Scan, functions, modules, named_paths, scan, tokens};

/// A text file of the workspace, read whole.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Its path below the workspace, with slashes: `runtime/src/lib.rs`.
    pub path: String,
    /// What it says.
    pub text: String,
    /// Code and comments apart; both empty unless it is a Rust file.
    pub parts: Scan,
    tests: Vec<Module>,
}

impl SourceFile {
    /// Takes a text as the file of that path.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let parts = scan(if path.ends_with(".rs") { &text } else { "" });
        let mut tests = modules(&tokens(&parts.code));
        tests.retain(Module::holds_tests);
        Self { path, text, parts, tests }
    }

    /// Whether it is a Rust file.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the whole file belongs to tests: it stands in a folder `tests`, or is named `tests.rs` or `..._tests.rs`.
    pub fn is_test(&self) -> bool {
        let (folders, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        folders.split('/').any(|folder| folder == "tests")
            || name == "tests.rs"
            || name.ends_with("_tests.rs")
    }

    /// Whether a line, counted from 1, belongs to tests: the file's, or an inline `mod tests`.
    pub fn is_test_line(&self, line: usize) -> bool {
        self.is_test() || self.tests.iter().any(|module| module.lines.contains(&line))
    }

    /// The functions that have a body.
    pub fn functions(&self) -> Vec<Function> {
        functions(&tokens(&self.parts.code))
    }

    /// The inline modules.
    pub fn modules(&self) -> Vec<Module> {
        modules(&tokens(&self.parts.code))
    }

    /// The paths that its code names.
    pub fn named_paths(&self) -> Vec<NamedPath> {
        named_paths(&tokens(&self.parts.code))
    }

    /// How a message names a line of this file: `path:line`.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// The folder of the workspace that this test was built in.
pub fn workspace_root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// Reads every source and document below `root`, in the order of their paths.
///
/// Left out: what is built or fetched (folders whose name begins with `target`, `node_modules`) and what belongs to git.
///
/// # Errors
/// What the file system says, for instance about a file that is not UTF-8.
pub fn read_workspace(root: &Path) -> io::Result<Vec<SourceFile>> {
    let mut found = Vec::new();
    read_folder(root, "", &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn read_folder(folder: &Path, below: &str, found: &mut Vec<SourceFile>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{below}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() && !is_foreign(&name) {
            read_folder(&entry.path(), &format!("{path}/"), found)?;
        } else if kind.is_file() && is_text(&path) {
            found.push(SourceFile::new(path, fs::read_to_string(entry.path())?));
        }
    }
    Ok(())
}

fn is_foreign(folder: &str) -> bool {
    folder == ".git" || folder == "node_modules" || folder.starts_with("target")
}

/// Whether people write this file: by its ending, or a script below `.ci`.
fn is_text(path: &str) -> bool {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    path.starts_with(".ci/") || TEXT_ENDINGS.contains(&ending)
}

const TEXT_ENDINGS: &[&str] =
    &["rs", "md", "toml", "sh", "yml", "yaml", "json", "js", "mjs", "cjs", "ts", "html", "css", "sql"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_holds_this_file_and_nothing_built() {
        let files = read_workspace(&workspace_root()).unwrap();
        assert!(files.iter().any(|file| file.path == "tests/src/source/file.rs"));
        assert!(files.iter().any(|file| file.path == ".ci/run"));
        assert!(!files.iter().any(|file| file.path.contains("target/")));
        assert!(files.is_sorted_by(|a, b| a.path < b.path));
    }

    #[test]
    fn files_in_tests_folders_and_named_after_tests_are_tests() {
        for path in
            ["tests/src/lib.rs", "runtime/tests/timers.rs", "runtime/src/loom_tests.rs", "a/src/tests.rs"]
        {
            assert!(SourceFile::new(path, "").is_test(), "{path}");
        }
        for path in ["runtime/src/lib.rs", "runtime/src/contests.rs", "latests/a.rs"] {
            assert!(!SourceFile::new(path, "").is_test(), "{path}");
        }
    }

    #[test]
    fn lines_of_an_inline_test_module_are_test_lines() {
        let file = SourceFile::new("runtime/src/a.rs", "fn a() {}\nmod tests {\n}\nfn b() {}\n");
        let lines: Vec<_> = (1..=4).filter(|line| file.is_test_line(*line)).collect();
        assert_eq!(lines, [2, 3]);
    }
}
