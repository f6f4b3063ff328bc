//! Reads and writes of several buffers, and of one that the caller lends.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::unix::fs::FileExt;

use super::whole::retry;
use super::{File, Operation, sys};

impl File {
    /// Reads into `bytes`, up to its length, from the position on. Gives it back with how much was read.
    ///
    /// For callers that use a buffer again. If the call fails the buffer is lost with it.
    #[track_caller]
    pub fn read_into(&self, mut bytes: Vec<u8>) -> Operation<(usize, Vec<u8>)> {
        if let Some(ring) = self.ring() {
            return self.call_ring("read_into", ring.read_into(self.shared(), bytes, None));
        }
        self.call("read_into", move |file| {
            let read = retry(|| (&*file).read(&mut bytes))?;
            Ok((read, bytes))
        })
    }

    /// As [`read_into`](Self::read_into), at `offset`; the position stays.
    #[track_caller]
    pub fn read_into_at(&self, mut bytes: Vec<u8>, offset: u64) -> Operation<(usize, Vec<u8>)> {
        if let Some(ring) = self.ring() {
            return self.call_ring("read_into_at", ring.read_into(self.shared(), bytes, Some(offset)));
        }
        self.call("read_into_at", move |file| {
            let read = retry(|| file.read_at(&mut bytes, offset))?;
            Ok((read, bytes))
        })
    }

    /// Reads into one buffer after the other, each to its length, from the position on. Gives them back with how much was
    /// read in all.
    ///
    /// Any number of buffers: the system is called once for every 1024, until one call comes back short.
    #[track_caller]
    pub fn read_vectored(&self, mut bufs: Vec<Vec<u8>>) -> Operation<(usize, Vec<Vec<u8>>)> {
        self.call("read_vectored", move |file| {
            let read = read_groups(&mut bufs, |group, _| (&*file).read_vectored(group))?;
            Ok((read, bufs))
        })
    }

    /// As [`read_vectored`](Self::read_vectored), at `offset`; the position stays.
    #[track_caller]
    pub fn read_vectored_at(&self, mut bufs: Vec<Vec<u8>>, offset: u64) -> Operation<(usize, Vec<Vec<u8>>)> {
        self.call("read_vectored_at", move |file| {
            let read = read_groups(&mut bufs, |group, before| {
                sys::read_vectored_at(&file, group, offset + before as u64)
            })?;
            Ok((read, bufs))
        })
    }

    /// Writes one buffer after the other from the position on. Gives how many bytes were written in all: fewer than there
    /// are only if the system took fewer.
    ///
    /// Any number of buffers, as [`read_vectored`](Self::read_vectored). An error after some were written is not told: the
    /// count is, and the next write meets it again. Source: write(2).
    #[track_caller]
    pub fn write_vectored(&self, bufs: Vec<Vec<u8>>) -> Operation<usize> {
        self.call("write_vectored", move |file| {
            write_groups(&bufs, |group, _| (&*file).write_vectored(group))
        })
    }

    /// As [`write_vectored`](Self::write_vectored), at `offset`; the position stays.
    #[track_caller]
    pub fn write_vectored_at(&self, bufs: Vec<Vec<u8>>, offset: u64) -> Operation<usize> {
        self.call("write_vectored_at", move |file| {
            write_groups(&bufs, |group, before| sys::write_vectored_at(&file, group, offset + before as u64))
        })
    }
}

/// Buffers that the system takes in one call. Source: Linux, `UIO_MAXIOV`; POSIX promises 16 and all systems have 1024.
const GROUP_LEN: usize = 1024;

/// `read` gets a group and how many bytes were read before it.
fn read_groups(
    bufs: &mut [Vec<u8>],
    mut read: impl FnMut(&mut [IoSliceMut<'_>], usize) -> io::Result<usize>,
) -> io::Result<usize> {
    let (mut all, mut wanted) = (0, 0);
    for group in bufs.chunks_mut(GROUP_LEN) {
        wanted += group.iter().map(Vec::len).sum::<usize>();
        let mut slices: Vec<_> = group.iter_mut().map(|buf| IoSliceMut::new(buf)).collect();
        match retry(|| read(&mut slices, all)) {
            Ok(len) => all += len,
            Err(error) if all == 0 => return Err(error),
            Err(_) => break, // the next read meets it again
        }
        if all < wanted {
            break;
        }
    }
    Ok(all)
}

/// `write` gets a group and how many bytes were written before it.
fn write_groups(
    bufs: &[Vec<u8>],
    mut write: impl FnMut(&[IoSlice<'_>], usize) -> io::Result<usize>,
) -> io::Result<usize> {
    let (mut all, mut wanted) = (0, 0);
    for group in bufs.chunks(GROUP_LEN) {
        wanted += group.iter().map(Vec::len).sum::<usize>();
        let slices: Vec<_> = group.iter().map(|buf| IoSlice::new(buf)).collect();
        match retry(|| write(&slices, all)) {
            Ok(len) => all += len,
            Err(error) if all == 0 => return Err(error),
            Err(_) => break, // the next write meets it again
        }
        if all < wanted {
            break;
        }
    }
    Ok(all)
}
/// Writes all of the buffers. Blocks.
pub(super) fn write_all(
    bufs: &[Vec<u8>],
    mut write: impl FnMut(&[IoSlice<'_>], usize) -> io::Result<usize>,
) -> io::Result<()> {
    let mut slices: Vec<_> = bufs.iter().filter(|buf| !buf.is_empty()).map(|buf| IoSlice::new(buf)).collect();
    let (mut rest, mut written) = (&mut slices[..], 0);
    while !rest.is_empty() {
        let len = retry(|| write(&rest[..rest.len().min(GROUP_LEN)], written))?;
        if len == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        written += len;
        IoSlice::advance_slices(&mut rest, len);
    }
    Ok(())
}
