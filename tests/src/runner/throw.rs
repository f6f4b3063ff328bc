//! Exceptions: panics that carry a label. They are raised without the panic hook, so nothing is printed.

use crate::scenario::Label;
use phaseloop::Uncaught;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// An exception.
struct Thrown(Label);

/// The end of the process: nothing catches it.
struct Quit;

/// Leaves the body, and all that called it synchronously, with an exception.
pub(super) fn throw(label: Label) -> ! {
    resume_unwind(Box::new(Thrown(label)))
}

/// Leaves everything, once the loop has been ended.
pub(super) fn quit() -> ! {
    resume_unwind(Box::new(Quit))
}

/// Runs user code and gives the label that it threw.
pub(super) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Label> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| match payload.downcast::<Thrown>() {
        Ok(thrown) => thrown.0,
        Err(other) => resume_unwind(other),
    })
}

/// The label of an exception that nobody caught; none for the end of the process. A true panic goes on.
pub(super) fn label_of(uncaught: Uncaught) -> Option<Label> {
    match uncaught.into_payload().downcast::<Thrown>() {
        Ok(thrown) => Some(thrown.0),
        Err(other) if other.is::<Quit>() => None,
        Err(other) => resume_unwind(other),
    }
}
