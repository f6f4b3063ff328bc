//! A watcher's events as a stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::{WatchEvent, Watcher};

/// The events of a watched path. Made by [`Watch::stream`](super::Watch::stream). Dropping it ends the watch.
///
/// It ends after the last event, which is [`RootRemoved`](super::WatchKind::RootRemoved), or when it is closed.
#[derive(Debug)]
pub struct WatchStream {
    watcher: Watcher,
}

impl WatchStream {
    pub(super) fn new(watcher: Watcher) -> Self {
        Self { watcher }
    }

    /// Waits for the next event. None when no more come.
    ///
    /// # Cancel safety
    /// No event is lost.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// How many events were read and wait to be taken.
    pub fn waiting(&self) -> usize {
        self.watcher.waiting()
    }

    /// The watcher behind it: to close it, or to let the loop end.
    pub fn watcher(&self) -> &Watcher {
        &self.watcher
    }
}

impl Stream for WatchStream {
    type Item = WatchEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WatchEvent>> {
        match self.watcher.take() {
            Some(event) => Poll::Ready(Some(event)),
            None if self.watcher.is_over() => Poll::Ready(None),
            None => {
                self.watcher.wait(cx);
                Poll::Pending
            }
        }
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        self.watcher.close();
    }
}
