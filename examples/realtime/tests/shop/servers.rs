//! Real stores for one test, that can be killed and come back.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use phaseloop_tests::peers::{free_port, peer};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// A server's process, and how to start it again where it was.
pub(crate) struct Server {
    command: Box<dyn Fn() -> Command>,
    process: Option<Child>,
    started: Instant,
    pub(crate) port: u16,
}

/// How long a server may take until it listens.
const START_MAX: Duration = Duration::from_secs(120);

impl Server {
    fn new(port: u16, command: impl Fn() -> Command + 'static) -> Self {
        let mut server = Self { command: Box::new(command), process: None, started: Instant::now(), port };
        server.start();
        server
    }

    pub(crate) fn start(&mut self) {
        let mut command = (self.command)();
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.process = Some(started.unwrap());
        self.started = Instant::now();
    }

    /// As when the power fails.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Stops it where it is: its connections stay, and nobody answers.
    pub(crate) fn freeze(&self) {
        let stopped = waitpid(Some(self.signal(Signal::STOP)), WaitOptions::UNTRACED);
        assert!(stopped.unwrap().is_some_and(|(_, status)| status.stopped()));
    }

    /// Has it go on.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) -> Pid {
        let pid = Pid::from_child(self.process.as_ref().expect("it runs"));
        kill_process(pid, signal).unwrap();
        pid
    }

    /// Whether clients can connect yet.
    ///
    /// # Panics
    /// If they never will: it has ended, or takes too long.
    #[track_caller]
    pub(crate) fn listens(&mut self) -> bool {
        let (port, since) = (self.port, self.started.elapsed());
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return true;
        }
        let ended = self.process.as_mut().and_then(|process| process.try_wait().unwrap());
        assert!(
            ended.is_none() && since < START_MAX,
            "the server on port {port}, after {since:?}: {ended:?}"
        );
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A password that must be in no log.
pub(crate) const DATABASE_PASSWORD: &str = "password-of-the-database";

/// MariaDB with a database `shop` of a user `app`. It listens soon, and not yet.
#[track_caller]
pub(crate) fn mariadb(folder: &Path) -> Option<(Server, String)> {
    let (install, daemon) = (peer("mariadb-install-db")?, peer("mariadbd")?);
    let (data, init) = (folder.join("mariadb"), folder.join("init.sql"));
    // Of its own: a server that starts clears the folder of temporary tables, those of its neighbours too.
    let temporary = folder.join("temporary");
    fs::create_dir_all(&temporary).unwrap();
    let made = Command::new(install)
        .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root"])
        .arg(format!("--datadir={}", data.display()))
        .env("TMPDIR", &temporary)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // Of an initial file each line is one statement.
    let accounts = format!(
        "CREATE DATABASE IF NOT EXISTS shop;\n\
         CREATE USER IF NOT EXISTS app@'127.0.0.1' IDENTIFIED BY '{DATABASE_PASSWORD}';\n\
         CREATE USER IF NOT EXISTS app@localhost IDENTIFIED BY '{DATABASE_PASSWORD}';\n\
         GRANT ALL ON shop.* TO app@'127.0.0.1';\n\
         GRANT ALL ON shop.* TO app@localhost;\n"
    );
    fs::write(&init, accounts).unwrap();
    let port = free_port().unwrap();
    let files = [
        format!("--datadir={}", data.display()),
        format!("--socket={}", folder.join("m.sock").display()),
        format!("--pid-file={}", folder.join("m.pid").display()),
        format!("--init-file={}", init.display()),
        format!("--port={port}"),
    ];
    let server = Server::new(port, move || {
        let mut command = Command::new(&daemon);
        // The root of a container is the only user it has.
        command.args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1"]).args(&files);
        command.env("TMPDIR", &temporary);
        command
    });
    Some((server, format!("mysql://app:{DATABASE_PASSWORD}@127.0.0.1:{port}/shop")))
}

/// Redis that keeps nothing.
#[track_caller]
pub(crate) fn redis() -> Option<(Server, String)> {
    let program = peer("redis-server")?;
    let port = free_port().unwrap();
    let server = Server::new(port, move || {
        let mut command = Command::new(&program);
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command
    });
    Some((server, format!("redis://127.0.0.1:{port}/")))
}

/// SecantusDB, which speaks MongoDB's protocol: in the folder that `.ci/run setup` made for it, or on the path.
#[track_caller]
pub(crate) fn secantus(folder: &Path) -> Option<(Server, String)> {
    // A test runs from `debug/deps` of the folder that it is in.
    let test = std::env::current_exe().unwrap();
    let installed = test.ancestors().nth(3).map(|target| target.join("python/bin/secantusd-py"));
    let program = match installed.filter(|program| program.is_file()) {
        Some(program) => program,
        None => peer("secantusd-py")?,
    };
    let (port, data): (u16, PathBuf) = (free_port().unwrap(), folder.join("documents"));
    let server = Server::new(port, move || {
        let mut command = Command::new(&program);
        let port = port.to_string();
        command.args(["--enable-test-commands", "--port", &port, "--storage-path"]).arg(&data);
        command
    });
    Some((server, format!("mongodb://127.0.0.1:{port}/shop")))
}
