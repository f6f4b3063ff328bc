//! Compressing a file into another: one job, two buffers.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::unit::{Check, Coder, Unit};
use super::{CompressError, Flush};
use crate::request::Progress;

/// How long two files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileTotals {
    /// Bytes that were read.
    pub read: u64,
    /// Bytes that were written.
    pub written: u64,
}

/// Reads one file through a coder into another. Blocks.
pub(super) fn transform_file(
    coder: Coder,
    from: &Path,
    to: &Path,
    piece_len: usize,
    progress: &Progress,
    check: Check<'_>,
) -> Result<FileTotals, CompressError> {
    let mut input = File::open(from).map_err(failed(from))?;
    let output = Unfinished::create(to)?;
    let totals = copy(coder, (&mut input, from), &output, piece_len, progress, check)?;
    output.rename_to(to)?;
    Ok(totals)
}

fn copy(
    coder: Coder,
    (input, from): (&mut File, &Path),
    output: &Unfinished,
    piece_len: usize,
    progress: &Progress,
    check: Check<'_>,
) -> Result<FileTotals, CompressError> {
    let mut totals = FileTotals { read: 0, written: 0 };
    let mut unit = Unit::new(coder, Vec::new(), Flush::None);
    while !unit.is_finished() {
        let mut buf = std::mem::take(&mut unit.input);
        buf.resize(piece_len, 0);
        let read = read(input, &mut buf).map_err(failed(from))?;
        buf.truncate(read);
        totals.read += read as u64;
        unit.feed(buf, if read == 0 { Flush::Finish } else { Flush::None });
        while !unit.is_done {
            unit.advance(piece_len, piece_len, check)?;
            (&output.file).write_all(&unit.output).map_err(failed(&output.path))?;
            totals.written += unit.output.len() as u64;
            unit.output.clear();
        }
        progress.add(read as u64);
    }
    Ok(totals)
}

fn read(file: &mut File, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buf) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> CompressError {
    move |source| CompressError::File { path: path.to_path_buf(), source }
}

/// A file under a name of its own beside its place; it is removed unless it is renamed.
struct Unfinished {
    file: File,
    path: PathBuf,
    is_kept: bool,
}

impl Unfinished {
    fn create(to: &Path) -> Result<Self, CompressError> {
        let mut name = to.file_name().unwrap_or_default().to_os_string();
        // Hash keys are random: another process takes another name, and one that is taken is refused below.
        name.push(format!(".{:016x}.part", RandomState::new().hash_one(to)));
        let path = to.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed(to))?;
        Ok(Self { file, path, is_kept: false })
    }

    fn rename_to(mut self, to: &Path) -> Result<(), CompressError> {
        std::fs::rename(&self.path, to).map_err(failed(to))?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_kept {
            // Whoever removed it before has done what is wanted, and an error has been reported already.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
