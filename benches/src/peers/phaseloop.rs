//! phaseloop, in the ways it can be used: callbacks, and tasks.

use std::future::poll_fn;
use std::io;
use std::task::{Poll, ready};

use phaseloop::net::{ReadEvent, TcpListener, TcpStream};
use phaseloop::{EventLoop, Limits, LoopHandle, RunMode};

use crate::echo_process::{SharedBuf, SharedBytes};

/// A loop with the defaults.
pub(crate) fn new_loop() -> EventLoop {
    EventLoop::new().expect("phaseloop starts")
}

/// Runs a loop for one future, which is given the loop to spawn on.
pub(crate) fn block_on<T>(root: impl AsyncFnOnce(LoopHandle) -> T) -> T {
    let lp = new_loop();
    lp.block_on(root(lp.handle())).expect("the driver waits")
}

/// Runs a loop until nothing keeps it alive.
pub(crate) fn run(lp: &EventLoop) {
    lp.run(RunMode::Default).expect("the driver waits");
}

/// Serves echo by callbacks. The loop lends its buffer to each read; an idle connection owns none.
pub(crate) fn echo(listener: std::net::TcpListener, buf_len: usize) -> ! {
    let read_buffer_len = buf_len.try_into().expect("a buffer has a length");
    let limits = Limits { read_buffer_len, ..Limits::default() };
    let lp = EventLoop::builder().limits(limits).build().expect("phaseloop starts");
    let listener = TcpListener::from_std(&lp, listener).expect("phaseloop takes the listener");
    let accepting = listener.on_connection(|_, connection| {
        let stream = connection.expect("accept");
        stream.set_nodelay(true).expect("nodelay");
        stream.read_start(echo_event).expect("the stream was just accepted");
    });
    accepting.expect("the listener is open");
    run(&lp);
    unreachable!("the listener keeps the loop alive")
}

fn echo_event(stream: &TcpStream, event: ReadEvent<'_>) {
    match event {
        ReadEvent::Data(bytes) => stream.queue_write(bytes).unwrap_or_else(|_| stream.close()),
        ReadEvent::End | ReadEvent::Failed(_) => stream.close(),
    }
}

/// Serves echo with a task a connection and a buffer a task: what one writes first.
pub(crate) fn echo_own_buf(listener: std::net::TcpListener, buf_len: usize) -> ! {
    block_on(async |lp| {
        let listener = TcpListener::from_std(&lp, listener).expect("phaseloop takes the listener");
        loop {
            let (stream, _) = listener.accept().await.expect("accept");
            stream.set_nodelay(true).expect("nodelay");
            lp.spawn(echo_connection(stream, buf_len)).detach();
        }
    })
}

/// Serves echo with a task a connection, from one buffer for all: an idle connection owns none.
pub(crate) fn echo_task(listener: std::net::TcpListener, buf_len: usize) -> ! {
    let shared = SharedBytes::new(buf_len);
    block_on(async |lp| {
        let listener = TcpListener::from_std(&lp, listener).expect("phaseloop takes the listener");
        loop {
            let (stream, _) = listener.accept().await.expect("accept");
            stream.set_nodelay(true).expect("nodelay");
            lp.spawn(echo_from_shared(stream, shared.clone())).detach();
        }
    })
}

async fn echo_connection(stream: TcpStream, buf_len: usize) -> io::Result<()> {
    let mut buf = vec![0; buf_len];
    loop {
        let read_len = stream.read(&mut buf).await?;
        if read_len == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..read_len]).await?;
    }
}

async fn echo_from_shared(stream: TcpStream, shared: SharedBuf) -> io::Result<()> {
    while let Some(rest) = poll_fn(|cx| {
        // Borrowed for this poll only: a read that has to wait holds nothing.
        let mut buf = shared.borrow_mut();
        let read_len = ready!(stream.poll_read(cx, &mut buf))?;
        let written = match stream.poll_write(cx, &buf[..read_len]) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        Poll::Ready(io::Result::Ok((read_len > 0).then(|| buf[written..read_len].to_vec())))
    })
    .await?
    {
        stream.write_all(&rest).await?;
    }
    Ok(())
}
