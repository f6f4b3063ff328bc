//! phaseloop, in the ways it can be used: callbacks, and tasks.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use phaseloop::net::{ReadEvent, ReceiveEvent, TcpListener, TcpStream, UdpSocket, UnixStream};
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
        let reading = stream.read_start(|stream, event| match event {
            ReadEvent::Data(bytes) => stream.queue_write(bytes).unwrap_or_else(|_| stream.close()),
            ReadEvent::End | ReadEvent::Failed(_) => stream.close(),
        });
        reading.expect("the stream was just accepted");
    });
    accepting.expect("the listener is open");
    run(&lp);
    unreachable!("the listener keeps the loop alive")
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

/// Sends each datagram back by a callback, until an empty one comes.
pub(crate) fn udp_echo(socket: std::net::UdpSocket) {
    let lp = new_loop();
    let socket = UdpSocket::from_std(&lp, socket).expect("phaseloop takes the socket");
    let receiving = socket.recv_start(|socket, event| match event {
        ReceiveEvent::Datagram(datagram) if datagram.bytes.is_empty() => socket.close(),
        ReceiveEvent::Datagram(datagram) => {
            socket.queue_send(datagram.bytes, Some(&datagram.from)).expect("the queue has room");
        }
        ReceiveEvent::Failed(error) => panic!("receiving failed: {error}"),
    });
    receiving.expect("the socket is open");
    run(&lp);
}

/// As `udp_echo`, by a task.
pub(crate) fn udp_echo_task(socket: std::net::UdpSocket) {
    block_on(async |lp| {
        let socket = UdpSocket::from_std(&lp, socket).expect("phaseloop takes the socket");
        let mut buf = vec![0; 65_536];
        loop {
            let received = socket.recv_from(&mut buf).await.expect("it is open");
            if received.len == 0 {
                return;
            }
            socket.send_to(&buf[..received.len], &received.from).await.expect("it is sent");
        }
    });
}

/// Sends back what comes, by callbacks, until all streams have ended.
pub(crate) fn unix_echo(streams: Vec<std::os::unix::net::UnixStream>) {
    let lp = new_loop();
    for stream in streams {
        let stream = UnixStream::from_std(&lp, stream).expect("phaseloop takes the stream");
        let reading = stream.read_start(|stream, event| match event {
            ReadEvent::Data(bytes) => stream.queue_write(bytes).expect("one message is in flight"),
            ReadEvent::End | ReadEvent::Failed(_) => stream.close(),
        });
        reading.expect("the stream is open");
    }
    run(&lp);
}

/// As `unix_echo`, with a task a connection.
pub(crate) fn unix_echo_task(streams: Vec<std::os::unix::net::UnixStream>) {
    let lp = new_loop();
    for stream in streams {
        let stream = UnixStream::from_std(&lp, stream).expect("phaseloop takes the stream");
        let echoing = lp.spawn(async move {
            let mut buf = vec![0; 4096];
            while let Ok(len @ 1..) = stream.read(&mut buf).await {
                stream.write_all(&buf[..len]).await.expect("the peer reads");
            }
        });
        echoing.detach();
    }
    run(&lp);
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
    loop {
        // Borrowed for a poll only: a read that has to wait holds nothing.
        let echoed = poll_fn(|cx| poll_echo(&stream, cx, &mut shared.borrow_mut())).await?;
        let Echoed::Stuck(rest) = echoed else { return Ok(()) };
        stream.write_all(&rest).await?;
    }
}

enum Echoed {
    /// All that was sent.
    Everything,
    /// What came, but for this rest, which the system does not take yet.
    Stuck(Vec<u8>),
}

fn poll_echo(stream: &TcpStream, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Echoed>> {
    loop {
        let read_len = ready!(stream.poll_read(cx, buf))?;
        if read_len == 0 {
            return Poll::Ready(Ok(Echoed::Everything));
        }
        let written = match stream.try_write(&buf[..read_len]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            written => written?,
        };
        if written < read_len {
            return Poll::Ready(Ok(Echoed::Stuck(buf[written..read_len].to_vec())));
        }
    }
}
