//! The tables in `src/fs/README.md`: they are whole, and every test they name is there.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

/// Source: libuv 1.52, `uv_fs_type`.
const LIBUV: [&str; 36] = [
    "open",
    "close",
    "read",
    "write",
    "sendfile",
    "stat",
    "lstat",
    "fstat",
    "ftruncate",
    "utime",
    "futime",
    "access",
    "chmod",
    "fchmod",
    "fsync",
    "fdatasync",
    "unlink",
    "rmdir",
    "mkdir",
    "mkdtemp",
    "rename",
    "scandir",
    "link",
    "symlink",
    "readlink",
    "chown",
    "fchown",
    "realpath",
    "copyfile",
    "lchown",
    "opendir",
    "readdir",
    "closedir",
    "statfs",
    "mkstemp",
    "lutime",
];

fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rows of all tables, without their heads, as trimmed cells.
fn rows() -> Vec<Vec<String>> {
    let text = fs::read_to_string(crate_folder().join("src/fs/README.md")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let is_body = |at: &usize| lines[*at].starts_with('|') && !lines[*at].starts_with("| ---");
    let is_head = |at: &usize| lines.get(at + 1).is_some_and(|next| next.starts_with("| ---"));
    let rows = (0..lines.len()).filter(is_body).filter(|at| !is_head(at));
    let cells = |row: &str| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    rows.map(|at| cells(lines[at])).collect()
}

/// The functions that are tests of this crate: those that follow `#[test]`.
fn tests() -> Vec<String> {
    let mut found = Vec::new();
    for file in fs::read_dir(crate_folder().join("tests")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let text = fs::read_to_string(path).unwrap();
            let names = text.split("#[test]\n").skip(1).filter_map(|after| after.split_once("fn "));
            found.extend(names.filter_map(|(_, rest)| Some(rest.split_once('(')?.0.to_owned())));
        }
    }
    found
}

#[test]
fn every_operation_of_libuv_has_a_row_and_a_tick() {
    let rows = rows();
    for name in LIBUV {
        let cell = format!("`uv_fs_{name}`");
        let row = rows.iter().find(|row| row[0] == cell);
        let row = row.unwrap_or_else(|| panic!("fs-pool/src/fs/README.md: {cell} has no row"));
        assert_eq!(row[2], "✓", "{cell}");
    }
}

#[test]
fn every_test_that_a_table_names_is_there() {
    let (rows, tests) = (rows(), tests());
    assert!(rows.len() >= 60 && tests.len() > 60, "{} rows, {} tests", rows.len(), tests.len());
    for row in rows {
        let cell = row.last().unwrap();
        match cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')) {
            Some(name) => assert!(tests.iter().any(|test| test == name), "there is no test `{name}`"),
            None => assert!(cell.starts_with("the type: "), "{row:?} names no test"),
        }
    }
}
