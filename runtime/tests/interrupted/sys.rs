//! Sending signals to a thread of this process.

/// This thread's number.
pub(crate) fn this_thread() -> i64 {
    // SAFETY: the call takes nothing and always succeeds.
    unsafe { libc::syscall(libc::SYS_gettid) }
}

/// Sends a signal that is handled to a thread. False once the thread is gone.
pub(crate) fn signal(thread: i64, signal: i32) -> bool {
    let process = std::process::id();
    // SAFETY: numbers only; the signal has a handler while the tests send it.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) == 0 }
}
