//! An echo server by name, to be loaded by hand: `serve tokio [BUFFER_BYTES]`. Ends when standard input does.

use std::io::{self, Write};
use std::process::ExitCode;

use phaseloop_benches::{child, echo_process};

fn main() -> ExitCode {
    if child::run_if_child() {
        return ExitCode::SUCCESS;
    }
    let mut args = std::env::args().skip(1);
    match (args.next(), args.next().map_or(Ok(4096), |word| word.parse())) {
        (Some(server), Ok(buf_len)) => match serve(&server, buf_len) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&format!("serve: {error}")),
        },
        _ => {
            let names: Vec<&str> = echo_process::server_names().collect();
            complain(&format!("usage: serve SERVER [BUFFER_BYTES]\nservers: {}", names.join(" ")))
        }
    }
}

fn serve(server: &str, buf_len: usize) -> io::Result<()> {
    echo_process::check_name(server)?;
    let server = echo_process::EchoProcess::start(server, buf_len, None)?;
    writeln!(io::stdout(), "{} process {}", server.addr(), server.id())?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    writeln!(io::stdout(), "CPU {:?}, resident {} KiB", server.cpu()?, server.resident_bytes()? / 1024)
}

fn complain(message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{message}"); // nowhere is left to say it
    ExitCode::FAILURE
}
