//! The examples show what they say they show.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use examples::command_line::Usage;
use examples::event_order::explain::Request;
use examples::event_order::explain::compare::Comparison;
use examples::event_order::explain::html::{self, escape};
use examples::event_order::explain::profile::{PROFILES, Profile};
use examples::event_order::explain::script::Script;
use examples::event_order::explain::timeline::Timeline;
use examples::event_order::{self, SCRIPTS, Table, node_version, order_in_node};
use examples::page::Page;
use examples::port_forward::{self, Place};
use examples::{embed, http2_time, node_child, panics, task_bus, timers, ws_echo};
use phaseloop::EventLoop;
use phaseloop::net::{TcpStream, UnixAddr, UnixListener};
use phaseloop_server::client::Client;
use phaseloop_server::ws::{Connector, DeflateOptions, WsOptions};
use phaseloop_tests::peers::peer;
use phaseloop_tests::runner::{Time, trace};
use phaseloop_tests::scenario::{Profile as Node, Scenario, load_folder};
use phaseloop_tests::source::workspace_root;

// --- event_order ------------------------------------------------------------------------------------------------------

/// What comes before the first timer, in every order.
const MAIN: &[&str] = &["main begins", "main ends", "tick", "promise", "promise > promise", "promise > tick"];
const TIMERS: &[&str] = &["timeout 1", "timeout 1 > tick", "timeout 1 > promise", "timeout 2"];
const FILE: &[&str] = &["file", "file > tick", "file > promise"];
const IMMEDIATES: &[&str] = &["immediate 1", "immediate 1 > tick", "immediate 1 > promise", "immediate 2"];
const AFTER_FILE: &[&str] = &["file > immediate", "file > timeout"];

#[test]
fn a_file_read_in_one_job_comes_before_the_immediates() {
    let table = order(0);
    for preset in ["node26", "libuv", "libuv 1.44"] {
        assert_order(&table, preset, &[MAIN, TIMERS, FILE, IMMEDIATES, AFTER_FILE]);
    }
}

#[test]
fn a_file_read_in_four_jobs_comes_behind_the_immediates() {
    let table = order(0);
    for preset in ["node22", "node20", "node12"] {
        assert_order(&table, preset, &[MAIN, TIMERS, IMMEDIATES, FILE, AFTER_FILE]);
    }
}

#[test]
fn the_textbook_drains_once_a_phase() {
    let timers = ["timeout 1", "timeout 2", "timeout 1 > tick", "timeout 1 > promise"];
    let check = [
        "immediate 1",
        "immediate 2",
        "file > immediate",
        "immediate 1 > tick",
        "immediate 1 > promise",
        "file > timeout",
    ];
    assert_order(&order(0), "textbook", &[MAIN, &timers, FILE, &check]);
}

#[test]
fn a_browser_runs_what_was_set_first() {
    let after_file = ["file > timeout", "file > immediate"];
    assert_order(&order(0), "browser", &[MAIN, FILE, TIMERS, IMMEDIATES, &after_file]);
}

#[test]
fn only_old_loops_run_a_new_timer_in_the_phase_that_set_it() {
    let table = order(1);
    let (timeout, inner) = (["timeout", "timeout > tick"], "timeout > tick > timeout");
    for preset in ["node20", "node12", "libuv 1.44"] {
        assert_order(&table, preset, &[&timeout, &[inner, "immediate"]]);
    }
    for preset in ["node26", "node22", "browser", "libuv", "textbook"] {
        assert_order(&table, preset, &[&timeout, &["immediate", inner]]);
    }
}

#[test]
fn only_new_loops_run_a_due_timer_before_they_give_up() {
    let table = order(2);
    for preset in ["node26", "node22", "node20", "browser", "libuv"] {
        assert_order(&table, preset, &[&["immediate", "immediate > timeout"]]);
    }
    for preset in ["node12", "libuv 1.44", "textbook"] {
        assert_order(&table, preset, &[&["immediate"]]);
    }
}

#[test]
fn a_throw_leaves_its_tick_to_the_next_drain() {
    let table = order(3);
    let thrown = ["stat", "uncaught: a throw"];
    assert_order(&table, "node26", &[&thrown, &["stat > immediate", "stat > tick"]]);
    for preset in ["node22", "node20", "node12", "browser", "textbook"] {
        assert_order(&table, preset, &[&thrown, &["stat > tick", "stat > immediate"]]);
    }
}

