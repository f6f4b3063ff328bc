//! The scripts, each in Rust and in JavaScript. Both log the same words.

use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use phaseloop::LoopHandle;

use super::Log;
use super::files::Files;

/// A small program whose order is of interest.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// A headline.
    pub title: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Which rule makes the columns differ.
    pub rule: &'static str,
    /// The body of the main program.
    pub(super) main: fn(&LoopHandle, &Log, &Files),
    /// The same for Node.
    pub(super) javascript: &'static str,
}

/// All of them: the article's first, then one for each rule by which versions differ.
pub const SCRIPTS: &[Script] = &[ARTICLE, SAME_PHASE, LAST_TIMER, AFTER_A_THROW];

const ARTICLE: Script = Script {
    title: "1. The article's script",
    about: "\
Two timeouts of 0 ms, two immediates, a tick, a promise and a file read, set by a main program that then blocks until
the timers are due and the file's first job is done: without that, timeouts and immediates race. `a > b`: a set b.",
    rule: "\
Node 26 reads a small file in one job on the pool, so it comes before the immediates; Nodes up to 24 take four jobs (open,
stat, read, close), so it comes three polls later. The textbook drains ticks and promises once a phase, real loops after
each callback: so it has `timeout 2` before what `timeout 1` queued. All agree on this: ticks go before promises, and, but
for the browser, from an I/O callback an immediate goes before a timeout, even one that is due. In a browser both are
tasks of one line: first set, first run.",
    main: article,
    javascript: "
        log('main begins');
        setTimeout(() => {
            log('timeout 1');
            Promise.resolve().then(() => log('timeout 1 > promise'));
            process.nextTick(() => log('timeout 1 > tick'));
        }, 0);
        setTimeout(() => log('timeout 2'), 0);
        setImmediate(() => {
            log('immediate 1');
            Promise.resolve().then(() => log('immediate 1 > promise'));
            process.nextTick(() => log('immediate 1 > tick'));
        });
        setImmediate(() => log('immediate 2'));
        fs.readFile(file, () => {
            log('file');
            setTimeout(() => log('file > timeout'), 0);
            setImmediate(() => log('file > immediate'));
            Promise.resolve().then(() => log('file > promise'));
            process.nextTick(() => log('file > tick'));
            block(3);
        });
        Promise.resolve().then(() => {
            log('promise');
            process.nextTick(() => log('promise > tick'));
            Promise.resolve().then(() => log('promise > promise'));
        });
        process.nextTick(() => log('tick'));
        log('main ends');
        block(20);
    ",
};

fn article(lp: &LoopHandle, log: &Log, files: &Files) {
    log.line("main begins");
    lp.set_timeout(Duration::ZERO, {
        let log = log.clone();
        move |lp| {
            log.line("timeout 1");
            lp.queue_microtask(logs(&log, "timeout 1 > promise"));
            lp.next_tick(logs(&log, "timeout 1 > tick"));
        }
    });
    lp.set_timeout(Duration::ZERO, logs(log, "timeout 2"));
    lp.set_immediate({
        let log = log.clone();
        move |lp| {
            log.line("immediate 1");
            lp.queue_microtask(logs(&log, "immediate 1 > promise"));
            lp.next_tick(logs(&log, "immediate 1 > tick"));
        }
    });
    lp.set_immediate(logs(log, "immediate 2"));
    files.read_file(lp, {
        let log = log.clone();
        move |lp| {
            log.line("file");
            lp.set_timeout(Duration::ZERO, logs(&log, "file > timeout"));
            lp.set_immediate(logs(&log, "file > immediate"));
            lp.queue_microtask(logs(&log, "file > promise"));
            lp.next_tick(logs(&log, "file > tick"));
            block(3);
        }
    });
    lp.queue_microtask({
        let log = log.clone();
        move |lp| {
            log.line("promise");
            lp.next_tick(logs(&log, "promise > tick"));
            lp.queue_microtask(logs(&log, "promise > promise"));
        }
    });
    lp.next_tick(logs(log, "tick"));
    log.line("main ends");
    block(3);
}

