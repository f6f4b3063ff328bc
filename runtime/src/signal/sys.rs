//! The handler of signals, which is the process's: what it may touch, and how it is put in place.
//!
//! INVARIANT async-signal-safe: the handler allocates nothing, takes no lock, and makes no call but `getpid`, `write` and,
//! to end the process, `sigaction`, `raise` and `_exit`. It walks a list of entries that are never freed: an entry whose loop is gone
//! is used again, so their number is that of the loops that watched signals at the same time.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

pub(super) use libc::{
    SIGABRT, SIGALRM, SIGBUS, SIGCHLD, SIGCONT, SIGFPE, SIGHUP, SIGILL, SIGINT, SIGIO, SIGKILL, SIGPIPE,
    SIGPROF, SIGQUIT, SIGSEGV, SIGSTOP, SIGSYS, SIGTERM, SIGTRAP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGUSR1,
    SIGUSR2, SIGVTALRM, SIGWINCH, SIGXCPU, SIGXFSZ,
};

/// The highest number of a signal: a set of them fits 64 bits.
pub(super) const NUMBER_MAX: i32 = 64;

/// Arrivals of one signal that are counted for one loop between two polls. Beyond that they coalesce.
const COUNT_MAX: u32 = 1024;

/// What the handler knows of a loop.
struct Entry {
    /// The process that registered it. In a child that was forked and has not called `exec` yet, the handler of the parent
    /// must not write to the parent's socket.
    pid: AtomicU32,
    /// Where to write; -1 while the entry is free.
    fd: AtomicI32,
    /// The signals that the loop watches, a bit each.
    watched: AtomicU64,
    /// The signals of which the second, of whatever number, ends the process.
    ends: AtomicU64,
    ends_next: AtomicBool,
    counts: [AtomicU32; NUMBER_MAX as usize],
    next: AtomicPtr<Entry>,
}

/// The entries, newest first.
static ENTRIES: AtomicPtr<Entry> = AtomicPtr::new(ptr::null_mut());
/// Handlers that run now, on any thread.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// What stands in the process's table because of us. Only ever locked outside the handler.
static INSTALLED: Mutex<[Installed; NUMBER_MAX as usize]> =
    Mutex::new([const { Installed { users: 0, previous: None } }; NUMBER_MAX as usize]);

struct Installed {
    /// How many loops watch the signal.
    users: u32,
    previous: Option<libc::sigaction>,
}

/// A loop's place in the list, and the writing end of its socket.
pub(super) struct Post {
    entry: &'static Entry,
    /// How many want the second signal to end the process.
    enders: Cell<u32>,
    /// Dropped last, when no handler can write to it any more.
    socket: UnixStream,
}

