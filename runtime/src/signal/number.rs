//! Signals by number and name.

use std::error::Error;
use std::fmt;
use std::io;
use std::str::FromStr;

use super::sys;

/// A signal of this system: a number from 1 to 64, with a name.
///
/// ```
/// use phaseloop::signal::Signal;
///
/// assert_eq!(Signal::TERM.to_string(), "SIGTERM");
/// assert_eq!("int".parse(), Ok(Signal::INT));
/// assert_eq!("SIGHUP".parse::<Signal>()?.number(), 1);
/// # Ok::<(), phaseloop::signal::UnknownSignal>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

macro_rules! signals {
    ($($name:ident = $constant:ident, $meaning:literal;)*) => {
        impl Signal {
            $(
                #[doc = $meaning]
                pub const $name: Self = Self(sys::$constant);
            )*
        }

        const NAMES: &[(&str, Signal)] = &[$((stringify!($constant), Signal::$name)),*];
    };
}

signals! {
    HUP = SIGHUP, "The terminal is gone; by custom, read the configuration anew.";
    INT = SIGINT, "Ctrl-C.";
    QUIT = SIGQUIT, "Ctrl-\\, which dumps core.";
    ILL = SIGILL, "A faulty instruction. Can not be watched.";
    TRAP = SIGTRAP, "A breakpoint.";
    ABRT = SIGABRT, "`abort` was called.";
    BUS = SIGBUS, "A faulty access to memory. Can not be watched.";
    FPE = SIGFPE, "A faulty calculation. Can not be watched.";
    KILL = SIGKILL, "Ends a process at once. Can not be watched.";
    USR1 = SIGUSR1, "For the program's own use.";
    SEGV = SIGSEGV, "A faulty access to memory. Can not be watched.";
    USR2 = SIGUSR2, "For the program's own use.";
    PIPE = SIGPIPE, "A write to a pipe that nobody reads. Rust programs ignore it.";
    ALRM = SIGALRM, "The timer of `alarm`.";
    TERM = SIGTERM, "The polite request to end.";
    CHLD = SIGCHLD, "A child stopped or ended.";
    CONT = SIGCONT, "Go on after a stop.";
    STOP = SIGSTOP, "Stops a process. Can not be watched.";
    TSTP = SIGTSTP, "Ctrl-Z.";
    TTIN = SIGTTIN, "A read from the terminal in the background.";
    TTOU = SIGTTOU, "A write to the terminal in the background.";
    URG = SIGURG, "Urgent data.";
    XCPU = SIGXCPU, "The limit of processor time was passed.";
    XFSZ = SIGXFSZ, "The limit of a file's size was passed.";
    VTALRM = SIGVTALRM, "A timer of the process's own time.";
    PROF = SIGPROF, "A profiler's timer.";
    WINCH = SIGWINCH, "The terminal's window changed its size.";
    IO = SIGIO, "A descriptor is ready.";
    SYS = SIGSYS, "A faulty system call.";
}

impl Signal {
    /// The signal of that number, also one without a name, such as a real-time signal.
    ///
    /// # Errors
    /// `UnknownSignal` unless the number is from 1 to 64.
    pub fn from_number(number: i32) -> Result<Self, UnknownSignal> {
        let known = (1..=sys::NUMBER_MAX).contains(&number);
        if known { Ok(Self(number)) } else { Err(UnknownSignal(number.to_string())) }
    }

    /// The system's number.
    pub fn number(self) -> i32 {
        self.0
    }

    /// The name, such as `SIGTERM`, where it has one.
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(_, signal)| *signal == self).map(|(name, _)| *name)
    }

    /// Says why a signal can not be watched.
    pub(super) fn check_watchable(self) -> io::Result<()> {
        let why = match self {
            Self::KILL | Self::STOP => "the system lets nobody catch it",
            Self::SEGV | Self::BUS | Self::FPE | Self::ILL => {
                "it comes from a faulty instruction, which would be repeated for ever"
            }
            _ => return Ok(()),
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{self} can not be watched: {why}")))
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// Reads a name, with or without `SIG`, in any case, or a number.
    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        if let Ok(number) = text.parse() {
            return Self::from_number(number);
        }
        let upper = text.to_ascii_uppercase();
        let short = upper.strip_prefix("SIG").unwrap_or(&upper);
        let found = NAMES.iter().find(|(name, _)| &name["SIG".len()..] == short);
        found.map(|(_, signal)| *signal).ok_or_else(|| UnknownSignal(text.to_owned()))
    }
}

/// No signal of that name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownSignal(String);

impl fmt::Display for UnknownSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no signal is called {:?}", self.0)
    }
}

impl Error for UnknownSignal {}

#[cfg(test)]
mod tests {
    use super::{NAMES, Signal};

    #[test]
    fn every_name_leads_back_to_its_signal() {
        for (name, signal) in NAMES {
            assert_eq!(name.parse(), Ok(*signal));
            assert_eq!(signal.name(), Some(*name));
            assert_eq!(signal.number().to_string().parse(), Ok(*signal));
        }
    }

    #[test]
    fn what_is_no_signal_is_refused_with_its_text() {
        for text in ["0", "65", "-1", "SIG", "SIGNAL", "", "99999999999"] {
            let error = text.parse::<Signal>().unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
        assert_eq!("40".parse::<Signal>().unwrap().to_string(), "signal 40");
    }
}
