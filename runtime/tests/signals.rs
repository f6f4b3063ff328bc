//! Signals: who is told, how often, and what is left of it. The tests take turns, for signals are the process's.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod again;
mod loopback;
#[path = "signals/sys.rs"]
mod sys;

use std::cell::Cell;
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard};

use loopback::{Dropped, Log, block_on, finish, new_loop, run, run_while};
use phaseloop::signal::{SecondSignal, Signal, SignalWatcher, shutdown_signal};
use phaseloop::{ContextKey, EventLoop, HandleKind, LoopHandle, RunMode};

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn raise(signal: Signal) {
    sys::raise(signal.number());
}

/// A watcher that logs what it is told.
fn logs(lp: &LoopHandle, log: &Log, name: &'static str, signal: Signal) -> SignalWatcher {
    let (watcher, log) = (SignalWatcher::new(lp).unwrap(), log.clone());
    watcher.start(signal, move |_, signal| log.add(format!("{name} {signal}"))).unwrap();
    watcher
}

#[test]
fn every_watcher_of_a_signal_is_told_of_each_arrival() {
    let _turn = turn();
    let (lp, log) = (new_loop(), Log::default());
    let watchers = [
        logs(&lp, &log, "a", Signal::USR1),
        logs(&lp, &log, "b", Signal::USR1),
        logs(&lp, &log, "c", Signal::USR2),
    ];
    raise(Signal::USR2);
    raise(Signal::USR1);
    raise(Signal::USR1);
    lp.run(RunMode::Once).unwrap();
    assert_eq!(log.lines(), ["a SIGUSR1", "b SIGUSR1", "a SIGUSR1", "b SIGUSR1", "c SIGUSR2"]);
    watchers.iter().for_each(SignalWatcher::close);
    run(&lp);
}

#[test]
fn several_loops_are_told_each() {
    let _turn = turn();
    let loops = [new_loop(), new_loop(), new_loop()];
    let log = Log::default();
    let watchers: Vec<_> = loops.iter().map(|lp| logs(lp, &log, "told", Signal::USR1)).collect();
    watchers[1].close();
    raise(Signal::USR1);
    for lp in &loops {
        lp.run(RunMode::NoWait).unwrap();
    }
    assert_eq!(log.len(), 2);
    watchers.iter().for_each(SignalWatcher::close);
}

#[test]
fn loops_on_other_threads_are_woken_each() {
    let _turn = turn();
    let (ready, all_ready) = std::sync::mpsc::channel();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let ready = ready.clone();
            std::thread::spawn(move || {
                let lp = new_loop();
                let told = Rc::new(Cell::new(0));
                let count = Rc::clone(&told);
                let watcher = SignalWatcher::new(&lp).unwrap();
                watcher
                    .start(Signal::USR2, move |watcher, _| {
                        count.set(count.get() + 1);
                        watcher.close();
                    })
                    .unwrap();
                ready.send(()).unwrap();
                run(&lp);
                told.get()
            })
        })
        .collect();
    (0..4).for_each(|_| all_ready.recv().unwrap());
    raise(Signal::USR2);
    assert!(threads.into_iter().all(|thread| thread.join().unwrap() == 1));
}

#[test]
fn a_one_shot_is_told_once_beside_a_regular_one() {
    let _turn = turn();
    let (lp, log) = (new_loop(), Log::default());
    let once = SignalWatcher::new(&lp).unwrap();
    let lines = log.clone();
    once.start_once(Signal::USR1, move |once, _| {
        assert!(!once.is_active(), "it is stopped before it is told");
        lines.add("once");
    })
    .unwrap();
    let regular = logs(&lp, &log, "regular", Signal::USR1);
    raise(Signal::USR1);
    raise(Signal::USR1);
    lp.run(RunMode::Once).unwrap();
    raise(Signal::USR1);
    lp.run(RunMode::Once).unwrap();
    assert_eq!(log.lines(), ["once", "regular SIGUSR1", "regular SIGUSR1", "regular SIGUSR1"]);
    once.close();
    regular.close();
    run(&lp);
}

#[test]
fn a_one_shot_may_start_itself_again() {
    let _turn = turn();
    let (lp, log) = (new_loop(), Log::default());
    fn again(watcher: &SignalWatcher, log: Log) {
        watcher
            .start_once(Signal::USR1, move |watcher, _| {
                log.add("told");
                if log.len() < 3 { again(watcher, log.clone()) } else { watcher.close() }
            })
            .unwrap();
    }
    again(&SignalWatcher::new(&lp).unwrap(), log.clone());
    for _ in 0..3 {
        raise(Signal::USR1);
        lp.run(RunMode::Once).unwrap();
    }
    run(&lp);
    assert_eq!(log.len(), 3);
}

