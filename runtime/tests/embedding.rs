//! Loops inside of other programs: hosts that wait themselves, loops in loops, a loop on each thread.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod trace;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use phaseloop::net::{ReadEvent, TcpStream};
use phaseloop::{EventLoop, Outcome, Parker, RunMode, Timer, Wakeup};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use trace::{Trace, ms};

/// Waits as the loop would, and then runs it. True if the descriptor was what ended the wait.
fn host_turn(lp: &EventLoop, fd: &OwnedFd) -> bool {
    let ready = wait(fd, lp.backend_timeout());
    lp.run(RunMode::NoWait).unwrap();
    ready
}

fn wait(fd: &OwnedFd, timeout: Option<Duration>) -> bool {
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: timeout.as_secs().try_into().unwrap(),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    poll(&mut [PollFd::new(&fd.as_fd(), PollFlags::IN)], timeout.as_ref()).unwrap() > 0
}

#[test]
fn a_host_drives_the_loop_by_its_descriptor_and_its_timeout() {
    let (lp, trace) = (EventLoop::new().unwrap(), Trace::default());
    let fd = lp.backend_fd().unwrap();
    lp.timer(ms(2), trace.logs("timer"));
    for _ in 0..10 {
        if !lp.is_alive() {
            break;
        }
        host_turn(&lp, &fd);
    }
    assert_eq!(trace.take(), ["timer"]);
}

/// Waits with `poll(2)`, as a host does that has a loop of its own, and notes the timeouts.
#[derive(Default)]
struct PollParker {
    fd: Option<OwnedFd>,
    timeouts: Arc<Mutex<Vec<Option<Duration>>>>,
}

impl Parker for PollParker {
    fn attach(&mut self, fd: OwnedFd) -> io::Result<()> {
        self.fd = Some(fd);
        Ok(())
    }

    fn park(&self, timeout: Option<Duration>) -> io::Result<bool> {
        self.timeouts.lock().unwrap().push(timeout);
        Ok(wait(self.fd.as_ref().unwrap(), timeout))
    }

    fn unpark(&self) {}
}

#[test]
fn a_parker_is_where_the_loop_sleeps() {
    let parker = PollParker::default();
    let timeouts = Arc::clone(&parker.timeouts);
    let (lp, trace) = (EventLoop::builder().parker(parker).build().unwrap(), Trace::default());
    let wakeup = Wakeup::new(&lp, trace.logs("woken"));
    let sender = wakeup.sender();
    lp.set_immediate(trace.logs("immediate"));
    lp.run(RunMode::Once).unwrap();
    assert_eq!(timeouts.lock().unwrap().drain(..).collect::<Vec<_>>(), [Some(Duration::ZERO)]);
    thread::spawn(move || sender.send()).join().unwrap().unwrap();
    lp.run(RunMode::Once).unwrap();
    assert_eq!(timeouts.lock().unwrap().drain(..).collect::<Vec<_>>(), [Some(Duration::ZERO)]); // it was there
    lp.timer(ms(1), trace.logs("timer"));
    wakeup.close();
    lp.run(RunMode::Default).unwrap();
    assert_eq!(trace.take(), ["immediate", "woken", "timer"]);
}

