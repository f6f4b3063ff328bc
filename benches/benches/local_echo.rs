//! What does an echoed message cost over UDP and Unix sockets? The workload is in `src/local_echo.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::local_echo::QUESTIONS);
}
