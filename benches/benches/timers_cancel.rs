//! What does it cost to cancel a timer and insert another? The workload is in `src/timers_cancel.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::timers_cancel::QUESTIONS);
}