#[test]
fn an_error_of_the_parker_leaves_the_run() {
    struct Broken;

    impl Parker for Broken {
        fn attach(&mut self, _: OwnedFd) -> io::Result<()> {
            Ok(())
        }

        fn park(&self, _: Option<Duration>) -> io::Result<bool> {
            Err(io::Error::other("the host is gone"))
        }

        fn unpark(&self) {}
    }

    let lp = EventLoop::builder().parker(Broken).build().unwrap();
    lp.timer(ms(1), |_| {});
    assert_eq!(lp.run(RunMode::Default).unwrap_err().to_string(), "the host is gone");
    let refused = EventLoop::builder().parker(Broken).virtual_time(true).build().unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn the_descriptor_is_readable_when_another_thread_sends() {
    let (lp, trace) = (EventLoop::new().unwrap(), Trace::default());
    let fd = lp.backend_fd().unwrap();
    let wakeup = Wakeup::new(&lp, trace.logs("woken"));
    assert!(!wait(&fd, Some(Duration::ZERO)));
    let sender = wakeup.sender();
    thread::spawn(move || sender.send()).join().unwrap().unwrap();
    assert!(wait(&fd, None));
    lp.run(RunMode::NoWait).unwrap();
    assert_eq!(trace.take(), ["woken"]);
}

#[test]
fn the_descriptor_is_quiet_again_once_the_loop_ran() {
    let lp = EventLoop::new().unwrap();
    let fd = lp.backend_fd().unwrap();
    let wakeup = Wakeup::new(&lp, |_| {});
    for _ in 0..2 {
        let sender = wakeup.sender();
        thread::spawn(move || sender.send()).join().unwrap().unwrap();
        assert!(host_turn(&lp, &fd));
        assert!(!wait(&fd, Some(Duration::ZERO)), "else a host spins");
        assert_eq!(lp.backend_timeout(), None);
    }
}

#[test]
fn the_descriptor_is_readable_when_a_source_is() {
    let (lp, trace) = (EventLoop::new().unwrap(), Trace::default());
    let fd = lp.backend_fd().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let stream = TcpStream::from_std(&lp, listener.accept().unwrap().0).unwrap();
    let logged = trace.clone();
    let on_read = move |stream: &TcpStream, event: ReadEvent<'_>| {
        if let ReadEvent::Data(bytes) = event {
            logged.log(String::from_utf8_lossy(bytes));
            stream.close();
        }
    };
    stream.read_start(on_read).unwrap();
    lp.run(RunMode::NoWait).unwrap();
    std::io::Write::write_all(&mut peer, b"data").unwrap();
    for _ in 0..10 {
        if !lp.is_alive() {
            break;
        }
        host_turn(&lp, &fd);
    }
    assert_eq!(trace.take(), ["data"]);
}

