//! What does a message to everybody cost a Socket.IO server? The workload is in `src/socketio_broadcast.rs`.

fn main() {
    phaseloop_benches::criterion_face::run(phaseloop_benches::socketio_broadcast::QUESTIONS);
}
