//! Modes of terminals, and what gives them back at the end of the process.
//!
//! The list of terminals in raw mode is the process's, since the end of the process is: it is the one thing here that is
//! global, with the function that the system calls at exit, which is registered when a terminal first becomes raw.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Once;

use parking_lot::Mutex;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr,
    tcgetwinsize, tcsetattr,
};

/// Who holds a terminal in raw mode.
struct Holder {
    /// To find it by.
    number: u64,
    terminal: OwnedFd,
    /// What is told of the terminal by whatever descriptor.
    device: u64,
    before: Termios,
}

/// In the order of entering. A terminal may have several.
static RAW: Mutex<Vec<Holder>> = Mutex::new(Vec::new());
static AT_EXIT: Once = Once::new();

/// A terminal in raw mode, by its number in the list.
pub(super) struct Saved(u64);

impl Saved {
    pub(super) fn make_raw(terminal: impl AsFd) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let (own, device) = (fcntl_dupfd_cloexec(&terminal, 3)?, device(&terminal)?);
        AT_EXIT.call_once(|| {
            // SAFETY: the function is of the kind that the system calls, and is there as long as the process is.
            let _refused = unsafe { libc::atexit(restore_all) }; // then only drop gives the mode back
        });
        let mut raws = RAW.lock();
        tcsetattr(&terminal, OptionalActions::Now, &raw(&before))?;
        let number = raws.last().map_or(0, |last| last.number + 1);
        raws.push(Holder { number, terminal: own, device, before });
        Ok(Self(number))
    }

    /// Gives back the mode of before. If another holds the terminal that came later, it stays raw, and that one gives back what
    /// this one found.
    pub(super) fn restore(&self) -> io::Result<()> {
        let mut raws = RAW.lock();
        let Some(at) = raws.iter().position(|holder| holder.number == self.0) else { return Ok(()) };
        let Holder { terminal, device, before, .. } = raws.remove(at);
        match raws[at..].iter_mut().find(|later| later.device == device) {
            Some(later) => later.before = before,
            None => tcsetattr(terminal, OptionalActions::Now, &before)?,
        }
        Ok(())
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
    for Holder { terminal, before, .. } in raws.iter().rev() {
        // Nobody is left to be told of a failure.
        let _ = tcsetattr(terminal, OptionalActions::Now, before);
    }
}

/// The number of a terminal's device. It is asked of the terminal, since `/dev/tty` is a device of its own and stands for another.
#[cfg(target_os = "linux")]
fn device(terminal: impl AsFd) -> io::Result<u64> {
    let mut number = 0_u32;
    // SAFETY: the call writes one number of this type.
    let asked = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCGDEV, &raw mut number) };
    if asked == 0 { Ok(number.into()) } else { Err(io::Error::last_os_error()) }
}

/// The number of a terminal's device.
#[cfg(not(target_os = "linux"))]
fn device(terminal: impl AsFd) -> io::Result<u64> {
    #[allow(clippy::unnecessary_cast, reason = "the width differs from system to system")]
    Ok(rustix::fs::fstat(terminal)?.st_rdev as u64)
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
