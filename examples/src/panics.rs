//! What a panic does, in each place where it can happen.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use phaseloop::{EventEmitter, EventLoop, LoopHandle, RunMode};

use crate::page::Page;

/// Shows each place, on a loop of its own.
///
/// # Errors
/// The system's, when a loop can not be made or run.
pub fn run(page: &Page) -> io::Result<()> {
    in_a_callback_without_a_hook(page)?;
    in_a_callback_with_a_hook(page)?;
    in_an_interval(page)?;
    in_a_tick(page)?;
    in_a_listener(page)?;
    in_a_task_with_a_join_handle(page)?;
    in_a_detached_task(page)
}

fn in_a_callback_without_a_hook(page: &Page) -> io::Result<()> {
    page.headline("In a callback, without a hook: it leaves `run`, and the loop can be run again", true);
    let lp = EventLoop::new()?;
    lp.set_immediate(says(page, "immediate 1"));
    lp.set_immediate(|_| panic!("immediate 2 panics"));
    lp.set_immediate(says(page, "immediate 3"));
    // The loop is as usable after a panic as before: that is what AssertUnwindSafe asserts.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| lp.run(RunMode::Default))) {
        let message = payload.downcast_ref::<&str>().unwrap_or(&"no text");
        page.line(format!("  `run` panicked: {message}; it is called again"));
    }
    lp.run(RunMode::Default)?;
    Ok(())
}

fn in_a_callback_with_a_hook(page: &Page) -> io::Result<()> {
    page.headline(
        "In a callback, with a hook: the loop goes on, and what the callback queued comes late",
        false,
    );
    let lp = EventLoop::new()?;
    report_uncaught(&lp, page);
    let page_of_tick = page.clone();
    lp.set_immediate(move |lp| {
        lp.next_tick(says(
            &page_of_tick,
            "tick of immediate 1: after a panic nothing is drained, it had to wait",
        ));
        panic!("immediate 1 panics");
    });
    lp.set_immediate(says(page, "immediate 2"));
    lp.run(RunMode::Default)?;
    Ok(())
}

fn in_an_interval(page: &Page) -> io::Result<()> {
    page.headline("In an interval, with a hook: it goes on", false);
    let lp = EventLoop::new()?;
    report_uncaught(&lp, page);
    let page_of_interval = page.clone();
    let mut times = 0;
    lp.set_interval(Duration::from_millis(1), move |lp| {
        times += 1;
        page_of_interval.line(format!("  interval, time {times}"));
        match times {
            1 => panic!("the interval panics"),
            3 => lp.stop(),
            _ => {}
        }
    });
    lp.set_timeout(Duration::from_millis(1), says(page, "another timer of the same list"));
    lp.run(RunMode::Default)?;
    Ok(())
}

fn in_a_tick(page: &Page) -> io::Result<()> {
    page.headline("In a tick, with a hook: it ends the drain; the rest waits for the next callback", false);
    let lp = EventLoop::new()?;
    report_uncaught(&lp, page);
    lp.queue_microtask(says(page, "microtask"));
    lp.next_tick(|_| panic!("tick 1 panics"));
    lp.next_tick(says(page, "tick 2"));
    lp.set_immediate(says(page, "immediate"));
    lp.run(RunMode::Default)?;
    Ok(())
}

fn in_a_listener(page: &Page) -> io::Result<()> {
    page.headline(
        "In a listener: it passes through `emit` to whoever emits; listeners behind it do not run",
        false,
    );
    let lp = EventLoop::new()?;
    report_uncaught(&lp, page);
    let events = EventEmitter::<&str>::new();
    let listener = |text: &'static str| {
        let page = page.clone();
        move |(): &()| page.line(format!("  {text}"))
    };
    events.on("event", listener("listener 1"));
    events.on("event", |()| panic!("listener 2 panics"));
    events.on("event", listener("listener 3 is never seen"));
    let after_emit = page.clone();
    lp.set_immediate(move |_| {
        events.emit(&"event", &());
        after_emit.line("  nor is this line");
    });
    lp.run(RunMode::Default)?;
    Ok(())
}

fn in_a_task_with_a_join_handle(page: &Page) -> io::Result<()> {
    page.headline("In a task that is joined: it becomes the task's result", false);
    let lp = EventLoop::new()?;
    lp.block_on(async {
        let task = lp.spawn(async { panic!("the task panics") });
        let result: Result<(), _> = task.await;
        page.line(format!("  the join handle says: {}", result.expect_err("it panicked")));
    })
}

fn in_a_detached_task(page: &Page) -> io::Result<()> {
    page.headline("In a detached task: it is counted, and a hook of its own is told", false);
    let lp = EventLoop::new()?;
    lp.on_task_failure({
        let page = page.clone();
        move |_, failure| page.line(format!("  on_task_failure: {}", failure.message().unwrap_or("no text")))
    });
    lp.spawn(async { panic!("the task panics") }).detach();
    lp.set_immediate(says(page, "the loop goes on"));
    lp.run(RunMode::Default)?;
    page.line(format!("  failed tasks so far: {}", lp.task_failures()));
    Ok(())
}

/// Sets a hook for panics that nobody caught.
fn report_uncaught(lp: &LoopHandle, page: &Page) {
    let page = page.clone();
    lp.on_uncaught(move |_, uncaught| {
        page.line(format!("  on_uncaught: {}", uncaught.message().unwrap_or("no text")));
    });
}

/// A callback that writes one line.
fn says(page: &Page, text: &'static str) -> impl FnOnce(&LoopHandle) + 'static {
    let page = page.clone();
    move |_| page.line(format!("  {text}"))
}
