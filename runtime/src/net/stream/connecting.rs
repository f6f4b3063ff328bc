//! Connecting with a callback.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::rc::Rc;

use super::ByteStream;
use crate::handle::spawn::JoinHandle;
use crate::net::family::{StreamFamily, Tcp};
use crate::net::sys;
use crate::state::LoopHandle;

impl<K: StreamFamily> ByteStream<K> {
    /// Calls `on_connected` once with what `connecting` comes to. It keeps the loop alive until then.
    pub(in crate::net) fn connect_and_call(
        lp: &LoopHandle,
        connecting: impl Future<Output = io::Result<Self>> + 'static,
        on_connected: impl FnOnce(&LoopHandle, io::Result<Self>) + 'static,
        site: &'static Location<'static>,
    ) -> Connecting<K> {
        let request = lp.begin_request();
        let on_connected: OnConnected<K> = match lp.captured_context() {
            None => Box::new(on_connected),
            context => Box::new(move |lp, connected| lp.in_context(context, || on_connected(lp, connected))),
        };
        let owes = Owes { lp: lp.clone(), on_connected: Rc::new(Cell::new(Some(on_connected))) };
        let pays = owes.clone();
        let task = lp.spawn_at(
            async move {
                pays.pay(connecting.await);
                drop(request);
            },
            site,
        );
        task.unref(); // the request keeps the loop alive
        Connecting { task, owes }
    }
}

/// A connect that is under way. Dropping it lets the connect go on.
pub struct Connecting<K: StreamFamily = Tcp> {
    task: JoinHandle<()>,
    owes: Owes<K>,
}

impl<K: StreamFamily> Connecting<K> {
    /// Gives the connect up: its callback gets `ECANCELED`, in the pending phase. One that has ended stays as it is.
    /// Source: libuv, `uv_close` of a handle that connects; PROMISES, close_while_connecting.
    pub fn close(&self) {
        self.owes.pay(Err(sys::cancelled()));
        self.task.abort();
    }
}

impl<K: StreamFamily> fmt::Debug for Connecting<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").field("ended", &self.task.is_finished()).finish()
    }
}

/// The callback that a connect owes, once.
struct Owes<K> {
    lp: LoopHandle,
    on_connected: Rc<Cell<Option<OnConnected<K>>>>,
}

type OnConnected<K> = Box<dyn FnOnce(&LoopHandle, io::Result<ByteStream<K>>)>;

impl<K> Clone for Owes<K> {
    fn clone(&self) -> Self {
        Self { lp: self.lp.clone(), on_connected: Rc::clone(&self.on_connected) }
    }
}

impl<K: StreamFamily> Owes<K> {
    fn pay(&self, connected: io::Result<ByteStream<K>>) {
        if let Some(on_connected) = self.on_connected.take() {
            self.lp.defer(move |lp| on_connected(lp, connected));
        }
    }
}
