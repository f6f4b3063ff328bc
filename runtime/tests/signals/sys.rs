//! Sending signals to this thread, and asking what the process does at them.

use std::mem::MaybeUninit;

/// Sends a signal to this thread. Its handler has run when this returns.
pub(crate) fn raise(signal: i32) {
    // SAFETY: the tests raise only signals that are handled or ignored, or that are to end the process.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

/// The address of what handles a signal: 0 is the default, 1 to ignore it.
pub(crate) fn handler(signal: i32) -> usize {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the call only writes the action that stands.
    assert_eq!(unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) }, 0);
    // SAFETY: plain numbers, which the call has written.
    unsafe { action.assume_init() }.sa_sigaction
}

/// Ignores a signal from now on.
pub(crate) fn ignore(signal: i32) {
    // SAFETY: to ignore a signal needs no code.
    assert_ne!(unsafe { libc::signal(signal, libc::SIG_IGN) }, libc::SIG_ERR);
}
