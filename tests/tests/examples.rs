//! The examples show what they say they show.

use std::path::PathBuf;

use examples::event_order::{self, SCRIPTS, Table, node_version, order_in_node};
use examples::page::Page;
use examples::{embed, http2_time, panics, task_bus, timers};
use phaseloop::EventLoop;
use phaseloop::net::TcpStream;
use phaseloop_tests::peers::peer;
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
