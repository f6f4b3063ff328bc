//! Whole files: in one job, or in one job a system call, as the schedule says.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use phaseloop::FileHops;

use super::front::subject;
use super::operation::Chain;
use super::target::Target;
use super::{Fs, FsLimits, OpenOptions, Operation, WriteOptions};
use crate::pool::JobContext;

impl Fs {
    /// Reads a whole file.
    ///
    /// A file that grows meanwhile is read up to the length it had, one that shrinks to its end; one without a length, as
    /// in `/proc`, to its end.
    ///
    /// # Ordering
    /// With [`FileHops::Whole`] one job up to 512 KiB; above it, one job to open, one for each 512 KiB and one to close.
    /// With [`FileHops::PerCall`] one job each to open, to ask for the length, for each 512 KiB and to close; with
    /// [`FileHops::SmallPieces`] for each 8 KiB. A file that was opened by a job of its own is closed by one, too, before
    /// an error is told. Source: SEMANTICS W3, Node 10 to 26; `lib/internal/fs/read_file_context.js`.
    ///
    /// # Errors
    /// `FileTooLarge` above [`FsLimits::file_len_max`].
    #[track_caller]
    pub fn read_file(&self, path: impl AsRef<Path>) -> Operation<Vec<u8>> {
        let (subject, limits) = (subject("read_file", path), self.reading_limits());
        if let Some(ring) = self.trips.ring() {
            return self.read_file_by(ring, subject, limits);
        }
        let path = Arc::clone(&subject.path);
        Operation::start(&self.trips, subject, |chain| match self.hops {
            FileHops::PerCall | FileHops::SmallPieces => chain.step(
                move |_| File::open(path),
                move |chain, _, file| {
                    let mut reading = Reading::new(file, limits);
                    let measure = move |_: &JobContext<'_>| {
                        let measured = reading.measure();
                        Ok((reading, measured))
                    };
                    chain.step(measure, |chain, _, (reading, measured)| read_on(chain, reading, measured));
                },
            ),
            _ => chain.step(
                move |_| read_at_once(&path, limits),
                |chain, lp, reading| match reading.is_over {
                    true => chain.finish(lp, Ok(reading.bytes)),
                    false => read_on(chain, reading, Ok(())),
                },
            ),
        })
    }

    fn reading_limits(&self) -> FsLimits {
        let is_small = self.hops == FileHops::SmallPieces;
        let piece_len_max =
            self.limits.piece_len_max.min(if is_small { SMALL_PIECE_LEN } else { usize::MAX });
        FsLimits { piece_len_max, ..self.limits }
    }

    /// Writes a whole file: a new one, or one that is emptied before.
    ///
    /// If that fails half-way, what was written so far is the file: see [`WriteOptions::atomic`] for another way.
    ///
    /// # Ordering
    /// With [`FileHops::Whole`] one job; otherwise one each to open, write and close, or more where the system takes less
    /// than all at a time; the file is closed before an error is told. Source: SEMANTICS W3, Node 10 to 26.
    #[track_caller]
    pub fn write_file(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) -> Operation<()> {
        let mut options = OpenOptions::new();
        self.write_whole("write_file", path, bytes.into(), options.write(true).create(true).truncate(true))
    }

    /// As [`write_file`](Self::write_file), in another way.
    ///
    /// # Ordering
    /// One job whatever the schedule, if it is atomic or to be brought to the device.
    #[track_caller]
    pub fn write_file_with(
        &self,
        path: impl AsRef<Path>,
        bytes: impl Into<Vec<u8>>,
        options: WriteOptions,
    ) -> Operation<()> {
        let bytes = bytes.into();
        if !options.is_atomic() && !options.syncs() {
            return self.write_whole("write_file", path, bytes, &options.open_options());
        }
        self.call("write_file", path, move |path| {
            let target = Target::open(path, &options)?;
            (&*target.file).write_all(&bytes)?;
            target.finish(path, &options)
        })
    }

    /// Writes to the end of a file, which is made if it is not there. As [`write_file`](Self::write_file).
    #[track_caller]
    pub fn append_file(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) -> Operation<()> {
        let mut options = OpenOptions::new();
        self.write_whole("append_file", path, bytes.into(), options.append(true).create(true))
    }

    #[track_caller]
    fn write_whole(
        &self,
        operation: &'static str,
        path: impl AsRef<Path>,
        bytes: Vec<u8>,
        options: &OpenOptions,
    ) -> Operation<()> {
        let (subject, options) = (subject(operation, path), options.clone());
        if let Some(ring) = self.trips.ring() {
            return self.write_whole_by(ring, subject, bytes, options);
        }
        let path = Arc::clone(&subject.path);
        Operation::start(&self.trips, subject, |chain| match self.hops {
            FileHops::PerCall | FileHops::SmallPieces => chain.step(
                move |_| options.open(path),
                move |chain, _, file| write_on(chain, Writing::new(file, bytes), Ok(())),
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
    fn new(file: File, limits: FsLimits) -> Self {
        Self { file, bytes: Vec::new(), len: 0, limits, is_over: false }
    }

    /// Asks for the length, and makes room.
    fn measure(&mut self) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        let len = if metadata.is_file() { metadata.len() } else { 0 };
        if len > self.limits.file_len_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.bytes.try_reserve_exact(self.len).map_err(|_| io::ErrorKind::OutOfMemory.into())
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
    let mut reading = Reading::new(File::open(path)?, limits);
    reading.measure()?;
    if reading.len <= limits.piece_len_max {
        reading.read_piece()?;
    }
    Ok(reading)
}

/// Submits the next piece, or the closing.
fn read_on(chain: &Rc<Chain<Vec<u8>>>, mut reading: Reading, so_far: io::Result<()>) {
    if so_far.is_err() || reading.is_over {
        let Reading { file, bytes, .. } = reading;
        return close(chain, file, so_far.map(|()| bytes));
    }
    let read = move |_: &JobContext<'_>| {
        let read = reading.read_piece();
        Ok((reading, read))
    };
    chain.step(read, |chain, _, (reading, read)| read_on(chain, reading, read));
}

/// Closes the file, and then tells what came of it.
fn close<T: 'static>(chain: &Rc<Chain<T>>, file: File, result: io::Result<T>) {
    let close = move |_: &JobContext<'_>| {
        drop(file);
        Ok(())
    };
    chain.step(close, |chain, lp, ()| match result {
        Ok(value) => chain.finish(lp, Ok(value)),
        Err(error) => chain.fail(lp, error),
    });
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
fn write_on(chain: &Rc<Chain<()>>, mut writing: Writing, so_far: io::Result<()>) {
    if so_far.is_err() || writing.is_over {
        return close(chain, writing.file, so_far);
    }
    let write = move |_: &JobContext<'_>| {
        let written = writing.write_piece();
        Ok((writing, written))
    };
    chain.step(write, |chain, _, (writing, written)| write_on(chain, writing, written));
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

/// Bytes that Node 10 reads at a time. Source: Node 10, `kReadFileBufferLength`.
const SMALL_PIECE_LEN: usize = 8 * 1024;
