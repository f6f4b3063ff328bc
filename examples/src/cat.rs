//! Files, one after the other, as streams: a slow reader at the other end slows the reading.

use std::ffi::OsString;
use std::fs::File as StdFile;
use std::io;

use fs_pool::fs::{File, Fs, FsError, ReadOptions, ReadStream, WriteStream};
use fs_pool::pool::Pool;
use fs_pool::request::LoopPool;
use phaseloop::EventLoop;

use crate::page::Page;

/// Where bytes come from and go to, if not from and to files.
#[derive(Debug)]
pub struct Ends {
    /// What `-` stands for.
    pub input: StdFile,
    /// Where all goes.
    pub output: StdFile,
}

/// Writes the files to the output in their order. One that can not be read is named on `errors`, and the next one follows.
///
/// Gives how many could not be read.
///
/// # Errors
/// The output's: then nothing more is read.
pub fn run(files: &[OsString], ends: Ends, errors: &Page) -> io::Result<usize> {
    let (lp, pool) = (EventLoop::new()?, Pool::builder().build().map_err(io::Error::other)?);
    let fs = Fs::new(&LoopPool::new(&lp, &pool));
    lp.block_on(async {
        let mut output = File::from_std(&fs, ends.output, "standard output").into_write_stream();
        let mut failed = 0;
        for name in files {
            let source = match name == "-" {
                true => {
                    let input = ends.input.try_clone()?; // `-` may be named twice
                    File::from_std(&fs, input, "standard input").into_read_stream(ReadOptions::new())
                }
                false => fs.read_stream(name, ReadOptions::new()),
            };
            if let Err(error) = send(source, &mut output).await? {
                errors.line(format!("cat: {error}"));
                failed += 1;
            }
        }
        output.finish().await?;
        Ok(failed)
    })?
}

/// Sends a file on. The inner result is the file's, the outer one the output's.
async fn send(mut source: ReadStream, output: &mut WriteStream) -> Result<Result<(), FsError>, FsError> {
    while let Some(chunk) = source.next_chunk().await {
        match chunk {
            Ok(chunk) => output.write_chunk(chunk).await?, // waits while too much is queued
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(()))
}
