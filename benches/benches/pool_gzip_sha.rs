//! What does the pool add to hashing and compressing, and when is a buffer too small for it? The workload is in
//! `src/pool_gzip_sha.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::pool_gzip_sha::QUESTIONS);
}
