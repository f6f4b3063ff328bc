//! Ending a process with all its descendants.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use super::sys;
use crate::signal::Signal;

/// Rounds of looking for descendants. Each finds a generation that was born while the last one was stopped.
const ROUNDS_MAX: usize = 64;

/// Signals after which a process is to stay as it is.
const STOPPING: [Signal; 4] = [Signal::STOP, Signal::TSTP, Signal::TTIN, Signal::TTOU];

/// Sends `signal` to a process that is not reaped, and to its descendants. Gives how many got it.
pub(super) fn kill(root: u32, pidfd: Option<&OwnedFd>, signal: Signal) -> io::Result<usize> {
    let Some(pidfd) = pidfd.filter(|_| cfg!(target_os = "linux")) else {
        let message = "the descendants of a process can only be told on Linux, and where it has pidfds";
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    };
    let mut found = BTreeMap::from([(root, pidfd.try_clone()?)]);
    sys::signal_pidfd(pidfd, Signal::STOP.number())?;
    let listed = (0..ROUNDS_MAX).try_for_each(|_| match stop_children(&mut found) {
        Ok(0) => Err(None),
        Ok(_) => Ok(()),
        Err(error) => Err(Some(error)),
    });
    let mut told = 0;
    for pidfd in found.values() {
        // One that fails has ended meanwhile.
        told += usize::from(sys::signal_pidfd(pidfd, signal.number()).is_ok());
        if !STOPPING.contains(&signal) {
            let _ = sys::signal_pidfd(pidfd, Signal::CONT.number());
        }
    }
    match listed {
        Err(Some(error)) => Err(error), // those that were found are told all the same
        _ => Ok(told),
    }
}

/// Finds children of those that are known, and stops them. Gives how many are new.
fn stop_children(found: &mut BTreeMap<u32, OwnedFd>) -> io::Result<usize> {
    let mut new = 0;
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let is_child = |found: &BTreeMap<_, _>| parent(pid).is_some_and(|parent| found.contains_key(&parent));
        if found.contains_key(&pid) || !is_child(found) {
            continue;
        }
        let pidfd = match sys::open_pidfd(pid) {
            Err(error) if error.raw_os_error() == sys::no_such_process().raw_os_error() => continue,
            pidfd => pidfd?,
        };
        // Asked again: what the pidfd stands for may have got the number after the first answer.
        if is_child(found) && sys::signal_pidfd(&pidfd, Signal::STOP.number()).is_ok() {
            found.insert(pid, pidfd);
            new += 1;
        }
    }
    Ok(new)
}

/// The parent of a process. Source: proc_pid_stat(5); the name before it may hold anything, parentheses too.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let after_name = std::str::from_utf8(stat.get(name_end + 2..)?).ok()?;
    after_name.split(' ').nth(1)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::parent;

    #[test]
    fn a_process_has_a_parent() {
        let ours = std::os::unix::process::parent_id();
        assert_eq!(parent(std::process::id()), Some(ours));
        assert_eq!(parent(u32::MAX), None);
    }
}
