//! compio with its io_uring driver, as it comes.

use std::io;
use std::net::TcpListener;

use compio::BufResult;
use compio::io::{AsyncRead, AsyncReadManaged, AsyncWriteExt};
use compio::net::TcpStream;
use compio::runtime::Runtime;

/// Runs `future` on a new runtime.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    Runtime::new().expect("compio starts").block_on(future)
}

/// Serves echo, a buffer a connection, handed to the kernel and back.
pub(crate) fn echo(listener: TcpListener, buf_len: usize) -> ! {
    block_on(async move {
        let listener = compio::net::TcpListener::from_std(listener).expect("compio takes the listener");
        loop {
            let (stream, _) = listener.accept().await.expect("accept");
            stream.set_nodelay(true).expect("nodelay");
            compio::runtime::spawn(echo_connection(stream, buf_len)).detach();
        }
    })
}

/// Serves echo from the runtime's pool of buffers: the kernel picks one when data comes.
pub(crate) fn echo_shared(listener: TcpListener, _buf_len: usize) -> ! {
    block_on(async move {
        let listener = compio::net::TcpListener::from_std(listener).expect("compio takes the listener");
        loop {
            let (stream, _) = listener.accept().await.expect("accept");
            stream.set_nodelay(true).expect("nodelay");
            compio::runtime::spawn(echo_managed(stream)).detach();
        }
    })
}

async fn echo_connection(mut stream: TcpStream, buf_len: usize) -> io::Result<()> {
    let mut buf = Vec::with_capacity(buf_len);
    loop {
        let read_len;
        BufResult(read_len, buf) = stream.read(buf).await;
        if read_len? == 0 {
            return Ok(());
        }
        let written;
        BufResult(written, buf) = stream.write_all(buf).await;
        written?;
        buf.clear();
    }
}

async fn echo_managed(mut stream: TcpStream) -> io::Result<()> {
    while let Some(buf) = stream.read_managed(0).await? {
        stream.write_all(buf).await.0?;
    }
    Ok(())
}
