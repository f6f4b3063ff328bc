//! Whole files by a ring, in the hops of the schedule.

use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use phaseloop::FileHops;

use super::calls::{Calls, RingFile};
use super::core::Ring;
use super::sys::Room;
use crate::fs::operation::{Chain, Subject};
use crate::fs::{Fs, FsLimits, OpenOptions, Operation};

impl Fs {
    /// As [`Fs::read_file`], by the ring.
    #[track_caller]
    pub(in crate::fs) fn read_file_by(
        &self,
        ring: &Ring,
        subject: Subject,
        limits: FsLimits,
    ) -> Operation<Vec<u8>> {
        let (calls, path) = (ring.calls(), Arc::clone(&subject.path));
        Operation::start(&self.trips, subject, |chain| match self.hops {
            FileHops::PerCall | FileHops::SmallPieces => {
                let own = calls.clone();
                let open = async move { own.open(&path, OpenOptions::new().read(true)).await };
                chain.ring_step(Box::pin(open), move |chain, _, file| {
                    let mut reading = Reading::new(calls.clone(), file, limits);
                    let measure = async move {
                        let known = reading.calls.file_stat(&reading.file).await;
                        let measured =
                            known.and_then(|it| reading.measure(if it.is_file() { it.len() } else { 0 }));
                        Ok((reading, measured))
                    };
                    let then = |chain: &_, _: &_, (reading, measured)| read_on(chain, reading, measured);
                    chain.ring_step(Box::pin(measure), then);
                });
            }
            _ => {
                let read = async move { read_at_once(calls, &path, limits).await };
                chain.ring_step(Box::pin(read), |chain, lp, read| match read {
                    AtOnce::All(bytes) => chain.finish(lp, Ok(bytes)),
                    AtOnce::TooLong(reading) => read_on(chain, reading, Ok(())),
                });
            }
        })
    }

    /// As [`Fs::write_file`], by the ring.
    #[track_caller]
    pub(in crate::fs) fn write_whole_by(
        &self,
        ring: &Ring,
        subject: Subject,
        bytes: Vec<u8>,
        options: OpenOptions,
    ) -> Operation<()> {
        let (calls, path) = (ring.calls(), Arc::clone(&subject.path));
        Operation::start(&self.trips, subject, |chain| match self.hops {
            FileHops::PerCall | FileHops::SmallPieces => {
                let own = calls.clone();
                let open = async move { own.open(&path, &options).await };
                chain.ring_step(Box::pin(open), move |chain, _, file| {
                    write_on(chain, Writing { calls, file, bytes, written: 0, is_over: false }, Ok(()));
                });
            }
            _ => {
                let write = async move {
                    let file = calls.open(&path, &options).await?;
                    let written = calls.write_all(&file, bytes, None).await;
                    calls.close(file).await;
                    written
                };
                chain.ring_step(Box::pin(write), |chain, lp, ()| chain.finish(lp, Ok(())));
            }
        })
    }
}

/// A file that is being read. Whoever drops it has the file closed.
struct Reading {
    calls: Calls,
    file: RingFile,
    bytes: Vec<u8>,
    /// How long the file was when it was opened; 0 if the system does not know.
    len: usize,
    limits: FsLimits,
    is_over: bool,
}

enum AtOnce {
    All(Vec<u8>),
    /// It has to be read in pieces, each a hop.
    TooLong(Reading),
}

impl Reading {
    fn new(calls: Calls, file: RingFile, limits: FsLimits) -> Self {
        Self { calls, file, bytes: Vec::new(), len: 0, limits, is_over: false }
    }

    /// Makes room.
    fn measure(&mut self, len: u64) -> io::Result<()> {
        if len > self.limits.file_len_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.reserve(self.len)
    }

    fn reserve(&mut self, len: usize) -> io::Result<()> {
        self.bytes.try_reserve_exact(len).map_err(|_| io::ErrorKind::OutOfMemory.into())
    }

    /// Reads as much as one job may.
    async fn read_piece(&mut self) -> io::Result<()> {
        let left = if self.len == 0 { usize::MAX } else { self.len - self.bytes.len() };
        let wanted = left.min(self.limits.piece_len_max);
        let mut read = 0;
        while read < wanted {
            if self.bytes.capacity() == self.bytes.len() {
                self.reserve(self.bytes.len().max(SMALL_LEN))?;
            }
            let start = self.bytes.len();
            let len = (wanted - read).min(self.bytes.capacity() - start);
            let bytes = std::mem::take(&mut self.bytes);
            // What has a length has positions, too; to use the file's own one costs two calls more.
            let offset = (self.len > 0).then_some(start as u64);
            let more;
            (self.bytes, more) = self.calls.read(&self.file, bytes, Room { start, len }, offset).await;
            match more? {
                0 => break,
                more => read += more,
            }
        }
        if self.bytes.len() as u64 > self.limits.file_len_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.is_over = read < wanted || self.bytes.len() == self.len;
        Ok(())
    }
}

