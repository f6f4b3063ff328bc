//! Terminals: raw mode that is always given back, and the size of the window.
//!
//! To read and write one, see [`net::pipe`](crate::net::pipe).

mod sys;

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use crate::signal::{Signal, SignalWatcher};
use crate::state::LoopHandle;

/// How many characters fit in a terminal's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// The size of a terminal's window. A terminal that has none, such as a serial line, says zero.
///
/// # Errors
/// `ENOTTY` for what is no terminal.
pub fn window_size(terminal: impl AsFd) -> io::Result<WindowSize> {
    let (columns, rows) = sys::window_size(terminal)?;
    Ok(WindowSize { columns, rows })
}

/// Calls `on_resize` with the new size whenever the window of a terminal has changed its size. The watcher that this gives
/// can be `unref`'d and closed; it keeps the loop alive.
///
/// # Ordering
/// In the poll phase, as every signal; changes that follow each other closely are told once.
///
/// # Errors
/// `ENOTTY` for what is no terminal, and what the system says when no descriptor is left.
///
/// # Platform
/// The system tells only the processes in the foreground of their controlling terminal (SIGWINCH).
#[track_caller]
pub fn on_resize(
    lp: &LoopHandle,
    terminal: impl AsFd,
    mut on_resize: impl FnMut(&LoopHandle, WindowSize) + 'static,
) -> io::Result<SignalWatcher> {
    let mut known = window_size(&terminal)?;
    let terminal = terminal.as_fd().try_clone_to_owned()?;
    let watcher = SignalWatcher::new(lp)?;
    watcher.start(Signal::WINCH, move |watcher, _| {
        // It fails only when the terminal is gone, and then it has no size to tell.
        if let Ok(size) = window_size(&terminal)
            && size != known
        {
            known = size;
            on_resize(watcher.lp(), size);
        }
    })?;
    Ok(watcher)
}

/// A terminal in raw mode: each key comes at once, nothing is echoed, Ctrl-C is a character. Output is processed as before,
/// so that a newline still begins a line. Source: libuv, `UV_TTY_MODE_RAW`.
///
/// The mode that was there before comes back when this is dropped, also by a panic, and when the process ends by `exit` or
/// the end of `main`. A process that ends by a signal or by `abort` gives nothing back: watch the
/// [request to shut down](crate::signal::shutdown_signal).
///
/// Several may hold one terminal, and let go of it in any order: with the last one comes the mode that the first one found.
///
/// # Examples
/// ```
/// # use phaseloop::tty::RawMode;
/// match RawMode::enter(std::io::stdin()) {
///     Ok(_raw) => println!("press a key\r"), // until `_raw` is dropped
///     Err(error) => println!("no terminal: {error}"),
/// }
/// ```
#[must_use = "dropping it gives the mode back"]
pub struct RawMode(sys::Saved);

impl RawMode {
    /// Puts a terminal into raw mode. What was typed before and not read stays.
    ///
    /// # Errors
    /// `ENOTTY` for what is no terminal.
    pub fn enter(terminal: impl AsFd) -> io::Result<Self> {
        Ok(Self(sys::Saved::make_raw(terminal)?))
    }

    /// Gives the mode back now, and says whether that worked.
    ///
    /// # Errors
    /// The system's, when the terminal is gone.
    pub fn leave(self) -> io::Result<()> {
        self.0.restore()
    }
}

impl fmt::Debug for RawMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawMode")
    }
}
