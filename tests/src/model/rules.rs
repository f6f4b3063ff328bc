//! The rules as data: one field each, `true` where the rule holds.

use crate::scenario::Profile;

macro_rules! rules {
    ($($(#[doc = $doc:expr])+ $name:ident,)+) => {
        /// One field for each rule of SEMANTICS.md; its number leads the field's description.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Rules {
            $($(#[doc = $doc])+ pub $name: bool,)+
        }

        impl Rules {
            const EVERY: Rules = Rules { $($name: true,)+ };

            /// For each rule, its name and these rules with that one turned around.
            pub fn mutants(self) -> Vec<(&'static str, Rules)> {
                vec![$((stringify!($name), Rules { $name: !self.$name, ..self }),)+]
            }

            /// The names of the rules in which these and others differ.
            pub fn differing(self, other: Rules) -> Vec<&'static str> {
                let all = [$((stringify!($name), self.$name != other.$name),)+];
                all.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
            }
        }
    };
}

rules! {
    // What differs between versions.

    /// M1: the queues drain between two timers of one duration.
    drain_between_timers,
    /// M3: the queues drain between two immediates.
    drain_between_immediates,
    /// P2, P9: await takes a native promise as it is, instead of wrapping it in another.
    await_takes_promises_as_they_are,
    /// X5: a microtask has an entry of its own in the queue; else it is the reaction of a promise.
    microtasks_are_plain,
    /// T6, T14: one loop timer serves all durations; else each duration, and each unreferenced timer, has its
    /// own.
    one_loop_timer,
    /// T1: fractions of a duration are cut off.
    fractions_are_cut_off,
    /// X9: an interval that throws is re-armed.
    intervals_survive_a_throw,
    /// X4: a throw in the main body is followed by a drain.
    drain_after_throw_in_main,
    /// I5: if the last immediate of a phase throws, new ones join the phase; else only if another one threw
    /// before.
    last_throw_takes_new_immediates,
    /// L6, I3: timers end a turn and run before the loop asks whether it is alive; else they begin it.
    timers_end_the_turn,
    /// T15: the timers phase is repeated while the loop timer is due by the cached time.
    timers_phase_repeats,
    /// X3: the check phase opens with a drain.
    check_opens_with_a_drain,
    /// W3: reading a small file takes four pool jobs; else one.
    read_file_takes_four_jobs,
    /// T2: the first negative duration warns.
    negative_durations_warn,

    // What only a browser does.

    /// B5: posted messages, timers that are due and reports are tasks of one queue; else there are phases.
    tasks_share_a_queue,
    /// B3: timers become tasks by due time; else in the order of setting.
    timers_become_tasks_by_due_time,
    /// B3: whatever is due becomes a task before the next task runs; else when no task is left.
    timers_become_tasks_between_tasks,
    /// B5: a timer without a delay becomes a task when it is set; else when timers are looked at.
    zero_timeouts_become_tasks_at_once,
    /// B1: timers set by deeply nested timers wait 4 ms.
    deep_timers_wait,
    /// B1: what microtasks of a timer set is nested as if the timer had set it.
    microtasks_are_nested,
    /// B1: what a posted message sets is not nested.
    messages_are_not_nested,
    /// B1: each call of an interval is nested deeper than the one before.
    intervals_nest,
    /// B5: intervals keep to a grid; else they start again with the call.
    intervals_keep_to_a_grid,
    /// B5: intervals are armed before their callback; else after it.
    intervals_are_armed_first,
    /// B5: unhandled rejections are reported by a task; else in the drain.
    rejections_are_reported_by_tasks,
    /// B5: that a rejection was handled late is told by a task; else in the drain.
    late_handling_is_told_by_tasks,

    // What is the same in all versions.

    /// Q1: ticks run before microtasks.
    ticks_before_microtasks,
    /// Q2: ticks queued by ticks run before the first microtask.
    ticks_drain_fully,
    /// Q4: ticks queued by microtasks wait until there are no microtasks.
    microtasks_drain_fully,
    /// Q5: a drain goes on until both queues are empty.
    drain_repeats,
    /// P5, P6: resolving with a promise takes a job before it is reacted to.
    promises_are_adopted_in_a_job,
    /// P3, P5: the `then` of a thenable is called in a job.
    thenables_are_called_in_a_job,
    /// P7: the link after `finally` waits for a promise of its own.
    finally_waits,
    /// P8: an async function runs synchronously up to its first await.
    async_functions_start_at_once,
    /// P10: a rejection passes over links without a handler in one job each.
    rejections_visit_each_link,
    /// M2: the queues drain between timers of different durations.
    drain_between_lists,
    /// M4: the queues drain between pool completions.
    drain_between_completions,
    /// M5: the queues drain between close callbacks.
    drain_between_close_callbacks,
    /// M6: unhandled rejections are reported in each drain; else when the loop polls.
    drains_report_rejections,
    /// X8: rejections are reported only when there are no ticks.
    reports_wait_for_ticks,
    /// X8: what was handled late is reported before new rejections.
    late_handled_first,
    /// L1 to L5: poll comes before check.
    poll_before_check,
    /// L1 to L5: check comes before close.
    check_before_close,
    /// L7: if nothing referenced exists, not even the first timers phase runs.
    alive_is_asked_first,
    /// L8: a referenced immediate keeps poll from waiting.
    immediates_keep_poll_from_waiting,
    /// L8: a handle being closed keeps poll from waiting.
    closing_keeps_poll_from_waiting,
    /// T1: durations below one are one.
    short_durations_become_one,
    /// T2: durations above the maximum are one.
    long_durations_become_one,
    /// T2: durations above the maximum warn, each time.
    long_durations_warn,
    /// T2, V6: warnings are delivered by a tick.
    warnings_are_ticks,
    /// T3: setting a timer reads the clock; else it starts at the loop's cached time.
    setting_a_timer_reads_the_clock,
    /// T4: lists run by due time; else by age.
    lists_run_by_due_time,
    /// T5: timers of one duration share a list; else each has its own.
    lists_share_a_duration,
    /// T6: the timers phase reads the clock once; else once for each list.
    phase_reads_the_clock_once,
    /// T7: refresh and clear leave the due time of a list alone.
    lists_keep_their_due_time,
    /// T14: clearing the last timer of a list leaves the empty list if the timer is unreferenced.
    unreferenced_timers_leave_their_list,
    /// T8: an interval starts again from the beginning of its callback; else from the end.
    intervals_restart_from_their_beginning,
    /// T8, T9: an interval drifts; else it starts again from when it was due.
    intervals_drift,
    /// T10: refresh re-arms a timer that has fired.
    refresh_rearms,
    /// T10: refresh restarts a timer that is set.
    refresh_restarts,
    /// T10: refresh does nothing to a timer that was cleared.
    refresh_respects_clear,
    /// T10, node10: refresh starts the loop timer of an unreferenced timer anew; else its list keeps its place, as in T7.
    own_lists_start_anew,
    /// T12, node10: unref forgets a timeout that has fired: it can not be refreshed any more.
    unref_forgets_what_has_fired,
    /// T11: a timer that is due in the running phase can be cleared.
    due_timers_can_be_cleared,
    /// I2: an immediate of the running phase can be cleared.
    running_immediates_can_be_cleared,
    /// T12: unreferenced timers do not keep the loop alive.
    unreferenced_timers_let_the_loop_end,
    /// I3: unreferenced immediates do not keep the loop alive.
    unreferenced_immediates_let_the_loop_end,
    /// T13: poll reads the clock before it waits; else it oversleeps by what the callbacks took.
    poll_reads_the_clock,
    /// T15: whether the phase is repeated is decided by the cached time.
    repeats_by_the_cached_time,
    /// I1: immediates set in the check phase wait for the next one.
    new_immediates_wait,
    /// W1: pool jobs complete in the order of submission.
    jobs_complete_in_order,
    /// W2: what is submitted in a poll phase completes in a later one.
    completions_wait_for_the_next_poll,
    /// C1: close callbacks run last closed first.
    last_closed_first,
    /// C2: what is closed in a close callback waits for the next turn.
    new_closes_wait,
    /// X1: after a throw nothing is drained.
    throws_skip_the_drain,
    /// X2: a throw queues an empty immediate.
    throws_queue_an_immediate,
    /// X2: a throw in a beforeExit listener skips the others.
    throws_skip_before_exit_listeners,
    /// X5: a throw in a microtask does not stop the drain.
    microtasks_go_on_after_a_throw,
    /// X6: a throw in a tick abandons the drain.
    ticks_stop_at_a_throw,
    /// X7: a throw in a listener goes through emit.
    throws_go_through_emit,
    /// X8: a rejection that is handled before the report is not reported.
    handled_in_time_is_silent,
    /// X8: a handler attached after the report is reported.
    handled_late_is_reported,
    /// E1: beforeExit comes again after more work.
    before_exit_repeats,
    /// E2: all beforeExit listeners run before one drain.
    before_exit_drains_once,
    /// E3: exit listeners are followed by nothing.
    exit_drops_the_queues,
    /// E4: quit does not drain.
    quit_drops_the_queues,
    /// E4: quit runs the exit listeners.
    quit_runs_exit_listeners,
    /// V1: prepended listeners come first.
    prepended_listeners_come_first,
    /// V2: a running emit works on a copy of the listeners.
    emit_works_on_a_copy,
    /// V3: a once-listener is removed before it is called.
    once_is_removed_first,
    /// V4: newListener is emitted before a listener is added.
    new_listener_comes_before,
    /// V4: removeListener is emitted, and after the removal.
    remove_listener_is_emitted,
    /// V4: removing all listeners removes the newest first.
    off_all_removes_the_newest_first,
    /// V5: `error` without listeners throws.
    errors_throw,
    /// V6: more listeners than the limit warn once for an event.
    leaks_warn_once,
    /// V6: when the listeners of an event have gone down to one, it may warn again.
    leak_warnings_come_back,
}

impl Rules {
    /// How many pool jobs reading a small file takes.
    pub(super) fn read_file_jobs(self) -> u32 {
        if self.read_file_takes_four_jobs { 4 } else { 1 }
    }

    /// The rules of that profile.
    pub fn of(profile: Profile) -> Rules {
        let browser = Rules {
            throws_skip_the_drain: false,
            throws_queue_an_immediate: false,
            short_durations_become_one: false,
            long_durations_warn: false,
            negative_durations_warn: false,
            timers_phase_repeats: false,
            check_opens_with_a_drain: false,
            read_file_takes_four_jobs: false,
            ..Rules::EVERY
        };
        let node26 = Rules {
            tasks_share_a_queue: false,
            timers_become_tasks_by_due_time: false,
            timers_become_tasks_between_tasks: false,
            zero_timeouts_become_tasks_at_once: false,
            deep_timers_wait: false,
            microtasks_are_nested: false,
            messages_are_not_nested: false,
            intervals_nest: false,
            intervals_keep_to_a_grid: false,
            intervals_are_armed_first: false,
            rejections_are_reported_by_tasks: false,
            late_handling_is_told_by_tasks: false,
            timers_phase_repeats: false,
            check_opens_with_a_drain: false,
            read_file_takes_four_jobs: false,
            ..Rules::EVERY
        };
        let node24 = Rules { check_opens_with_a_drain: true, read_file_takes_four_jobs: true, ..node26 };
        let node22 = Rules { negative_durations_warn: false, ..node24 };
        let node20 = Rules { timers_phase_repeats: true, ..node22 };
        let node18 = Rules { timers_end_the_turn: false, ..node20 };
        match profile {
            Profile::Node10 => Rules {
                drain_between_timers: false,
                drain_between_immediates: false,
                await_takes_promises_as_they_are: false,
                microtasks_are_plain: false,
                one_loop_timer: false,
                fractions_are_cut_off: false,
                phase_reads_the_clock_once: false,
                unreferenced_timers_leave_their_list: false,
                intervals_survive_a_throw: false,
                drain_after_throw_in_main: false,
                last_throw_takes_new_immediates: false,
                check_opens_with_a_drain: false,
                ..node18
            },
            Profile::Node12 | Profile::Node16 | Profile::Node18 => node18,
            Profile::Node20 => node20,
            Profile::Node22 => node22,
            Profile::Node24 => node24,
            Profile::Node26 => node26,
            Profile::Browser => browser,
        }
    }
}
