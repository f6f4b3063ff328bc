//! Whole files: in one job, or in one job a system call, as the schedule says.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use phaseloop::FileHops;

use super::front::subject;
use super::operation::Chain;
use super::{Fs, FsLimits, Operation};
use crate::pool::JobContext;

impl Fs {
    /// Reads a whole file.
    ///
    /// A file that grows meanwhile is read up to the length it had; one without a length, as in `/proc`, to its end.
    ///
    /// # Ordering
    /// With [`FileHops::Whole`] one job up to 512 KiB; above it, one job to open, one for each 512 KiB and one to close.
    /// With [`FileHops::PerCall`] one job each to open, to ask for the length, for each 512 KiB and to close.
    /// Source: SEMANTICS W3, Node 26 and Node 12 to 24.
    ///
    /// # Errors
    /// `FileTooLarge` above [`FsLimits::file_len_max`]. An error ends the operation at once: the file is then closed by
    /// the worker that met it.
    pub fn read_file(&self, path: impl AsRef<Path>) -> Operation<Vec<u8>> {
        let (subject, limits) = (subject("read_file", path), self.limits);
        let path = Arc::clone(&subject.path);
        Operation::start(self.pool(), subject, |chain| match self.hops {
            FileHops::PerCall => chain.step(
                move |_| File::open(path),
                move |chain, _, file| {
                    chain.step(
                        move |_| Reading::new(file, limits),
                        |chain, _, reading| read_on(chain, reading),
                    );
                },
            ),
            _ => chain.step(
                move |_| read_at_once(&path, limits),
                |chain, lp, reading| match reading.is_over {
                    true => chain.finish(lp, Ok(reading.bytes)),
                    false => read_on(chain, reading),
                },
            ),
        })
    }

    /// Writes a whole file: a new one, or one that is emptied before.
    ///
    /// # Ordering
    /// With [`FileHops::Whole`] one job; with [`FileHops::PerCall`] one each to open, write and close, or more where the
    /// system takes less than all at a time. Source: SEMANTICS W3, Node 26 and Node 10 to 24.
    pub fn write_file(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) -> Operation<()> {
        let mut options = OpenOptions::new();
        self.write_whole("write_file", path, bytes.into(), options.write(true).create(true).truncate(true))
    }

    /// Writes to the end of a file, which is made if it is not there. As [`write_file`](Self::write_file).
    pub fn append_file(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) -> Operation<()> {
        let mut options = OpenOptions::new();
        self.write_whole("append_file", path, bytes.into(), options.append(true).create(true))
    }

    fn write_whole(
        &self,
        operation: &'static str,
        path: impl AsRef<Path>,
        bytes: Vec<u8>,
        options: &OpenOptions,
    ) -> Operation<()> {
        let (subject, options) = (subject(operation, path), options.clone());
        let path = Arc::clone(&subject.path);
        Operation::start(self.pool(), subject, |chain| match self.hops {
            FileHops::PerCall => chain.step(
                move |_| options.open(path),
                move |chain, _, file| write_on(chain, Writing::new(file, bytes)),
            ),
            _ => chain.step(
                move |_| options.open(path)?.write_all(&bytes),
                |chain, lp, ()| chain.finish(lp, Ok(())),
            ),
        })
    }
}

/// A file that is being read. Whoever drops it closes the file: errors and cancelled jobs do so where they are.
struct Reading {
    file: File,
    bytes: Vec<u8>,
    /// How long the file was when it was opened; 0 if the system does not know.
    len: usize,
    limits: FsLimits,
    is_over: bool,
}

impl Reading {
    fn new(file: File, limits: FsLimits) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let len = if metadata.is_file() { metadata.len() } else { 0 };
        if len > limits.file_len_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        Ok(Self { file, bytes, len, limits, is_over: false })
    }

    /// Reads as much as one job may.
    fn read_piece(&mut self) -> io::Result<()> {
        let left = if self.len == 0 { usize::MAX } else { self.len - self.bytes.len() };
        let wanted = left.min(self.limits.piece_len_max);
        let read = (&self.file).take(wanted as u64).read_to_end(&mut self.bytes)?;
        if self.bytes.len() as u64 > self.limits.file_len_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.is_over = read < wanted || self.bytes.len() == self.len;
        Ok(())
    }
}

/// Opens a file and, unless it is too long for one job, reads all of it. Blocks.
fn read_at_once(path: &Path, limits: FsLimits) -> io::Result<Reading> {
    let mut reading = Reading::new(File::open(path)?, limits)?;
    if reading.len <= limits.piece_len_max {
        reading.read_piece()?;
    }
    Ok(reading)
}

/// Submits the next piece, or the closing.
fn read_on(chain: &Rc<Chain<Vec<u8>>>, mut reading: Reading) {
    if reading.is_over {
        let Reading { file, bytes, .. } = reading;
        let close = move |_: &JobContext<'_>| {
            drop(file);
            Ok(())
        };
        return chain.step(close, |chain, lp, ()| chain.finish(lp, Ok(bytes)));
    }
    let read = move |_: &JobContext<'_>| {
        reading.read_piece()?;
        Ok(reading)
    };
    chain.step(read, |chain, _, reading| read_on(chain, reading));
}

/// A file that is being written. Whoever drops it closes the file.
struct Writing {
    file: File,
    bytes: Vec<u8>,
    written: usize,
    is_over: bool,
}

impl Writing {
    fn new(file: File, bytes: Vec<u8>) -> Self {
        Self { file, bytes, written: 0, is_over: false }
    }

    /// Writes as much as the system takes at a time.
    fn write_piece(&mut self) -> io::Result<()> {
        let rest = &self.bytes[self.written..];
        let more = retry(|| (&self.file).write(rest))?;
        if more == 0 && !rest.is_empty() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.written += more;
        self.is_over = self.written == self.bytes.len();
        Ok(())
    }
}

/// Submits the next write, or the closing.
fn write_on(chain: &Rc<Chain<()>>, mut writing: Writing) {
    if writing.is_over {
        let close = move |_: &JobContext<'_>| {
            drop(writing);
            Ok(())
        };
        return chain.step(close, |chain, lp, ()| chain.finish(lp, Ok(())));
    }
    let write = move |_: &JobContext<'_>| {
        writing.write_piece()?;
        Ok(writing)
    };
    chain.step(write, |chain, _, writing| write_on(chain, writing));
}

/// Calls again while a signal interrupts the call.
pub(super) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
