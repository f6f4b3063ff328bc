//! How fast are files read through the pool: small ones, one and many at a time, and a large one in chunks? The workload is in
//! `src/fs_small_files.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::fs_small_files::QUESTIONS);
}