#[test]
fn closing_with_a_signal_pending_calls_close_last_and_nothing_else() {
    let _turn = turn();
    let (lp, log) = (new_loop(), Log::default());
    let watcher = logs(&lp, &log, "told", Signal::USR1);
    let other = logs(&lp, &log, "other", Signal::USR1);
    raise(Signal::USR1);
    let lines = log.clone();
    assert!(watcher.close_with(move |_| lines.add("closed")));
    assert!(!watcher.close_with(|_| {}));
    assert!(watcher.start(Signal::USR1, |_, _| {}).is_err());
    other.unref();
    assert!(lp.is_alive(), "a closing handle keeps the loop alive");
    run(&lp);
    assert_eq!(log.lines(), ["other SIGUSR1", "closed"]);
}

#[test]
fn stopping_another_in_a_callback_keeps_the_signal_from_it() {
    let _turn = turn();
    let (lp, log) = (new_loop(), Log::default());
    let first = SignalWatcher::new(&lp).unwrap();
    let second = logs(&lp, &log, "second", Signal::USR1);
    let (lines, victim) = (log.clone(), second.clone());
    let stop = move |first: &SignalWatcher, _| {
        lines.add("first");
        victim.close();
        first.close();
    };
    second.stop();
    first.start(Signal::USR1, stop).unwrap();
    let lines = log.clone();
    second.start(Signal::USR1, move |_, _| lines.add("second")).unwrap();
    raise(Signal::USR1);
    run(&lp);
    assert_eq!(log.lines(), ["first"]);
}

#[test]
fn what_the_process_did_at_a_signal_is_restored_with_the_last_watcher() {
    let _turn = turn();
    let before = sys::handler(Signal::USR1.number());
    let (a, b) = (new_loop(), new_loop());
    let log = Log::default();
    let watchers = [logs(&a, &log, "a", Signal::USR1), logs(&b, &log, "b", Signal::USR1)];
    assert_ne!(sys::handler(Signal::USR1.number()), before);
    watchers[0].close();
    assert_ne!(sys::handler(Signal::USR1.number()), before);
    watchers[1].stop();
    assert_eq!(sys::handler(Signal::USR1.number()), before);
    watchers[1].start(Signal::USR1, |_, _| {}).unwrap();
    drop(b);
    assert_eq!(sys::handler(Signal::USR1.number()), before, "a loop that is dropped lets go too");
    sys::ignore(Signal::USR2.number());
    let watcher = logs(&a, &log, "a", Signal::USR2);
    watcher.close();
    assert_eq!(sys::handler(Signal::USR2.number()), libc::SIG_IGN, "also if that was to ignore it");
    run(&a);
}

#[test]
fn nothing_is_left_in_a_loop_that_watches_no_more() {
    let _turn = turn();
    let lp = new_loop();
    let descriptors = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let before = descriptors();
    for _ in 0..10 {
        let watcher = SignalWatcher::new(&lp).unwrap();
        watcher.start(Signal::USR1, |_, _| {}).unwrap();
        assert!(descriptors() <= before + 2);
        watcher.close();
    }
    assert_eq!(descriptors(), before);
    finish(lp);
}

#[test]
fn signals_that_nobody_can_catch_are_refused_with_the_reason() {
    let _turn = turn();
    let lp = new_loop();
    let watcher = SignalWatcher::new(&lp).unwrap();
    for (signal, why) in [
        (Signal::KILL, "SIGKILL can not be watched: the system lets nobody catch it"),
        (Signal::STOP, "SIGSTOP can not be watched: the system lets nobody catch it"),
        (Signal::SEGV, "SIGSEGV can not be watched: it comes from a faulty instruction"),
    ] {
        let error = watcher.start(signal, |_, _| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with(why), "{error}");
        assert!(lp.signals(&[Signal::USR1, signal]).is_err());
    }
    assert!(!watcher.is_active());
    watcher.close();
    drop(watcher);
    finish(lp);
}

