//! What does a trivial task cost, from spawn to its joined result? The workload is in `src/tasks_spawn_join.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::tasks_spawn_join::QUESTIONS);
}
