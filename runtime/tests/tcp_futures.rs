//! TCP with futures: the traits of futures-io, halves, budgets, and streams that outlive their loop.

use std::cell::Cell;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use futures::{FutureExt, join};
use phaseloop::net::{TcpListener, TcpStream};
use phaseloop::{EventLoop, Limits};

mod loopback;
use loopback::{
    LIMIT, adopt, block_on, finish, is_broken, localhost, loop_with, ms, new_loop, pair, pattern, read_all,
    reset, run, std_pair, turns_in, with_peer,
};

const MB: usize = 1024 * 1024;

#[test]
fn the_traits_of_futures_read_and_write() {
    let lp = new_loop();
    let (mut a, mut b) = pair(&lp);
    let bytes = pattern(MB);
    let arrived = block_on(&lp, async {
        let send = async {
            AsyncWriteExt::write_all(&mut a, &bytes).await.unwrap();
            AsyncWriteExt::flush(&mut a).await.unwrap();
            AsyncWriteExt::close(&mut a).await.unwrap();
            AsyncWriteExt::close(&mut a).await.unwrap(); // closed already, which is what was asked
        };
        let mut arrived = Vec::new();
        let (sent, read) = join!(send, AsyncReadExt::read_to_end(&mut b, &mut arrived));
        assert_eq!(((), read.unwrap()), (sent, bytes.len()));
        arrived
    });
    assert!(arrived == bytes);
    drop((a, b));
    finish(lp);
}

#[test]
fn a_shared_stream_reads_and_writes() {
    let lp = new_loop();
    let (a, b) = pair(&lp);
    block_on(&lp, async {
        let (mut writer, mut reader) = (&a, &b);
        AsyncWriteExt::write_all(&mut writer, b"ping").await.unwrap();
        let mut buf = [0; 4];
        AsyncReadExt::read_exact(&mut reader, &mut buf).await.unwrap();
        assert_eq!(buf, *b"ping");
    });
    drop((a, b));
    finish(lp);
}

