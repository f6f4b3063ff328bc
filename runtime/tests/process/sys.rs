//! Giving rights away, and descriptors by number.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Has this thread, and what it spawns, be nobody.
pub(crate) fn become_nobody() {
    const NOBODY: libc::uid_t = 65534;
    // SAFETY: changes the ids of this thread alone, which belongs to a process that exists for it.
    assert_eq!(unsafe { libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) }, 0);
}

/// The descriptor of a number that this process was started with, or that it gives up otherwise.
pub(crate) fn take_number(number: RawFd) -> OwnedFd {
    // SAFETY: the test knows that the number is open, and that nothing else in its process uses it from now on.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// The standard streams under other numbers.
pub(crate) struct PutAway([OwnedFd; 3]);

/// Closes the descriptors 0 to 2. What uses them meanwhile finds nothing, or what was opened in their place.
pub(crate) fn put_standard_streams_away() -> PutAway {
    PutAway([0, 1, 2].map(|number| {
        let stream = take_number(number);
        rustix::io::fcntl_dupfd_cloexec(&stream, 100).expect("a descriptor is left")
    }))
}

impl PutAway {
    pub(crate) fn put_back(self) {
        for (number, stream) in self.0.iter().enumerate() {
            // SAFETY: numbers only; whatever got the number meanwhile was dropped before.
            let put = unsafe { libc::dup2(stream.as_raw_fd(), number as RawFd) };
            assert_eq!(put, number as RawFd);
        }
    }
}
