//! monoio with its io_uring driver, and for echo with its epoll driver too.

use std::io;
use std::net::TcpListener;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

/// Runs `future` on a new runtime with io_uring and timers.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let builder = RuntimeBuilder::<IoUringDriver>::new().with_entries(4096);
    builder.enable_timer().build().expect("monoio starts").block_on(future)
}

/// Runs `future` on a new runtime with epoll and timers.
pub(crate) fn block_on_epoll<F: Future>(future: F) -> F::Output {
    RuntimeBuilder::<LegacyDriver>::new().enable_timer().build().expect("monoio starts").block_on(future)
}

/// Serves echo by io_uring, a buffer a connection, handed to the kernel and back.
pub(crate) fn echo(listener: TcpListener, buf_len: usize) -> ! {
    block_on(accept(listener, buf_len))
}

/// Serves echo by epoll.
pub(crate) fn echo_epoll(listener: TcpListener, buf_len: usize) -> ! {
    listener.set_nonblocking(true).expect("a socket can be non-blocking");
    block_on_epoll(accept(listener, buf_len))
}

async fn accept(listener: TcpListener, buf_len: usize) -> ! {
    let listener = monoio::net::TcpListener::from_std(listener).expect("monoio takes the listener");
    loop {
        let (stream, _) = listener.accept().await.expect("accept");
        stream.set_nodelay(true).expect("nodelay");
        monoio::spawn(echo_connection(stream, buf_len));
    }
}

async fn echo_connection(mut stream: TcpStream, buf_len: usize) -> io::Result<()> {
    let mut buf = Vec::with_capacity(buf_len);
    loop {
        let read_len;
        (read_len, buf) = stream.read(buf).await;
        if read_len? == 0 {
            return Ok(());
        }
        let written;
        (written, buf) = stream.write_all(buf).await;
        written?;
        buf.clear();
    }
}
