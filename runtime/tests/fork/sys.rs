//! Forking, which is unsafe in a process with threads: the child may only do what needs no other thread.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A child that runs.
pub(crate) struct Child(libc::pid_t);

/// Runs `f` in a child, which leaves without returning to the test harness: with success unless `f` panics.
pub(crate) fn in_child(f: impl FnOnce()) -> Child {
    // SAFETY: the allocator of this system is usable after a fork, `f` takes no lock that another thread may have held,
    // and the child leaves by `_exit`, so that nothing of the harness runs in it.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid > 0 {
        return Child(pid);
    }
    let code = i32::from(catch_unwind(AssertUnwindSafe(f)).is_err());
    // SAFETY: ends the process, without destructors and exit handlers.
    unsafe { libc::_exit(code) }
}

impl Child {
    /// Waits for the end. True if it was a success.
    pub(crate) fn wait(self) -> bool {
        let mut status = 0;
        // SAFETY: the pointer is to a local, and the child is ours and not yet waited for.
        let waited = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
        assert_eq!(waited, self.0, "waitpid: {}", std::io::Error::last_os_error());
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }
}
