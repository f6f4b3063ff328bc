//! What does a round trip of a tokio stream cost on a loop? The workload is in `src/tokio_host.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::tokio_host::QUESTIONS);
}
