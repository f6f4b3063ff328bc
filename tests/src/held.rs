//! Documents that say what holds a rule: cells of names in backticks, a file, and then what is in it.

use std::fs;
use std::path::Path;

use crate::source::{SourceFile, workspace_root};

/// Reads a cell such as `` `file.rs`: `name`, `other` `` and gives what is not there, in words. `path_of` leads from a file as
/// it is named to its path from the root; `is_in` says whether a file has what is named behind it.
pub fn missing(
    cell: &str,
    path_of: fn(&str) -> String,
    is_in: impl Fn(&SourceFile, &str) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut file: Option<SourceFile> = None;
    for name in cell.split('`').skip(1).step_by(2) {
        if name.ends_with(".rs") {
            let path = workspace_root().join(path_of(name));
            file = path.is_file().then(|| load(&path));
            if file.is_none() {
                found.push(format!("there is no file `{name}`"));
            }
        } else if let Some(file) = &file
            && !is_in(file, name)
        {
            found.push(format!("`{name}` is not in `{}`", file.path));
        }
    }
    found
}

/// As [`missing`], where what is named are tests.
pub fn missing_tests(cell: &str, path_of: fn(&str) -> String) -> Vec<String> {
    missing(cell, path_of, |file, name| {
        file.functions().iter().any(|function| function.name == name && is_test(file, function.line))
    })
}

/// True if the function that begins at a line has the attribute `test`, a few lines above.
pub fn is_test(file: &SourceFile, line: usize) -> bool {
    let above: Vec<&str> = file.text.lines().take(line - 1).collect();
    above
        .iter()
        .rev()
        .take_while(|line| line.trim_start().starts_with("#["))
        .any(|line| line.contains("#[test]"))
}

/// Reads a source file of the workspace.
///
/// # Panics
/// If it can not be read.
pub fn load(path: &Path) -> SourceFile {
    let text = fs::read_to_string(path).expect("a source file is text");
    SourceFile::new(path.strip_prefix(workspace_root()).unwrap_or(path).to_string_lossy(), text)
}

#[cfg(test)]
mod tests {
    use super::missing_tests;

    #[test]
    fn what_is_named_and_not_there_is_found() {
        let cell = "`tests/src/held.rs`: `what_is_named_and_not_there_is_found`, `load`; `no.rs`: `x`";
        let found = missing_tests(cell, str::to_owned);
        assert_eq!(found, ["`load` is not in `tests/src/held.rs`", "there is no file `no.rs`"]);
    }
}
