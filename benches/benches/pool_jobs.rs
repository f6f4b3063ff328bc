//! What does it cost to have a thread of the pool do nothing, and to hear of it on the loop? The workload is in
//! `src/pool_jobs.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::pool_jobs::QUESTIONS);
}
