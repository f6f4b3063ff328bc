//! What do a nextTick callback and a microtask cost? The workload is in `src/queues_tick_microtask.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::queues_tick_microtask::QUESTIONS);
}
