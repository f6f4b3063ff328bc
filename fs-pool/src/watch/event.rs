//! What a watcher tells.

use std::io;
use std::path::PathBuf;

/// Something that happened to a watched file or folder, or to the watcher.
#[derive(Debug)]
#[non_exhaustive]
pub struct WatchEvent {
    /// What happened.
    pub kind: WatchKind,
    /// To what: the watched path as it was given, joined with the path below it.
    pub path: PathBuf,
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum WatchKind {
    /// It is new, or was moved here from somewhere unwatched.
    Created,
    /// It is gone, or was moved to somewhere unwatched.
    Removed,
    /// Its contents changed.
    Modified,
    /// Its owner, permissions, times or number of links changed.
    Attributes,
    /// It was renamed, inside what is watched.
    Renamed {
        /// Its path before.
        from: PathBuf,
    },
    /// The watched path itself was moved. It is watched on, and its events have the path that was given.
    RootMoved,
    /// The watched path itself is gone. The watcher has ended; this is the last event.
    RootRemoved,
    /// A recursive watcher has the tree in view, but for the folders that [`Failed`](Self::Failed). From here on nothing is missed.
    Ready,
    /// The kernel's queue was full, and events were lost: look at the tree anew.
    Overflow,
    /// Something can not be watched, or no longer: a folder that is unreadable, a limit of the system.
    Failed(io::Error),
}

/// What Node calls an event of `fs.watch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeEvent {
    /// A name came, went or changed.
    Rename,
    /// A file changed.
    Change,
}

impl WatchKind {
    /// The event that Node would report: once for each name, so twice for a rename. None for what Node says otherwise or
    /// not at all. Source: libuv, `uv__inotify_read`.
    pub fn node_event(&self) -> Option<NodeEvent> {
        match self {
            Self::Modified | Self::Attributes => Some(NodeEvent::Change),
            Self::Created | Self::Removed | Self::Renamed { .. } | Self::RootMoved | Self::RootRemoved => {
                Some(NodeEvent::Rename)
            }
            Self::Ready | Self::Overflow | Self::Failed(_) => None,
        }
    }
}
