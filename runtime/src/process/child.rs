//! A child process: its exit, its pipes, its end.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::panic::Location;
use std::process::ExitStatus;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::{sys, tree};
use crate::driver::{Readiness, Token};
use crate::net::pipe::PipeStream;
use crate::signal::{Signal, Started, Watches};
use crate::state::handles::HandleKind;
use crate::state::sources::{Ready, gone};
use crate::state::{Callback, Closing, LoopHandle};
use crate::task::waiters::Waiters;

/// A process that was spawned.
///
/// Cheap to clone; clones are the same process. Dropping the last one closes the pipes that were not taken, and kills the
/// process if [`kill_on_drop`](super::Command::kill_on_drop) says so; otherwise it runs on. Until the process has ended it
/// keeps the loop alive, unless it is `unref`'d, and the loop collects its status, so that no zombie is left.
///
/// # Ordering
/// The exit is told in the poll phase. It may come before the end of what the process wrote, which waits in the pipes:
/// [`on_closed`](Self::on_closed) comes after both, in the pending phase. Source: Node, `exit` and `close` of a child process.
#[derive(Clone)]
pub struct Child {
    inner: Rc<Inner>,
    owner: Rc<Owner>,
}

/// What ends with the last clone that the user holds.
struct Owner {
    inner: Rc<Inner>,
    stdio: RefCell<BTreeMap<RawFd, PipeStream>>,
    kill_on_drop: bool,
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.kill_on_drop && self.inner.ended.get().is_none() {
            // It fails only for a process that has ended.
            let _ = self.inner.kill(Signal::KILL);
        }
    }
}

/// A process that runs and is not watched yet.
pub(super) struct Spawned {
    pub(super) process: std::process::Child,
    /// Our ends of its descriptors, and whether it writes to them.
    pub(super) ours: BTreeMap<RawFd, (PipeStream, bool)>,
    pub(super) group: Group,
    pub(super) kill_on_drop: bool,
}

/// Which process group a child is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Ours,
    Own,
    OwnSession,
}

type OnExit = Box<dyn FnOnce(&LoopHandle, io::Result<ExitStatus>)>;
type OnClosed = Box<dyn FnOnce(&LoopHandle)>;

struct Inner {
    lp: LoopHandle,
    token: Token,
    /// Readable once the process has ended. `None` where SIGCHLD has to do.
    pidfd: Option<OwnedFd>,
    by_signal: RefCell<Option<Started>>,
    process: RefCell<std::process::Child>,
    pid: u32,
    group: Group,
    /// How it ended, or the code of the error that kept us from learning it.
    ended: Cell<Option<Result<ExitStatus, i32>>>,
    on_exit: Cell<Option<OnExit>>,
    on_closed: Cell<Option<OnClosed>>,
    /// Pipes that the process may still write to.
    writing: Cell<usize>,
    waiting: RefCell<Waiters>,
    released: Cell<bool>,
}

impl Child {
    /// Watches a process that was spawned.
    pub(super) fn watch(
        lp: &LoopHandle,
        spawned: Spawned,
        site: &'static Location<'static>,
    ) -> io::Result<Self> {
        let pidfd = match sys::open_pidfd(spawned.process.id()) {
            Err(error) if sys::has_no_pidfds(&error) => Ok(None),
            pidfd => pidfd.map(Some),
        };
        Self::watch_by(lp, spawned, pidfd, site)
    }