#[test]
fn the_installed_node_has_the_order_of_its_preset() {
    let Some(_) = peer("node") else { return };
    let version = node_version().unwrap();
    let major: u32 = version.trim_start_matches('v').split('.').next().unwrap().parse().unwrap();
    let preset = match major {
        12..20 => "node12",
        20 => "node20",
        22..26 => "node22",
        26.. => "node26",
        _ => return, // no preset speaks for it
    };
    for (index, script) in SCRIPTS.iter().enumerate() {
        if preset == "node26" && index == 3 {
            continue; // undefined there: SEMANTICS X3
        }
        let real = order_in_node(script, &file()).unwrap();
        assert_eq!(order(index).lines(preset).unwrap(), real, "{version}: {}", script.title);
    }
}

#[test]
fn rows_that_differ_are_marked() {
    let page = Page::memory();
    event_order::run(&page, &file(), false).unwrap();
    let text = page.text();
    for row in [
        "       node26                 node22                 browser                textbook\n",
        "       libuv                  node20\n",
        "   6   promise > tick         promise > tick         promise > tick         promise > tick\n",
        "* 11   file                   immediate 1            timeout 1 > tick       file\n",
        "*  2   immediate > timeout\n",
    ] {
        assert!(text.contains(row), "{row}is not in\n{text}");
    }
}

fn order(script: usize) -> Table {
    event_order::order(&SCRIPTS[script], &file()).expect("a loop can be made")
}

#[track_caller]
fn assert_order(table: &Table, preset: &str, expected: &[&[&str]]) {
    assert_eq!(table.lines(preset).expect("a preset"), expected.concat(), "{preset}");
}

/// A small file.
fn file() -> PathBuf {
    workspace_root().join("Cargo.toml")
}

// --- event_order --explain -------------------------------------------------------------------------------------------

#[test]
fn an_explanation_lists_the_labels_in_the_order_of_the_runner() {
    for scenario in given().iter().step_by(3) {
        for node in [Node::Node10, Node::Node18, Node::Node26] {
            let text = explained(&[&given_file(&scenario.name), "--profile", node.name()]);
            let expected = trace(scenario, node, Time::Virtual).unwrap();
            assert_eq!(labels_of(&text), expected, "{} in {node}\n{text}", scenario.name);
        }
    }
}

#[test]
fn the_articles_scenario_has_the_order_of_its_script() {
    let table = order(0);
    for profile in PROFILES {
        let Some(lines) = table.lines(&profile.name.replace("libuv_", "libuv ")) else { continue };
        assert_eq!(
            labels_of(&explained(&["--explain", "--profile", profile.name])),
            lines,
            "{}",
            profile.name
        );
    }
}

#[test]
fn an_explanation_says_where_each_label_ran() {
    let text = explained(&["--explain", "--profile", "node22"]);
    for line in [
        "   1     0  main     program      main begins\n",
        "   3     0  main     tick           tick\n",
        "   7     0  timers   callback     timeout 1\n",
        "         1  poll     callback     (open)\n",
        "  13     1  check    microtask      immediate 1 > promise\n",
        "  15     4  poll     callback     file\n",
    ] {
        assert!(text.contains(line), "{line}is not in\n{text}");
    }
    let textbook = explained(&["--profile", "textbook"]);
    assert!(textbook.contains("  11     1  pending  callback     file\n"), "{textbook}");
    let end = explained(&[&given_file("E1-before-exit-then-exit")]);
    assert!(end.contains("  end      exit "), "{end}");
}

