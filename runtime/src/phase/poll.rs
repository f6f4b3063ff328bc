//! Poll: waits for I/O, finished jobs and other threads, and runs what came.
//!
//! What becomes ready while the phase runs waits for the next one. Each event and each message gets its own checkpoint.
//! Source: libuv, `uv__io_poll` and `uv_backend_timeout`; SEMANTICS W2, W4, W5, M4, L8.

use std::io;
use std::time::Duration;

use crate::driver::Token;
use crate::schedule::Phase;
use crate::state::LoopHandle;
use crate::state::inbox::Message;
use crate::state::mode::Mode;
use crate::time::clock::{NEVER, Nanos};

/// Waits as long as `poll_wait` says, then runs what came.
pub(super) fn run(lp: &LoopHandle, mode: Mode) -> io::Result<()> {
    let mut wait = poll_wait(lp, mode);
    // A panic that the hook took leaves the queues undrained, and the callback that would drain them may never come.
    while wait != Wait::Zero && !lp.state.has_drained() {
        lp.checkpoint();
        wait = poll_wait(lp, mode);
    }
    for round in 0..lp.state.limits.waits_per_poll.get() {
        let full = begin(lp, wait)?;
        if round == 0 {
            lp.state.sources.begin(); // what uses up its budget from here on waits for the next phase
        }
        run_messages(lp);
        run_events(lp);
        if !full {
            break;
        }
        wait = Wait::Zero;
    }
    lp.settle_sources(); // a source with level semantics is called once a turn, so not before the last round
    run_pending_again(lp, mode)
}

/// How long poll may block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Zero,
    Until(Nanos),
    Forever,
}

/// Decides how long to block: each reason not to is a line here.
pub(crate) fn poll_wait(lp: &LoopHandle, mode: Mode) -> Wait {
    let state = &lp.state;
    if !mode.may_wait() || lp.must_leave() || !lp.is_alive() {
        return Wait::Zero;
    }
    if state.idle.active() > 0 || !state.pending.is_empty() {
        return Wait::Zero;
    }
    if state.immediates.referenced() > 0 || state.immediates.has_batch() {
        return Wait::Zero;
    }
    if state.yielded_unreferenced.get() > 0 {
        return Wait::Zero;
    }
    if !state.closing.borrow().is_empty() || !state.close_batch.borrow().is_empty() {
        return Wait::Zero;
    }
    if state.sources.has_batch() || !state.arrived.is_empty() {
        return Wait::Zero;
    }
    let timer = state.timers.borrow_mut().next_bound().unwrap_or(NEVER);
    match timer.min(mode.deadline()) {
        NEVER => Wait::Forever,
        deadline => Wait::Until(deadline),
    }
}

/// Asks the driver and takes aside what is ready. True if there may be more than one wait can report.
fn begin(lp: &LoopHandle, wait: Wait) -> io::Result<bool> {
    let state = &lp.state;
    let full = match wait {
        _ if lp.has_parker() => park(lp, wait)?,
        // Without a source the driver has nothing to say, and the inbox is looked at below.
        Wait::Zero if state.sources.registered() == 0 && !state.rung.get() => false,
        Wait::Zero => ask_driver(lp, Some(Duration::ZERO))?,
        _ if state.clock.is_virtual() => wait_virtually(lp, wait)?,
        _ => sleep(lp, wait)?,
    };
    if state.inbox.has_messages() {
        take_messages(lp);
    }
    state.metrics.events(state.sources.batch.len() + state.arrived.len(), wait != Wait::Zero);
    Ok(full)
}

/// Blocks in the driver. A message that comes meanwhile, or came just before, ends the wait.
fn sleep(lp: &LoopHandle, wait: Wait) -> io::Result<bool> {
    lp.prepare_alarm()?;
    let timeout = timeout(lp, wait);
    lp.state.metrics.begin_wait(lp.state.clock.read());
    let may_sleep = lp.state.inbox.fall_asleep();
    let asked = ask_driver(lp, if may_sleep { timeout } else { Some(Duration::ZERO) });
    if lp.state.inbox.wake_up() {
        lp.state.rung.set(true); // perhaps too late for this wait to see it
    }
    end_wait(lp);
    asked
}

/// Notes that a wait is over, and reads the clock.
fn end_wait(lp: &LoopHandle) {
    let now = lp.state.update_now();
    let since = lp.state.metrics.end_wait(now);
    if lp.state.watching.is_unusual() {
        lp.state.slept(since, now);
    }
}

/// Blocks in the host, or gives it its slice. The tasks that its code woke run at once.
fn park(lp: &LoopHandle, wait: Wait) -> io::Result<bool> {
    let state = &lp.state;
    let Some(parker) = lp.parker() else { return Ok(false) };
    lp.prepare_alarm()?;
    let left_over = state.parking.driver_has_more.get();
    let wait = if left_over { Wait::Zero } else { wait };
    let timeout = timeout(lp, wait);
    if wait != Wait::Zero {
        state.metrics.begin_wait(state.clock.read());
    }
    let may_sleep = state.inbox.fall_asleep();
    let parked = lp.begin_park();
    let readable = parker.park(if may_sleep { timeout } else { Some(Duration::ZERO) });
    drop(parked);
    if state.inbox.wake_up() {
        state.rung.set(true);
    }
    if wait == Wait::Zero {
        state.update_now();
    } else {
        end_wait(lp);
    }
    lp.checkpoint();
    if !readable? && !left_over {
        return Ok(false);
    }
    let full = ask_driver(lp, Some(Duration::ZERO))?;
    state.parking.driver_has_more.set(full);
    Ok(full)
}

