//! tokio-tungstenite on tokio's current-thread runtime, as its own example of an echo server has it.

use std::net::TcpListener;

use futures::{SinkExt, StreamExt};

use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::tokio::current_thread;

/// Sends back what comes, with a task a connection and the default buffer of 128 KiB for each.
pub(crate) fn echo(listener: TcpListener, _buf_len: usize) -> ! {
    serve(listener, WebSocketConfig::default())
}

/// As `echo`, with a buffer of 8 KiB.
pub(crate) fn echo_small_buf(listener: TcpListener, _buf_len: usize) -> ! {
    serve(listener, WebSocketConfig::default().read_buffer_size(8 * 1024))
}

fn serve(listener: TcpListener, config: WebSocketConfig) -> ! {
    current_thread().block_on(async {
        listener.set_nonblocking(true).expect("a socket can be non-blocking");
        let listener = tokio::net::TcpListener::from_std(listener).expect("tokio takes the listener");
        loop {
            let (stream, _) = listener.accept().await.expect("accept");
            stream.set_nodelay(true).expect("nodelay");
            tokio::spawn(async move {
                let accepted = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await;
                let Ok(mut socket) = accepted else { return };
                while let Some(Ok(message)) = socket.next().await {
                    if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    })
}