#[test]
fn a_comparison_names_the_rule_by_which_two_profiles_part() {
    for (name, profiles, rule) in [
        ("M1-drain-between-timers-of-one-duration", "node10,node12", "M1"),
        ("M3-drain-between-immediates", "node10,node12", "M3"),
        ("P2-await-costs", "node10,node12", "P2, P9"),
        ("X4-throw-in-main", "node10,node12", "X4"),
        ("X9-an-interval-survives-a-throw", "node10,node12", "X9"),
        ("L6-due-timers-get-a-last-chance", "node18,node20", "L6"),
        ("T15-the-timers-phase-may-repeat-before-libuv-1-48", "node20,node22", "T15"),
        ("T2-negative-durations-warn-since-node24", "node22,node24", "T2"),
        ("W3-read-file-hops", "node24,node26", "W3"),
        ("M4-drain-between-pool-completions", "node12,textbook", "M4, M5"),
        ("T5-a-whole-list-runs-before-an-earlier-timer-of-another-list", "node26,browser", "T6, T14, B3"),
    ] {
        let text = explained(&[&given_file(name), "--compare", profiles]);
        let named: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("----  they part: ")).collect();
        assert!(!named.is_empty() && named.iter().all(|named| *named == rule), "{rule}\n{text}");
        let (one, other) = profiles.split_once(',').unwrap();
        let back = explained(&[&given_file(name), "--compare", &format!("{other},{one}")]);
        assert!(back.contains(&format!("they part: {rule}\n")), "{back}");
    }
}

#[test]
fn rules_of_a_comparison_make_the_one_order_of_the_other_and_none_is_idle() {
    let script = Script::article();
    let named = |name| Profile::named(name).unwrap();
    let comparison = Comparison::of(&script, [named("node22"), named("textbook")]).unwrap();
    let rules: Vec<_> = comparison.knobs.iter().map(|knob| knob.rules).collect();
    assert_eq!(rules, ["M1", "M3", "W3"]);
    let file = comparison.partings.iter().find(|parting| parting.knobs.iter().any(|knob| knob.rules == "W3"));
    assert!(file.is_some(), "{:?}", comparison.partings);
    let timers: Vec<_> = comparison.partings[0].knobs.iter().map(|knob| knob.rules).collect();
    assert!(
        timers.contains(&"M1") && !timers.contains(&"W3"),
        "the timers come first, and no file: {timers:?}"
    );
}

#[test]
fn an_interval_of_no_delay_can_be_explained_by_mixed_rules() {
    // Each mixture on the way from one to the other comes to its end.
    let file = workspace_root().join("tests/conformance/browser/B1-an-interval-of-0-runs-at-once.json");
    let text = explained(&[&file.display().to_string(), "--compare", "node26,browser"]);
    assert!(text.contains("they part: T6, T14, B3; B1; T8, B5"), "{text}");
}

#[test]
fn profiles_that_agree_are_said_to() {
    let text = explained(&["--compare", "node16,node18"]);
    assert!(
        text.contains("node16 and node18 have the same order here.\nEach label has the same turn"),
        "{text}"
    );
    let text = explained(&["--compare", "node18,node20"]);
    assert!(text.contains("same order here.\nThe turn or the phase of 5 labels differs.\n"), "{text}");
}

#[test]
fn a_page_has_every_label_and_needs_nothing_else() {
    for scenario in given() {
        let script = Script::load(&OsString::from(given_file(&scenario.name))).unwrap();
        for name in ["node10", "node26", "textbook"] {
            let profile = Profile::named(name).unwrap();
            let timeline = Timeline::of(&script, profile).unwrap();
            let page = html::explain(&script, profile, &timeline);
            assert_stands_alone(&page);
            for entry in &timeline.entries {
                assert!(page.contains(&format!("data-label=\"{}\"", escape(&entry.text))), "{}", entry.text);
                assert!(page.contains(&format!("<td>{}</td>", escape(&entry.why.text))), "{}", entry.text);
            }
        }
    }
}

#[test]
fn a_page_says_where_queues_drain_late() {
    let script =
        Script::load(&OsString::from(given_file("M1-drain-between-timers-of-one-duration"))).unwrap();
    for (name, said) in [("node10", "when the list is over"), ("textbook", "when the phase is over")] {
        let profile = Profile::named(name).unwrap();
        let page = html::explain(&script, profile, &Timeline::of(&script, profile).unwrap());
        let (_, behind) = page.split_once(&format!("<li class=\"late\">{said}</li>")).expect("it is said");
        assert!(
            behind.starts_with("<li class=\"chip drained tick\">") && behind.contains("t1.tick"),
            "{name}"
        );
    }
    let profile = Profile::named("node12").unwrap();
    let page = html::explain(&script, profile, &Timeline::of(&script, profile).unwrap());
    assert!(!page.contains("class=\"late\""));
}

