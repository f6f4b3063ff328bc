//! Several tasks that wait for one socket, or for one turn: none is forgotten.

mod loopback;

use futures::future::{join, join3};
use loopback::{block_on, new_loop, pair};
use phaseloop::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

#[test]
fn two_tasks_that_accept_from_one_listener_get_a_connection_each() {
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (first, second) = (listener.clone(), listener.clone());
    let first = lp.spawn(async move { first.accept().await.map(drop) });
    let second = lp.spawn(async move { second.accept().await.map(drop) });
    let connects = async { join(TcpStream::connect(&lp, address), TcpStream::connect(&lp, address)).await };
    let (accepted, also, (a, b)) = block_on(&lp, join3(first, second, connects));
    accepted.unwrap().unwrap();
    also.unwrap().unwrap();
    assert!(a.is_ok() && b.is_ok());
}

#[test]
fn two_tasks_that_read_one_stream_get_a_byte_each() {
    let lp = new_loop();
    let (stream, peer) = pair(&lp);
    let read = |stream: TcpStream| async move {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.map(|()| byte[0])
    };
    let (first, second) = (lp.spawn(read(stream.clone())), lp.spawn(read(stream)));
    let write = async {
        peer.write_all(b"a").await.unwrap();
        phaseloop::yield_now().await;
        peer.write_all(b"b").await.unwrap();
    };
    let (first, second, ()) = block_on(&lp, join3(first, second, write));
    let mut bytes = [first.unwrap().unwrap(), second.unwrap().unwrap()];
    bytes.sort_unstable();
    assert_eq!(&bytes, b"ab");
}

#[test]
fn a_stream_that_is_handed_on_keeps_no_task_that_waited() {
    let lp = new_loop();
    let (stream, _peer) = pair(&lp);
    struct Nobody;
    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }
    // It stands for a task, whose memory its wakers hold.
    let task = Arc::new(Nobody);
    let waker = Waker::from(Arc::clone(&task));
    let mut cx = Context::from_waker(&waker);
    assert!(stream.poll_read(&mut cx, &mut [0]).is_pending());
    drop(waker);
    assert_eq!(Arc::strong_count(&task), 2);
    stream.wake_waiting();
    assert_eq!(Arc::strong_count(&task), 1);
}

#[test]
fn an_interval_that_is_always_over_lets_others_run() {
    let lp = new_loop();
    let mut interval = lp.interval(Duration::ZERO);
    let ticking = lp.spawn(async move {
        loop {
            interval.tick().await;
        }
    });
    block_on(&lp, lp.sleep(Duration::from_millis(1)));
    ticking.abort();
    assert!(block_on(&lp, ticking).unwrap_err().is_cancelled());
}
