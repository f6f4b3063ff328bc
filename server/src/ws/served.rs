//! A connection together with the future that serves it, in one task.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use super::connection::Connection;
use super::front::Front;
use super::pump::Pump;
use super::socket::WebSocket;

/// Serves a connection until it is over, and runs `serve` with its socket.
///
/// Two tasks would wake each other twice for a message and its answer. Here what was read is served in the same poll, and what
/// that sent is written behind it.
pub(crate) async fn serve<F: Future<Output = ()>>(
    connection: Rc<Connection>,
    serve: impl FnOnce(WebSocket) -> F,
) {
    let mut pump = Kept(Some(Pump::new(Rc::clone(&connection), Front::Inbox)));
    let mut serving = pin!(Some(serve(WebSocket::new(connection))));
    poll_fn(|cx| {
        let read = pump.0.as_ref().map(|pump| pump.begin(cx));
        if let Some(future) = serving.as_mut().as_pin_mut()
            && future.poll(cx).is_ready()
        {
            serving.set(None);
        }
        if let (Some(running), Some(read)) = (&mut pump.0, read)
            && running.end(cx, read).is_ready()
        {
            pump.0 = None;
        }
        if pump.0.is_none() && serving.is_none() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// A pump that goes on in a task of its own if the task it is in ends by a panic: the goodbye still leaves, and is waited for.
struct Kept(Option<Pump>);

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(pump) = self.0.take() {
            pump.spawn();
        }
    }
}
