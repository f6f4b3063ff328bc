//! A redis server for one test.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::peers::free_port;

/// A redis server that keeps nothing and ends with the test.
#[derive(Debug)]
pub struct Redis {
    program: PathBuf,
    options: Vec<String>,
    process: Child,
    port: u16,
}

impl Redis {
    /// Starts the program, which [`peer`](crate::peers::peer) finds. It listens soon after, and not yet.
    ///
    /// # Errors
    /// What the system says of the start.
    pub fn start(program: &Path) -> io::Result<Self> {
        Self::start_with(program, &[])
    }

    /// Starts the program with more options, such as `["--requirepass", "secret"]`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(program: &Path, options: &[&str]) -> io::Result<Self> {
        let port = free_port()?;
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let process = spawn(program, port, &options)?;
        Ok(Self { program: program.to_owned(), options, process, port })
    }

    /// Ends it at once, as a machine that loses its power.
    ///
    /// # Errors
    /// What the system says.
    pub fn kill(&mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }

    /// Starts it again, on the same port, after [`kill`](Self::kill). What it had is gone.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&mut self) -> io::Result<()> {
        self.process = spawn(&self.program, self.port, &self.options)?;
        Ok(())
    }

    /// Stops it where it is, as a machine that hangs: the system goes on accepting connections for it.
    ///
    /// # Errors
    /// What the system says.
    pub fn freeze(&self) -> io::Result<()> {
        self.signal("-STOP")
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    ///
    /// # Errors
    /// What the system says.
    pub fn thaw(&self) -> io::Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> io::Result<()> {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status()?;
        if sent.success() { Ok(()) } else { Err(io::Error::other(format!("kill {signal}: {sent}"))) }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Where it listens, as clients of redis take it.
    pub fn url(&self) -> String {
        format!("redis://{}/", self.addr())
    }
}

fn spawn(program: &Path, port: u16, options: &[String]) -> io::Result<Child> {
    Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(options)
        .stdout(Stdio::null())
        .spawn()
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
