//! Follows a file as it grows: reads on the blocking pool, and looks again by a timer.
//!
//! A file that is replaced, as logs are when they are rotated, is followed under its name; one that was cut is read from its
//! beginning.

use std::io;
use std::path::Path;
use std::time::Duration;

use fs_pool::fs::{File, Fs};
use fs_pool::pool::Pool;
use fs_pool::request::LoopPool;
use phaseloop::LoopHandle;

use crate::lines::Lines;
use crate::page::Page;

/// Bytes of one read.
const READ_LEN: usize = 64 * 1024;
/// Bytes of a line; what is longer is left out, and that is said.
const LINE_LEN_MAX: usize = 64 * 1024;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// With what the file holds already.
    Beginning,
    /// With what is appended from now on.
    End,
}

/// Puts each line of the file on the page, and goes on until the future is dropped or fails.
///
/// # Errors
/// What opening, reading and looking says, but that the file is missing for a moment, while it is replaced.
pub async fn follow(
    lp: &LoopHandle,
    path: &Path,
    from: From,
    every: Duration,
    page: &Page,
) -> io::Result<()> {
    let pool = Pool::builder().build().map_err(io::Error::other)?;
    let fs = Fs::new(&LoopPool::new(lp, &pool));
    let mut followed = Followed::open(&fs, path, page).await?;
    if from == From::End {
        followed.offset = followed.file.stat().await?.len();
    }
    loop {
        followed.read_to_end().await?;
        lp.sleep(every).await;
        let now = match fs.stat(path).await {
            Ok(now) => now,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        if (now.dev(), now.ino()) != followed.identity {
            followed.read_to_end().await?; // what came before it was replaced
            page.line("--- another file has its name now ---");
            match Followed::open(&fs, path, page).await {
                Ok(another) => followed = another,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        } else if now.len() < followed.offset {
            page.line("--- the file was cut ---");
            (followed.offset, followed.lines) = (0, Lines::new(LINE_LEN_MAX));
        }
    }
}

struct Followed<'a> {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    offset: u64,
    lines: Lines,
    page: &'a Page,
}

impl<'a> Followed<'a> {
    async fn open(fs: &Fs, path: &Path, page: &'a Page) -> io::Result<Self> {
        let file = fs.open(path).await?;
        let stat = file.stat().await?;
        let identity = (stat.dev(), stat.ino());
        Ok(Self { file, identity, offset: 0, lines: Lines::new(LINE_LEN_MAX), page })
    }

    async fn read_to_end(&mut self) -> io::Result<()> {
        loop {
            let bytes = self.file.read_at(READ_LEN, self.offset).await?;
            if bytes.is_empty() {
                return Ok(());
            }
            self.offset += bytes.len() as u64;
            match self.lines.push(&bytes) {
                Ok(lines) => lines.into_iter().for_each(|line| self.page.line(line)),
                Err(too_long) => self.page.line(format!("--- {too_long} ---")),
            }
        }
    }
}
