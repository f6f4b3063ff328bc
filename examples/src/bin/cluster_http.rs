//! An HTTP server on several workers. Kill one, and another takes its place.
//!
//! ```sh
//! cargo run --release -p examples --bin cluster_http -- --workers 4
//! curl http://127.0.0.1:8080/
//! kill -HUP $(pgrep -o cluster_http)     # new workers, one by one, and nobody refused
//! kill -TERM $(pgrep -o cluster_http)    # all finish what they do
//! ```

use std::process::ExitCode;

use examples::cluster_http;
use examples::command_line::Usage;

const USAGE: Usage = Usage {
    name: "cluster_http",
    about: "Serves HTTP on several workers, each of which says who it is.",
    flags: &[
        ("--addr ADDRESS", "listens there; the default is 127.0.0.1:8080, and port 0 has the system choose"),
        ("--workers COUNT", "so many; the default is as many as the machine runs threads"),
        ("--threads", "they are threads with a loop each, not processes"),
        ("--policy NAME", "how they get connections: shared (the default), reuse-port, round-robin, sticky"),
        ("--grace SECONDS", "how long one may finish what it does when it is to end; 30"),
    ],
};

fn main() -> ExitCode {
    USAGE.run(cluster_http::run)
}