    fn watch_by(
        lp: &LoopHandle,
        spawned: Spawned,
        pidfd: io::Result<Option<OwnedFd>>,
        site: &'static Location<'static>,
    ) -> io::Result<Self> {
        let Spawned { mut process, ours, group, kill_on_drop } = spawned;
        let source =
            pidfd.and_then(|pidfd| open_source(lp, pidfd.as_ref(), site).map(|token| (pidfd, token)));
        let (pidfd, token) = match source {
            Ok(source) => source,
            Err(error) => {
                // Nobody would ever learn of its end. Both can only fail if it has ended already.
                let _ = process.kill();
                let _ = process.wait();
                return Err(error);
            }
        };
        let inner = Rc::new(Inner {
            lp: lp.clone(),
            token,
            by_signal: RefCell::new(None),
            pid: process.id(),
            process: RefCell::new(process),
            group,
            ended: Cell::new(None),
            on_exit: Cell::new(None),
            on_closed: Cell::new(None),
            writing: Cell::new(ours.values().filter(|(_, child_writes)| *child_writes).count()),
            waiting: RefCell::default(),
            released: Cell::new(false),
            pidfd,
        });
        if inner.pidfd.is_none()
            && let Err(error) = inner.watch_by_signal(site)
        {
            lp.close_source(token);
            let mut process = inner.process.borrow_mut();
            // As above: nobody would ever learn of its end.
            let _ = process.kill();
            let _ = process.wait();
            drop(process);
            return Err(error);
        }
        for (stream, _) in ours.values().filter(|(_, child_writes)| *child_writes) {
            // Held by the stream: what is told when all has ended must outlive the exit and our handles.
            let inner = Rc::clone(&inner);
            stream.on_read_end(move || inner.pipe_ended());
        }
        lp.update_source(token, |flags| flags.active = true);
        lp.state.sources.set_target(token, Some(Rc::clone(&inner) as Rc<dyn Ready>));
        let stdio = RefCell::new(ours.into_iter().map(|(number, (stream, _))| (number, stream)).collect());
        let owner = Rc::new(Owner { inner: Rc::clone(&inner), stdio, kill_on_drop });
        Ok(Self { inner, owner })
    }

    /// The process's number. Once it has ended, and was told, the system may give it to another.
    pub fn id(&self) -> u32 {
        self.inner.pid
    }

    /// The loop that watches it.
    pub fn lp(&self) -> &LoopHandle {
        &self.inner.lp
    }

    /// The pipe to its standard input, if it was asked for and not taken before. Dropping the stream ends the input.
    pub fn take_stdin(&mut self) -> Option<PipeStream> {
        self.take(0)
    }

    /// The pipe from its standard output, if it was asked for and not taken before.
    pub fn take_stdout(&mut self) -> Option<PipeStream> {
        self.take(1)
    }

    /// The pipe from its standard error, if it was asked for and not taken before.
    pub fn take_stderr(&mut self) -> Option<PipeStream> {
        self.take(2)
    }

    /// Our end of its descriptor of that number, if it is a pipe or a socket and was not taken before.
    pub fn take(&mut self, number: u16) -> Option<PipeStream> {
        self.owner.stdio.borrow_mut().remove(&RawFd::from(number))
    }

    /// How it ended, if it has and the loop knows.
    pub fn try_status(&self) -> Option<ExitStatus> {
        self.inner.ended.get().and_then(Result::ok)
    }

    /// Waits until it has ended. Its pipes may still hold what it wrote.
    ///
    /// # Errors
    /// `ECHILD` if somebody else took its status: another part of the program waits for all children, or SIGCHLD is
    /// ignored. `NotConnected` if the handle was closed or the loop is gone.
    ///
    /// # Cancel safety
    /// Nothing is lost. It may be awaited any number of times.
    pub fn wait(&self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let inner = Rc::clone(&self.inner);
        poll_fn(move |cx| inner.poll_until(cx, |_| true))
    }

