//! The documents of the rules say where each rule lives and what holds it; here they are held to that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use phaseloop_tests::held::{is_test, load, missing, missing_tests};
use phaseloop_tests::source::workspace_root;

/// Rules whose row may name nothing that holds them must say so.
const OUTSIDE: &str = "*Outside*:";

/// A row of `docs/RULES.md`.
struct Row {
    line: usize,
    rule: String,
    place: String,
    held_by: String,
}

#[test]
fn every_rule_of_the_semantics_has_one_row() {
    let rules = semantic_rules();
    assert!(rules.len() > 80, "SEMANTICS.md is not read as it is written: {rules:?}");
    let mut rows: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows_of_the_table() {
        *rows.entry(row.rule).or_default() += 1;
    }
    let missing = rules.iter().filter(|rule| !rows.contains_key(*rule));
    let more = rows.iter().filter(|(rule, count)| **count > 1 || !rules.contains(*rule));
    verdict(
        missing
            .map(|rule| format!("docs/RULES.md:1: give {rule} a row"))
            .chain(more.map(|(rule, _)| format!("docs/RULES.md:1: {rule} has a row too many"))),
    );
}

#[test]
fn the_places_of_rules_are_there() {
    verdict(rows_of_the_table().iter().flat_map(|row| {
        let absent = missing(&row.place, place_file, |file, name| has_word(&file.text, name));
        absent.into_iter().map(|what| format!("docs/RULES.md:{}: {}: {what}", row.line, row.rule))
    }));
}

#[test]
fn the_tests_of_rules_are_there() {
    let scenarios = scenarios();
    verdict(rows_of_the_table().iter().flat_map(|row| unheld(row, &scenarios)));
}

#[test]
fn a_scenario_is_named_after_a_rule() {
    let rules = semantic_rules();
    let unknown = scenarios().into_iter().filter(|name| {
        let rule = name.split('-').next().unwrap_or_default();
        rule != "combined" && !rules.contains(rule)
    });
    verdict(unknown.map(|name| format!("tests/conformance/: {name}: begin its name with its rule")));
}

#[test]
fn every_rule_of_futures_has_a_test_and_every_test_a_rule() {
    let rules: BTreeSet<String> = read("ARCHITECTURE.md")
        .lines()
        .filter_map(|line| {
            line.strip_prefix("- **F")?.split_once("** ").map(|(number, _)| format!("f{number}"))
        })
        .collect();
    assert!(rules.len() >= 30, "ARCHITECTURE.md is not read as it is written: {rules:?}");
    let folder = workspace_root().join("runtime/tests/futures_order");
    let mut tested = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("the folder of the tests").flatten() {
        let file = load(&entry.path());
        let tests = file.functions().into_iter().filter(|function| is_test(&file, function.line));
        tested.extend(tests.map(|test| test.name.split('_').next().unwrap_or_default().to_owned()));
    }
    assert_eq!(rules, tested, "the rules of ARCHITECTURE.md, and the first words of the tests' names");
}

/// What a row says that is not so: a test that is missing, or nothing that holds the rule.
fn unheld(row: &Row, scenarios: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    let prefix = format!("{}-", row.rule);
    let has_scenario = scenarios.iter().any(|name| name.starts_with(&prefix));
    let names_it = row.held_by.contains(&format!("`{prefix}*`"));
    if names_it != has_scenario {
        found.push(format!("scenarios `{prefix}*` are {}there", if has_scenario { "" } else { "not " }));
    }
    if row.held_by.is_empty() != row.place.starts_with(OUTSIDE) {
        found.push(format!("write what holds it, or {OUTSIDE} and why nothing does"));
    }
    let tests = row.held_by.replace(&format!("`{prefix}*`"), "");
    found.extend(missing_tests(&tests, str::to_owned));
    found.into_iter().map(|what| format!("docs/RULES.md:{}: {}: {what}", row.line, row.rule)).collect()
}

/// A place of the runtime is named from its sources on.
fn place_file(name: &str) -> String {
    let from_root = ["tests/", "fs-pool/", "server/"].iter().any(|folder| name.starts_with(folder));
    if from_root { name.to_owned() } else { format!("runtime/src/{name}") }
}

/// The numbers of SEMANTICS.md, ranges written out.
fn semantic_rules() -> BTreeSet<String> {
    let text = read("tests/conformance/SEMANTICS.md");
    let titles = text.lines().filter_map(|line| Some(line.strip_prefix("* **")?.split_once("**")?.0));
    titles.flat_map(rules_of).collect()
}

/// `T1`, or `L1 to L5`.
fn rules_of(title: &str) -> Vec<String> {
    let Some((first, last)) = title.split_once(" to ") else { return vec![title.to_owned()] };
    let (letter, from) = first.split_at(1);
    let numbers = from.parse::<u32>().ok().zip(last[1..].parse::<u32>().ok());
    let (from, to) = numbers.expect("a range of rules has a number at each end");
    (from..=to).map(|number| format!("{letter}{number}")).collect()
}

fn rows_of_the_table() -> Vec<Row> {
    let text = read("docs/RULES.md");
    let rows = text.lines().zip(1..).filter_map(|(text, line)| {
        let mut cells = text.strip_prefix("| ")?.split('|').map(|cell| cell.trim().to_owned());
        let (rule, place, held_by) = (cells.next()?, cells.next()?, cells.next()?);
        (rule != "rule" && rule != "---").then_some(Row { line, rule, place, held_by })
    });
    rows.collect()
}

/// The names of the scenarios that were written by hand.
fn scenarios() -> BTreeSet<String> {
    let folders = ["given", "corpus", "browser"].map(|name| format!("tests/conformance/{name}"));
    let files = folders.iter().flat_map(|folder| {
        fs::read_dir(workspace_root().join(folder)).expect("a folder of scenarios").flatten()
    });
    files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(workspace_root().join(name))
        .unwrap_or_else(|error| panic!("{name}:1: write it ({error})"))
}

fn has_word(text: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(joins) && !text[at + word.len()..].starts_with(joins))
}

/// Fails the test with all that was found, one message a line.
#[track_caller]
fn verdict(found: impl IntoIterator<Item = String>) {
    let found: Vec<_> = found.into_iter().collect();
    assert!(found.is_empty(), "{} to mend:\n{}", found.len(), found.join("\n"));
}
