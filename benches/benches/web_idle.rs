//! What do a silent WebSocket and a silent event stream cost the server in memory? The workload is in `src/web_idle.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::web_idle::QUESTIONS);
}
