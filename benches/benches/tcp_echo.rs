//! What does an echoed message cost the server? The workload is in `src/tcp_echo.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::tcp_echo::QUESTIONS);
}
