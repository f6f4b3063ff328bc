//! What does it cost to push a timer further away? The workload is in `src/timers_rearm.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::timers_rearm::QUESTIONS);
}