#[test]
fn the_pending_hook_is_called_once_until_the_loop_runs_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let hook = move || {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    let lp = EventLoop::builder().on_pending(hook).build().unwrap();
    let remote = lp.remote();
    remote.post(|_| {}).unwrap();
    remote.post(|_| {}).unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(lp.run(RunMode::NoWait).unwrap(), Outcome::Finished);
    remote.wake();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn the_pending_hook_tells_of_what_came_while_the_run_was_ending() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let hook = move || {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    let lp = EventLoop::builder().on_pending(hook).build().unwrap();
    let remote = lp.remote();
    lp.set_immediate(move |_| remote.post(|_| {}).unwrap()); // behind poll, in the last turn
    assert_eq!(lp.run(RunMode::NoWait).unwrap(), Outcome::Alive);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(lp.run(RunMode::NoWait).unwrap(), Outcome::Finished);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn a_host_that_sleeps_elsewhere_is_told_by_the_pending_hook() {
    let (tell, told) = mpsc::channel();
    let lp = EventLoop::builder().on_pending(move || tell.send(()).unwrap()).build().unwrap();
    let (remote, ran) = (lp.remote(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&ran);
    let poster = thread::spawn(move || {
        for _ in 0..100 {
            let ran = Arc::clone(&counter);
            remote
                .post(move |_| {
                    ran.fetch_add(1, Ordering::SeqCst);
                })
                .unwrap();
        }
    });
    while ran.load(Ordering::SeqCst) < 100 {
        told.recv().unwrap();
        // What comes while the loop runs is not told: the timeout says that there is more.
        while lp.run(RunMode::NoWait).unwrap() == Outcome::Alive {}
    }
    poster.join().unwrap();
}

#[test]
fn a_loop_runs_in_the_poll_phase_of_another() {
    let (outer, inner) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let (outer_fd, inner_fd) = (outer.backend_fd().unwrap(), inner.backend_fd().unwrap());
    let trace = Trace::default();
    let wakeup = Wakeup::new(&inner, {
        let trace = trace.clone();
        move |wakeup| {
            trace.log("inner");
            wakeup.close();
        }
    });
    let sender = wakeup.sender();
    thread::spawn(move || sender.send()).join().unwrap().unwrap();
    assert!(!wait(&outer_fd, Some(Duration::ZERO)));
    assert!(wait(&inner_fd, None));
    let (logged, checked) = (trace.clone(), trace.clone());
    outer.remote().post(|_| {}).unwrap();
    outer.defer(move |outer| {
        logged.log("outer");
        inner.run(RunMode::NoWait).unwrap();
        assert_eq!(inner.run(RunMode::NoWait).unwrap(), Outcome::Finished);
        outer.set_immediate(checked.logs("outer again"));
    });
    outer.run(RunMode::Default).unwrap();
    assert_eq!(trace.take(), ["outer", "inner", "outer again"]);
}

#[test]
fn the_running_loop_is_the_inner_one() {
    let (outer, inner) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let trace = Trace::default();
    let logged = trace.clone();
    outer.set_immediate(move |_| {
        inner.set_immediate(|_| phaseloop::next_tick(|_| {}));
        phaseloop::next_tick(logged.logs("tick of the outer loop"));
        inner.run(RunMode::Default).unwrap();
        logged.log("inner is done");
    });
    outer.run(RunMode::Default).unwrap();
    assert_eq!(trace.take(), ["inner is done", "tick of the outer loop"]);
}

#[test]
fn two_threads_each_run_a_loop_of_their_own() {
    let ping_pong = |receiver: mpsc::Receiver<phaseloop::Remote>, sender: mpsc::Sender<phaseloop::Remote>| {
        thread::spawn(move || {
            let lp = EventLoop::new().unwrap();
            sender.send(lp.remote()).unwrap();
            let other = receiver.recv().unwrap();
            let _alive = lp.begin_request();
            other.post(|lp| lp.stop()).unwrap();
            lp.run(RunMode::Default).unwrap()
        })
    };
    let ((to_left, left), (to_right, right)) = (mpsc::channel(), mpsc::channel());
    let threads = [ping_pong(left, to_right), ping_pong(right, to_left)];
    for thread in threads {
        assert_eq!(thread.join().unwrap(), Outcome::Stopped);
    }
}

#[test]
fn a_scripted_loop_has_no_descriptor() {
    let lp = phaseloop::TestLoop::new();
    assert_eq!(lp.event_loop().backend_fd().unwrap_err().kind(), std::io::ErrorKind::Unsupported);
}

// --- metrics ----------------------------------------------------------------------------------------------------------

#[test]
fn turns_are_counted() {
    let lp = phaseloop::TestLoop::new();
    let _alive = lp.begin_request();
    for _ in 0..3 {
        lp.turn();
    }
    assert_eq!(lp.metrics().turns, 3);
}

#[test]
fn events_and_messages_are_counted() {
    let lp = phaseloop::TestLoop::new();
    let _alive = lp.begin_request();
    let source = lp.source(|_| {});
    source.make_ready();
    let port = phaseloop::request::Port::new(&lp, |_, _: u32| {});
    port.sender().send(1).unwrap();
    lp.turn();
    let metrics = lp.metrics();
    assert_eq!((metrics.events, metrics.events_waiting), (2, 2));
    source.close();
}

#[test]
fn a_busy_loop_has_no_idle_time() {
    let lp = EventLoop::new().unwrap();
    for _ in 0..100 {
        lp.set_immediate(|lp| drop(lp.metrics_reader()));
        lp.run(RunMode::NoWait).unwrap();
    }
    assert_eq!(lp.metrics().idle, Duration::ZERO);
}

#[test]
fn idle_time_is_the_time_of_waiting_and_any_thread_may_read_it() {
    let lp = EventLoop::new().unwrap();
    let timer = Timer::new(&lp);
    timer.start(ms(3), |timer| timer.close()).unwrap();
    lp.run(RunMode::Default).unwrap();
    let reader = lp.metrics_reader();
    assert!(!reader.is_waiting());
    let metrics = thread::spawn(move || reader.read()).join().unwrap();
    assert!(metrics.idle > Duration::ZERO);
    assert_eq!(metrics, lp.metrics());
}
