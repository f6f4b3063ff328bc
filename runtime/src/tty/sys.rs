//! Modes of terminals, and what gives them back at the end of the process.
//!
//! The list of terminals in raw mode is the process's, since the end of the process is: it is the one thing here that is
//! global, with the function that the system calls at exit, which is registered when a terminal first becomes raw.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Once;

use parking_lot::Mutex;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr,
    tcgetwinsize, tcsetattr,
};

/// Terminals in raw mode, with the mode that each had before and a number to find it by.
static RAW: Mutex<Vec<(u64, OwnedFd, Termios)>> = Mutex::new(Vec::new());
static AT_EXIT: Once = Once::new();

/// A terminal in raw mode, by its number in the list.
pub(super) struct Saved(u64);

impl Saved {
    pub(super) fn make_raw(terminal: impl AsFd) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let own = fcntl_dupfd_cloexec(&terminal, 3)?;
        AT_EXIT.call_once(|| {
            // SAFETY: the function is of the kind that the system calls, and is there as long as the process is.
            let _refused = unsafe { libc::atexit(restore_all) }; // then only drop gives the mode back
        });
        let mut raws = RAW.lock();
        tcsetattr(&terminal, OptionalActions::Now, &raw(&before))?;
        let number = raws.last().map_or(0, |(number, ..)| number + 1);
        raws.push((number, own, before));
        Ok(Self(number))
    }

    pub(super) fn restore(&self) -> io::Result<()> {
        let mut raws = RAW.lock();
        let Some(at) = raws.iter().position(|(number, ..)| *number == self.0) else { return Ok(()) };
        let (_, terminal, before) = raws.remove(at);
        Ok(tcsetattr(terminal, OptionalActions::Now, &before)?)
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        // A terminal that is gone needs no mode.
        let _ = self.restore();
    }
}

/// Runs when the process ends. Last made raw, first given back: one terminal may be listed twice.
extern "C" fn restore_all() {
    // Another thread may hold the list and never go on.
    let Some(raws) = RAW.try_lock() else { return };
    for (_, terminal, before) in raws.iter().rev() {
        // Nobody is left to be told of a failure.
        let _ = tcsetattr(terminal, OptionalActions::Now, before);
    }
}

/// Source: libuv, `uv_tty_set_mode`.
fn raw(before: &Termios) -> Termios {
    let mut raw = before.clone();
    raw.input_modes -=
        InputModes::BRKINT | InputModes::ICRNL | InputModes::INPCK | InputModes::ISTRIP | InputModes::IXON;
    raw.control_modes |= ControlModes::CS8;
    raw.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG;
    raw.special_codes[SpecialCodeIndex::VMIN] = 1;
    raw.special_codes[SpecialCodeIndex::VTIME] = 0;
    raw
}

/// Columns and rows.
pub(super) fn window_size(terminal: impl AsFd) -> io::Result<(u16, u16)> {
    let size = tcgetwinsize(terminal)?;
    Ok((size.ws_col, size.ws_row))
}
