//! What does an accepted connection cost? The workload is in `src/tcp_accept.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::tcp_accept::QUESTIONS);
}
