//! Watching files and folders: what the kernel tells of them comes to the loop.
//!
//! [`Watch`] sets up a watcher by inotify(7), for one path or a whole tree, with a callback ([`Watcher`]) or as a stream
//! ([`WatchStream`]).
//!
//! What it can not see: changes made by other machines to a network file system, and by programs to memory that is mapped
//! from a file. A file that was deleted and is still open somewhere is told as `Attributes`, for it lost a name; its end
//! comes when it is closed.
//!
//! # Ordering
//! Events come in the order in which the kernel tells them. Both halves of a rename come as one event. In a folder that is
//! new in a recursively watched tree, what is found there comes as created, each name once.
//!
//! # Platform
//! Linux.
//!
//! # Examples
//! ```
//! # use std::{cell::Cell, rc::Rc};
//! use fs_pool::watch::{Watch, WatchKind};
//! use fs_pool::{fs::Fs, pool::Pool, request::LoopPool};
//! use phaseloop::EventLoop;
//!
//! let (lp, pool) = (EventLoop::new()?, Pool::builder().build()?);
//! let pool = LoopPool::new(&lp, &pool);
//! let fs = Fs::new(&pool);
//! lp.block_on(async {
//!     let folder = fs.mkdtemp(std::env::temp_dir().join("phaseloop-")).await?;
//!     let mut events = Watch::new(&folder).stream(&pool)?;
//!     fs.write_file(folder.join("a"), "hello").await?;
//!     fs.rename(folder.join("a"), folder.join("b")).await?;
//!     while let Some(event) = events.next().await {
//!         if let WatchKind::Renamed { from } = event.kind {
//!             assert_eq!((from, event.path), (folder.join("a"), folder.join("b")));
//!             break;
//!         }
//!     }
//!     fs.unlink(folder.join("b")).await?;
//!     fs.rmdir(&folder).await
//! })??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod event;
mod options;
mod scan;
mod stream;
mod sys;
mod translate;
mod tree;
mod watcher;

pub use event::{NodeEvent, WatchEvent, WatchKind};
pub use options::Watch;
pub use stream::WatchStream;
pub use watcher::Watcher;
