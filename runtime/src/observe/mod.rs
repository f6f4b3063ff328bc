//! Seeing what a loop does: how busy it is, how late, and what its callbacks cost.
//!
//! All of it is opt-in but [`Utilization`], which is made of figures that the loop keeps anyhow.
//!
//! | to learn | use | which costs, while it is on |
//! | --- | --- | --- |
//! | how much of the time the loop works | [`LoopHandle::utilization`] | nothing |
//! | how late what is due runs | [`LoopHandle::monitor_delay`] | a timer |
//! | what the callbacks of each phase cost | [`LoopHandle::observe`] | two readings of the clock a callback |
//! | what ran when, from which line | [`LoopHandle::timeline`] | the same, and one more for each that is queued |
//!
//! A loop that nobody observes reads no clock for it. A callback costs it no branch of its own, since the one that asks for the end of
//! the program asks for observers too; one that is queued costs one, which asks for contexts and timelines.
//!
//! Source of the first two: Node, `perf_hooks.eventLoopUtilization` and `perf_hooks.monitorEventLoopDelay`.
//!
//! [`LoopHandle::utilization`]: crate::LoopHandle::utilization
//! [`LoopHandle::monitor_delay`]: crate::LoopHandle::monitor_delay
//! [`LoopHandle::observe`]: crate::LoopHandle::observe
//! [`LoopHandle::timeline`]: crate::LoopHandle::timeline

mod delay;
mod histogram;
mod observer;
mod timeline;
mod times;
mod trace;
mod utilization;

pub use delay::DelayMonitor;
pub use histogram::Histogram;
pub use observer::Observer;
pub use timeline::{Moment, Timeline};
pub use times::{LoopTimes, PhaseTimes, Ran};
pub use utilization::Utilization;

pub use crate::state::watch::What;
