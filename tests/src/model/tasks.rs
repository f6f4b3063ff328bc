//! The loop of a page: one queue of tasks, which timers join when they are due.

use super::machine::{Action, Ended, Machine, Outcome};
use super::promise::PromiseId;
use super::timer_lists::{Key, Repeat, Timer, TimerId};
use std::collections::VecDeque;

/// What a page has in place of phases.
#[derive(Default)]
pub(super) struct Page {
    pub(super) tasks: VecDeque<Task>,
    /// Timers that are set and have not become tasks, in the order of setting.
    waiting: Vec<TimerId>,
    /// How deep the timer is nested whose callback runs.
    nesting: u32,
}

/// A task.
pub(super) enum Task {
    /// A posted message.
    Act(Action),
    Timer(TimerId),
    /// Reports those that nobody has handled by then.
    ReportUnhandled(Vec<PromiseId>),
    TellHandled(Vec<PromiseId>),
}

impl Machine<'_> {
    /// Runs tasks, each with a drain, until there are no more and no timer is set.
    pub(super) fn run_tasks(&mut self) -> Result<(), Ended> {
        loop {
            self.step()?;
            self.late();
            if self.rules.timers_become_tasks_between_tasks || self.page.tasks.is_empty() {
                self.queue_due_timers();
            }
            match self.page.tasks.pop_front() {
                Some(task) => self.run_task(task)?,
                None => match self.page.waiting.iter().map(|&id| self.due(id)).reduce(f64::min) {
                    Some(due) => self.clock = self.clock.max(due),
                    None => return Ok(()),
                },
            }
        }
    }

    fn run_task(&mut self, task: Task) -> Result<(), Ended> {
        match task {
            Task::Act(action) => self.call(action)?,
            Task::Timer(id) if self.timers.all[id].was_cleared => {}
            Task::Timer(id) => self.run_page_timer(id)?,
            Task::ReportUnhandled(promises) => {
                let labels = self.promises.report(&promises, &self.rules);
                self.trace.extend(labels.iter().map(|label| format!("unhandled:{label}")));
            }
            Task::TellHandled(promises) => {
                let labels = self.promises.labels(&promises);
                self.trace.extend(labels.iter().map(|label| format!("handled:{label}")));
            }
        }
        if self.rules.messages_are_not_nested {
            self.page.nesting = 0;
        }
        Ok(())
    }

    /// Calls a timer. Its microtasks are nested as deep as itself.
    fn run_page_timer(&mut self, id: TimerId) -> Result<(), Ended> {
        self.late();
        self.page.nesting = self.timers.all[id].nesting;
        let repeats = self.timers.all[id].repeat.is_some();
        if repeats {
            self.begin_period(id);
            if self.rules.intervals_are_armed_first {
                self.arm_page_timer(id);
            }
        }
        let flow = if repeats { self.call_interval(id) } else { self.call_timeout(id) };
        let outcome = self.caught(flow)?;
        if !self.rules.microtasks_are_nested {
            self.page.nesting = 0;
        }
        if outcome == Outcome::Done || !self.rules.throws_skip_the_drain {
            self.drain()?;
        }
        let timer = &self.timers.all[id];
        let dies = outcome == Outcome::Threw && !self.rules.intervals_survive_a_throw;
        if dies {
            self.clear_page_timer(id);
        } else if repeats && !timer.was_cleared && !self.rules.intervals_are_armed_first {
            self.arm_page_timer(id);
        }
        Ok(())
    }

    /// The start and the duration of an interval's next period.
    fn begin_period(&mut self, id: TimerId) {
        let (period, nesting) = (self.timers.all[id].duration, self.timers.all[id].nesting);
        let late = (self.clock - self.due(id)).max(0.0);
        let since_beat =
            if period > 0.0 && self.rules.intervals_keep_to_a_grid { late % period } else { 0.0 };
        let timer = &mut self.timers.all[id];
        timer.start = self.clock - since_beat;
        timer.duration = clamped(period, nesting, self.rules.deep_timers_wait);
        timer.nesting += u32::from(self.rules.intervals_nest);
    }

    pub(super) fn set_page_timer(&mut self, ms: f64, action: Action, repeat: Option<Repeat>) -> TimerId {
        let (id, nesting) = (self.timers.all.len(), self.page.nesting);
        self.timers.all.push(Timer {
            action,
            duration: clamped(ms, nesting, self.rules.deep_timers_wait),
            start: self.clock,
            is_referenced: true,
            was_cleared: false,
            was_called: false,
            key: Key::Own(id),
            is_listed: false,
            nesting: nesting + 1,
            repeat,
        });
        self.arm_page_timer(id);
        id
    }

    fn arm_page_timer(&mut self, id: TimerId) {
        if self.timers.all[id].duration <= 0.0 && self.rules.zero_timeouts_become_tasks_at_once {
            self.page.tasks.push_back(Task::Timer(id));
        } else {
            self.page.waiting.push(id);
        }
    }

    /// Clears a timer, also one that has become a task.
    pub(super) fn clear_page_timer(&mut self, id: TimerId) {
        let is_task = !self.page.waiting.contains(&id);
        if is_task && !self.rules.due_timers_can_be_cleared {
            return;
        }
        self.timers.all[id].was_cleared = true;
        self.page.waiting.retain(|&other| other != id);
    }

    fn queue_due_timers(&mut self) {
        let waiting = std::mem::take(&mut self.page.waiting);
        let (mut due, waiting): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|&id| self.due(id) <= self.clock);
        self.page.waiting = waiting;
        if self.rules.timers_become_tasks_by_due_time {
            due.sort_by(|&a, &b| self.due(a).total_cmp(&self.due(b)));
        }
        self.page.tasks.extend(due.into_iter().map(Task::Timer));
    }

    fn due(&self, id: TimerId) -> f64 {
        self.timers.all[id].start + self.timers.all[id].duration
    }

    pub(super) fn post(&mut self, action: Action) {
        self.page.tasks.push_back(Task::Act(action));
    }

    pub(super) fn post_report(&mut self, promises: Vec<PromiseId>) {
        if !promises.is_empty() {
            self.page.tasks.push_back(Task::ReportUnhandled(promises));
        }
    }
}

fn clamped(ms: f64, nesting: u32, deep_timers_wait: bool) -> f64 {
    if deep_timers_wait && nesting > LEVELS_MAX { ms.max(SHORTEST_MS) } else { ms }
}

/// Timers that are set deeper than this wait.
const LEVELS_MAX: u32 = 5;

/// How long they wait at least.
const SHORTEST_MS: f64 = 4.0;
