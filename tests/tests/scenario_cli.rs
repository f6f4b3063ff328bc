//! The command line of the scenario runner: what it prints, and with which code it exits.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;

const GIVEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/given/Q2-ticks-drain-fully-first.json");
const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/corpus");

#[test]
fn a_trace_is_one_line_of_json() {
    let [code, stdout, stderr] = scenario(&["--profile", "node26", GIVEN]);
    assert_eq!((code.as_str(), stderr.as_str()), ("0", ""));
    let trace: Vec<String> = serde_json::from_str(&stdout).expect("an array of strings");
    assert!(!trace.is_empty());
    assert_eq!(stdout.trim_end().lines().count(), 1);
    assert_eq!(scenario(&["--virtual-time", "--profile", "node26", GIVEN])[1], stdout);
}

#[test]
fn what_cannot_be_understood_exits_with_2() {
    for (arguments, problem) in [
        (&["--profile", "node11", GIVEN][..], "unknown profile `node11`; known are node10, "),
        (&[GIVEN], "--profile is missing"),
        (&["--profile"], "--profile needs a value"),
        (&["--profile", "node26"], "name one file"),
        (&["--profile", "node26", GIVEN, GIVEN], "name one file"),
        (&["--check"], "name a file or a folder to check"),
        (&["--fast", GIVEN], "unknown option `--fast`"),
        (&["-f", GIVEN], "unknown option `-f`"),
        (&["--profile", "node26", "--profile", "node10", GIVEN], "a second --profile"),
        (&["--profile", "browser", "--check", GIVEN], "nothing to compare: no trace is recorded in "),
        (&["--profile", "node26", "absent.json"], "absent.json: cannot be read"),
    ] {
        let [code, stdout, stderr] = scenario(arguments);
        assert_eq!((code.as_str(), stdout.as_str()), ("2", ""), "{arguments:?}");
        assert!(stderr.contains(problem), "{arguments:?}: {stderr}");
    }
}

#[test]
fn an_argument_need_not_be_text() {
    let [code, stdout, stderr] = scenario(&[OsStr::new("--profile"), OsStr::from_bytes(b"\xff")]);
    assert_eq!((code.as_str(), stdout.as_str()), ("2", ""));
    assert!(stderr.contains("unknown profile `\u{fffd}`"), "{stderr}");
    let [code, _, stderr] =
        scenario(&[OsStr::new("--profile"), OsStr::new("node26"), OsStr::from_bytes(b"\xff")]);
    assert_eq!(code, "2");
    assert!(stderr.contains("cannot be read"), "{stderr}");
}

#[test]
fn an_unknown_operation_or_field_exits_with_2() {
    for (name, op, problem) in [
        ("operation", r#"{ "op": "fly" }"#, "fly"),
        ("field", r#"{ "op": "log", "label": "a", "colour": "red" }"#, "unknown field \"colour\""),
        ("json", "]", "not JSON"),
    ] {
        let file = File::write(name, op, "");
        let [code, stdout, stderr] = scenario(&["--profile", "node26", &file.path()]);
        assert_eq!((code.as_str(), stdout.as_str()), ("2", ""), "{name}");
        assert!(stderr.contains(problem), "{name}: {stderr}");
    }
}

#[test]
fn an_operation_that_the_profile_lacks_exits_with_2() {
    for (name, profile, op, lacking) in [
        (
            "tick",
            "browser",
            r#"{ "op": "timeout", "label": "t", "ms": 1, "do": [{ "op": "nextTick", "label": "a" }] }"#,
            "nextTick",
        ),
        (
            "listener",
            "browser",
            r#"{ "op": "prependOnce", "label": "a", "emitter": "e", "event": "x" }"#,
            "prependOnce",
        ),
        (
            "await",
            "browser",
            r#"{ "op": "async", "label": "f", "steps": [{ "op": "await", "on": "async", "label": "g", "steps": [{ "op": "await", "on": "pool" }] }] }"#,
            "await on pool",
        ),
        ("message", "node26", r#"{ "op": "message", "label": "m" }"#, "message"),
    ] {
        let file = File::write(name, op, "");
        let [code, stdout, stderr] = scenario(&["--profile", profile, &file.path()]);
        assert_eq!((code.as_str(), stdout.as_str()), ("2", ""), "{name}");
        let problem = format!("the profile {profile} has no operation \"{lacking}\"");
        assert!(stderr.contains(&problem), "{name}: {stderr}");
    }
}

#[test]
fn a_check_counts_and_exits_with_0() {
    let [code, stdout, _] = scenario(&["--virtual-time", "--check", GIVEN, CORPUS]);
    assert_eq!(code, "0", "{stdout}");
    assert!(stdout.trim_end().ends_with("traces are as recorded"), "{stdout}");
}

#[test]
fn a_difference_is_shown_and_exits_with_1() {
    let expect = r#", "expect": [{ "profiles": ["node20", "node26"], "trace": ["b"] }]"#;
    let file = File::write("difference", r#"{ "op": "log", "label": "a" }"#, expect);
    let [code, stdout, _] = scenario(&["--check", "--profile", "node26", &file.path()]);
    assert_eq!(code, "1");
    assert!(stdout.contains("in node26\n  recorded [\"b\"]\n  ran      [\"a\"]\n0 of 1 traces"), "{stdout}");
    let [_, stdout, _] = scenario(&["--check", &file.path()]);
    assert!(stdout.contains("0 of 2 traces"), "{stdout}");
}

/// Exit code, stdout and stderr of the runner.
fn scenario(arguments: &[impl AsRef<OsStr>]) -> [String; 3] {
    let output = Command::new(env!("CARGO_BIN_EXE_scenario")).args(arguments).output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    let code = output.status.code().expect("no signal ends it");
    [code.to_string(), text(output.stdout), text(output.stderr)]
}

/// A scenario of one operation in a file, for as long as it is needed.
struct File(PathBuf);

impl File {
    fn write(name: &str, op: &str, rest: &str) -> File {
        let name = format!("phaseloop-cli-{name}-{}", std::process::id());
        let path = env::temp_dir().join(format!("{name}.json"));
        let head = format!(r#""name": "{name}", "rule": "combined", "about": "One operation.""#);
        fs::write(&path, format!(r#"{{ {head}, "program": [{op}]{rest} }}"#)).expect("it is written");
        File(path)
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // What is left behind in the temporary folder harms nobody.
        let _ = fs::remove_file(&self.0);
    }
}
