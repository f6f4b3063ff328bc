//! smol: `LocalExecutor` on `async_io::block_on`, which is what `smol` re-exports.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;

use async_executor::LocalExecutor;
use async_io::Async;
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};

use crate::echo_process::{SharedBuf, SharedBytes};

/// Runs `root` on a local executor, which it gets to spawn on.
pub(crate) fn block_on_local<T>(root: impl AsyncFnOnce(Rc<LocalExecutor<'static>>) -> T) -> T {
    let executor = Rc::new(LocalExecutor::new());
    async_io::block_on(executor.run(root(executor.clone())))
}

/// Serves echo, a buffer a connection.
pub(crate) fn echo(listener: TcpListener, buf_len: usize) -> ! {
    block_on_local(async move |executor| {
        let listener = Async::new(listener).expect("smol takes the listener");
        loop {
            let (stream, _) = listener.accept().await.expect("accept");
            stream.get_ref().set_nodelay(true).expect("nodelay");
            executor.spawn(echo_connection(stream, buf_len)).detach();
        }
    })
}

/// Serves echo from one buffer for all connections: wait until readable, then try. An idle connection owns none.
pub(crate) fn echo_shared(listener: TcpListener, buf_len: usize) -> ! {
    let shared = SharedBytes::new(buf_len);
    block_on_local(async move |executor| {
        let listener = Async::new(listener).expect("smol takes the listener");
        loop {
            let (stream, _) = listener.accept().await.expect("accept");
            stream.get_ref().set_nodelay(true).expect("nodelay");
            executor.spawn(echo_by_readiness(stream, shared.clone())).detach();
        }
    })
}

async fn echo_connection(mut stream: Async<TcpStream>, buf_len: usize) -> io::Result<()> {
    let mut buf = vec![0; buf_len];
    loop {
        let read_len = stream.read(&mut buf).await?;
        if read_len == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..read_len]).await?;
    }
}

async fn echo_by_readiness(mut stream: Async<TcpStream>, shared: SharedBuf) -> io::Result<()> {
    loop {
        stream.readable().await?;
        let rest = {
            let mut buf = shared.borrow_mut();
            let read_len = match stream.get_ref().read(&mut buf) {
                Ok(0) => return Ok(()),
                Ok(read_len) => read_len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            match stream.get_ref().write(&buf[..read_len]) {
                Ok(written) if written == read_len => continue,
                Ok(written) => buf[written..read_len].to_vec(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => buf[..read_len].to_vec(),
                Err(error) => return Err(error),
            }
        };
        stream.write_all(&rest).await?;
    }
}
