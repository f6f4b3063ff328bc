//! In which order things run: small scripts, run under each preset of [`Schedule`], side by side.
//!
//! `scripts` holds them, each in Rust and in JavaScript; `files` reads a file; `table` puts orders side by side;
//! `real_node` runs the same script in the Node that is installed. `explain` takes one script, or anybody's, and says where
//! each label ran.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use phaseloop::{EventLoop, RunMode, Schedule};

use crate::page::Page;

pub mod explain;
mod files;
mod real_node;
mod scripts;
mod table;

use files::Files;
pub use real_node::{node_version, order_in_node};
pub use scripts::{SCRIPTS, Script};
pub use table::Table;

/// The presets, each with the jobs on the pool that `fs.readFile` of a small file is made of: open, stat, read and close
/// up to Node 24, one since (SEMANTICS W3). libuv has no `readFile`, nor has a page, and in the textbook it is one operation.
pub fn presets() -> [(Schedule, usize); 8] {
    [
        (Schedule::node26(), 1),
        (Schedule::node22(), 4),
        (Schedule::node20(), 4),
        (Schedule::node12(), 4),
        (Schedule::browser(), 1),
        (Schedule::libuv(), 1),
        (Schedule::libuv_1_44(), 1),
        (Schedule::textbook(), 1),
    ]
}

/// Runs every script under every preset, and in the installed Node if `with_node`, and writes the tables.
///
/// `file` is the small file that the scripts read.
///
/// # Errors
/// When the file can not be read, a loop can not be made, or Node was asked for and does not run.
pub fn run(page: &Page, file: &Path, with_node: bool) -> io::Result<()> {
    std::fs::read(file)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
    for (index, script) in SCRIPTS.iter().enumerate() {
        let mut table = order(script, file)?;
        if with_node {
            table.add(&format!("real Node {}", node_version()?), order_in_node(script, file)?);
        }
        page.headline(script.title, index == 0);
        page.line(script.about);
        page.line("");
        table.print(page);
        page.line("");
        page.line(script.rule);
    }
    Ok(())
}

/// Runs one script under every preset.
///
/// # Errors
/// When a loop can not be made.
pub fn order(script: &Script, file: &Path) -> io::Result<Table> {
    let mut table = Table::default();
    for (schedule, jobs) in presets() {
        let name = schedule.name.to_string();
        table.add(&name, trace(script, schedule, jobs, file)?);
    }
    Ok(table)
}

/// Runs one script on a loop of its own, and gives the lines it logged.
fn trace(script: &Script, schedule: Schedule, jobs: usize, file: &Path) -> io::Result<Vec<String>> {
    let lp = EventLoop::builder().schedule(schedule).build()?;
    let log = Log::default();
    let files = Files::new(&lp, file, jobs);
    (script.main)(&lp, &log, &files); // what a script does outside of callbacks happens before the loop runs
    lp.run(RunMode::Default)?;
    Ok(log.lines.take())
}

/// The lines of one run. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    lines: Rc<RefCell<Vec<String>>>,
}

impl Log {
    pub(crate) fn line(&self, line: &str) {
        self.lines.borrow_mut().push(line.to_owned());
    }
}
