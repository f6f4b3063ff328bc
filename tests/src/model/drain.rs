//! What happens between callbacks: ticks, microtasks, rejections.

use super::machine::{Action, Ended, Machine, Outcome, Tick};

impl Machine<'_> {
    /// Runs ticks and microtasks and reports rejections until nothing is left, or a tick throws.
    pub(super) fn drain(&mut self) -> Result<Outcome, Ended> {
        loop {
            if !self.rules.ticks_before_microtasks {
                self.run_microtasks()?;
            }
            if self.run_ticks()? == Outcome::Threw || self.run_microtasks()? == Outcome::Threw {
                return Ok(Outcome::Threw);
            }
            if self.rules.drains_report_rejections
                && (self.ticks.is_empty() || !self.rules.reports_wait_for_ticks)
            {
                self.report_rejections();
            }
            if (self.ticks.is_empty() && self.microtasks.is_empty()) || !self.rules.drain_repeats {
                return Ok(Outcome::Done);
            }
        }
    }

    fn run_ticks(&mut self) -> Result<Outcome, Ended> {
        let mut batch = self.ticks.len();
        while let Some(tick) = self.ticks.pop_front() {
            let flow = match tick {
                Tick::Act(action) => self.act(action),
                Tick::Warn(name) => {
                    self.trace.push(format!("warning:{name}"));
                    Ok(())
                }
            };
            if self.caught(flow)? == Outcome::Threw && self.rules.ticks_stop_at_a_throw {
                return Ok(Outcome::Threw);
            }
            batch -= 1;
            if batch == 0 && !self.rules.ticks_drain_fully {
                break;
            }
            batch = batch.max(1);
        }
        Ok(Outcome::Done)
    }

    fn run_microtasks(&mut self) -> Result<Outcome, Ended> {
        while let Some(job) = self.microtasks.pop_front() {
            self.step()?;
            let flow = self.run_job(job);
            if self.caught(flow)? == Outcome::Threw && !self.rules.microtasks_go_on_after_a_throw {
                return Ok(Outcome::Threw);
            }
            if !self.rules.microtasks_drain_fully && !self.ticks.is_empty() {
                break;
            }
        }
        Ok(Outcome::Done)
    }

    pub(super) fn report_rejections(&mut self) {
        let handled = self.promises.take_handled_late();
        let handled = self.promises.labels(&handled);
        let unhandled = self.promises.take_unhandled();
        let unhandled = if self.rules.rejections_are_reported_by_tasks {
            self.post_report(unhandled);
            Vec::new()
        } else {
            self.promises.report(&unhandled, &self.rules)
        };
        let unhandled = unhandled.into_iter().map(|label| format!("unhandled:{label}"));
        let handled = handled.into_iter().map(|label| format!("handled:{label}"));
        if self.rules.late_handled_first {
            self.trace.extend(handled.chain(unhandled));
        } else {
            self.trace.extend(unhandled.chain(handled));
        }
    }

    /// Delivers a warning by a tick.
    pub(super) fn warn(&mut self, name: &'static str) {
        if self.rules.warnings_are_ticks {
            self.ticks.push_back(Tick::Warn(name));
        } else {
            self.trace.push(format!("warning:{name}"));
        }
    }

    pub(super) fn tick(&mut self, action: Action) {
        self.ticks.push_back(Tick::Act(action));
    }
}
