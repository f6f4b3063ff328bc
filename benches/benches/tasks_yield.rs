//! What does it cost a task to let the others run? The workload is in `src/tasks_yield.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::tasks_yield::QUESTIONS);
}
