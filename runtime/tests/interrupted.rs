//! A storm of signals that reaches the loop's thread in the middle of its system calls changes nothing: what they interrupt
//! is done again, and no error of it is seen.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod loopback;
#[path = "interrupted/sys.rs"]
mod sys;

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use loopback::{block_on, finish, localhost, ms, new_loop, pattern};
use phaseloop::ipc::{Attachment, AttachmentKind, Channel, ChannelLimits, Framing, Message};
use phaseloop::net::{
    ReadEvent, ReceiveEvent, TcpListener, TcpStream, UdpSocket, UnixAddr, UnixListener, UnixStream, pipe,
};
use phaseloop::process::{Command, Stdio};
use phaseloop::signal::{Signal, SignalWatcher};
use phaseloop::{EventLoop, LoopHandle, PollEvents, PollFd};

/// Sends signals to the thread it was made on until it is dropped.
struct Storm {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    sender: Option<JoinHandle<()>>,
}

impl Storm {
    fn begin() -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (thread, quit, count) = (sys::this_thread(), Arc::clone(&stop), Arc::clone(&sent));
        let sender = std::thread::spawn(move || {
            while !quit.load(Ordering::Relaxed) && sys::signal(thread, Signal::URG.number()) {
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        Self { stop, sent, sender: Some(sender) }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(sender) = self.sender.take() {
            // It has nothing that could panic.
            let _ = sender.join();
        }
    }
}

/// Runs `part` until at least a hundred signals came meanwhile.
fn in_a_storm(part: impl AsyncFn(&LoopHandle)) {
    let lp = new_loop();
    let told = Rc::new(Cell::new(0_u32));
    let count = Rc::clone(&told);
    let watcher = SignalWatcher::new(&lp).unwrap();
    watcher.start(Signal::URG, move |_, _| count.set(count.get() + 1)).unwrap();
    watcher.unref();
    let storm = Storm::begin();
    while storm.sent.load(Ordering::Relaxed) < 100 || told.get() == 0 {
        run_part(&lp, &part);
    }
    drop(storm);
    watcher.close();
    finish(lp);
}

fn run_part(lp: &EventLoop, part: &impl AsyncFn(&LoopHandle)) {
    block_on(lp, async { part(lp).await });
}

#[test]
fn tcp_goes_on() {
    let bytes = pattern(300_000);
    in_a_storm(async |lp| {
        let listener = TcpListener::bind(lp, localhost()).unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = futures::join!(TcpStream::connect(lp, address), listener.accept());
        let (client, (server, _)) = (client.unwrap(), server.unwrap());
        let write = async {
            client.write_all(&bytes).await.unwrap();
            client.shutdown().await.unwrap();
        };
        let read = async {
            let mut buf = vec![0; bytes.len()];
            server.read_exact(&mut buf).await.unwrap();
            assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
            assert!(buf == bytes);
        };
        futures::join!(write, read);
    });
}

#[test]
fn datagrams_go_on() {
    in_a_storm(async |lp| {
        let (a, b) = (UdpSocket::bind(lp, localhost()).unwrap(), UdpSocket::bind(lp, localhost()).unwrap());
        let to = b.local_addr().unwrap();
        for number in 0..50_u8 {
            a.send_to(&[number], &to).await.unwrap();
            let mut buf = [0; 8];
            let received = b.recv_from(&mut buf).await.unwrap();
            assert_eq!((received.len, buf[0]), (1, number));
        }
    });
}

#[test]
fn descriptors_are_passed_on() {
    in_a_storm(async |lp| {
        let (a, b) = UnixStream::pair(lp).unwrap();
        let (carried, _other) = UnixStream::pair(lp).unwrap();
        for _ in 0..20 {
            a.write_with_descriptors(b"x", &[carried.as_fd()]).await.unwrap();
            let (len, passed) = b.read_with_descriptors(&mut [0; 8]).await.unwrap();
            assert_eq!((len, passed.descriptors.len(), passed.truncated), (1, 1, false));
        }
    });
}

#[test]
fn pipes_and_children_go_on() {
    let bytes = pattern(150_000);
    in_a_storm(async |lp| {
        let mut child =
            Command::new("cat").detached().stdin(Stdio::pipe()).stdout(Stdio::pipe()).spawn(lp).unwrap();
        let (stdin, stdout) = (child.take_stdin().unwrap(), child.take_stdout().unwrap());
        let write = async {
            stdin.write_all(&bytes).await.unwrap();
            stdin.shutdown().await.unwrap();
        };
        let (read, ()) = futures::join!(stdout.read_to_end(1 << 20), write);
        assert!(read.unwrap() == bytes);
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn timers_and_foreign_descriptors_go_on() {
    in_a_storm(async |lp| {
        let (reader, writer) = pipe::pair(lp).unwrap();
        let foreign = reader.try_clone_fd().unwrap();
        let poll = PollFd::new(lp, foreign).unwrap();
        let ready = poll.ready(PollEvents::READABLE);
        let write = async {
            phaseloop::sleep(ms(1)).await;
            writer.write_all(b"x").await.unwrap();
        };
        let (ready, ()) = futures::join!(ready, write);
        assert!(ready.unwrap().contains(PollEvents::READABLE));
        poll.close();
    });
}

#[test]
fn unix_sockets_and_channels_go_on() {
    let number = AtomicU64::new(0);
    in_a_storm(async |lp| {
        let number = number.fetch_add(1, Ordering::Relaxed);
        let name = UnixAddr::abstract_name(format!("phaseloop-storm-{}-{number}", std::process::id()));
        let listener = UnixListener::bind(lp, &name).unwrap();
        let (client, server) = futures::join!(UnixStream::connect(lp, &name), listener.accept());
        let (client, server) = (client.unwrap(), server.unwrap().0);
        let open = |stream| Channel::new(stream, Framing::OWN, ChannelLimits::default());
        let (here, there) = (open(client), open(server));
        for number in 0..50_u8 {
            let (carried, _other) = std::os::unix::net::UnixStream::pair().unwrap();
            let attachment = Attachment::new(AttachmentKind::Native, OwnedFd::from(carried));
            here.send_when_room(Message::new([number]).attach(attachment)).await.unwrap();
            let mut message = there.recv().await.unwrap().unwrap();
            assert!(message.bytes() == [number] && message.take_attachment().is_some());
        }
    });
}

#[test]
fn callbacks_go_on() {
    let bytes = pattern(300_000);
    in_a_storm(async |lp| {
        let (a, b) = UnixStream::pair(lp).unwrap();
        let (sender, receiver) = phaseloop::channel::oneshot();
        let (mut got, mut sender) = (Vec::new(), Some(sender));
        b.read_start(move |_, event| match event {
            ReadEvent::Data(data) => got.extend_from_slice(data),
            ReadEvent::End => {
                if let Some(sender) = sender.take() {
                    sender.send(std::mem::take(&mut got)).expect("it is awaited");
                }
            }
            ReadEvent::Failed(error) => panic!("{error}"),
        })
        .unwrap();
        for piece in bytes.chunks(7000) {
            a.queue_write_with(piece, |_, written| written.unwrap()).unwrap();
        }
        a.shutdown_with(|_, ended| ended.unwrap()).unwrap();
        assert!(receiver.await.unwrap() == bytes);
        let (a, b) = (UdpSocket::bind(lp, localhost()).unwrap(), UdpSocket::bind(lp, localhost()).unwrap());
        let (sender, receiver) = phaseloop::channel::oneshot();
        let mut sender = Some(sender);
        b.recv_start(move |socket, event| {
            let ReceiveEvent::Datagram(datagram) = event else { panic!("{event:?}") };
            assert_eq!(datagram.bytes, b"x");
            socket.recv_stop();
            sender.take().into_iter().for_each(|sender| sender.send(()).expect("it is awaited"));
        })
        .unwrap();
        a.queue_send_with(b"x", Some(&b.local_addr().unwrap()), |_, sent| sent.unwrap()).unwrap();
        receiver.await.unwrap();
    });
}