impl Post {
    /// Enters a loop that watches nothing yet. The handler writes to `socket`, which is made non-blocking.
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let entry = free_entry();
        entry.pid.store(std::process::id(), Ordering::SeqCst);
        entry.fd.store(socket.as_raw_fd(), Ordering::SeqCst);
        Ok(Self { entry, enders: Cell::new(0), socket })
    }

    /// Goes on in a process that was forked, with a socket of its own.
    pub(super) fn after_fork_child(&mut self, socket: UnixStream) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        // Handlers of the parent's other threads are not here to end. One on this thread is over before this goes on.
        RUNNING.store(0, Ordering::SeqCst);
        self.entry.fd.store(socket.as_raw_fd(), Ordering::SeqCst);
        self.entry.pid.store(std::process::id(), Ordering::SeqCst);
        self.socket = socket;
        Ok(())
    }

    /// Has the loop get `signal`.
    pub(super) fn watch(&self, signal: i32) -> io::Result<()> {
        if self.entry.watched.fetch_or(bit(signal), Ordering::SeqCst) & bit(signal) != 0 {
            return Ok(());
        }
        install(signal).inspect_err(|_| {
            self.entry.watched.fetch_and(!bit(signal), Ordering::SeqCst);
        })
    }

    /// Has the loop get `signal` no more. What arrived and was not taken is forgotten.
    pub(super) fn unwatch(&self, signal: i32) {
        if self.entry.watched.fetch_and(!bit(signal), Ordering::SeqCst) & bit(signal) != 0 {
            self.entry.ends.fetch_and(!bit(signal), Ordering::SeqCst);
            uninstall(signal);
            self.entry.counts[index(signal)].store(0, Ordering::SeqCst);
        }
    }

    /// Has the second signal of a set end the process, as if nobody watched it; or no longer, once as many as wanted it have
    /// changed their mind. There is one set, so one number does.
    pub(super) fn end_at_second(&self, signals: &[i32], ends: bool) {
        let set = signals.iter().fold(0, |set, signal| set | bit(*signal));
        let before = self.enders.get();
        self.enders.set(if ends { before + 1 } else { before - 1 });
        if before == 0 {
            self.entry.ends_next.store(false, Ordering::SeqCst);
            self.entry.ends.fetch_or(set, Ordering::SeqCst);
        } else if self.enders.get() == 0 {
            self.entry.ends.fetch_and(!set, Ordering::SeqCst);
        }
    }

    /// How often `signal` arrived since this was last asked.
    pub(super) fn take(&self, signal: i32) -> u32 {
        self.entry.counts[index(signal)].swap(0, Ordering::SeqCst).min(COUNT_MAX)
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        let watched = self.entry.watched.swap(0, Ordering::SeqCst);
        for signal in (1..=NUMBER_MAX).filter(|signal| watched & bit(*signal) != 0) {
            uninstall(signal);
        }
        // A handler that found the entry may be about to write. SeqCst: one that is not counted yet finds no signal watched.
        while RUNNING.load(Ordering::SeqCst) != 0 {
            std::thread::yield_now();
        }
        for count in &self.entry.counts {
            count.store(0, Ordering::SeqCst);
        }
        self.entry.ends.store(0, Ordering::SeqCst);
        self.entry.ends_next.store(false, Ordering::SeqCst);
        self.entry.fd.store(-1, Ordering::SeqCst);
    }
}

/// Takes a free entry, or makes one.
fn free_entry() -> &'static Entry {
    let _turn = INSTALLED.lock();
    let mut next = ENTRIES.load(Ordering::SeqCst);
    // SAFETY: entries are leaked, so that a pointer in the list stays good.
    while let Some(entry) = unsafe { next.as_ref() } {
        if entry.fd.compare_exchange(-1, -2, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            return entry;
        }
        next = entry.next.load(Ordering::SeqCst);
    }
    let entry = Box::leak(Box::new(Entry {
        pid: AtomicU32::new(0),
        fd: AtomicI32::new(-2),
        watched: AtomicU64::new(0),
        ends: AtomicU64::new(0),
        ends_next: AtomicBool::new(false),
        counts: [const { AtomicU32::new(0) }; NUMBER_MAX as usize],
        next: AtomicPtr::new(ENTRIES.load(Ordering::SeqCst)),
    }));
    ENTRIES.store(entry, Ordering::SeqCst);
    entry
}

/// Puts the handler in place for the first loop that watches `signal`.
fn install(signal: i32) -> io::Result<()> {
    let installed = &mut INSTALLED.lock()[index(signal)];
    if installed.users == 0 {
        installed.previous = Some(set_action(signal, Some(&our_action()))?);
    }
    installed.users += 1;
    Ok(())
}

/// Gives the signal back with the last loop that watched it, unless somebody else has taken it meanwhile.
fn uninstall(signal: i32) {
    let installed = &mut INSTALLED.lock()[index(signal)];
    installed.users -= 1;
    if installed.users > 0 {
        return;
    }
    let previous = installed.previous.take();
    let ours = set_action(signal, None).is_ok_and(|now| now.sa_sigaction == our_action().sa_sigaction);
    if let Some(previous) = previous.filter(|_| ours) {
        // It cannot fail: the action was in place before.
        let _ = set_action(signal, Some(&previous));
    }
}