#[test]
fn an_unreferenced_watcher_does_not_hold_the_loop() {
    let _turn = turn();
    let lp = new_loop();
    let watcher = SignalWatcher::new(&lp).unwrap();
    assert!(!lp.is_alive());
    watcher.start(Signal::USR1, |_, _| {}).unwrap();
    assert!(lp.is_alive());
    let mut kinds = Vec::new();
    lp.walk(|info| kinds.push((info.kind, info.active)));
    assert_eq!(kinds, [(HandleKind::Signal, true), (HandleKind::SignalHub, false)]);
    watcher.unref();
    run(&lp);
    watcher.ref_();
    watcher.close();
    run(&lp);
}

#[test]
fn a_panic_in_one_callback_leaves_the_others_their_signal() {
    let _turn = turn();
    let (lp, log) = (new_loop(), Log::default());
    let bad = SignalWatcher::new(&lp).unwrap();
    bad.start(Signal::USR1, |_, _| panic!("on purpose")).unwrap();
    let good = logs(&lp, &log, "good", Signal::USR1);
    raise(Signal::USR1);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lp.run(RunMode::Once))).is_err());
    assert_eq!(log.len(), 0);
    lp.run(RunMode::Once).unwrap();
    assert_eq!(log.lines(), ["good SIGUSR1"]);
    bad.close();
    good.close();
    run(&lp);
}

#[test]
fn a_storm_is_counted_up_to_its_bound() {
    let _turn = turn();
    let lp = new_loop();
    let told = Rc::new(Cell::new(0));
    let count = Rc::clone(&told);
    let watcher = SignalWatcher::new(&lp).unwrap();
    watcher.start(Signal::USR1, move |_, _| count.set(count.get() + 1)).unwrap();
    (0..3000).for_each(|_| raise(Signal::USR1));
    lp.run(RunMode::NoWait).unwrap();
    assert_eq!(told.get(), 1024);
    (0..10).for_each(|_| raise(Signal::USR1));
    lp.run(RunMode::NoWait).unwrap();
    assert_eq!(told.get(), 1034);
    watcher.close();
    run(&lp);
}

#[test]
fn signals_come_as_a_stream() {
    use futures::StreamExt;
    let _turn = turn();
    let lp = new_loop();
    let mut signals = lp.signals(&[Signal::USR1, Signal::USR2]).unwrap();
    raise(Signal::USR2);
    raise(Signal::USR1);
    let got = block_on(&lp, signals.by_ref().take(2).collect::<Vec<_>>());
    assert_eq!(got, [Signal::USR1, Signal::USR2], "what arrived together comes by number");
    assert!(!lp.is_alive(), "the stream does not hold the loop");
    drop(signals);
    finish(lp);
}

#[test]
fn a_stream_ends_with_its_loop_and_a_callback_is_dropped() {
    let _turn = turn();
    let lp = new_loop();
    let mut signals = lp.signals(&[Signal::USR1]).unwrap();
    let (guard, drops) = Dropped::new();
    let watcher = SignalWatcher::new(&lp).unwrap();
    let own = watcher.clone();
    watcher
        .start(Signal::USR1, move |_, _| {
            guard.keep();
            own.stop();
        })
        .unwrap();
    drop(lp);
    assert_eq!(drops.get(), 1);
    let other = new_loop();
    assert_eq!(block_on(&other, signals.next()), None);
    assert!(watcher.start(Signal::USR1, |_, _| {}).is_err());
}

#[test]
fn a_shutdown_is_asked_for_by_either_signal() {
    let _turn = turn();
    let lp = new_loop();
    for signal in [Signal::INT, Signal::TERM] {
        let shutdown = shutdown_signal(&lp, SecondSignal::Ends).unwrap();
        raise(signal);
        assert_eq!(block_on(&lp, shutdown), signal);
    }
    let mut patient = shutdown_signal(&lp, SecondSignal::IsIgnored).unwrap();
    raise(Signal::INT);
    raise(Signal::INT);
    assert_eq!(block_on(&lp, &mut patient), Signal::INT);
    assert_eq!(block_on(&lp, &mut patient), Signal::INT);
}

#[test]
fn a_second_request_to_shut_down_ends_a_process_that_is_stuck() {
    let _turn = turn();
    let mut child = again::command("stuck").stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id().to_string();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut wait_for = |text: &str| while !lines.next().unwrap().unwrap().contains(text) {};
    let kill = |signal: &str| {
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success())
    };
    wait_for("watching");
    kill("-INT");
    wait_for("asked to shut down by SIGINT");
    kill("-TERM");
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::TERM.number()));
}

