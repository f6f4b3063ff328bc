//! `docs/PROMISES.md` says which test holds each promise; here it is held to that.

use std::collections::BTreeSet;
use std::fs;

use phaseloop_tests::held::missing_tests;
use phaseloop_tests::source::workspace_root;

/// What a row without a test begins with: the wrong thing can not be written down.
const BY_TYPE: &str = "*Type*:";

const PAGE: &str = "docs/PROMISES.md";

struct Row {
    line: usize,
    source: String,
    promise: String,
    held_by: String,
}

#[test]
fn every_promise_is_held_by_tests_that_are_there() {
    let rows = rows();
    assert!(rows.len() > 80, "{PAGE} is not read as it is written: {} rows", rows.len());
    let mut found = Vec::new();
    for row in &rows {
        let names_tests = row.held_by.contains(".rs`: `");
        if names_tests == row.held_by.starts_with(BY_TYPE) || row.promise.is_empty() {
            found.push(format!(
                "{PAGE}:{}: name the tests, or write {BY_TYPE} and why none is needed",
                row.line
            ));
        }
        let tests = if names_tests { row.held_by.as_str() } else { "" };
        let missing = missing_tests(tests, place);
        found.extend(missing.into_iter().map(|what| format!("{PAGE}:{}: {}: {what}", row.line, row.source)));
    }
    assert!(found.is_empty(), "{} to mend:\n{}", found.len(), found.join("\n"));
}

#[test]
fn no_promise_has_two_rows() {
    let mut seen = BTreeSet::new();
    let twice: Vec<_> = rows().into_iter().filter(|row| !seen.insert(row.source.clone())).collect();
    let lines: Vec<_> = twice.iter().map(|row| format!("{PAGE}:{}: {}", row.line, row.source)).collect();
    assert!(lines.is_empty(), "join these with the rows of the same name:\n{}", lines.join("\n"));
}

/// Files of the runtime's tests are named alone.
fn place(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("runtime/tests/{name}") }
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(workspace_root().join(PAGE)).expect("the page is there");
    let rows = text.lines().zip(1..).filter_map(|(text, line)| {
        let mut cells = text.strip_prefix("| ")?.split(" | ").map(|cell| cell.trim_end_matches(" |").trim());
        let (source, promise, held_by) = (cells.next()?, cells.next()?, cells.next()?);
        let is_head = promise == "promise" || source == "---";
        let owned = |cell: &str| cell.to_owned();
        (!is_head).then(|| Row {
            line,
            source: owned(source),
            promise: owned(promise),
            held_by: owned(held_by),
        })
    });
    rows.collect()
}