#[test]
fn a_page_of_two_marks_what_moved_on_both_sides() {
    let script = Script::article();
    let profiles = ["node22", "node26"].map(|name| Profile::named(name).unwrap());
    let page = html::compare(&script, &Comparison::of(&script, profiles).unwrap());
    assert_stands_alone(&page);
    assert_eq!(page.matches(" moved\"><button").count(), 6, "file, its tick and its promise, twice");
    for said in ["W3: Node 26 has “file” and 2 more here", "W3: later in Node 22", "W3: earlier in Node 26"]
    {
        assert!(page.contains(&format!("<li class=\"parting\">{said}</li>")), "{said}");
    }
}

#[test]
fn nothing_of_a_scenario_becomes_markup() {
    let evil = r#"<img src=x onerror='alert(1)'>&\""#;
    let json = format!(
        r#"{{ "name": {evil:?}, "rule": "combined", "about": {evil:?}, "program": [
            {{ "op": "on", "emitter": {evil:?}, "event": {evil:?}, "label": {evil:?} }},
            {{ "op": "emit", "emitter": {evil:?}, "event": {evil:?} }} ] }}"#
    );
    let file = Temporary::write("evil", &json);
    let script = Script::load(file.0.as_os_str()).unwrap();
    let profile = Profile::named("node26").unwrap();
    let page = html::explain(&script, profile, &Timeline::of(&script, profile).unwrap());
    assert!(!page.contains("<img") && page.contains("&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;"));
    let comparison = Comparison::of(&script, [profile, Profile::named("node10").unwrap()]).unwrap();
    assert!(!html::compare(&script, &comparison).contains("<img"));
}

#[test]
fn a_page_that_cannot_be_written_is_refused_before_anything_is_said() {
    let (result, text) = asked(&["--html", "/nowhere/page.html"]);
    let error = result.expect_err("there is no such folder").to_string();
    assert!(error.starts_with("/nowhere/page.html: cannot be written"), "{error}");
    assert_eq!(text, "");
}

/// What `event_order` writes for a command line that asks for an explanation.
fn explained(arguments: &[&str]) -> String {
    let (result, text) = asked(arguments);
    result.expect("it runs");
    text
}

fn asked(arguments: &[&str]) -> (io::Result<()>, String) {
    const USAGE: Usage = Usage {
        name: "event_order",
        about: "",
        flags: &[
            ("--explain", ""),
            ("FILE", ""),
            ("--profile P", ""),
            ("--compare P,Q", ""),
            ("--html OUT", ""),
        ],
    };
    let flags = USAGE.read(arguments.iter().map(OsString::from)).expect("known flags");
    let page = Page::memory();
    let result = Request::read(&flags).expect("it can be read").expect("an explanation").run(&page);
    (result, page.text())
}

/// The labels of an explanation: what stands behind the numbers.
fn labels_of(text: &str) -> Vec<String> {
    let numbered = |line: &&str| line.get(..4).is_some_and(|number| number.trim().parse::<usize>().is_ok());
    text.lines().filter(numbered).map(|line| line[34..].trim_start().to_owned()).collect()
}

#[track_caller]
fn assert_stands_alone(page: &str) {
    for foreign in ["http:", "https:", "src=", "url(", "@import", "<link"] {
        assert!(!page.contains(foreign), "the page has {foreign}");
    }
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
}

fn given() -> Vec<Scenario> {
    load_folder(&workspace_root().join("tests/conformance/given")).expect("they can be read")
}

fn given_file(name: &str) -> String {
    workspace_root().join(format!("tests/conformance/given/{name}.json")).display().to_string()
}

/// A file of one test, removed at its end.
struct Temporary(PathBuf);

impl Temporary {
    fn write(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("phaseloop-{name}-{}.json", std::process::id()));
        std::fs::write(&path, text).expect("the temporary folder is writable");
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0); // nothing is lost if it stays
    }
}

// --- the others -------------------------------------------------------------------------------------------------------

