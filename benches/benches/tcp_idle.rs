//! What does a silent connection cost the server in memory? The workload is in `src/tcp_idle.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::tcp_idle::QUESTIONS);
}
