//! How long does it take to ask another thread and be woken by its answer? The workload is in `src/remote_wake.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::remote_wake::QUESTIONS);
}
