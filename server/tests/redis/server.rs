//! Servers, and what the tests share.

use std::cell::Cell;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use phaseloop::channel::{Receiver, oneshot};
use phaseloop::net::{TcpListener, TcpStream};
use phaseloop::{EventLoop, LoopHandle};
use phaseloop_server::redis::{Client, Options, Status, cmd};
use phaseloop_tests::peers::peer;
use phaseloop_tests::redis_server::Redis;

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A server of one's own, if there is the program.
#[track_caller]
pub(crate) fn server() -> Option<Redis> {
    server_with(&[])
}

#[track_caller]
pub(crate) fn server_with(options: &[&str]) -> Option<Redis> {
    Some(Redis::start_with(&peer("redis-server")?, options).unwrap())
}

/// Runs a test on a loop. One that waits for what never comes fails after two minutes.
pub(crate) fn on_loop<F: AsyncFnOnce(LoopHandle)>(test: F) {
    let (alive, watch) = mpsc::channel::<()>();
    let name = thread::current().name().unwrap_or_default().to_owned();
    thread::spawn(move || {
        if watch.recv_timeout(secs(120)) == Err(mpsc::RecvTimeoutError::Timeout) {
            // Nothing else ends a test that hangs; the message is what it has to say.
            let _ = writeln!(std::io::stderr(), "test {name} hangs");
            std::process::abort();
        }
    });
    let lp = EventLoop::new().unwrap();
    lp.block_on(test(lp.handle())).unwrap();
    drop(alive);
}

/// With pauses that tests need not wait for.
pub(crate) fn options(url: &str) -> Options {
    let mut options = Options::url(url).unwrap();
    options.backoff_min = ms(2);
    options.backoff_max = ms(20);
    options
}

/// A client of a server that was started just now.
pub(crate) async fn ask(lp: &LoopHandle, server: &Redis) -> Client {
    let redis = Client::new(lp, options(&server.url()));
    redis.ready(secs(60)).await.unwrap();
    redis
}

/// Has the server end a client's connection.
pub(crate) async fn kill_connection(victim: &Client, killer: &Client) {
    let id: i64 = victim.query(cmd("CLIENT").arg("ID")).await.unwrap();
    let killed: i64 = killer.query(cmd("CLIENT").arg("KILL").arg("ID").arg(id)).await.unwrap();
    assert_eq!(killed, 1);
}

/// Ends when the client has noticed that its connection is gone.
pub(crate) fn disconnected(redis: &Client) -> Receiver<()> {
    let (sender, receiver) = oneshot();
    let sender = Cell::new(Some(sender));
    redis.on_change(move |status| {
        if let (Status::Disconnected(_), Some(sender)) = (status, sender.take()) {
            // The test may have ended.
            let _ = sender.send(());
        }
    });
    receiver
}

/// Somebody else's server: it says this to whoever connects, and closes.
pub(crate) fn listener_that_says(lp: &LoopHandle, said: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind(lp, "127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    let task = lp.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // It reads what it was asked first: a close with unread bytes is a reset.
            let mut asked = [0; 1024];
            stream.read(&mut asked).await.unwrap();
            stream.write_all(said).await.unwrap();
        }
    });
    task.unref();
    addr
}

/// A server that the test itself plays, for what a real one does not do on demand.
pub(crate) struct Played(TcpStream);

impl Played {
    /// One that has let a client in.
    pub(crate) async fn connected(lp: &LoopHandle) -> (Client, Self) {
        let listener = TcpListener::bind(lp, "127.0.0.1:0".parse().unwrap()).unwrap();
        let client = Client::new(lp, Options::addr(listener.local_addr().unwrap()));
        let played = Self::let_in(&listener).await;
        client.ready(secs(30)).await.unwrap();
        (client, played)
    }

    /// Lets in who connects.
    pub(crate) async fn let_in(listener: &TcpListener) -> Self {
        let played = Self(listener.accept().await.unwrap().0);
        played.until("HELLO").await;
        played.say("%0\r\n").await;
        played
    }

    /// Reads until this was asked.
    pub(crate) async fn until(&self, asked: &str) {
        let (mut read, mut buf) = (String::new(), [0; 1024]);
        while !read.contains(asked) {
            let len = self.0.read(&mut buf).await.unwrap();
            assert!(len > 0, "it closed after {read:?}");
            read += std::str::from_utf8(&buf[..len]).unwrap();
        }
    }

    pub(crate) async fn say(&self, said: &str) {
        self.0.write_all(said.as_bytes()).await.unwrap();
    }
}

/// A folder that goes with the test. Its path is short enough for a socket.
pub(crate) struct Folder(PathBuf);

static FOLDERS: AtomicU32 = AtomicU32::new(0);

impl Folder {
    pub(crate) fn new() -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("phaseloop-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is the system's to clean up.
        let _ = fs::remove_dir_all(&self.0);
    }
}
