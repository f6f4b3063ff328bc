//! What does a child cost? The workload is in `src/process_spawn.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::process_spawn::QUESTIONS);
}