/// Lets virtual time pass instead of waiting, unless something may still come from outside the loop.
fn wait_virtually(lp: &LoopHandle, wait: Wait) -> io::Result<bool> {
    let state = &lp.state;
    let full = ask_driver(lp, Some(Duration::ZERO))?;
    if !state.sources.batch.is_empty() || state.inbox.has_messages() {
        return Ok(full);
    }
    match wait {
        _ if state.requests.get() > 0 => sleep(lp, Wait::Forever),
        Wait::Until(deadline) => {
            state.metrics.begin_wait(state.clock.read());
            state.clock.advance_to(deadline);
            end_wait(lp);
            Ok(full)
        }
        _ => sleep(lp, Wait::Forever),
    }
}

/// The time left of `wait`; `None` is for ever.
fn timeout(lp: &LoopHandle, wait: Wait) -> Option<Duration> {
    match wait {
        Wait::Zero => Some(Duration::ZERO),
        Wait::Forever => None,
        Wait::Until(deadline) => {
            let reads_clock = lp.state.schedule.wait_reads_clock;
            let now = if reads_clock { lp.state.clock.read() } else { lp.state.now() };
            Some(Duration::from_nanos(deadline.saturating_sub(now)))
        }
    }
}

fn ask_driver(lp: &LoopHandle, timeout: Option<Duration>) -> io::Result<bool> {
    let state = &lp.state;
    state.rung.set(false);
    let before = state.sources.batch.len();
    state.sources.batch.fill(|events| state.driver.borrow_mut().wait(timeout, events))?;
    Ok(state.sources.batch.len() - before >= state.limits.events_per_wait.get())
}

fn take_messages(lp: &LoopHandle) {
    let mut taken = lp.state.taken.borrow_mut();
    lp.state.inbox.take(&mut taken);
    lp.state.arrived.extend(taken.drain(..));
}

/// Runs what other threads sent, in the order of sending.
fn run_messages(lp: &LoopHandle) {
    for _ in 0..lp.state.arrived.len() {
        let Some(message) = lp.state.arrived.pop() else { break };
        match message {
            Message::Woken(task) => lp.call(|_| task.schedule()),
            Message::Call(f) => lp.call(f),
            Message::Signal(key) => lp.run_signal(key),
            Message::Release => lp.release_request(),
            Message::Returned(value) => lp.call(|_| drop(value)),
            Message::Wake => {}
        }
    }
}

/// Runs what became ready, in the order the driver reports.
fn run_events(lp: &LoopHandle) {
    for _ in 0..lp.state.sources.batch.len() {
        let Some(event) = lp.state.sources.batch.pop() else { break };
        if let Some(waiting) = lp.state.sources.dispatch(event) {
            lp.state.watching.note_source(Some(event.token));
            let left = LeftByPanic { lp, token: event.token };
            waiting.notify(lp);
            std::mem::forget(left);
        }
    }
    lp.state.watching.note_source(None);
}

/// Puts a source whose callback panicked in line again: the driver reports only what is new.
struct LeftByPanic<'a> {
    lp: &'a LoopHandle,
    token: Token,
}

impl Drop for LeftByPanic<'_> {
    fn drop(&mut self) {
        self.lp.state.sources.run_again(self.token);
        self.lp.state.watching.note_source(None);
    }
}

/// Runs *pending* again while poll's callbacks put something there. Source: libuv, `uv_run`.
fn run_pending_again(lp: &LoopHandle, mode: Mode) -> io::Result<()> {
    for _ in 0..lp.state.schedule.pending_after_poll {
        if lp.state.pending.is_empty() {
            break;
        }
        Phase::Pending.run(lp, mode)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Wait, timeout};
    use crate::time::clock::nanos;
    use crate::{EventLoop, Schedule};

    /// How long the system is asked to wait for what is due at 100 ms, by a loop whose time is 60 ms behind the clock.
    fn asked(schedule: Schedule) -> Option<Duration> {
        let lp = EventLoop::builder().schedule(schedule).virtual_time(true).build().unwrap();
        let due = nanos(Duration::from_millis(100));
        lp.update_now();
        lp.advance_clock(Duration::from_millis(60)).unwrap();
        timeout(&lp.handle(), Wait::Until(due))
    }

    #[test]
    fn u3_only_a_wait_that_reads_the_clock_is_not_too_long() {
        for schedule in [Schedule::libuv(), Schedule::libuv_1_44()] {
            assert_eq!(asked(schedule), Some(Duration::from_millis(100)), "it oversleeps by 60 ms");
        }
        for schedule in [Schedule::node26(), Schedule::node10(), Schedule::textbook()] {
            assert_eq!(asked(schedule), Some(Duration::from_millis(40)));
        }
    }
}
