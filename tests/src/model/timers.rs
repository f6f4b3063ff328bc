//! The timers phase, and what operations do to timers.

use super::machine::{Action, Closing, Ended, Flow, Machine, Outcome};
use super::timer_lists::{Key, Repeat, Timer, TimerId};

impl Machine<'_> {
    pub(super) fn run_timers_phase(&mut self) -> Result<(), Ended> {
        self.late();
        self.read_clock();
        if !self.rules.one_loop_timer {
            return self.run_lists_by_themselves();
        }
        while self.timers.loop_timer.is_some_and(|due| due <= self.cached) {
            self.step()?;
            self.timers.loop_timer = None;
            self.run_due_lists()?;
            if !self.rules.timers_phase_repeats {
                break;
            }
            if !self.rules.repeats_by_the_cached_time {
                self.read_clock();
            }
        }
        Ok(())
    }

    /// The loop timer is due: all lists that are due now, as one callback of the loop.
    fn run_due_lists(&mut self) -> Result<(), Ended> {
        let now = self.read_clock();
        while self.try_due_lists(now)? == Outcome::Threw {
            if !self.rules.throws_skip_the_drain {
                self.drain()?;
            }
        }
        self.timers.end_phase(self.cached);
        self.drain()?;
        Ok(())
    }

    /// Runs due lists up to a throw. Nothing drains before the first list and the first timer of a list.
    ///
    /// After a throw it is called again, and the list that threw is the first again, even if nothing is left in it. So
    /// what the thrower left drains before another list, but not before the next timer of its own.
    fn try_due_lists(&mut self, mut now: f64) -> Result<Outcome, Ended> {
        self.timers.begin_phase();
        let mut is_first = true;
        while let Some((key, due)) = self.timers.next_list(&self.rules) {
            if !self.rules.phase_reads_the_clock_once {
                now = self.read_clock();
            }
            if due > now {
                break;
            }
            let born = self.timers.born(key);
            let drains = !is_first && self.rules.drain_between_lists;
            if drains && self.drain()? == Outcome::Threw {
                return Ok(Outcome::Threw);
            }
            is_first = false;
            if self.run_list(key, born, now)? == Outcome::Threw {
                return Ok(Outcome::Threw);
            }
        }
        Ok(Outcome::Done)
    }

    /// node10: each list has a loop timer of its own.
    fn run_lists_by_themselves(&mut self) -> Result<(), Ended> {
        let began = self.cached;
        while let Some((key, due)) = self.timers.next_list(&self.rules) {
            if due > self.cached {
                break;
            }
            self.run_list_by_itself(key, began)?;
        }
        if self.rules.drain_between_lists { Ok(()) } else { self.drain().map(|_| ()) }
    }

    /// A list as a callback of its own, with a drain at its end. After a throw, even of a tick, it is called
    /// again; the list of an unreferenced timer is not.
    fn run_list_by_itself(&mut self, key: Key, began: f64) -> Result<(), Ended> {
        let born = self.timers.born(key);
        loop {
            self.step()?;
            let now = if self.rules.phase_reads_the_clock_once { began } else { self.read_clock() };
            let mut outcome = self.run_list(key, born, now)?;
            if outcome == Outcome::Done && self.rules.drain_between_lists {
                outcome = self.drain()?;
            }
            if outcome == Outcome::Done || matches!(key, Key::Own(_)) {
                self.drop_list(key);
                return Ok(());
            }
        }
    }

    /// Runs the due timers of a list, up to a throw. A list of the same key that is made meanwhile is another.
    fn run_list(&mut self, key: Key, born: Option<u64>, now: f64) -> Result<Outcome, Ended> {
        let mut is_first = true;
        while let Some(id) = self.timers.first_of(key, born) {
            self.step()?;
            let due = self.timers.all[id].start + self.timers.all[id].duration;
            if now < due {
                let soonest = self.soonest(now);
                self.timers.postpone(key, due.max(soonest));
                return Ok(Outcome::Done);
            }
            let drains = !is_first && self.rules.drain_between_timers;
            if drains && self.drain()? == Outcome::Threw {
                return Ok(Outcome::Threw);
            }
            is_first = false;
            self.timers.all[id].was_called = true;
            // The drain may have cleared or refreshed the timer; if it was not cleared it runs nevertheless.
            self.timers.take_out(id, &self.rules);
            if !self.timers.all[id].was_cleared && self.fire(id)? == Outcome::Threw {
                return Ok(Outcome::Threw);
            }
        }
        self.drop_list(key);
        Ok(Outcome::Done)
    }

    /// The earliest time at which a list may be due again. node10 reads the clock to find it.
    fn soonest(&mut self, now: f64) -> f64 {
        1.0 + if self.rules.one_loop_timer { now } else { self.read_clock() }
    }

    /// Calls a timer, and re-arms it if it is an interval.
    fn fire(&mut self, id: TimerId) -> Result<Outcome, Ended> {
        self.late();
        let due = self.timers.all[id].start + self.timers.all[id].duration;
        let began = self.clock;
        let flow =
            if self.timers.all[id].repeat.is_some() { self.call_interval(id) } else { self.call_timeout(id) };
        let outcome = self.caught(flow)?;
        let dies = outcome == Outcome::Threw && !self.rules.intervals_survive_a_throw;
        let timer = &self.timers.all[id];
        if timer.repeat.is_some() && !timer.was_cleared && !dies {
            let start = match (self.rules.intervals_drift, self.rules.intervals_restart_from_their_beginning)
            {
                (false, _) => due,
                (true, true) => began,
                (true, false) => self.clock,
            };
            self.rearm(id, start);
        }
        Ok(outcome)
    }

    pub(super) fn call_timeout(&mut self, id: TimerId) -> Flow {
        self.act(self.timers.all[id].action.clone())
    }

    /// The call that is the last one clears the interval before the body runs.
    pub(super) fn call_interval(&mut self, id: TimerId) -> Flow {
        self.read_clock();
        let timer = &mut self.timers.all[id];
        let action = timer.action.clone();
        let is_last = timer.repeat.as_mut().is_some_and(|repeat| {
            repeat.calls += 1;
            repeat.calls == repeat.times
        });
        if is_last {
            self.clear_timer(id);
        }
        self.act(action)
    }

    fn rearm(&mut self, id: TimerId, start: f64) {
        let duration = self.timers.all[id].duration;
        if self.rules.one_loop_timer {
            self.timers.append(id, start, self.cached, &self.rules);
        } else if self.timers.all[id].key == Key::Own(id) {
            self.restart_own_list(id, self.cached);
        } else {
            // node10 re-arms an interval that took too long as if it had started late enough to be due in 1
            // ms.
            let now = self.read_clock();
            let start = start.max(now - duration + 1.0);
            self.timers.append(id, start, now, &self.rules);
        }
    }

    pub(super) fn set_timer(&mut self, ms: f64, action: Action, repeat: Option<Repeat>) -> TimerId {
        let duration = self.duration(ms);
        if self.rules.tasks_share_a_queue {
            return self.set_page_timer(duration, action, repeat);
        }
        let id = self.timers.all.len();
        let key = if self.rules.lists_share_a_duration { Key::Duration(duration) } else { Key::Own(id) };
        let (is_referenced, was_cleared, was_called, is_listed) = (true, false, false, false);
        let start = self.start_time();
        self.timers.all.push(Timer {
            action,
            duration,
            start,
            is_referenced,
            was_cleared,
            was_called,
            key,
            is_listed,
            nesting: 0,
            repeat,
        });
        self.timers.append(id, start, self.cached, &self.rules);
        id
    }

    /// The duration that stands for `ms`, with the warnings it deserves.
    fn duration(&mut self, ms: f64) -> f64 {
        if ms > DURATION_MAX {
            if self.rules.long_durations_warn {
                self.warn("TimeoutOverflowWarning");
            }
            let shortest = if self.rules.short_durations_become_one { 1.0 } else { 0.0 };
            return if self.rules.long_durations_become_one { shortest } else { ms };
        }
        if ms < 0.0 && self.rules.negative_durations_warn && !self.warned_of_negative {
            self.warned_of_negative = true;
            self.warn("TimeoutNegativeWarning");
        }
        if ms < 1.0 {
            let duration = if self.rules.fractions_are_cut_off { 0.0 } else { ms.max(0.0) };
            return if self.rules.short_durations_become_one { 1.0 } else { duration };
        }
        if self.rules.fractions_are_cut_off { ms.trunc() } else { ms }
    }

    fn start_time(&mut self) -> f64 {
        if self.rules.setting_a_timer_reads_the_clock { self.read_clock() } else { self.cached }
    }

    pub(super) fn clear_timer(&mut self, id: TimerId) {
        let rules = self.rules;
        if self.rules.tasks_share_a_queue {
            self.clear_page_timer(id);
            return;
        }
        let timer = &mut self.timers.all[id];
        let is_due = timer.is_listed && timer.start + timer.duration <= self.cached;
        if is_due && !rules.due_timers_can_be_cleared {
            return;
        }
        timer.was_cleared = true;
        let (key, is_referenced) = (timer.key, timer.is_referenced);
        self.timers.take_out(id, &rules);
        if is_referenced || !rules.unreferenced_timers_leave_their_list {
            self.drop_list(key);
        }
    }

    pub(super) fn refresh_timer(&mut self, id: TimerId) {
        let timer = &self.timers.all[id];
        if !self.rules.one_loop_timer && timer.key == Key::Own(id) && !timer.is_listed {
            return; // node10: a loop timer of its own is closed when it has fired
        }
        let is_allowed =
            if timer.is_listed { self.rules.refresh_restarts } else { self.rules.refresh_rearms };
        if is_allowed && (!timer.was_cleared || !self.rules.refresh_respects_clear) {
            if !self.rules.one_loop_timer && self.timers.all[id].key == Key::Own(id) {
                self.restart_own_list(id, self.cached);
                return;
            }
            let start = self.start_time();
            self.timers.all[id].was_cleared = false;
            self.timers.append(id, start, self.cached, &self.rules);
        }
    }

    pub(super) fn reference_timer(&mut self, id: TimerId, is_referenced: bool) {
        let timer = &mut self.timers.all[id];
        timer.is_referenced = is_referenced;
        if is_referenced || self.rules.one_loop_timer || timer.was_cleared || timer.key == Key::Own(id) {
            return;
        }
        let forgets = timer.was_called && timer.repeat.is_none() && self.rules.unref_forgets_what_has_fired;
        let now = self.read_clock();
        if forgets {
            self.clear_timer(id);
        } else if self.timers.all[id].is_listed || self.timers.all[id].repeat.is_some() {
            self.give_own_list(id, now);
        }
    }

    /// node10: an unreferenced timer leaves its list for good and gets a loop timer of its own. One that is overdue is due
    /// now; an interval that is running comes to its list when it is re-armed.
    fn give_own_list(&mut self, id: TimerId, now: f64) {
        let Timer { start, is_listed, key, .. } = self.timers.all[id];
        self.timers.take_out(id, &self.rules);
        self.timers.drop_if_empty(key);
        self.timers.all[id].key = Key::Own(id);
        if is_listed {
            let due = now.max(start + self.timers.all[id].duration);
            self.timers.append(id, start, start, &self.rules);
            self.timers.postpone(Key::Own(id), due);
        }
    }

    /// node10: a loop timer of a single timer is started anew, by the cached time.
    fn restart_own_list(&mut self, id: TimerId, start: f64) {
        self.timers.take_out(id, &self.rules);
        if self.rules.own_lists_start_anew {
            self.timers.drop_if_empty(Key::Own(id));
        }
        self.timers.append(id, start, start, &self.rules);
    }

    fn drop_list(&mut self, key: Key) {
        if self.timers.drop_if_empty(key) && !self.rules.one_loop_timer {
            self.closing.push(Closing::Silent);
        }
    }
}

/// The longest duration, in milliseconds; what is longer counts as 1.
const DURATION_MAX: f64 = 2_147_483_647.0;
