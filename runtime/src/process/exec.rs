//! Running a process to its end, with all it writes in memory.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::process::ExitStatus;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::child::Child;
use super::command::Command;
use super::error::ExecError;
use super::stdio::Stdio;
use crate::net::pipe::PipeStream;
use crate::signal::Signal;
use crate::state::LoopHandle;

/// The bounds of [`Command::output`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecOptions {
    /// How many bytes of output, and of errors, are kept: 1 MiB each. More end the process.
    pub len_max: usize,
    /// How long it may run; for ever by default.
    pub timeout: Option<Duration>,
    /// What it and its descendants are sent when a bound is passed. One that they ignore leaves them running.
    pub kill_signal: Signal,
    /// What it reads; nothing by default.
    pub input: Vec<u8>,
}

impl Default for ExecOptions {
    fn default() -> Self {
        Self { len_max: 1024 * 1024, timeout: None, kill_signal: Signal::KILL, input: Vec::new() }
    }
}

/// What a process wrote, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// How it ended; `None` if it was not waited for, because a bound was passed.
    pub status: Option<ExitStatus>,
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// True if it ended by itself, with code 0.
    pub fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

impl Command {
    /// Spawns it at once, and gives what it writes when it has ended. Its descriptors 0 to 2 are pipes.
    ///
    /// # Errors
    /// [`ExecError`]: it could not be spawned, a bound was passed, or talking to it failed. How it ended is no error.
    ///
    /// # Cancel safety
    /// Dropping the future kills the process, but not its descendants.
    ///
    /// # Examples
    /// ```
    /// # use phaseloop::{EventLoop, process::{Command, ExecOptions}};
    /// let lp = EventLoop::new()?;
    /// let mut options = ExecOptions::default();
    /// options.input = b"3\n1\n2\n".to_vec();
    /// let output = lp.block_on(Command::shell("sort; echo done >&2").output(&lp, options))?;
    /// let output = output.expect("sort is there");
    /// assert!(output.success());
    /// assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"1\n2\n3\n"[..], &b"done\n"[..]));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn output(
        self,
        lp: &LoopHandle,
        options: ExecOptions,
    ) -> impl Future<Output = Result<Output, ExecError>> + use<> {
        let piped = self.stdin(Stdio::pipe()).stdout(Stdio::pipe()).stderr(Stdio::pipe()).kill_on_drop();
        let child = piped.spawn(lp);
        let lp = lp.clone();
        async move { run(&lp, child?, options).await }
    }

    /// As [`output`](Self::output), and calls back, never inside this call. It keeps the loop alive until then.
    #[track_caller]
    pub fn output_with(
        self,
        lp: &LoopHandle,
        options: ExecOptions,
        on_done: impl FnOnce(&LoopHandle, Result<Output, ExecError>) + 'static,
    ) {
        let (output, own) = (self.output(lp, options), lp.clone());
        let task = async move {
            let output = output.await;
            own.defer(move |lp| on_done(lp, output));
        };
        lp.spawn_at(task, Location::caller()).detach();
    }
}

/// How the talk with a process ended.
enum End {
    Exited(ExitStatus),
    TooLong,
    TimedOut,
}

async fn run(lp: &LoopHandle, mut child: Child, options: ExecOptions) -> Result<Output, ExecError> {
    let streams = (child.take_stdin(), child.take_stdout(), child.take_stderr());
    let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
        return Err(ExecError::Io(io::Error::other("the pipes were asked for and are not there")));
    };
    let (out, err) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(Vec::new())));
    let talk = talk(&child, options.input, stdin, (stdout, &out), (stderr, &err), options.len_max);
    let end = match options.timeout {
        None => talk.await,
        Some(timeout) => lp.timeout(timeout, talk).await.unwrap_or(Ok(End::TimedOut)),
    };
    if !matches!(end, Ok(End::Exited(_))) && child.is_active() {
        // Where descendants can not be told, the process alone is; one that has ended needs no signal.
        let _ = child.kill_tree(options.kill_signal).map(drop).or_else(|_| child.kill(options.kill_signal));
    }
    let mut output = Output { status: child.try_status(), stdout: out.take(), stderr: err.take() };
    match end.map_err(ExecError::Io)? {
        End::Exited(status) => {
            output.status = Some(status);
            Ok(output)
        }
        End::TooLong => Err(ExecError::TooLong(output)),
        End::TimedOut => Err(ExecError::Timeout(output)),
    }
}

type Kept = Rc<RefCell<Vec<u8>>>;

/// Feeds the process, keeps what it writes, and waits for its end and that of its pipes.
async fn talk(
    child: &Child,
    input: Vec<u8>,
    stdin: PipeStream,
    (stdout, out): (PipeStream, &Kept),
    (stderr, err): (PipeStream, &Kept),
    len_max: usize,
) -> io::Result<End> {
    let mut feed = pin!(feed(stdin, input));
    let mut fed = false;
    let mut out = Box::pin(keep(stdout, Rc::clone(out), len_max));
    let mut err = Box::pin(keep(stderr, Rc::clone(err), len_max));
    let (mut out_done, mut err_done) = (false, false);
    let too_long = poll_fn(|cx| {
        if !fed {
            fed = feed.as_mut().poll(cx).is_ready();
        }
        for (reader, done) in [(&mut out, &mut out_done), (&mut err, &mut err_done)] {
            if !*done && let Poll::Ready(fits) = Pin::new(reader).poll(cx) {
                *done = true;
                match fits {
                    Ok(true) => {}
                    Ok(false) => return Poll::Ready(Ok(true)),
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        }
        if out_done && err_done { Poll::Ready(Ok(false)) } else { Poll::Pending }
    });
    if too_long.await? {
        return Ok(End::TooLong);
    }
    // A process may close its output and go on to read its input: it is fed until it ends.
    let mut wait = pin!(child.wait());
    let status = poll_fn(|cx| {
        if !fed {
            fed = feed.as_mut().poll(cx).is_ready();
        }
        wait.as_mut().poll(cx)
    });
    Ok(End::Exited(status.await?))
}

/// Writes the input and ends it. A process that does not read it all is no error.
async fn feed(stdin: PipeStream, input: Vec<u8>) {
    let _ = stdin.write_all(&input).await;
    stdin.close();
}

/// Keeps what comes, up to a length. False if more came.
async fn keep(stream: PipeStream, kept: Kept, len_max: usize) -> io::Result<bool> {
    let mut buf = [0; 8192];
    loop {
        let len = stream.read(&mut buf).await?;
        if len == 0 {
            return Ok(true);
        }
        let room = len_max - kept.borrow().len();
        kept.borrow_mut().extend_from_slice(&buf[..len.min(room)]);
        if len > room {
            return Ok(false);
        }
    }
}
