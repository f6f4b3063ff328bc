//! The user's code on the pool's threads must not end them.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `code`; a panic has been reported by the panic hook and goes no further.
pub(crate) fn call_quietly(code: impl FnOnce()) {
    // Nothing of ours is borrowed by `code`, so nothing of ours can be left half changed.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(code)) {
        // A payload may panic when it is dropped, and that once too often: leaking it is the lesser evil.
        std::mem::forget(payload);
    }
}

/// Drops a value of the user's, whose `drop` may panic.
pub(crate) fn drop_quietly<T>(value: T) {
    call_quietly(|| drop(value));
}
