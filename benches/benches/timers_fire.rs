//! What does a one-shot timer cost, from insert to its callback? The workload is in `src/timers_fire.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::timers_fire::QUESTIONS);
}
