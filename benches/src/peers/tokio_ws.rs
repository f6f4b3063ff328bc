//! tokio-tungstenite on tokio's current-thread runtime, as its own example of an echo server has it.

use std::net::TcpListener;

use futures::{SinkExt, StreamExt};

use super::tokio::current_thread;

/// Sends back what comes, with a task a connection.
pub(crate) fn echo(listener: TcpListener, _buf_len: usize) -> ! {
    current_thread().block_on(async {
        listener.set_nonblocking(true).expect("a socket can be non-blocking");
        let listener = tokio::net::TcpListener::from_std(listener).expect("tokio takes the listener");
        loop {
            let (stream, _) = listener.accept().await.expect("accept");
            stream.set_nodelay(true).expect("nodelay");
            tokio::spawn(async {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    })
}