/// Opens a file and, unless it is too long for one job, reads all of it and closes it.
async fn read_at_once(calls: Calls, path: &Path, limits: FsLimits) -> io::Result<AtOnce> {
    let (file, known) = calls.open_known(path, OpenOptions::new().read(true)).await?;
    let mut reading = Reading::new(calls, file, limits);
    reading.measure(known.len)?;
    if reading.len > limits.piece_len_max {
        return Ok(AtOnce::TooLong(reading));
    }
    if reading.len > 0 {
        let Reading { calls, file, bytes, len, .. } = reading;
        let (bytes, read) = calls.read_last(file, bytes, Room { start: 0, len }, 0).await;
        return match read {
            Ok(read) if read == len => Ok(AtOnce::All(bytes)),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            // Some file systems say that a file is longer than it is, or read less than there is.
            _ => read_by_steps(calls, path, limits).await,
        };
    }
    finish(reading).await
}

/// As `read_at_once`, with a call for each step, and to where the file ends.
async fn read_by_steps(calls: Calls, path: &Path, limits: FsLimits) -> io::Result<AtOnce> {
    let (file, known) = calls.open_known(path, OpenOptions::new().read(true)).await?;
    let mut reading = Reading::new(calls, file, limits);
    reading.measure(known.len)?;
    if reading.len > limits.piece_len_max { Ok(AtOnce::TooLong(reading)) } else { finish(reading).await }
}

/// Reads what one job may, and closes the file if that was all.
async fn finish(mut reading: Reading) -> io::Result<AtOnce> {
    let read = reading.read_piece().await;
    if read.is_ok() && !reading.is_over {
        return Ok(AtOnce::TooLong(reading));
    }
    let Reading { calls, file, bytes, .. } = reading;
    calls.close(file).await;
    read.map(|()| AtOnce::All(bytes))
}

/// Gives the ring the next piece, or the closing.
fn read_on(chain: &Rc<Chain<Vec<u8>>>, mut reading: Reading, so_far: io::Result<()>) {
    if so_far.is_err() || reading.is_over {
        let Reading { calls, file, bytes, .. } = reading;
        return close(chain, calls, file, so_far.map(|()| bytes));
    }
    let read = async move {
        let read = reading.read_piece().await;
        Ok((reading, read))
    };
    chain.ring_step(Box::pin(read), |chain, _, (reading, read)| read_on(chain, reading, read));
}

/// Closes the file, and then tells what came of it.
fn close<T: 'static>(chain: &Rc<Chain<T>>, calls: Calls, file: RingFile, result: io::Result<T>) {
    let close = async move {
        calls.close(file).await;
        Ok(())
    };
    chain.ring_step(Box::pin(close), |chain, lp, ()| match result {
        Ok(value) => chain.finish(lp, Ok(value)),
        Err(error) => chain.fail(lp, error),
    });
}

/// A file that is being written. Whoever drops it has the file closed.
struct Writing {
    calls: Calls,
    file: RingFile,
    bytes: Vec<u8>,
    written: usize,
    is_over: bool,
}

impl Writing {
    /// Writes as much as the system takes at a time.
    async fn write_piece(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.bytes);
        let more;
        (self.bytes, more) = self.calls.write(&self.file, bytes, self.written, None).await;
        let more = more?;
        if more == 0 && self.written < self.bytes.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.written += more;
        self.is_over = self.written == self.bytes.len();
        Ok(())
    }
}

/// Gives the ring the next write, or the closing.
fn write_on(chain: &Rc<Chain<()>>, mut writing: Writing, so_far: io::Result<()>) {
    if so_far.is_err() || writing.is_over {
        return close(chain, writing.calls, writing.file, so_far);
    }
    let write = async move {
        let written = writing.write_piece().await;
        Ok((writing, written))
    };
    chain.ring_step(Box::pin(write), |chain, _, (writing, written)| write_on(chain, writing, written));
}

/// Room for the first piece of a file that does not tell its length.
const SMALL_LEN: usize = 4096;
