//! Files and trees that are watched, with a line for each thing that happens.

use std::io;
use std::path::Path;
use std::pin::pin;

use fs_pool::pool::Pool;
use fs_pool::request::LoopPool;
use fs_pool::watch::{Watch, WatchEvent, WatchKind};
use futures::future::{Either, select};
use futures::stream::{StreamExt, select_all};
use phaseloop::EventLoop;

use crate::page::Page;

/// How much is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What is directly in a folder.
    Folder,
    /// All folders below as well.
    Tree,
}

/// Why watching has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All that was watched is gone.
    Gone,
    /// It was told to end.
    Cancelled,
}

/// Puts a line on the page for each event below the paths, until all of them are gone or `cancelled` is done.
///
/// # Errors
/// When a path can not be watched, with its name; or when no pool can be made.
pub fn run(
    lp: &EventLoop,
    page: &Page,
    paths: &[impl AsRef<Path>],
    depth: Depth,
    cancelled: impl Future,
) -> io::Result<End> {
    let pool = Pool::builder().build().map_err(io::Error::other)?;
    let jobs = LoopPool::new(lp, &pool);
    let streams = paths.iter().map(|path| {
        let watch = Watch::new(path);
        if depth == Depth::Tree { watch.recursive().stream(&jobs) } else { watch.stream(&jobs) }
    });
    // If one can not be watched, those before it are dropped here, and so closed.
    let streams: Vec<_> = streams.collect::<Result<_, _>>().map_err(io::Error::from)?;
    if depth == Depth::Folder {
        page.line("watching");
    } // else the watchers say when the trees are in view
    lp.block_on(async {
        let events = select_all(streams).for_each(async |event| page.line(describe(&event)));
        match select(pin!(cancelled), pin!(events)).await {
            Either::Left(_) => End::Cancelled,
            Either::Right(_) => End::Gone,
        }
    })
}

/// What is said of an event.
pub fn describe(event: &WatchEvent) -> String {
    let path = event.path.display();
    match &event.kind {
        WatchKind::Created => format!("created     {path}"),
        WatchKind::Removed => format!("removed     {path}"),
        WatchKind::Modified => format!("changed     {path}"),
        WatchKind::Attributes => format!("attributes  {path}"),
        WatchKind::Renamed { from } => format!("renamed     {} -> {path}", from.display()),
        WatchKind::RootMoved => format!("moved away  {path}"),
        WatchKind::RootRemoved => format!("gone        {path}"),
        WatchKind::Ready => format!("watching    {path}"),
        WatchKind::Overflow => format!("overflow    {path}: events were lost, look at it anew"),
        WatchKind::Failed(error) => format!("unwatched   {path}: {error}"),
        other => format!("{other:?} {path}"),
    }
}