const SAME_PHASE: Script = Script {
    title: "2. A timer that is set, and due, before the timers phase is over",
    about: "The tick of a timer sets another one, blocks until it is due, and reads the clock by setting a third.",
    rule: "\
Up to libuv 1.47 the timers phase goes on until no timer is due, so the new one still beats the immediate. Since 1.48
a phase runs what was due when it began. (The textbook runs the tick only when the phase is over.)",
    main: same_phase,
    javascript: "
        setTimeout(() => {
            log('timeout');
            process.nextTick(() => {
                log('timeout > tick');
                setTimeout(() => log('timeout > tick > timeout'), 0);
                block(3);
                clearTimeout(setTimeout(() => log('never'), 1000));
            });
        }, 0);
        setImmediate(() => log('immediate'));
        block(20);
    ",
};

fn same_phase(lp: &LoopHandle, log: &Log, _: &Files) {
    lp.set_timeout(Duration::ZERO, {
        let log = log.clone();
        move |lp| {
            log.line("timeout");
            lp.next_tick(move |lp| {
                log.line("timeout > tick");
                lp.set_timeout(Duration::ZERO, logs(&log, "timeout > tick > timeout"));
                block(3);
                let third = lp.set_timeout(Duration::from_secs(1), logs(&log, "never"));
                lp.clear_timeout(third);
            });
        }
    });
    lp.set_immediate(logs(log, "immediate"));
    block(3);
}

const LAST_TIMER: Script = Script {
    title: "3. A due timer that keeps nobody waiting",
    about: "The last immediate sets an unreferenced timeout and blocks until it is due. Nothing else is left to do.",
    rule: "\
libuv 1.45 moved the timers to the end of the turn: due timers run once more before the loop asks whether it is alive.
Before, the loop gives up first.",
    main: last_timer,
    javascript: "
        setImmediate(() => {
            log('immediate');
            setTimeout(() => log('immediate > timeout'), 0).unref();
            block(3);
        });
    ",
};

fn last_timer(lp: &LoopHandle, log: &Log, _: &Files) {
    let log = log.clone();
    lp.set_immediate(move |lp| {
        log.line("immediate");
        let timeout = lp.set_timeout(Duration::ZERO, logs(&log, "immediate > timeout"));
        lp.unref_timeout(timeout);
        block(3);
    });
}

const AFTER_A_THROW: Script = Script {
    title: "4. What a throw leaves behind",
    about: "The callback of a stat queues a tick and an immediate, and throws (here: panics). A handler takes it.",
    rule: "\
In Node and libuv nothing is drained after a throw; in a browser it is, so the tick comes first. From Node 12 to 24 it
still does, for the check phase begins with a drain of its own; in Node 26 it comes after the next callback, which is the
immediate. (Real Node 26 may drain earlier, when an internal task of the engine happens to.) The textbook drains at the end
of the phase, throw or not.",
    main: after_a_throw,
    javascript: "
        process.on('uncaughtException', (error) => log(`uncaught: ${error.message}`));
        fs.stat(file, () => {
            log('stat');
            process.nextTick(() => log('stat > tick'));
            setImmediate(() => log('stat > immediate'));
            throw new Error('a throw');
        });
    ",
};

fn after_a_throw(lp: &LoopHandle, log: &Log, files: &Files) {
    lp.on_uncaught({
        let log = log.clone();
        move |_, uncaught| log.line(&format!("uncaught: {}", uncaught.message().unwrap_or("?")))
    });
    let log = log.clone();
    files.stat(lp, move |lp| {
        log.line("stat");
        lp.next_tick(logs(&log, "stat > tick"));
        lp.set_immediate(logs(&log, "stat > immediate"));
        resume_unwind(Box::new("a throw")); // a panic, without the panic hook's lines on standard error
    });
}

/// A callback that logs one line.
fn logs(log: &Log, line: &'static str) -> impl FnOnce(&LoopHandle) + 'static {
    let log = log.clone();
    move |_| log.line(line)
}

/// Keeps the thread busy: what is due in less than that is due afterwards.
fn block(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}
