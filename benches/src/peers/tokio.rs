//! tokio: the current-thread runtime, and for echo the multi-thread runtime with one worker too.

use std::io;
use std::net::TcpListener;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use crate::echo_process::{SharedBuf, SharedBytes};

/// The current-thread runtime with its drivers on.
pub(crate) fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("tokio starts")
}

/// Runs `future` in a `LocalSet`, where `spawn_local` works.
pub(crate) fn block_on_local<F: Future>(future: F) -> F::Output {
    LocalSet::new().block_on(&current_thread(), future)
}

/// Serves echo on the current-thread runtime, a buffer a connection.
pub(crate) fn echo(listener: TcpListener, buf_len: usize) -> ! {
    current_thread().block_on(accept(listener, buf_len))
}

/// Serves echo on the multi-thread runtime with one worker. The accept loop is a task, so the worker runs it too.
pub(crate) fn echo_one_worker(listener: TcpListener, buf_len: usize) -> ! {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("tokio starts");
    let _ = runtime.block_on(runtime.spawn(accept(listener, buf_len))); // never returns
    unreachable!("the accept loop does not end")
}

/// Serves echo from one buffer for all connections: wait until readable, then try. An idle connection owns none.
pub(crate) fn echo_shared(listener: TcpListener, buf_len: usize) -> ! {
    let shared = SharedBytes::new(buf_len);
    block_on_local(async move {
        let listener = from_std(listener);
        loop {
            let (stream, _) = listener.accept().await.expect("accept");
            stream.set_nodelay(true).expect("nodelay");
            tokio::task::spawn_local(echo_by_readiness(stream, shared.clone()));
        }
    })
}

/// Sends each datagram back, until an empty one comes.
pub(crate) fn udp_echo(socket: std::net::UdpSocket) {
    current_thread().block_on(async {
        socket.set_nonblocking(true).expect("a socket can be non-blocking");
        let socket = tokio::net::UdpSocket::from_std(socket).expect("tokio takes the socket");
        let mut buf = vec![0; 65_536];
        loop {
            let (len, from) = socket.recv_from(&mut buf).await.expect("it is open");
            if len == 0 {
                return;
            }
            socket.send_to(&buf[..len], from).await.expect("it is sent");
        }
    });
}

/// Sends back what comes, with a task a connection, until all have ended.
pub(crate) fn unix_echo(streams: Vec<std::os::unix::net::UnixStream>) {
    block_on_local(async {
        let echoing = streams.into_iter().map(|stream| {
            stream.set_nonblocking(true).expect("a socket can be non-blocking");
            let mut stream = tokio::net::UnixStream::from_std(stream).expect("tokio takes the stream");
            tokio::task::spawn_local(async move {
                let mut buf = vec![0; 4096];
                while let Ok(len @ 1..) = stream.read(&mut buf).await {
                    stream.write_all(&buf[..len]).await.expect("the peer reads");
                }
            })
        });
        for task in echoing.collect::<Vec<_>>() {
            task.await.expect("it does not panic");
        }
    });
}

async fn accept(listener: TcpListener, buf_len: usize) -> ! {
    let listener = from_std(listener);
    loop {
        let (stream, _) = listener.accept().await.expect("accept");
        stream.set_nodelay(true).expect("nodelay");
        tokio::spawn(echo_connection(stream, buf_len));
    }
}

async fn echo_connection(mut stream: TcpStream, buf_len: usize) -> io::Result<()> {
    let mut buf = vec![0; buf_len];
    loop {
        let read_len = stream.read(&mut buf).await?;
        if read_len == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..read_len]).await?;
    }
}

async fn echo_by_readiness(mut stream: TcpStream, shared: SharedBuf) -> io::Result<()> {
    loop {
        stream.readable().await?;
        let rest = {
            let mut buf = shared.borrow_mut();
            let read_len = match stream.try_read(&mut buf) {
                Ok(0) => return Ok(()),
                Ok(read_len) => read_len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            match stream.try_write(&buf[..read_len]) {
                Ok(written) if written == read_len => continue,
                Ok(written) => buf[written..read_len].to_vec(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => buf[..read_len].to_vec(),
                Err(error) => return Err(error),
            }
        };
        stream.write_all(&rest).await?;
    }
}

fn from_std(listener: TcpListener) -> tokio::net::TcpListener {
    listener.set_nonblocking(true).expect("a socket can be non-blocking");
    tokio::net::TcpListener::from_std(listener).expect("tokio takes the listener")
}
