//! Whole trees: removed, copied, listed. Each takes a job for every so many entries, so that a large tree does not keep a
//! worker from others, and looks between entries whether somebody still wants it.

mod cp;
mod rm;
mod walk;

use std::io;
use std::rc::Rc;

use phaseloop::LoopHandle;

use super::operation::Chain;
use crate::pool::JobContext;

pub use cp::{Copied, CpOptions};
pub use rm::RmOptions;
pub use walk::TreeEntry;

/// Something that is done to a tree, in pieces.
trait Work: Send + 'static {
    type Output: Send + 'static;

    /// Goes on for about so many entries. Gives what came out, once it is over. Blocks.
    fn run(&mut self, entries: usize, cx: &JobContext<'_>) -> io::Result<Option<Self::Output>>;
}

/// Does all of the work, job by job.
fn work_on<W: Work>(chain: &Rc<Chain<W::Output>>, mut work: W, entries: usize) {
    let job = move |cx: &JobContext<'_>| {
        let output = work.run(entries, cx)?;
        Ok((work, output))
    };
    chain.step(job, move |chain, lp: &LoopHandle, (work, output)| match output {
        Some(output) => chain.finish(lp, Ok(output)),
        None => work_on(chain, work, entries),
    });
}
