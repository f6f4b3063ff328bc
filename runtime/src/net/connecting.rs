//! Connecting with a callback.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::rc::Rc;

use super::stream::TcpStream;
use super::sys;
use crate::handle::spawn::JoinHandle;
use crate::state::LoopHandle;

impl TcpStream {
    /// Connects to `address` and then calls back, once: with the stream, with an error, or with `ECANCELED` if
    /// [`Connecting::close`] came first. It keeps the loop alive until then.
    ///
    /// # Ordering
    /// The callback runs in the pending phase, never inside this call, also when the connect fails at once.
    #[track_caller]
    pub fn connect_with(
        lp: &LoopHandle,
        address: SocketAddr,
        on_connected: impl FnOnce(&LoopHandle, io::Result<Self>) + 'static,
    ) -> Connecting {
        let connecting = Self::connect(lp, address);
        let request = lp.begin_request();
        let owes = Owes { lp: lp.clone(), on_connected: Rc::new(Cell::new(Some(Box::new(on_connected)))) };
        let pays = owes.clone();
        let task = lp.spawn_at(
            async move {
                pays.pay(connecting.await);
                drop(request);
            },
            Location::caller(),
        );
        task.unref(); // the request keeps the loop alive
        Connecting { task, owes }
    }
}

/// A connect that is under way. Dropping it lets the connect go on.
pub struct Connecting {
    task: JoinHandle<()>,
    owes: Owes,
}

impl Connecting {
    /// Gives the connect up: its callback gets `ECANCELED`, in the pending phase. One that has ended stays as it is.
    /// Source: libuv, `uv_close` of a handle that connects; PROMISES, close_while_connecting.
    pub fn close(&self) {
        self.owes.pay(Err(sys::cancelled()));
        self.task.abort();
    }
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").field("ended", &self.task.is_finished()).finish()
    }
}

/// The callback that a connect owes, once.
#[derive(Clone)]
struct Owes {
    lp: LoopHandle,
    on_connected: Rc<Cell<Option<OnConnected>>>,
}

type OnConnected = Box<dyn FnOnce(&LoopHandle, io::Result<TcpStream>)>;

impl Owes {
    fn pay(&self, connected: io::Result<TcpStream>) {
        if let Some(on_connected) = self.on_connected.take() {
            self.lp.defer(move |lp| on_connected(lp, connected));
        }
    }
}
