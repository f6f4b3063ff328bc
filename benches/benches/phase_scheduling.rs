//! What does an order cost those who wait? The loads are in `src/phase_scheduling/`; the program `schedules` draws them.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::phase_scheduling::QUESTIONS);
}
