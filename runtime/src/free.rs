//! The loop's methods as free functions, for the loop that runs on this thread.

use std::future::Future;
use std::time::Duration;

use crate::error::Elapsed;
use crate::handle::sleep::{Interval, Sleep};
use crate::handle::spawn::JoinHandle;
use crate::state::LoopHandle;
use crate::state::current::current;
use crate::state::immediates::ImmediateId;
use crate::time::lists::TimeoutId;

/// [`LoopHandle::spawn`] on the loop that runs on this thread.
///
/// # Panics
/// Outside of a running loop; so do all functions of this module.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    current().spawn(future)
}

/// [`LoopHandle::spawn_now`] on the loop that runs on this thread: the first poll is made before this returns.
#[track_caller]
pub fn spawn_now<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    current().spawn_now(future)
}

/// [`LoopHandle::next_tick`] on the loop that runs on this thread.
#[track_caller]
pub fn next_tick(f: impl FnOnce(&LoopHandle) + 'static) {
    current().next_tick(f);
}

/// [`LoopHandle::queue_microtask`] on the loop that runs on this thread.
#[track_caller]
pub fn queue_microtask(f: impl FnOnce(&LoopHandle) + 'static) {
    current().queue_microtask(f);
}

/// [`LoopHandle::set_immediate`] on the loop that runs on this thread.
#[track_caller]
pub fn set_immediate(f: impl FnOnce(&LoopHandle) + 'static) -> ImmediateId {
    current().set_immediate(f)
}

/// [`LoopHandle::set_timeout`] on the loop that runs on this thread.
#[track_caller]
pub fn set_timeout(delay: Duration, f: impl FnOnce(&LoopHandle) + 'static) -> TimeoutId {
    current().set_timeout(delay, f)
}

/// [`LoopHandle::set_interval`] on the loop that runs on this thread.
#[track_caller]
pub fn set_interval(period: Duration, f: impl FnMut(&LoopHandle) + 'static) -> TimeoutId {
    current().set_interval(period, f)
}

/// [`LoopHandle::sleep`] on the loop that runs on this thread.
#[track_caller]
pub fn sleep(delay: Duration) -> Sleep {
    current().sleep(delay)
}

/// [`LoopHandle::timeout`] on the loop that runs on this thread.
#[track_caller]
pub fn timeout<F: Future>(limit: Duration, future: F) -> impl Future<Output = Result<F::Output, Elapsed>> {
    current().timeout(limit, future)
}

/// [`LoopHandle::interval`] on the loop that runs on this thread.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    current().interval(period)
}
