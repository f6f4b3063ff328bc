//! What does a server do with Redis?
//!
//! ```sh
//! redis-server --port 6379 &
//! cargo run --release -p examples --features redis --bin redis_kit
//! ```
//!
//! A cache with times to live, a lock, messages, a stream with a group of consumers, a counter and a leaderboard.

use std::process::ExitCode;

use examples::command_line::Usage;
use examples::redis_kit;

const USAGE: Usage = Usage {
    name: "redis_kit",
    about: "Shows what a server does with Redis, which REDIS_URL names; redis://127.0.0.1:6379/ by default.",
    flags: &[],
};

fn main() -> ExitCode {
    let url = std::env::var("REDIS_URL").unwrap_or_else(|_| redis_kit::DEFAULT_URL.to_owned());
    USAGE.run(|page, _| redis_kit::run(page, &url))
}
