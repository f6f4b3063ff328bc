//! What does one turn of a loop cost when nothing is ready? The workload is in `src/loop_turn.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::loop_turn::QUESTIONS);
}