/// Is asked to shut down, says so, and never does.
fn get_stuck() {
    let lp = EventLoop::new().unwrap();
    let mut shutdown = shutdown_signal(&lp, SecondSignal::Ends).unwrap();
    say("watching");
    let signal = lp.block_on(&mut shutdown).unwrap();
    say(&format!("asked to shut down by {signal}"));
    loop {
        std::thread::park(); // the loop is not run any more
    }
}

#[test]
fn one_of_two_that_wait_for_a_shutdown_does_not_speak_for_the_other() {
    let _turn = turn();
    let status = again::output("two").status;
    assert_eq!(status.signal(), Some(Signal::TERM.number()), "{status}");
}

fn shut_down_twice_over() {
    let lp = EventLoop::new().unwrap();
    let first = shutdown_signal(&lp, SecondSignal::Ends).unwrap();
    let mut second = shutdown_signal(&lp, SecondSignal::Ends).unwrap();
    drop(first);
    raise(Signal::INT);
    assert_eq!(lp.block_on(&mut second).unwrap(), Signal::INT);
    let _third = shutdown_signal(&lp, SecondSignal::Ends).unwrap(); // it comes between the two signals
    raise(Signal::TERM);
    panic!("the second signal ends the process");
}

#[test]
fn a_second_request_ends_also_the_first_process_of_a_container() {
    let _turn = turn();
    let child = again::command("first");
    let as_root = rustix::process::geteuid().is_root();
    let unshare = || {
        let mut unshare = std::process::Command::new("unshare");
        unshare
            .args(if as_root { &[][..] } else { &["--user", "--map-root-user"] })
            .args(["--pid", "--fork"]);
        unshare
    };
    if !unshare().arg("true").status().is_ok_and(|status| status.success()) {
        // Past the harness, which would keep it to itself.
        let notice = b"SKIPPED: a_second_request_ends_also_the_first_process_of_a_container: no unshare, or not allowed\n";
        std::io::Write::write_all(&mut std::io::stderr(), notice).unwrap();
        return;
    }
    let mut unshare = unshare();
    unshare.arg(child.get_program()).args(child.get_args());
    unshare.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = unshare.output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(128 + Signal::TERM.number()),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn be_the_first_process() {
    assert_eq!(std::process::id(), 1);
    let lp = EventLoop::new().unwrap();
    let _shutdown = shutdown_signal(&lp, SecondSignal::Ends).unwrap();
    raise(Signal::INT);
    raise(Signal::TERM);
    panic!("the second signal ends the process");
}

static WHO: ContextKey<u8> = ContextKey::new();

#[test]
fn callbacks_have_the_context_of_their_registration() {
    let _turn = turn();
    let (lp, log) = (new_loop(), Log::default());
    let (watcher, once) = (SignalWatcher::new(&lp).unwrap(), SignalWatcher::new(&lp).unwrap());
    let (all, one) = (log.clone(), log.clone());
    WHO.scope(&lp, 7, || {
        watcher
            .start(Signal::USR1, move |w, _| all.add(format!("{:?}", WHO.get(w.lp()).as_deref())))
            .unwrap();
        once.start_once(Signal::USR1, move |w, _| one.add(format!("{:?}", WHO.get(w.lp()).as_deref())))
            .unwrap();
    });
    raise(Signal::USR1);
    lp.run(RunMode::Once).unwrap();
    assert_eq!(log.lines(), ["Some(7)", "Some(7)"]);
    watcher.close();
    once.close();
    finish(lp);
}

#[allow(clippy::print_stdout, reason = "the parent reads it")]
fn say(line: &str) {
    println!("{line}");
}

#[test]
fn a_signal_that_interrupts_poll_is_told() {
    let _turn = turn();
    let (lp, log) = (new_loop(), Log::default());
    let watcher = logs(&lp, &log, "told", Signal::USR1);
    let pid = std::process::id().to_string();
    let sender = std::thread::spawn(move || {
        std::process::Command::new("kill").args(["-USR1", &pid]).status().unwrap().success()
    });
    run_while(&lp, || log.len() == 0);
    assert!(sender.join().unwrap());
    watcher.close();
    run(&lp);
}

/// Not a test of its own: the children of the tests above start here.
#[test]
fn in_a_child() {
    match again::role().as_deref() {
        Some("stuck") => get_stuck(),
        Some("two") => shut_down_twice_over(),
        Some("first") => be_the_first_process(),
        Some(role) => panic!("no role {role}"),
        None => {}
    }
}
