//! What does a message over a WebSocket cost the server? The workload is in `src/ws_echo.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::ws_echo::QUESTIONS);
}
