//! `event_order` as a program: what it prints, what it writes, and with which code it ends.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const SCENARIO: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/conformance/given/M1-drain-between-timers-of-one-duration.json"
);

#[test]
fn an_explanation_is_printed_and_written_as_a_page() {
    let page = Temporary::named("page.html");
    let [code, stdout, stderr] =
        event_order(&["--explain", SCENARIO, "--profile", "node10", "--html", page.path()]);
    assert_eq!((code.as_str(), stderr.as_str()), ("0", ""));
    assert!(stdout.contains("   4     1  timers   tick           t1.tick\n"), "{stdout}");
    let html = fs::read_to_string(&page.0).expect("the page is there");
    assert!(html.contains("as Node 10 runs it") && html.contains("t2.p"), "{html}");
}

#[test]
fn a_comparison_is_printed_and_written_as_a_page() {
    let page = Temporary::named("pair.html");
    let [code, stdout, _] = event_order(&[SCENARIO, "--compare", "node10,node12", "--html", page.path()]);
    assert_eq!(code, "0");
    assert!(stdout.contains("----  they part: M1\n"), "{stdout}");
    let html = fs::read_to_string(&page.0).expect("the page is there");
    assert!(html.contains("They part at entry 2") && html.contains("drain_timers"), "{html}");
}

#[test]
fn without_a_flag_the_presets_stand_side_by_side() {
    let [code, stdout, stderr] = event_order(&[]);
    assert_eq!((code.as_str(), stderr.as_str()), ("0", ""));
    assert!(stdout.starts_with("1. The article's script\n"), "{stdout}");
}

#[test]
fn what_can_not_be_done_is_named_and_ends_with_2() {
    let bad_json = Temporary::with("bad.json", "]");
    let flying = scenario("flying.json", r#"{ "op": "fly" }"#);
    let endless = scenario(
        "endless.json",
        r#"{ "op": "timeout", "label": "a", "ms": 1, "do": [{ "op": "refresh", "id": "a" }] }"#,
    );
    for (arguments, problem) in [
        (&["absent.json"][..], "absent.json: cannot be read"),
        (&[bad_json.path()], "bad.json: not JSON"),
        (&[flying.path()], "fly"),
        (&[endless.path()], "it has not ended after 2000 steps"),
        (&[endless.path(), "--compare", "node22,node26"], "it has not ended after 2000 steps"),
        (&["--profile", "node11"], "unknown profile `node11`; known are node10,"),
        (&["--compare", "node26"], "needs two profiles, such as `node22,node26`, not `node26`"),
        (&["--compare", "node26,mosaic"], "unknown profile `mosaic`"),
        (&["--compare", "node22,node26", "--profile", "node20"], "leave `--profile` out"),
        (&["--explain", "--node"], "`--node` goes with no other flag"),
        (&["--html", "no/such/folder/out.html"], "no/such/folder/out.html: cannot be written"),
        (&["--html"], "`--html` needs a value"),
        (&["--explian"], "unknown argument `--explian`"),
        (&["a.json", "b.json"], "a second `FILE`"),
    ] {
        let [code, _, stderr] = event_order(arguments);
        assert_eq!(code, "2", "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("event_order: ") && stderr.contains(problem), "{arguments:?}: {stderr}");
    }
}

/// The exit code, standard output and standard error.
fn event_order(arguments: &[&str]) -> [String; 3] {
    let output = Command::new(env!("CARGO_BIN_EXE_event_order")).args(arguments).output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("it writes text");
    let code = output.status.code().expect("no signal ended it").to_string();
    [code, text(output.stdout), text(output.stderr)]
}

fn scenario(name: &str, op: &str) -> Temporary {
    let json = format!(r#"{{ "name": "x", "rule": "combined", "about": "x", "program": [{op}] }}"#);
    Temporary::with(name, &json)
}

/// A file of one test, removed at its end.
struct Temporary(PathBuf);

impl Temporary {
    fn named(name: &str) -> Self {
        Self(env::temp_dir().join(format!("phaseloop-event-order-{}-{name}", std::process::id())))
    }

    fn with(name: &str, text: &str) -> Self {
        let file = Self::named(name);
        fs::write(&file.0, text).expect("the temporary folder is writable");
        file
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a plain name")
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // nothing is lost if it stays
    }
}
