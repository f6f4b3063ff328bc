//! What does a small answer of HTTP cost the server? The workload is in `src/http_plaintext.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::http_plaintext::QUESTIONS);
}
