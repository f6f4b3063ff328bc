//! What does it cost to hand a value from task to task? The workload is in `src/tasks_oneshot_hop.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::tasks_oneshot_hop::QUESTIONS);
}
