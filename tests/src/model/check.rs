//! The check phase, and the immediates it runs.

use super::machine::{Action, Ended, Machine, Outcome};
use std::collections::VecDeque;

/// All immediates ever set; which of them wait for the next check phase; which the running one has still to
/// run.
#[derive(Default)]
pub(super) struct Immediates {
    all: Vec<Immediate>,
    queue: VecDeque<usize>,
    running: VecDeque<usize>,
}

struct Immediate {
    action: Action,
    is_referenced: bool,
}

impl Immediates {
    pub(super) fn push(&mut self, action: Action) -> usize {
        self.all.push(Immediate { action, is_referenced: true });
        self.queue.push_back(self.all.len() - 1);
        self.all.len() - 1
    }

    pub(super) fn reference(&mut self, id: usize, is_referenced: bool) {
        self.all[id].is_referenced = is_referenced;
    }

    /// Clears an immediate that has not run; one of the running phase only if that may be.
    pub(super) fn clear(&mut self, id: usize, running_may_be: bool) {
        self.queue.retain(|&other| other != id);
        if running_may_be {
            self.running.retain(|&other| other != id);
        }
    }

    pub(super) fn any(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn any_referenced(&self) -> bool {
        self.queue.iter().any(|&id| self.all[id].is_referenced)
    }
}

impl Machine<'_> {
    pub(super) fn run_check(&mut self) -> Result<(), Ended> {
        self.late();
        if self.rules.check_opens_with_a_drain {
            self.drain()?;
        }
        if self.immediates.queue.is_empty() {
            return Ok(());
        }
        self.immediates.running = std::mem::take(&mut self.immediates.queue);
        let mut throws = 0;
        while self.run_immediates()? == Outcome::Threw {
            throws += 1;
            if self.immediates.running.is_empty() {
                if throws == 1 && !self.rules.last_throw_takes_new_immediates {
                    return Ok(());
                }
                self.immediates.running = std::mem::take(&mut self.immediates.queue);
            }
        }
        self.drain()?;
        Ok(())
    }

    /// Runs what is left of the phase, up to a throw. Nothing drains before the first.
    fn run_immediates(&mut self) -> Result<Outcome, Ended> {
        let mut is_first = true;
        while let Some(&id) = self.immediates.running.front() {
            let drains = !is_first && self.rules.drain_between_immediates;
            if drains && self.drain()? == Outcome::Threw {
                return Ok(Outcome::Threw);
            }
            is_first = false;
            if self.immediates.running.front() != Some(&id) {
                continue; // the drain has cleared it
            }
            self.immediates.running.pop_front();
            let action = self.immediates.all[id].action.clone();
            self.late();
            let flow = self.act(action);
            if !self.rules.new_immediates_wait {
                self.immediates.running.append(&mut self.immediates.queue);
            }
            if self.caught(flow)? == Outcome::Threw && self.rules.throws_skip_the_drain {
                return Ok(Outcome::Threw);
            }
        }
        Ok(Outcome::Done)
    }
}
