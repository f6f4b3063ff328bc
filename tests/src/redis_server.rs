//! A redis server for one test.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::peers::free_port;

/// A redis server that keeps nothing and ends with the test.
#[derive(Debug)]
pub struct Redis {
    process: Child,
    port: u16,
}

impl Redis {
    /// Starts the program, which [`peer`](crate::peers::peer) finds. It listens soon after, and not yet.
    ///
    /// # Errors
    /// What the system says of the start.
    pub fn start(program: &Path) -> io::Result<Self> {
        let port = free_port()?;
        let process = Command::new(program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { process, port })
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

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
