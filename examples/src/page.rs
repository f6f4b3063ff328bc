//! Where an example writes.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lines of text, on standard output, on standard error or in memory.
///
/// Cheap to clone, so that every callback and thread can have one; clones are the same page.
#[derive(Clone)]
pub struct Page {
    inner: Arc<Mutex<Inner>>,
    is_colored: bool,
}

struct Inner {
    sink: Sink,
    /// The first line that could not be written; nothing is written after it.
    failed: Option<io::Error>,
}

enum Sink {
    Stdout,
    Stderr,
    Memory(String),
}

impl Page {
    /// Standard output, coloured if it is a terminal and `NO_COLOR` is not set.
    pub fn stdout() -> Self {
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self::new(Sink::Stdout, io::stdout().is_terminal() && !wants_none)
    }

    /// Standard error, without colour: for what is not the result.
    pub fn stderr() -> Self {
        Self::new(Sink::Stderr, false)
    }

    /// Memory, without colour.
    pub fn memory() -> Self {
        Self::new(Sink::Memory(String::new()), false)
    }

    fn new(sink: Sink, is_colored: bool) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { sink, failed: None })), is_colored }
    }

    /// Writes a line.
    pub fn line(&self, text: impl fmt::Display) {
        let mut inner = self.lock();
        if inner.failed.is_some() {
            return;
        }
        let written = match &mut inner.sink {
            Sink::Stdout => writeln!(io::stdout(), "{text}"),
            Sink::Stderr => writeln!(io::stderr(), "{text}"),
            Sink::Memory(lines) => {
                *lines += &format!("{text}\n");
                Ok(())
            }
        };
        if let Err(error) = written {
            inner.failed = Some(error);
        }
    }

    /// Writes a line that the next one takes the place of. On terminals only.
    pub fn status(&self, text: impl fmt::Display) {
        let inner = self.lock();
        // A bar that can not be drawn spoils nothing.
        let _ = match inner.sink {
            Sink::Stdout if io::stdout().is_terminal() => write!(io::stdout(), "\r{text}\x1b[K\r"),
            Sink::Stderr if io::stderr().is_terminal() => write!(io::stderr(), "\r{text}\x1b[K\r"),
            _ => Ok(()),
        };
    }

    /// Writes a headline, with an empty line above it unless it is the first.
    pub fn headline(&self, text: &str, is_first: bool) {
        if !is_first {
            self.line("");
        }
        self.line(self.paint("1", text));
    }

    /// Text in a colour or weight of the terminal; plain where there is none.
    pub fn paint(&self, code: &str, text: &str) -> String {
        if self.is_colored { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// What was written to memory so far.
    pub fn text(&self) -> String {
        match &self.lock().sink {
            Sink::Memory(lines) => lines.clone(),
            Sink::Stdout | Sink::Stderr => String::new(),
        }
    }

    /// Ends the page.
    ///
    /// # Errors
    /// Why a line could not be written.
    pub fn finish(&self) -> io::Result<()> {
        let failed = self.lock().failed.take();
        failed.map_or_else(|| io::stdout().flush(), Err)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A line is written whole or not at all, so a panic elsewhere spoils nothing.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("is_colored", &self.is_colored).finish_non_exhaustive()
    }
}
