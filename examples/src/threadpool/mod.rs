//! The experiment of every article on the thread pool: six hashes and six files on four workers.
//!
//! `experiment` runs it, `drawing` draws it. With one class, the files stand in line behind the hashes, as they do in Node;
//! with a class for each, and one worker that hashing may not hold, they do not.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::page::Page;

mod drawing;
mod experiment;

pub use drawing::draw;
pub use experiment::{Classes, Kind, Run, Span, run, small_read_under_hashing};

/// Runs the experiment with one class and with several, writes both timelines on the page and one picture of both, and
/// then reads a small file while the pool is full of hashing.
///
/// `iterations` are those of PBKDF2: how long a hash takes.
///
/// # Errors
/// When a file can not be read, a loop or a pool can not be made, or the picture can not be written.
pub fn show(page: &Page, file: &Path, iterations: u32, picture: Option<&Path>) -> io::Result<()> {
    let mut runs = Vec::new();
    for (classes, title) in [(Classes::One, ONE), (Classes::Several, SEVERAL)] {
        let run = run(file, iterations, classes)?;
        page.headline(title, runs.is_empty());
        print(page, &run);
        runs.push((title, run));
    }
    page.headline("A small file, while 64 hashes that would take for ever hold what they may", false);
    let (took, hashed) = small_read_under_hashing(file)?;
    page.line(format!("  4 KiB read in {}; hashes that had ended by then: {hashed}", millis(took)));
    if let Some(picture) = picture {
        if let Some(folder) = picture.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(picture, draw("Six hashes and six files on four workers", &runs))?;
        page.line("");
        page.line(format!("drawn in {}", picture.display()));
    }
    Ok(())
}

const ONE: &str = "One class: files wait behind hashes, as in Node";
const SEVERAL: &str = "A class each, and one worker that hashing may not hold";

/// A row for each job: dots while it waits, `=` while it runs, and `|` where the loop is told.
fn print(page: &Page, run: &Run) {
    let end = run.end().max(Duration::from_micros(1));
    for span in &run.spans {
        let cell = |at: Duration| (at.as_secs_f64() / end.as_secs_f64() * COLUMNS as f64) as usize;
        let (start, stop, told) = (cell(span.started), cell(span.ended), cell(span.told));
        let mut row = vec![' '; COLUMNS + 1];
        row[..start].fill('.');
        row[start..=stop].fill('=');
        row[told] = '|';
        let row: String = row.into_iter().collect();
        let figures = format!("worker {}, {}", span.worker, millis(span.told));
        page.line(format!("  {:<6} {row} {figures}", span.name()));
    }
}

const COLUMNS: usize = 60;

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
