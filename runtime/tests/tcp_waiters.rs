//! Several tasks that wait for one socket, or for one turn: none is forgotten.

mod loopback;

use futures::StreamExt;
use futures::future::{join, join3};
use futures::stream::FuturesUnordered;
use loopback::{block_on, localhost, ms, new_loop, pair, turns_in};
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
fn a_panic_behind_the_first_task_that_waits_leaves_the_others_their_wake() {
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let (first, second) = (listener.clone(), listener.clone());
    let handle = lp.handle();
    lp.spawn(async move {
        first.accept().await.unwrap();
        handle.next_tick(|_| panic!("in the checkpoint behind the wake"));
    });
    let second = lp.spawn(async move { second.accept().await.map(drop) });
    turns_in(&lp, ms(1)); // both wait
    let address = listener.local_addr().unwrap();
    let _peers = [(); 2].map(|()| std::net::TcpStream::connect(address).unwrap());
    let run = std::panic::AssertUnwindSafe(|| turns_in(&lp, ms(1000)));
    assert!(std::panic::catch_unwind(run).is_err());
    block_on(&lp, second).unwrap().unwrap();
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

#[test]
fn more_waiters_than_are_kept_apart_come_to_rest_and_none_is_forgotten() {
    let lp = new_loop();
    let listener = TcpListener::bind(&lp, localhost()).unwrap();
    let accept = |listener: &TcpListener| {
        let listener = listener.clone();
        async move { listener.accept().await.map(drop) }
    };
    let tasks: Vec<_> = (0..1500).map(|_| lp.spawn(accept(&listener))).collect();
    let in_one_task = listener.clone();
    let in_one_task = lp.spawn(async move {
        let all: FuturesUnordered<_> = (0..1500).map(|_| in_one_task.accept()).collect();
        all.filter(|accepted| std::future::ready(accepted.is_err())).count().await
    });
    turns_in(&lp, ms(1)); // all wait, and those that are many are asked
    let turns = turns_in(&lp, ms(20));
    assert!(turns < 20, "{turns} turns passed while nothing happened");
    listener.close();
    for task in tasks {
        assert!(block_on(&lp, task).unwrap().is_err());
    }
    assert_eq!(block_on(&lp, in_one_task).unwrap(), 1500);
}
