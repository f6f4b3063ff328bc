//! What the benches share: the questions, the peers that answer them, and the clocks.
//!
//! Each question is one module with one [`Question`]: a workload written once for each
//! contestant, checked in every run. The criterion files in `benches/` and the program `compare` only choose
//! which questions to ask and how to print the answers.

pub mod child;
pub mod criterion_face;
pub mod drawing;
pub mod echo_client;
pub mod echo_process;
pub mod numbers;
pub mod peers;
pub mod percentiles;
pub mod question;
pub mod stopwatch;

pub mod fs_small_files;
pub mod http_plaintext;
pub mod local_echo;
pub mod loop_turn;
pub mod phase_scheduling;
pub mod pool_gzip_sha;
pub mod pool_jobs;
pub mod process_spawn;
pub mod queues_tick_microtask;
pub mod remote_wake;
pub mod socketio_broadcast;
pub mod tasks_oneshot_hop;
pub mod tasks_spawn_join;
pub mod tasks_yield;
pub mod tcp_accept;
pub mod tcp_echo;
pub mod tcp_idle;
pub mod timers_cancel;
pub mod timers_fire;
pub mod timers_rearm;
pub mod tokio_host;
pub mod web_idle;
pub mod ws_echo;

use question::Question;

/// Every question, in the order in which `compare` asks them.
pub fn questions() -> Vec<&'static Question> {
    let groups: [&'static [Question]; 23] = [
        loop_turn::QUESTIONS,
        timers_fire::QUESTIONS,
        timers_cancel::QUESTIONS,
        timers_rearm::QUESTIONS,
        queues_tick_microtask::QUESTIONS,
        tasks_spawn_join::QUESTIONS,
        tasks_yield::QUESTIONS,
        tasks_oneshot_hop::QUESTIONS,
        remote_wake::QUESTIONS,
        tcp_echo::QUESTIONS,
        tcp_idle::QUESTIONS,
        tcp_accept::QUESTIONS,
        local_echo::QUESTIONS,
        process_spawn::QUESTIONS,
        tokio_host::QUESTIONS,
        http_plaintext::QUESTIONS,
        web_idle::QUESTIONS,
        ws_echo::QUESTIONS,
        socketio_broadcast::QUESTIONS,
        phase_scheduling::QUESTIONS,
        pool_gzip_sha::QUESTIONS,
        pool_jobs::QUESTIONS,
        fs_small_files::QUESTIONS,
    ];
    groups.into_iter().flatten().collect()
}