/// Sets what is done at `signal`, or only looks, and gives what was done before.
fn set_action(signal: i32, action: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    let mut before = MaybeUninit::<libc::sigaction>::uninit();
    let action = action.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `action` is null or a valid action, and `before` has room for one.
    if unsafe { libc::sigaction(signal, action, before.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it has filled it.
    Ok(unsafe { before.assume_init() })
}

fn our_action() -> libc::sigaction {
    // SAFETY: an action is plain numbers, of which zero is a valid value.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as usize;
    // System calls that were interrupted go on, on whatever stack the thread has for signals.
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // All signals wait while the handler runs, so that it is never interrupted itself.
    // SAFETY: the mask is part of a local value.
    unsafe { libc::sigfillset(&mut action.sa_mask) };
    action
}

/// Tells every loop that watches the signal. INVARIANT async-signal-safe.
extern "C" fn on_signal(signal: libc::c_int) {
    let errno = Errno::save();
    RUNNING.fetch_add(1, Ordering::SeqCst); // before anything is looked at: see `Post::drop`
    // Not `std::process::id`: only what POSIX lists may be called here.
    // SAFETY: it only gives a number.
    let pid = unsafe { libc::getpid() }.cast_unsigned();
    let mut next = ENTRIES.load(Ordering::SeqCst);
    // SAFETY: entries are leaked, so that a pointer in the list stays good.
    while let Some(entry) = unsafe { next.as_ref() } {
        if entry.watched.load(Ordering::SeqCst) & bit(signal) != 0 && entry.pid.load(Ordering::SeqCst) == pid
        {
            tell(entry, signal);
        }
        next = entry.next.load(Ordering::SeqCst);
    }
    RUNNING.fetch_sub(1, Ordering::SeqCst);
    errno.restore();
}

/// Counts the signal for one loop and wakes it.
fn tell(entry: &Entry, signal: libc::c_int) {
    if entry.ends.load(Ordering::SeqCst) & bit(signal) != 0 && entry.ends_next.swap(true, Ordering::SeqCst) {
        end_by(signal);
    }
    entry.counts[index(signal)].fetch_add(1, Ordering::SeqCst);
    let byte = 0_u8;
    // A socket that is full wakes the loop as well.
    // SAFETY: the byte is ours, and the descriptor is open until no handler runs that found this signal watched.
    unsafe { libc::write(entry.fd.load(Ordering::SeqCst), (&raw const byte).cast(), 1) };
}

/// Has the signal do what it does when nobody watches it, as soon as the handler returns.
fn end_by(signal: libc::c_int) {
    // The system spares the first process of a container what signals do by default.
    // SAFETY: it only gives a number.
    if unsafe { libc::getpid() } == 1 {
        // SAFETY: it ends the process and touches nothing of it. The code is a shell's for such an end.
        unsafe { libc::_exit(128 + signal) };
    }
    // SAFETY: an action is plain numbers, and zero is the default action.
    let default: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: the action is valid, and nobody asks for the old one.
    unsafe { libc::sigaction(signal, &raw const default, ptr::null_mut()) };
    // SAFETY: the signal is blocked until the handler returns, and then ends the process.
    unsafe { libc::raise(signal) };
}

/// The thread's `errno`, which a handler must leave as it was.
struct Errno(*mut libc::c_int, libc::c_int);

impl Errno {
    fn save() -> Self {
        // SAFETY: gives the address of a thread-local number.
        let place = unsafe { errno_place() };
        // SAFETY: the address is good while the thread lives.
        Self(place, unsafe { place.read() })
    }

    fn restore(self) {
        // SAFETY: as in `save`; the handler runs on one thread from beginning to end.
        unsafe { self.0.write(self.1) };
    }
}

#[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
use libc::__errno as errno_place;
#[cfg(any(target_os = "linux", target_os = "emscripten", target_os = "redox"))]
use libc::__errno_location as errno_place;
#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
use libc::__error as errno_place;

fn bit(signal: i32) -> u64 {
    1 << index(signal)
}

fn index(signal: i32) -> usize {
    debug_assert!((1..=NUMBER_MAX).contains(&signal), "`Signal` holds no other number");
    (signal - 1).cast_unsigned() as usize
}
