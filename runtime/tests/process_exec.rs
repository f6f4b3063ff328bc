//! Running a process to its end: bounds of output and time, input, callbacks, signals meanwhile.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod loopback;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loopback::{Log, block_on, ms, new_loop, run};
use phaseloop::process::{Command, ExecError, ExecOptions, Stdio};
use phaseloop::signal::{Signal, SignalWatcher};

fn shell(line: &str) -> Command {
    Command::shell(line)
}

#[test]
fn output_is_kept_up_to_its_bound() {
    let lp = new_loop();
    let mut options = ExecOptions::default();
    options.len_max = 1000;
    let result = block_on(&lp, shell("echo err >&2; yes").output(&lp, options.clone()));
    let Err(ExecError::TooLong(output)) = result else { panic!("{result:?}") };
    assert_eq!(output.stdout.len(), 1000);
    let output = block_on(&lp, shell("head -c 1000 /dev/zero; exit 4").output(&lp, options)).unwrap();
    assert_eq!((output.stdout.len(), output.status.unwrap().code()), (1000, Some(4)));
    let result = block_on(&lp, Command::new("/no/such/program").output(&lp, ExecOptions::default()));
    assert!(matches!(result, Err(ExecError::Spawn(_))), "{result:?}");
    run(&lp); // the killed ones are collected
    lp.close().unwrap();
}

#[test]
fn a_timeout_ends_the_process_and_its_descendants() {
    let lp = new_loop();
    let mut options = ExecOptions::default();
    options.timeout = Some(ms(1));
    // Without an end of the descendant too, the loop would wait for a thousand seconds.
    let result = block_on(&lp, shell("sleep 1000 & sleep 1000; true").output(&lp, options));
    assert!(matches!(result, Err(ExecError::Timeout(_))), "{result:?}");
    run(&lp);
    lp.close().unwrap();
}

#[test]
fn a_long_input_goes_through_and_a_callback_gets_the_output() {
    let (lp, log) = (new_loop(), Log::default());
    let mut options = ExecOptions::default();
    options.input = vec![b'x'; 500_000];
    let lines = log.clone();
    Command::new("cat").output_with(&lp, options.clone(), move |_, output| {
        lines.add(format!("{}", output.unwrap().stdout.len()));
    });
    let lines = log.clone();
    Command::new("true")
        .output_with(&lp, options, move |_, output| lines.add(format!("{}", output.unwrap().success())));
    assert_eq!(log.len(), 0);
    run(&lp);
    let mut lines = log.lines();
    lines.sort();
    assert_eq!(lines, ["500000", "true"], "a process that reads nothing is no error");
}

#[test]
fn signals_during_every_call_change_nothing() {
    let lp = new_loop();
    let told = Rc::new(Cell::new(0_u32));
    let count = Rc::clone(&told);
    let watcher = SignalWatcher::new(&lp).unwrap();
    watcher.start(Signal::URG, move |_, _| count.set(count.get() + 1)).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let quit = Arc::clone(&stop);
    let storm = std::thread::spawn(move || {
        while !quit.load(Ordering::Relaxed) {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::URG).unwrap();
            std::thread::yield_now();
        }
    });
    for _ in 0..20 {
        let mut options = ExecOptions::default();
        options.input = vec![b'x'; 100_000];
        let output = block_on(&lp, Command::new("cat").detached().output(&lp, options)).unwrap();
        assert!(output.success() && output.stdout.len() == 100_000);
    }
    stop.store(true, Ordering::Relaxed);
    storm.join().unwrap();
    watcher.close();
    run(&lp);
    assert!(told.get() > 0);
}

#[test]
fn a_process_that_closes_its_output_first_is_fed_all_the_same() {
    let lp = new_loop();
    let input = vec![b'x'; 1 << 20]; // more than a pipe holds
    let mut options = ExecOptions::default();
    options.input = input;
    let output = block_on(&lp, shell("exec >&- 2>&-; test $(wc -c) = 1048576").output(&lp, options)).unwrap();
    assert!(output.status.unwrap().success());
}

#[test]
fn an_exit_callback_that_panics_keeps_nobody_from_hearing_of_the_exit() {
    let lp = new_loop();
    let child = Command::new("true").spawn(&lp).unwrap();
    child.on_exit(|_, _| panic!("in the callback"));
    let closed = Rc::new(Cell::new(false));
    let told = Rc::clone(&closed);
    child.on_closed(move |_| told.set(true));
    let waits = lp.spawn(child.wait());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&lp)));
    assert!(panicked.is_err());
    assert!(block_on(&lp, waits).unwrap().unwrap().success());
    run(&lp);
    assert!(closed.get());
}

#[test]
fn a_tree_that_is_stopped_stays_so_until_it_may_go_on() {
    let lp = new_loop();
    let child = Command::new("sleep").arg("1000").kill_on_drop().spawn(&lp).unwrap();
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next()
    };
    // A stop is for the process to notice, so it is awaited.
    child.kill_tree(Signal::STOP).unwrap();
    loopback::run_while(&lp, || state() != Some('T'));
    child.kill_tree(Signal::CONT).unwrap();
    loopback::run_while(&lp, || state() == Some('T'));
}

#[test]
fn a_descriptor_above_the_limit_is_refused_with_the_limit() {
    let lp = new_loop();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let Ok(number) = u16::try_from(limit - 1) else { return }; // no number is too high here
    let command = Command::new("true").descriptor(number, Stdio::pipe_from_child());
    let error = command.spawn(&lp).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(text.contains(&number.to_string()) && text.contains(&limit.to_string()), "{text}");
}