#[test]
fn timers_show_a_whole_list_before_an_earlier_timer() {
    let page = Page::memory();
    timers::run(&page).unwrap();
    let text = page.text();
    let seen = |part: &str| text.matches(part).count();
    assert_eq!((seen("A, due at 10"), seen("B, due at 11"), seen("C, due at 14")), (2, 2, 2), "{text}");
    let (lists, table) = text.split_once("The same with lp.timer").unwrap();
    assert!(lists.find("C, due at 14") < lists.find("B, due at 11"), "{text}");
    assert!(table.find("B, due at 11") < table.find("C, due at 14"), "{text}");
    assert!(text.contains("idle for 20 ms") && text.contains("the time was up"), "{text}");
}

#[test]
fn a_node_child_answers_and_serves() {
    let Some(_) = peer("node") else { return };
    let page = Page::memory();
    node_child::run(&page).unwrap();
    assert_eq!(page.text(), NODE_CHILD);
}

const NODE_CHILD: &str = "\
Messages both ways
  [1, 2, 3] -> {\"sum\":6}
  [20, 22] -> {\"sum\":42}

A listener for the child
  handed over -> {\"serving\":true}
  a client reads: hello from node, phaseloop

The end
  the child ends with exit status: 0
";

#[test]
fn the_task_bus_tells_its_listeners() {
    let page = Page::memory();
    task_bus::run(&page).unwrap();
    assert_eq!(page.text(), TASK_BUS);
}

const TASK_BUS: &str = "\
An emitter and timers
  resize   submitted (request 1)
  upload   submitted (request 2)
  cleanup  submitted (no request)
all submitted, the loop starts
  upload   done, heard first (request 2)
  upload   done, heard once (request 2)
  upload   done (request 2)
  resize   done, heard first (request 1)
  resize   done (request 1)
uncaught: task cleanup failed and nobody listens
now somebody listens to errors:
  cleanup  submitted (request 3)
  cleanup  failed (request 3)

The same with tasks and a channel
  upload   done (request 2)
  resize   done (request 1)
  cleanup  failed (request 3)
  all tasks have ended
";

#[test]
fn an_embedded_loop_runs_beside_its_host() {
    let page = Page::memory();
    embed::run(&page, embed::three_lines().unwrap()).unwrap();
    let text = page.text();
    assert_eq!(
        said(&text, "host"),
        [
            "read `one` from its own descriptor",
            "read `two` from its own descriptor",
            "read `three` from its own descriptor",
            "the input and the loop have ended",
        ]
    );
    assert_eq!(said(&text, "thread"), ["posted closure 1", "posted closure 2", "posted closure 3"]);
    let timers: Vec<_> = said(&text, "loop").into_iter().filter(|line| line.starts_with("timer")).collect();
    assert_eq!(timers, ["timer, time 1", "timer, time 2", "timer, time 3", "timer, time 4"]);
    assert_eq!(said(&text, "loop").len(), timers.len() + 2, "both tasks have ended: {text}");
}

/// What one of those who speak said, without the times.
fn said<'a>(text: &'a str, who: &str) -> Vec<&'a str> {
    let lines = text.lines().filter_map(|line| line.split_once(" ms  "));
    lines.filter_map(|(_, said)| said.strip_prefix(who)).map(str::trim).collect()
}

#[test]
fn a_forwarder_passes_bytes_and_both_ends_on() {
    let lp = EventLoop::new().unwrap();
    let name = UnixAddr::abstract_name(format!("phaseloop-forward-{}", std::process::id()));
    let server = UnixListener::bind(&lp, &name).unwrap();
    let page = Page::memory();
    let from = Place::parse("127.0.0.1:0").unwrap();
    let Place::Tcp(address) = port_forward::serve(&lp, &from, Place::Unix(name), &page).unwrap() else {
        panic!("it listens where it was told to")
    };
    let talk = async {
        let client = TcpStream::connect(&lp, address).await?;
        let (stream, _) = server.accept().await?;
        client.write_all(b"question").await?;
        client.shutdown().await?;
        let mut buf = [0; 16];
        stream.read_exact(&mut buf[..8]).await?;
        assert_eq!(stream.read(&mut buf).await?, 0, "the end is passed on");
        stream.write_all(b"answer").await?;
        stream.close();
        client.read_exact(&mut buf[..6]).await?;
        assert_eq!(&buf[..6], b"answer");
        assert_eq!(client.read(&mut buf).await?, 0);
        server.close();
        let refused = TcpStream::connect(&lp, address).await?;
        assert_eq!(refused.read(&mut buf).await?, 0);
        Ok::<_, std::io::Error>(())
    };
    lp.block_on(talk).unwrap().unwrap();
    let text = page.text();
    assert!(text.starts_with("8 bytes forth, 6 back\n") && text.contains("refused"), "{text}");
    assert!(Place::parse("nowhere").unwrap_err().contains("nowhere"));
}

#[test]
fn panics_end_where_they_are_said_to() {
    let page = Page::memory();
    panics::run(&page).unwrap();
    assert_eq!(page.text(), PANICS);
}

const PANICS: &str = "\
In a callback, without a hook: it leaves `run`, and the loop can be run again
  immediate 1
  `run` panicked: immediate 2 panics; it is called again
  immediate 3

In a callback, with a hook: the loop goes on, and what the callback queued comes late
  on_uncaught: immediate 1 panics
  immediate 2
  tick of immediate 1: after a panic nothing is drained, it had to wait

In an interval, with a hook: it goes on
  interval, time 1
  on_uncaught: the interval panics
  another timer of the same list
  interval, time 2
  interval, time 3

In a tick, with a hook: it ends the drain; the rest waits for the next callback
  on_uncaught: tick 1 panics
  immediate
  tick 2
  microtask

In a listener: it passes through `emit` to whoever emits; listeners behind it do not run
  listener 1
  on_uncaught: listener 2 panics

In a task that is joined: it becomes the task's result
  the join handle says: the task panicked: the task panics

In a detached task: it is counted, and a hook of its own is told
  on_task_failure: the task panics
  the loop goes on
  failed tasks so far: 1
";

// --- http2_time -------------------------------------------------------------------------------------------------------

#[test]
fn the_time_is_told_every_two_seconds_on_one_answer() {
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    let told = lp.block_on(async {
        let serving = http2_time::server().listen(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
        let stream = TcpStream::connect(&lp, serving.local_addr().unwrap()).await.unwrap();
        stream.write_all(b"GET /time HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let (start, mut read, mut told) = (lp.now(), String::new(), Vec::new());
        while told.len() < 3 {
            let mut buf = [0; 1024];
            let len = stream.read(&mut buf).await.unwrap();
            read.push_str(std::str::from_utf8(&buf[..len]).unwrap());
            // A line of the body: seconds and thousandths.
            let lines = read.lines().filter(|line| line.split_once('.').is_some_and(|(_, ms)| ms.len() == 3));
            told.resize(lines.count(), (lp.now() - start).as_secs());
        }
        stream.close();
        lp.sleep(http2_time::PERIOD).await;
        assert_eq!(serving.stats().connections, 0);
        assert_eq!(lp.task_count(), 2, "the test and the accepting; who told the time has noticed");
        told
    });
    assert_eq!(told.unwrap(), [0, 2, 4]);
}

#[test]
fn everything_else_is_json() {
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    let answer = lp.block_on(async {
        let serving = http2_time::server().listen(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
        let stream = TcpStream::connect(&lp, serving.local_addr().unwrap()).await.unwrap();
        stream.write_all(b"GET /a%22b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        futures::AsyncReadExt::read_to_string(&mut &stream, &mut answer).await.unwrap();
        answer
    });
    let answer = answer.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/json"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["path"], "/a%22b");
    assert_eq!(body["protocol"], "HTTP/1.1");
}

// --- ws_echo ----------------------------------------------------------------------------------------------------------

#[test]
fn the_socket_says_what_it_hears_compressed_and_not() {
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    let heard = lp.block_on(async {
        let serving = ws_echo::server().listen(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
        let uri = format!("ws://{}/", serving.local_addr().unwrap());
        let connector = Connector::new(&Client::new(&lp), WsOptions::default());
        let mut heard = Vec::new();
        for connector in [connector.clone(), connector.deflate(DeflateOptions::default())] {
            let mut socket = connector.connect(&uri).await.unwrap();
            socket.send("hello ".repeat(1000)).await.unwrap();
            heard.push(socket.next().await.unwrap().len());
        }
        heard
    });
    assert_eq!(heard.unwrap(), [6000, 6000]);
}