#[test]
fn several_buffers_go_in_one_call() {
    let lp = new_loop();
    let (mut a, mut b) = pair(&lp);
    block_on(&lp, async {
        let bufs = [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two")];
        assert_eq!(AsyncWriteExt::write_vectored(&mut a, &bufs).await.unwrap(), 7);
        b.readable().await.unwrap();
        let (mut one, mut two) = ([0; 3], [0; 10]);
        let mut bufs = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        assert_eq!(AsyncReadExt::read_vectored(&mut b, &mut bufs).await.unwrap(), 7);
        assert_eq!((one, &two[..4]), (*b"one", b" two".as_slice()));
    });
    drop((a, b));
    finish(lp);
}

#[test]
fn more_buffers_than_a_call_takes_do_not_stand_for_a_full_socket() {
    let lp = new_loop();
    let (mut a, b) = pair(&lp);
    block_on(&lp, async {
        let bufs = vec![IoSlice::new(b"x"); 1100];
        let written = AsyncWriteExt::write_vectored(&mut a, &bufs).await.unwrap();
        assert!((1..=1100).contains(&written));
        assert_eq!(a.write(b"y").await.unwrap(), 1);
    });
    drop((a, b));
    finish(lp);
}

#[test]
fn peeking_takes_nothing() {
    let lp = new_loop();
    let (stream, mut peer) = with_peer(&lp);
    peer.write_all(b"abc").unwrap();
    drop(peer);
    block_on(&lp, async {
        let mut buf = [0; 8];
        for _ in 0..3 {
            assert_eq!(stream.peek(&mut buf).await.unwrap(), 3);
        }
        assert_eq!(stream.read(&mut buf).await.unwrap(), 3);
        assert_eq!(stream.peek(&mut buf).await.unwrap(), 0);
        assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
    });
    drop(stream);
    finish(lp);
}

#[test]
fn halves_of_one_task_read_and_write_at_once() {
    let lp = new_loop();
    let (mut a, mut b) = pair(&lp);
    let bytes = pattern(MB);
    block_on(&lp, async {
        let (mut a_reads, mut a_writes) = a.halves();
        let (mut b_reads, mut b_writes) = b.halves();
        let (mut one, mut two) = (vec![0; MB], vec![0; MB]);
        let (sent, back, read, read_back) = join!(
            a_writes.write_all(&bytes),
            b_writes.write_all(&bytes),
            b_reads.read_exact(&mut one),
            AsyncReadExt::read_exact(&mut a_reads, &mut two),
        );
        for result in [sent, back, read, read_back] {
            result.unwrap();
        }
        assert!(one == bytes && two == bytes);
    });
    drop((a, b));
    finish(lp);
}

#[test]
fn owned_halves_serve_two_tasks() {
    let lp = new_loop();
    let (stream, mut peer) = with_peer(&lp);
    let (mut reads, mut writes) = stream.into_split();
    let reader = lp.spawn(async move {
        let mut bytes = Vec::new();
        AsyncReadExt::read_to_end(&mut reads, &mut bytes).await.unwrap();
        bytes
    });
    let writer = lp.spawn(async move {
        writes.write_all(&pattern(MB)).await.unwrap();
        // Dropping the half sends the end.
    });
    let other = thread::spawn(move || {
        let bytes = read_all(&peer);
        peer.write_all(b"got it").unwrap();
        bytes
    });
    assert_eq!(block_on(&lp, reader).unwrap(), b"got it");
    block_on(&lp, writer).unwrap();
    assert!(other.join().unwrap() == pattern(MB));
    finish(lp);
}

#[test]
fn a_dropped_writing_half_lets_queued_writes_go_first() {
    let lp = new_loop();
    let (stream, peer) = with_peer(&lp);
    let (reads, writes) = {
        stream.queue_write(&pattern(MB)).unwrap();
        stream.into_split()
    };
    drop(writes);
    let other = thread::spawn(move || read_all(&peer));
    run(&lp);
    assert!(other.join().unwrap() == pattern(MB));
    drop(reads);
    finish(lp);
}

#[test]
fn a_second_shutdown_is_refused() {
    let lp = new_loop();
    let (a, b) = pair(&lp);
    block_on(&lp, async {
        a.shutdown().await.unwrap();
        assert_eq!(a.shutdown().await.unwrap_err().kind(), ErrorKind::NotConnected);
        assert!(a.shutdown_with(|_, _| panic!("it was refused")).is_err());
        assert_eq!(a.write(b"late").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(b.read(&mut [0; 1]).await.unwrap(), 0);
        b.write_all(b"still open").await.unwrap();
        a.read_exact(&mut [0; 10]).await.unwrap();
    });
    drop((a, b));
    finish(lp);
}

#[test]
fn a_future_that_writes_waits_for_the_queue() {
    let lp = new_loop();
    let (stream, peer) = with_peer(&lp);
    stream.queue_write(&pattern(MB)).unwrap();
    let task = lp.spawn(async move {
        stream.write_all(b"after").await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let other = thread::spawn(move || read_all(&peer));
    let began = std::time::Instant::now();
    block_on(&lp, task).unwrap();
    assert!(began.elapsed() < LIMIT / 2, "the task was woken, and the loop slept");
    finish(lp);
    let bytes = other.join().unwrap();
    assert!(bytes[..MB] == pattern(MB));
    assert_eq!(bytes[MB..], *b"after");
}

#[test]
fn a_stream_that_a_failed_write_closes_ends_the_futures_that_wait() {
    let lp = new_loop();
    let (stream, peer) = with_peer(&lp);
    stream.queue_write(&pattern(4 * MB)).unwrap();
    let task = lp.spawn(async move { stream.write(b"after").await });
    turns_in(&lp, ms(5));
    reset(peer);
    let began = std::time::Instant::now();
    assert!(block_on(&lp, task).unwrap().is_err());
    assert!(began.elapsed() < LIMIT / 2, "the task was woken, and the loop slept");
    finish(lp);
}

#[test]
fn a_reset_is_seen_by_a_reading_and_a_writing_task() {
    let lp = new_loop();
    let (stream, peer) = with_peer(&lp);
    let (mut reads, mut writes) = stream.into_split();
    // The writer begins to wait first, and is none the less not the first to be told.
    let writer = lp.spawn(async move { writes.write_all(&pattern(8 * MB)).await });
    let reader = lp.spawn(async move { reads.read(&mut [0; 8]).await });
    turns_in(&lp, ms(5));
    reset(peer);
    let (read, written) = block_on(&lp, async { join!(reader, writer) });
    assert!(is_broken(&read.unwrap().unwrap_err()));
    assert!(is_broken(&written.unwrap().unwrap_err()));
    finish(lp);
}

#[test]
fn a_read_that_was_given_up_loses_nothing() {
    let lp = new_loop();
    let (stream, mut peer) = with_peer(&lp);
    block_on(&lp, async {
        let mut buf = [0; 8];
        assert!(lp.timeout(ms(1), stream.read(&mut buf)).await.is_err());
        peer.write_all(b"abc").unwrap();
        assert!(stream.read(&mut buf).now_or_never().is_none()); // not even tried: no event came yet
        assert_eq!(stream.read(&mut buf).await.unwrap(), 3);
    });
    drop(stream);
    finish(lp);
}

#[test]
fn closing_ends_the_futures_that_wait() {
    let lp = new_loop();
    let (stream, _peer) = with_peer(&lp);
    let other = stream.clone();
    let reader = lp.spawn(async move { other.read(&mut [0; 8]).await });
    let other = stream.clone();
    let writer = lp.spawn(async move { other.write_all(&pattern(8 * MB)).await });
    turns_in(&lp, ms(5));
    stream.close();
    let (read, written) = block_on(&lp, async { join!(reader, writer) });
    assert_eq!(read.unwrap().unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(written.unwrap().unwrap_err().kind(), ErrorKind::NotConnected);
    drop(stream);
    finish(lp);
}

#[test]
fn sockets_of_std_come_and_go() {
    let lp = new_loop();
    let (socket, mut peer) = std_pair();
    let stream = adopt(&lp, socket);
    block_on(&lp, stream.write_all(b"from the loop")).unwrap();
    let clone = stream.clone();
    let stream = stream.into_std().unwrap_err(); // the clone would lose its socket
    drop(clone);
    let mut socket = stream.into_std().unwrap();
    socket.set_nonblocking(false).unwrap();
    socket.write_all(b", and after it").unwrap();
    drop(socket);
    let mut text = String::new();
    peer.read_to_string(&mut text).unwrap();
    assert_eq!(text, "from the loop, and after it");
    finish(lp);
}

#[test]
fn a_task_lets_others_run_when_its_budget_is_spent() {
    let lp = loop_with(Limits {
        task_io_budget: std::num::NonZeroU32::new(8).expect("not zero"),
        ..Limits::default()
    });
    let (stream, mut peer) = with_peer(&lp);
    let stop = Rc::new(Cell::new(false));
    let stopped = Rc::clone(&stop);
    let flooded = lp.spawn(async move {
        let mut most = 0;
        let mut last = (u64::MAX, 0);
        while !stopped.get() {
            stream.read_exact(&mut [0; 1]).await.unwrap();
            let turn = stream.lp().metrics().turns;
            last = if last.0 == turn { (turn, last.1 + 1) } else { (turn, 1) };
            most = most.max(last.1);
        }
        most
    });
    let sender = thread::spawn(move || while peer.write_all(&[0; 4096]).is_ok() {});
    // A timer and another connection get through while bytes come without end.
    let (mut one, mut other) = pair(&lp);
    let most = block_on(&lp, async {
        lp.sleep(ms(10)).await;
        AsyncWriteExt::write_all(&mut one, b"x").await.unwrap();
        AsyncReadExt::read_exact(&mut other, &mut [0; 1]).await.unwrap();
        stop.set(true);
        flooded.await.unwrap()
    });
    sender.join().unwrap();
    // A poll in the drain that the event began, and one in the check phase.
    assert!(most <= 16, "{most} reads in one turn");
    drop((one, other));
    finish(lp);
}

#[test]
fn a_stream_that_outlives_its_loop_gives_errors() {
    let lp = new_loop();
    let handle = lp.handle();
    let (stream, mut peer) = with_peer(&lp);
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    peer.write_all(b"x").unwrap();
    drop(lp);
    let gone = |error: std::io::Error| assert_eq!(error.kind(), ErrorKind::NotConnected);
    gone(futures::executor::block_on(stream.read(&mut [0; 8])).unwrap_err());
    gone(futures::executor::block_on(stream.write(b"x")).unwrap_err());
    gone(futures::executor::block_on(stream.readable()).unwrap_err());
    gone(futures::executor::block_on(listener.accept()).unwrap_err());
    gone(stream.read_start(|_, _| {}).unwrap_err());
    gone(stream.queue_write(b"x").unwrap_err());
    gone(stream.try_write(b"x").unwrap_err());
    gone(stream.shutdown_with(|_, _| {}).unwrap_err());
    gone(listener.on_connection(|_, _| {}).unwrap_err());
    drop(stream.try_clone_fd().unwrap());
    stream.read_stop();
    assert!(stream.close_with(|_| panic!("the loop is gone")));
    listener.close();
    // Nothing can be opened on it either.
    gone(TcpListener::bind(&handle, localhost()).unwrap_err());
    gone(futures::executor::block_on(TcpStream::connect(&handle, peer.local_addr().unwrap())).unwrap_err());
    gone(TcpStream::from_std(&handle, peer).unwrap_err());
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn foreign_tasks_are_woken_when_the_loop_goes() {
    let lp = new_loop();
    let (mut stream, _peer) = with_peer(&lp);
    stream.queue_write(&pattern(MB)).unwrap();
    lp.run(phaseloop::RunMode::NoWait).unwrap();
    let (reads, writes) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
    let wakers = (Waker::from(Arc::clone(&reads)), Waker::from(Arc::clone(&writes)));
    let mut buf = [0; 8];
    let read = Pin::new(&mut stream).poll_read(&mut Context::from_waker(&wakers.0), &mut buf);
    assert!(read.is_pending());
    let write = Pin::new(&mut stream).poll_write(&mut Context::from_waker(&wakers.1), b"x");
    assert!(write.is_pending());
    drop(lp);
    assert_eq!((reads.0.load(Ordering::Relaxed), writes.0.load(Ordering::Relaxed)), (1, 1));
    let write = Pin::new(&mut stream).poll_write(&mut Context::from_waker(&wakers.1), b"x");
    assert!(matches!(write, Poll::Ready(Err(_))));
}

/// A waker that is the last owner of a stream, as that of another executor's task can be.
struct Owner(std::sync::Mutex<Option<fragile::Parked>>);

impl Wake for Owner {
    fn wake(self: Arc<Self>) {
        self.0.lock().expect("nobody panics").take();
    }
}

/// A value that wakers may own although it stays on its thread.
mod fragile {
    use std::cell::RefCell;

    use phaseloop::net::TcpStream;

    thread_local!(static PARKED: RefCell<Vec<Option<TcpStream>>> = const { RefCell::new(Vec::new()) });

    pub(crate) struct Parked(usize);

    impl Parked {
        pub(crate) fn new(stream: TcpStream) -> Self {
            PARKED.with_borrow_mut(|parked| {
                parked.push(Some(stream));
                Self(parked.len() - 1)
            })
        }
    }

    impl Drop for Parked {
        fn drop(&mut self) {
            let stream = PARKED.with_borrow_mut(|parked| parked[self.0].take());
            drop(stream);
        }
    }
}

#[test]
fn a_waker_that_waits_may_own_a_stream() {
    let lp = new_loop();
    let (stream, _peer) = with_peer(&lp);
    let (owned, _other_peer) = with_peer(&lp);
    let waker = Waker::from(Arc::new(Owner(std::sync::Mutex::new(Some(fragile::Parked::new(owned))))));
    assert!(stream.poll_read(&mut Context::from_waker(&waker), &mut [0]).is_pending());
    drop(waker);
    assert!(stream.poll_read(&mut Context::from_waker(Waker::noop()), &mut [0]).is_pending());
    drop(stream);
    let mut open = 0;
    lp.walk(|_| open += 1);
    assert_eq!(open, 0, "the waker was woken, and with it went the stream it owned");
    finish(lp);
}

#[test]
fn many_echoes_run_at_once() {
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let address = listener.local_addr().unwrap();
    let server = lp.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            phaseloop::spawn(async move { futures::io::copy(&stream, &mut &stream).await });
        }
    });
    let clients: Vec<_> = (0..50).map(|index| lp.spawn(echo_client(&lp, address, index))).collect();
    for client in clients {
        block_on(&lp, client).unwrap();
    }
    server.abort();
    drop(server);
    finish(lp);
}

fn echo_client(
    lp: &EventLoop,
    address: std::net::SocketAddr,
    index: usize,
) -> impl Future<Output = ()> + use<> {
    let connecting = TcpStream::connect(lp, address);
    async move {
        let stream = connecting.await.expect("the server accepts");
        let sent = pattern(10_000 + index * 1000);
        let (mut reads, mut writes) = stream.into_split();
        let mut back = vec![0; sent.len()];
        let (written, read) = join!(writes.write_all(&sent), reads.read_exact(&mut back));
        written.expect("the peer reads");
        read.expect("the peer writes");
        assert!(back == sent);
    }
}
