//! HTTP/2 and HTTP/1.1 on one TLS port: `/time` says the time every two seconds on one long answer, anything else is JSON.
//!
//! `cargo run --release -p examples --bin http2_time`, and then for example `curl --http2 -Nk https://127.0.0.1:8443/time`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;

use examples::{descriptors, http2_time};
use phaseloop::{EventLoop, RunMode};
use phaseloop_server::tls::{Certificate, Certificates, DevCertificate, ServerTls};

const USAGE: &str = "\
usage: http2_time [--addr ADDRESS] [--plain] [--cert CHAIN --key KEY] [--no-http1]

  --addr ADDRESS  listen there; the default is 127.0.0.1:8443, and port 0 has the system choose
  --plain         without TLS; clients of HTTP/2 must know: curl --http2-prior-knowledge
  --cert, --key   PEM files; without them a certificate is made up
  --no-http1      refuse HTTP/1.1
  --help          say this";

fn main() -> ExitCode {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("http2_time: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("http2_time: {}: {error}", options.address);
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    if let Err(error) = descriptors::raise_limit() {
        eprintln!("http2_time: the limit of descriptors stays as it is: {error}");
    }
    let lp = EventLoop::new()?;
    let mut server = http2_time::server().allow_http1(options.http1);
    server = server.on_trouble(|trouble| eprintln!("http2_time: {trouble}"));
    if !options.plain {
        server = server.tls(&ServerTls::new(&Certificates::new(options.certificate()?))?);
    }
    let serving = server.listen(&lp, options.address)?;
    let scheme = if options.plain { "http" } else { "https" };
    println!("listening on {scheme}://{}/", serving.local_addr()?);
    lp.run(RunMode::Default)?; // until the process is killed
    Ok(())
}

struct Options {
    address: SocketAddr,
    plain: bool,
    http1: bool,
    files: Option<(String, String)>,
}

impl Options {
    /// `None` if the user asks for help.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let address = SocketAddr::from(([127, 0, 0, 1], 8443));
        let mut options = Self { address, plain: false, http1: true, files: None };
        let (mut cert, mut key) = (None, None);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--addr" => {
                    let value = value()?;
                    let parsed = value.parse();
                    options.address = parsed.map_err(|_| {
                        format!("--addr: {value:?} is no address with a port, such as 127.0.0.1:8443")
                    })?;
                }
                "--plain" => options.plain = true,
                "--no-http1" => options.http1 = false,
                "--cert" => cert = Some(value()?),
                "--key" => key = Some(value()?),
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("unknown argument {argument:?}")),
            }
        }
        options.files = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err("--cert and --key go together".to_owned()),
        };
        Ok(Some(options))
    }

    fn certificate(&self) -> Result<Certificate, Box<dyn Error>> {
        Ok(match &self.files {
            Some((cert, key)) => Certificate::from_files(cert, key)?,
            None => DevCertificate::generate(["localhost", "127.0.0.1"])?.certificate(),
        })
    }
}
