//! Tasks and time, as hyper asks for them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Executor, Sleep, Timer};
use phaseloop::{LoopBound, LoopHandle};

/// Spawns hyper's tasks on a loop. They need not be `Send`.
#[derive(Clone, Debug)]
pub struct LoopExecutor(LoopHandle);

impl LoopExecutor {
    /// An executor that spawns on `lp`.
    pub fn new(lp: &LoopHandle) -> Self {
        Self(lp.clone())
    }
}

impl<F> Executor<F> for LoopExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future).detach();
    }
}

/// The loop's time for hyper, virtual time included.
///
/// hyper wants it `Send + Sync`. It is, and works on the loop's thread only.
///
/// # Panics
/// Its methods, on another thread.
#[derive(Debug)]
pub struct LoopTimer(LoopBound<LoopHandle>);

impl LoopTimer {
    /// A timer that counts the time of `lp`.
    pub fn new(lp: &LoopHandle) -> Self {
        Self(LoopBound::new(lp, lp.clone()))
    }

    fn bind(&self, sleep: phaseloop::Sleep) -> Pin<Box<dyn Sleep>> {
        Box::pin(BoundSleep(LoopBound::new(self.0.get(), sleep)))
    }
}

impl Timer for LoopTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.bind(self.0.get().sleep(duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.bind(self.0.get().sleep_until(deadline))
    }

    fn now(&self) -> Instant {
        self.0.get().now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, new_deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<BoundSleep>() {
            Some(bound) => bound.get_mut().0.get_mut().reset(new_deadline),
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}

struct BoundSleep(LoopBound<phaseloop::Sleep>);

impl Future for BoundSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl Sleep for BoundSleep {}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use hyper::rt::{Executor, Timer};
    use phaseloop::TestLoop;
    use std::time::Duration;

    use super::{LoopExecutor, LoopTimer};

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_sleep_that_was_reset_keeps_whoever_awaits_it() {
        let lp = TestLoop::new();
        let timer = Rc::new(LoopTimer::new(&lp));
        let (log, sleeper) = (lp.clone(), Rc::clone(&timer));
        lp.spawn(async move {
            let mut sleep = sleeper.sleep(ms(5));
            let later = sleeper.now() + ms(20);
            sleeper.reset(&mut sleep, later);
            sleep.await;
            log.log("slept");
        });
        lp.turn();
        lp.advance(ms(19));
        assert!(lp.turn_log().is_empty());
        lp.advance(ms(1));
        assert_eq!(lp.turn_log(), ["slept"]);
    }

    #[test]
    fn the_executor_takes_futures_that_are_not_send() {
        let lp = TestLoop::new();
        let (log, here_only) = (lp.clone(), Rc::new(1));
        LoopExecutor::new(&lp).execute(async move { log.log(format!("ran {here_only}")) });
        assert_eq!(lp.run(), ["ran 1"]);
    }
}
