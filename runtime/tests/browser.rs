//! The browser preset: one queue of tasks, timers that join it when they are due, and what Chromium does else.

use phaseloop::{EventLoop, ListTimers, LoopHandle, RunMode, Schedule};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn line(&self, line: &str) {
        self.0.borrow_mut().push(line.to_owned());
    }

    /// A callback that logs `line`.
    fn says(&self, line: &str) -> impl Fn(&LoopHandle) + 'static {
        let (log, line) = (self.clone(), line.to_owned());
        move |_| log.line(&line)
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn busy(lp: &LoopHandle, time: u64) {
    lp.advance_clock(ms(time)).expect("the time is virtual");
}

/// Runs a page with that main body and gives what it logged.
fn page(schedule: Schedule, main: impl FnOnce(&LoopHandle, &Log)) -> Vec<String> {
    let lp =
        EventLoop::builder().schedule(schedule).virtual_time(true).build().expect("an epoll is to be had");
    let log = Log::default();
    main(&lp, &log);
    lp.run(RunMode::Default).expect("only poll can fail, and it has nothing to ask");
    log.0.take()
}

fn browser(main: impl FnOnce(&LoopHandle, &Log)) -> Vec<String> {
    page(Schedule::browser(), main)
}

#[test]
fn timers_run_by_due_time() {
    let order = browser(|lp, log| {
        lp.set_timeout(ms(40), log.says("a"));
        busy(lp, 30);
        lp.set_timeout(ms(60), log.says("c"));
        lp.set_timeout(ms(20), log.says("b"));
        busy(lp, 100);
        lp.set_timeout(ms(40), log.says("d"));
    });
    assert_eq!(order, ["a", "b", "c", "d"]);
}

#[test]
fn messages_and_zero_timeouts_share_a_line() {
    let order = browser(|lp, log| {
        lp.set_timeout(ms(5), log.says("due before both"));
        lp.set_timeout(Duration::ZERO, log.says("zero"));
        lp.set_immediate(log.says("message"));
        lp.set_timeout(Duration::ZERO, log.says("zero again"));
        busy(lp, 30);
    });
    assert_eq!(order, ["zero", "message", "zero again", "due before both"]);
}

#[test]
fn what_became_due_in_a_task_precedes_what_the_next_task_sets() {
    let order = browser(|lp, log| {
        lp.set_timeout(ms(10), log.says("due"));
        lp.set_immediate(|lp| busy(lp, 40));
        let late = log.says("late");
        lp.set_immediate(move |lp| {
            lp.set_immediate(late);
        });
    });
    assert_eq!(order, ["due", "late"]);
}

#[test]
fn a_timer_in_line_can_be_cleared_and_refreshed() {
    let order = browser(|lp, log| {
        let (cleared, refreshed) = (
            lp.set_timeout(Duration::ZERO, log.says("cleared")),
            lp.set_refreshable_timeout(ms(2), log.says("refreshed")),
        );
        let log = log.clone();
        lp.set_timeout(ms(1), move |lp| {
            log.line("first");
            lp.refresh_timeout(refreshed);
            lp.set_timeout(ms(1), log.says("second"));
        });
        lp.clear_timeout(cleared);
        busy(lp, 20);
    });
    assert_eq!(order, ["first", "second", "refreshed"]);
}

/// Sets a timer without a delay and then posts a message, again and again, each in the timer before.
fn nest(lp: &LoopHandle, log: Log, depth: u32, depth_max: u32) {
    if depth > depth_max {
        return;
    }
    let inner = log.clone();
    lp.set_timeout(Duration::ZERO, move |lp| {
        inner.line(&format!("timer {depth}"));
        nest(lp, inner.clone(), depth + 1, depth_max);
    });
    lp.set_immediate(log.says(&format!("message {depth}")));
}

