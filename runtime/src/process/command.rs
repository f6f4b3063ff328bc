//! What is to run, and how.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process;

use super::child::{Child, Group, Spawned};
use super::error::SpawnError;
use super::stdio::{Prepared, Stdio};
use super::sys::{self, Setup};
use crate::state::LoopHandle;

/// A process that is to be spawned.
///
/// If nothing else is said, it inherits the environment, the folder, the descriptors 0 to 2, and nothing more. The
/// variables that tell this process of its own [channel](crate::ipc) are not handed on.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, process::{Command, Stdio}};
/// let lp = EventLoop::new()?;
/// let mut child = Command::new("tr").args(["a-z", "A-Z"]).stdin(Stdio::pipe()).stdout(Stdio::pipe()).spawn(&lp)?;
/// let (stdin, stdout) = (child.take_stdin().expect("it is a pipe"), child.take_stdout().expect("it is a pipe"));
/// let (text, status) = lp.block_on(async {
///     stdin.write_all(b"hello").await?;
///     drop(stdin); // the end of its input
///     Ok::<_, std::io::Error>((stdout.read_to_end(100).await?, child.wait().await?))
/// })??;
/// assert!(status.success());
/// assert_eq!(text, b"HELLO");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Command {
    command: process::Command,
    folder: Option<PathBuf>,
    stdio: BTreeMap<RawFd, Stdio>,
    group: Group,
    only_listed: bool,
    kill_on_drop: bool,
}

impl Command {
    /// A program, by path, or by a name that is looked up in the child's `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = process::Command::new(program);
        for name in CHANNEL_VARIABLES.iter().filter(|name| std::env::var_os(name).is_some()) {
            command.env_remove(name);
        }
        Self {
            command,
            folder: None,
            stdio: BTreeMap::new(),
            group: Group::Ours,
            only_listed: false,
            kill_on_drop: false,
        }
    }

    /// A line for the shell, `/bin/sh`. What it is made of must not come from outside unquoted.
    pub fn shell(line: impl AsRef<OsStr>) -> Self {
        Self::new("/bin/sh").arg("-c").arg(line)
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Says what the program finds as its own name, in place of what it is called by.
    pub fn arg0(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.arg0(name);
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Sets variables of its environment.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(mut self, vars: impl IntoIterator<Item = (K, V)>) -> Self {
        self.command.envs(vars);
        self
    }

    /// Takes a variable out of its environment.
    pub fn env_remove(mut self, key: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(key);
        self
    }

    /// Begins with an empty environment.
    pub fn env_clear(mut self) -> Self {
        self.command.env_clear();
        self
    }

    /// The folder it runs in. A relative path of the program is looked up there.
    pub fn current_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// The user it runs as. Spawning fails with `EPERM` without the right to change it.
    pub fn uid(mut self, id: u32) -> Self {
        self.command.uid(id);
        self
    }

    /// The group of users it runs as.
    pub fn gid(mut self, id: u32) -> Self {
        self.command.gid(id);
        self
    }

    /// What its standard input is.
    pub fn stdin(self, stdio: Stdio) -> Self {
        self.descriptor(0, stdio)
    }

    /// What its standard output is.
    pub fn stdout(self, stdio: Stdio) -> Self {
        self.descriptor(1, stdio)
    }

    /// What its standard error is.
    pub fn stderr(self, stdio: Stdio) -> Self {
        self.descriptor(2, stdio)
    }

    /// What its descriptor of any number is.
    pub fn descriptor(mut self, number: u16, stdio: Stdio) -> Self {
        self.stdio.insert(RawFd::from(number), stdio);
        self
    }

    /// Has it lead a process group of its own: signals of the terminal do not reach it, and
    /// [`Child::kill_group`] reaches all of the group.
    pub fn process_group(mut self) -> Self {
        self.group = Group::Own;
        self
    }

    /// Has it lead a session of its own, without a terminal: it may go on when this process and its terminal are gone. To
    /// let this loop end before it does, `unref` the child.
    pub fn detached(mut self) -> Self {
        self.group = Group::OwnSession;
        self
    }

    /// Has it inherit no descriptor above 2 that was not [given](Self::descriptor) to it, also none that a library opened
    /// without asking for that. What this crate and std open is never inherited anyway.
    ///
    /// # Platform
    /// Linux 5.11 and later; elsewhere spawning fails with `ENOSYS`.
    pub fn only_listed_descriptors(mut self) -> Self {
        self.only_listed = true;
        self
    }

    /// Has it killed when the last clone of its [`Child`] is dropped.
    pub fn kill_on_drop(mut self) -> Self {
        self.kill_on_drop = true;
        self
    }

    /// Spawns it. It keeps the loop alive until it has ended.
    ///
    /// # Errors
    /// [`SpawnError`], with the program and the cause: also when `exec` fails in the child, which leaves no zombie. If a number above 2 changes
    /// hands while another thread opens and closes files, the error says so: try again.
    #[track_caller]
    pub fn spawn(self, lp: &LoopHandle) -> Result<Child, SpawnError> {
        let (program, folder) = (PathBuf::from(self.command.get_program()), self.folder.clone());
        let spawned = self.try_spawn(lp);
        spawned.map_err(|source| {
            let folder = folder.filter(|folder| is_at_fault(folder, &source));
            let source = if sys::changed_hands(&source) { changed_hands() } else { source };
            SpawnError { program, folder, source }
        })
    }

    #[track_caller]
    fn try_spawn(mut self, lp: &LoopHandle) -> io::Result<Child> {
        let site = Location::caller();
        if lp.is_closed() {
            return Err(crate::state::sources::gone());
        }
        if let Some(folder) = &self.folder {
            self.command.current_dir(folder);
        }
        // Our ends are registered first: what may still fail when the child runs is only to watch it.
        let Prepared { ours, extra } = Prepared::new(lp, self.stdio, &mut self.command)?;
        if self.group == Group::Own {
            self.command.process_group(0);
        }
        let new_session = self.group == Group::OwnSession;
        sys::before_exec(&mut self.command, Setup { extra, new_session, only_listed: self.only_listed })?;
        let held = sys::hold_standard_numbers()?;
        let process = self.command.spawn()?;
        drop(held);
        let spawned = Spawned { process, ours, group: self.group, kill_on_drop: self.kill_on_drop };
        Child::watch(lp, spawned, site)
    }

    /// The first number from 3 on that nothing was said of.
    pub(crate) fn free_number(&self) -> u16 {
        (3..).find(|number| !self.stdio.contains_key(&RawFd::from(*number))).unwrap_or(u16::MAX)
    }

    /// The program, as it was given.
    pub fn program(&self) -> &OsStr {
        self.command.get_program()
    }
}

/// By which this process learnt of its own channel: a child would look for one under a number that it has not.
const CHANNEL_VARIABLES: [&str; 3] =
    ["NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE", "PHASELOOP_CHANNEL_FD"];

/// Whether an error is the folder's: the system gives the same codes for a missing program.
fn is_at_fault(folder: &Path, error: &io::Error) -> bool {
    let by_path = matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory
    );
    by_path && std::fs::read_dir(folder).is_err()
}

fn changed_hands() -> io::Error {
    let message =
        "another thread closed or opened a file under a number that the child was to get: try again";
    io::Error::new(io::ErrorKind::ResourceBusy, message)
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args: Vec<&OsStr> = self.command.get_args().collect();
        let program: OsString = self.command.get_program().into();
        f.debug_struct("Command").field("program", &program).field("args", &args).finish_non_exhaustive()
    }
}