    /// Waits until it has ended and every pipe that it wrote to has ended too: was read to its end, or closed by us.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub fn closed(&self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let inner = Rc::clone(&self.inner);
        poll_fn(move |cx| inner.poll_until(cx, |inner| inner.writing.get() == 0))
    }

    /// Calls `on_exit` once it has ended, in the poll phase: Node's `exit`. One that has ended is told in the pending phase.
    /// Replaces the callback there was.
    pub fn on_exit(&self, on_exit: impl FnOnce(&LoopHandle, io::Result<ExitStatus>) + 'static) {
        match self.inner.ended.get() {
            None => {
                let on_exit = self.inner.lp.bind_context_once(on_exit);
                drop(self.inner.on_exit.replace(Some(Box::new(on_exit))));
            }
            Some(ended) => self.inner.lp.defer(move |lp| on_exit(lp, to_result(ended))),
        }
    }

    /// Calls `on_closed` once it has ended and every pipe that it wrote to has ended too, in the pending phase and after
    /// `on_exit`: Node's `close`. A pipe that nobody reads does not end. Replaces the callback there was.
    pub fn on_closed(&self, on_closed: impl FnOnce(&LoopHandle) + 'static) {
        let on_closed = self.inner.lp.bind_context_once(move |lp, ()| on_closed(lp));
        drop(self.inner.on_closed.replace(Some(Box::new(move |lp: &LoopHandle| on_closed(lp, ())))));
        self.inner.tell_closed();
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// `ESRCH` once it has ended, and what else the system says. It is never sent to another process.
    pub fn kill(&self, signal: Signal) -> io::Result<()> {
        self.inner.kill(signal)
    }

    /// Sends a signal to its process group.
    ///
    /// # Errors
    /// `InvalidInput` if it leads none: see [`process_group`](super::Command::process_group) and
    /// [`detached`](super::Command::detached). `ESRCH` once it has ended, since its number may be another group's then.
    pub fn kill_group(&self, signal: Signal) -> io::Result<()> {
        if self.inner.group == Group::Ours {
            let message = "the process leads no group: spawn it with `process_group` or `detached`";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.inner.check_alive()?;
        sys::signal_group(self.inner.pid, signal.number())
    }

    /// Sends a signal to it and to all its descendants, and gives their number. They are stopped first, so that none is
    /// born meanwhile, and go on after a signal that neither ends nor stops them. A descendant whose parent has ended before is no
    /// longer known as one.
    ///
    /// # Errors
    /// `ESRCH` once it has ended, and what else the system says.
    ///
    /// # Platform
    /// Linux, which has `/proc` and pidfds; `Unsupported` elsewhere.
    pub fn kill_tree(&self, signal: Signal) -> io::Result<usize> {
        self.inner.check_alive()?;
        tree::kill(self.inner.pid, self.inner.pidfd.as_ref(), signal)
    }

    /// Lets go of the process: nothing is called or awaited any more. It runs on; if it ends before this process does, it
    /// stays a zombie until then. To only let the loop end, use `unref`.
    pub fn close(&self) {
        self.inner.release(None);
    }

    /// As [`close`](Self::close), and calls `on_close` in the close phase. False, and `on_close` is dropped, if the process has
    /// ended or the handle was closed before.
    pub fn close_with(&self, on_close: impl FnOnce(&LoopHandle) + 'static) -> bool {
        let callback = self.inner.lp.wrap(on_close);
        self.inner.release(Some(callback))
    }

    /// True until it has ended or the handle was closed.
    pub fn is_active(&self) -> bool {
        self.inner.ended.get().is_none() && !self.inner.released.get()
    }

    /// Has it keep the loop alive until it has ended, as it does by default.
    pub fn ref_(&self) {
        self.inner.lp.update_source(self.inner.token, |flags| flags.referenced = true);
    }

    /// Lets the loop end while it runs.
    pub fn unref(&self) {
        self.inner.lp.update_source(self.inner.token, |flags| flags.referenced = false);
    }
}

fn open_source(
    lp: &LoopHandle,
    pidfd: Option<&OwnedFd>,
    site: &'static Location<'static>,
) -> io::Result<Token> {
    match pidfd {
        Some(pidfd) => lp.open_source(pidfd.as_raw_fd(), Readiness::READABLE, HandleKind::Process, site),
        None => lp.add_source(-1, HandleKind::Process, site),
    }
}

fn to_result(ended: Result<ExitStatus, i32>) -> io::Result<ExitStatus> {
    ended.map_err(io::Error::from_raw_os_error)
}

impl Inner {
    fn pipe_ended(&self) {
        self.writing.set(self.writing.get() - 1);
        self.tell_closed();
    }

    /// Learns of the exit from SIGCHLD, where there are no pidfds: each one costs a look at each child.
    fn watch_by_signal(self: &Rc<Self>, site: &'static Location<'static>) -> io::Result<()> {
        let watches = Rc::clone(self) as Rc<dyn Watches>;
        self.by_signal.replace(Some(Started::new(&self.lp, Signal::CHLD, watches, site)?));
        self.lp.state.sources.run_again(self.token); // it may have ended before we watched
        Ok(())
    }

    fn check_alive(&self) -> io::Result<()> {
        match self.ended.get() {
            None => Ok(()),
            Some(_) => Err(sys::no_such_process()),
        }
    }

    /// Its number is not another's: it is not reaped.
    fn kill(&self, signal: Signal) -> io::Result<()> {
        self.check_alive()?;
        match &self.pidfd {
            Some(pidfd) => sys::signal_pidfd(pidfd, signal.number()),
            None => sys::signal_process(self.pid, signal.number()),
        }
    }

    /// Takes the status if the process has ended, and tells of it.
    fn look(self: &Rc<Self>, lp: &LoopHandle) {
        if self.ended.get().is_some() || self.released.get() {
            return;
        }
        let status = self.process.borrow_mut().try_wait();
        let ended = match status {
            Ok(None) => {
                lp.state.sources.clear(self.token, Readiness::ALL);
                return;
            }
            Ok(Some(status)) => Ok(status),
            Err(error) => Err(error.raw_os_error().unwrap_or_default()),
        };
        self.ended.set(Some(ended));
        drop(self.by_signal.take());
        lp.close_source(self.token);
        let (on_exit, mut waiting) = (self.on_exit.take(), self.waiting.take());
        lp.call(|lp| {
            // Before the callback, which may panic: tasks run behind it all the same, and `on_closed` in the pending phase.
            waiting.take().for_each(Waker::wake);
            self.tell_closed();
            if let Some(on_exit) = on_exit {
                on_exit(lp, to_result(ended));
            }
        });
    }

    /// Tells, in the pending phase, that it has ended and its pipes too.
    fn tell_closed(&self) {
        if self.ended.get().is_none() || self.writing.get() > 0 {
            return;
        }
        if let Some(on_closed) = self.on_closed.take() {
            self.lp.defer(on_closed);
        }
        self.waiting.take().take().for_each(Waker::wake);
    }

    fn poll_until(&self, cx: &mut Context<'_>, done: impl Fn(&Self) -> bool) -> Poll<io::Result<ExitStatus>> {
        match self.ended.get() {
            Some(ended) if done(self) => return Poll::Ready(to_result(ended)),
            Some(_) => {}
            None if self.released.get() || self.lp.is_closed() => return Poll::Ready(Err(gone())),
            None => {}
        }
        self.lp.wait_among(&self.waiting, cx.waker());
        Poll::Pending
    }

    fn release(&self, callback: Option<Callback>) -> bool {
        if self.ended.get().is_some() || self.released.replace(true) {
            return false;
        }
        let old = (self.on_exit.take(), self.on_closed.take(), self.by_signal.take());
        self.lp.close_source(self.token);
        self.waiting.take().take().for_each(Waker::wake);
        if !self.lp.state.closed.get() {
            self.lp.state.alive.hold();
            self.lp.state.closing.borrow_mut().push(Closing { release: None, callback });
        }
        drop(old);
        true
    }
}

impl Ready for Inner {
    fn ready(self: Rc<Self>, lp: &LoopHandle, _readiness: Readiness) {
        self.look(lp);
    }

    fn forget(&self) {
        drop((self.on_exit.take(), self.on_closed.take(), self.by_signal.take()));
        self.waiting.take().take().for_each(Waker::wake);
    }
}

impl Watches for Inner {
    fn signalled(self: Rc<Self>, lp: &LoopHandle, _signal: Signal) {
        self.look(lp);
    }

    fn forget(&self) {
        drop(self.by_signal.take());
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("id", &self.id())
            .field("status", &self.try_status())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;
    use std::panic::Location;
    use std::rc::Rc;

    use super::{Child, Group, Spawned};
    use crate::event_loop::EventLoop;
    use crate::state::mode::RunMode;

    #[test]
    fn without_pidfds_the_exit_is_learnt_from_sigchld() {
        let lp = EventLoop::new().unwrap();
        let told = Rc::new(Cell::new(0));
        for code in [0, 3, 7] {
            let process =
                std::process::Command::new("/bin/sh").args(["-c", &format!("exit {code}")]).spawn().unwrap();
            let spawned = Spawned { process, ours: BTreeMap::new(), group: Group::Ours, kill_on_drop: false };
            let child = Child::watch_by(&lp, spawned, Ok(None), Location::caller()).unwrap();
            let told = Rc::clone(&told);
            child.on_exit(move |_, status| {
                assert_eq!(status.unwrap().code(), Some(code));
                told.set(told.get() + 1);
            });
        }
        lp.run(RunMode::Default).unwrap();
        assert_eq!(told.get(), 3);
        lp.close().expect("no child, no signal and no descriptor is left");
    }
}
