//! What std does not do for children: descriptors by number, sessions, and signals through pidfds.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::{Errno, fcntl_dupfd_cloexec, fcntl_getfd};
use rustix::process::Pid;

/// What happens in the child between `fork` and `exec`.
pub(super) struct Setup {
    /// Descriptors and the numbers they get. INVARIANT above: each lies above all the numbers.
    pub(super) extra: Vec<(OwnedFd, RawFd)>,
    pub(super) new_session: bool,
    pub(super) only_listed: bool,
}

/// What stands under a number that the child is to use.
enum Place {
    /// Nothing did, so this is held there: the pipe through which std hears of a failed `exec` must not get the number.
    Held(#[expect(dead_code, reason = "held for its number")] OwnedFd),
    /// A file of this process, by device and inode. If the child finds another, it may be that pipe.
    Taken(RawFd, (u64, u64)),
}

/// Error by which the child says that a number changed hands. `exec` and what is done before it do not give it.
const CHANGED_HANDS: i32 = libc::EALREADY;

/// True if the child was not made because a number changed hands.
pub(super) fn changed_hands(error: &io::Error) -> bool {
    error.raw_os_error() == Some(CHANGED_HANDS)
}

/// Takes those of the numbers 0 to 2 that are free, for as long as the result is there. The pipe through which std hears of a
/// failed `exec` must not get one: what the child is given there would take its place, and the failure pass for a success.
pub(super) fn hold_standard_numbers() -> io::Result<Vec<OwnedFd>> {
    let mut held = Vec::new();
    let open = [fcntl_getfd(io::stdin()), fcntl_getfd(io::stdout()), fcntl_getfd(io::stderr())];
    if open.iter().all(Result::is_ok) {
        return Ok(held);
    }
    loop {
        let null = OwnedFd::from(File::open("/dev/null")?);
        if null.as_raw_fd() > 2 {
            return Ok(held);
        }
        held.push(null);
    }
}

/// Has `command` do `setup` in the child.
pub(super) fn before_exec(command: &mut Command, setup: Setup) -> io::Result<()> {
    if setup.extra.is_empty() && !setup.new_session && !setup.only_listed {
        return Ok(()); // without a hook std need not copy this process's tables
    }
    let places = setup.extra.iter().map(|(fd, number)| place(fd, *number)).collect::<io::Result<Vec<_>>>()?;
    let mut numbers: Vec<RawFd> = setup.extra.iter().map(|(_, number)| *number).collect();
    numbers.sort_unstable();
    let hook = move || {
        places.iter().try_for_each(check_place)?;
        if setup.new_session {
            rustix::process::setsid()?;
        }
        for (fd, number) in &setup.extra {
            // SAFETY: numbers only; the old file of that number is this process's copy, which `exec` would close.
            if unsafe { libc::dup2(fd.as_raw_fd(), *number) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        if setup.only_listed { close_gaps_at_exec(&numbers) } else { Ok(()) }
    };
    // SAFETY: the hook only makes system calls: it takes no lock and allocates nothing, for all it needs was made before,
    // and errors of the system hold a number.
    unsafe { command.pre_exec(hook) };
    Ok(())
}

fn place(fd: &OwnedFd, number: RawFd) -> io::Result<Place> {
    let held = fcntl_dupfd_cloexec(fd, number)?;
    if held.as_raw_fd() == number {
        return Ok(Place::Held(held));
    }
    match identity(number) {
        Ok(found) => Ok(Place::Taken(number, found)),
        // Closed between the two calls.
        Err(_) => Err(io::Error::from_raw_os_error(CHANGED_HANDS)),
    }
}

fn check_place(place: &Place) -> io::Result<()> {
    match place {
        Place::Taken(number, known) if identity(*number).ok().as_ref() != Some(known) => {
            Err(io::Error::from_raw_os_error(CHANGED_HANDS))
        }
        _ => Ok(()),
    }
}

/// Device and inode of what stands under a number.
fn identity(number: RawFd) -> io::Result<(u64, u64)> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` has the room that the call fills, and the call takes any number.
    if unsafe { libc::fstat(number, stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it has filled it.
    let stat = unsafe { stat.assume_init() };
    #[allow(clippy::unnecessary_cast, reason = "the width differs from system to system")]
    Ok((stat.st_dev as u64, stat.st_ino as u64))
}

/// Has `exec` close all descriptors above 2 but those listed, which are sorted.
#[cfg(target_os = "linux")]
fn close_gaps_at_exec(numbers: &[RawFd]) -> io::Result<()> {
    let mut first = 3;
    for number in numbers {
        close_at_exec(first, number - 1)?;
        first = number + 1;
    }
    close_at_exec(first, RawFd::MAX)
}

#[cfg(target_os = "linux")]
fn close_at_exec(first: RawFd, last: RawFd) -> io::Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: sets a flag of descriptors, by number.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn close_gaps_at_exec(_numbers: &[RawFd]) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// Refuses a number for a child's descriptor that this process could not hold one above.
pub(super) fn check_number(above: RawFd) -> io::Result<()> {
    match rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        Some(limit) if u64::from(above.cast_unsigned()) >= limit => {
            let number = above - 1;
            let problem = format!("descriptor {number} is too high: this process may open {limit} files");
            Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
        }
        _ => Ok(()),
    }
}

/// A duplicate at `min` or above, which children do not inherit.
pub(super) fn duplicate_from(fd: impl AsFd, min: RawFd) -> io::Result<OwnedFd> {
    Ok(fcntl_dupfd_cloexec(fd, min)?)
}

/// A duplicate of whatever stands under a number.
pub(super) fn duplicate_number(number: RawFd, min: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the call takes any number, and says so if nothing stands there.
    let fd = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, min) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call made the descriptor, and nobody else owns it.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) })
}

/// A descriptor that becomes readable when the process ends.
#[cfg(target_os = "linux")]
pub(super) fn open_pidfd(pid: u32) -> io::Result<OwnedFd> {
    Ok(rustix::process::pidfd_open(to_pid(pid)?, rustix::process::PidfdFlags::empty())?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn open_pidfd(_pid: u32) -> io::Result<OwnedFd> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// True if this system, or the sandbox it is in, has no pidfds.
pub(super) fn has_no_pidfds(error: &io::Error) -> bool {
    let codes = [Errno::NOSYS, Errno::PERM, Errno::ACCESS, Errno::INVAL, Errno::NODEV];
    error.raw_os_error().is_some_and(|code| codes.iter().any(|errno| errno.raw_os_error() == code))
}

/// Sends a signal through a pidfd: never to another process that got the number.
#[cfg(target_os = "linux")]
pub(super) fn signal_pidfd(pidfd: &OwnedFd, signal: i32) -> io::Result<()> {
    let (info, flags) = (std::ptr::null::<libc::siginfo_t>(), 0);
    // SAFETY: numbers, and a null pointer, for which the system makes up what it says of the sender.
    done(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, flags) })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn signal_pidfd(_pidfd: &OwnedFd, _signal: i32) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// Sends a signal to a process that is known not to be reaped.
pub(super) fn signal_process(pid: u32, signal: i32) -> io::Result<()> {
    let pid = to_pid(pid)?.as_raw_nonzero().get();
    // SAFETY: numbers only.
    done(unsafe { libc::kill(pid, signal) }.into())
}

/// Sends a signal to all of a process group.
pub(super) fn signal_group(leader: u32, signal: i32) -> io::Result<()> {
    let leader = to_pid(leader)?.as_raw_nonzero().get();
    // SAFETY: numbers only.
    done(unsafe { libc::killpg(leader, signal) }.into())
}

/// What the system says of a process that is no more.
pub(super) fn no_such_process() -> io::Error {
    Errno::SRCH.into()
}

fn to_pid(pid: u32) -> io::Result<Pid> {
    Pid::from_raw(pid.cast_signed()).ok_or_else(no_such_process)
}

/// What a system call said. Signals go by number, since those for real time have no name.
fn done(result: libc::c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