#[test]
fn the_seventh_nested_timer_waits() {
    let order = browser(|lp, log| nest(lp, log.clone(), 1, 7));
    assert_eq!(order[10..], ["timer 6", "message 6", "message 7", "timer 7"]);
    let order = page(Schedule { nested_clamp: None, ..Schedule::browser() }, |lp, log| {
        nest(lp, log.clone(), 1, 7);
    });
    assert_eq!(order[10..], ["timer 6", "message 6", "timer 7", "message 7"]);
}

#[test]
fn the_clamp_works_on_lists_too() {
    let schedule = Schedule { list_timers: ListTimers::Shared, ..Schedule::browser() };
    let waited = Rc::new(RefCell::new(Vec::new()));
    let lp =
        EventLoop::builder().schedule(schedule).virtual_time(true).build().expect("an epoll is to be had");
    fn again(lp: &LoopHandle, waited: Rc<RefCell<Vec<u128>>>, left: u32) {
        let before = lp.now();
        lp.set_timeout(ms(1), move |lp| {
            waited.borrow_mut().push(lp.now().duration_since(before).as_millis());
            if left > 0 {
                again(lp, waited, left - 1);
            }
        });
    }
    again(&lp, Rc::clone(&waited), 7);
    lp.run(RunMode::Default).unwrap();
    assert_eq!(*waited.borrow(), [1, 1, 1, 1, 1, 1, 4, 4]);
}

#[test]
fn an_interval_keeps_to_its_grid_and_slows_down() {
    let calls = Rc::new(RefCell::new(Vec::new()));
    let lp = EventLoop::builder()
        .schedule(Schedule::browser())
        .virtual_time(true)
        .build()
        .expect("an epoll is to be had");
    let (seen, began) = (Rc::clone(&calls), lp.now());
    lp.set_interval(ms(40), move |lp| {
        let now = lp.now().duration_since(began).as_millis();
        seen.borrow_mut().push(now);
        busy(lp, if now == 40 { 90 } else { 10 });
        if seen.borrow().len() == 4 {
            lp.end(0);
        }
    });
    lp.run(RunMode::Default).unwrap();
    assert_eq!(*calls.borrow(), [40, 130, 160, 200]);
}

#[test]
fn an_interval_without_a_period_slows_down() {
    let calls = Rc::new(RefCell::new(Vec::new()));
    let lp = EventLoop::builder()
        .schedule(Schedule::browser())
        .virtual_time(true)
        .build()
        .expect("an epoll is to be had");
    let (seen, began) = (Rc::clone(&calls), lp.now());
    lp.set_interval(Duration::ZERO, move |lp| {
        seen.borrow_mut().push(lp.now().duration_since(began).as_millis());
        if seen.borrow().len() == 8 {
            lp.end(0);
        }
    });
    lp.run(RunMode::Default).unwrap();
    assert_eq!(*calls.borrow(), [0, 0, 0, 0, 0, 0, 4, 8]);
}

#[test]
fn microtasks_run_after_a_panic_that_was_taken() {
    let order = browser(|lp, log| {
        let taken = log.clone();
        lp.on_uncaught(move |_, _| taken.line("taken"));
        let microtask = log.says("microtask");
        lp.set_timeout(ms(5), move |lp| {
            lp.queue_microtask(microtask);
            std::panic::resume_unwind(Box::new(()));
        });
        lp.set_timeout(ms(6), log.says("next"));
        busy(lp, 20);
    });
    assert_eq!(order, ["taken", "microtask", "next"]);
}

#[test]
fn an_unreferenced_timer_in_line_runs_and_then_the_loop_ends() {
    let order = browser(|lp, log| {
        let unreferenced = lp.set_timeout(ms(5), log.says("unreferenced"));
        lp.unref_timeout(unreferenced);
        let far = lp.set_timeout(ms(500), log.says("never"));
        lp.unref_timeout(far);
        lp.set_timeout(ms(4), log.says("referenced"));
        busy(lp, 20);
    });
    assert_eq!(order, ["referenced", "unreferenced"]);
}
