//! A TCP server that sends back what it gets, written twice: with futures and with callbacks.
//!
//! Both read no more than they can write: a peer that sends and never reads costs one buffer, not all of the memory.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use phaseloop::net::{ReadEvent, TcpListener, TcpStream};
use phaseloop::{JoinHandle, LoopHandle};

/// Bytes that a connection of the futures front reads at once; its whole cost in memory, nearly.
const BUFFER_LEN: usize = 8 * 1024;

// --- with futures -----------------------------------------------------------------------------------------------------

/// Serves with one task for each connection. It goes on until the task is aborted or the loop ends.
pub fn serve_with_futures(lp: &LoopHandle, listener: TcpListener, traffic: Rc<Traffic>) -> JoinHandle<()> {
    lp.spawn(async move {
        loop {
            // An error concerns one connection, or the descriptors are used up: then the next accept waits by itself.
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = Connection::new(&traffic);
                    phaseloop::spawn(async move {
                        if echo(&stream, &connection).await.is_err() {
                            connection.lose();
                        }
                    });
                }
                Err(_) => traffic.add(Count::Refused, 1),
            }
        }
    })
}

async fn echo(stream: &TcpStream, connection: &Connection) -> io::Result<()> {
    let mut buf = vec![0; BUFFER_LEN];
    loop {
        match stream.read(&mut buf).await? {
            0 => return stream.shutdown().await,
            len => {
                stream.write_all(&buf[..len]).await?;
                connection.traffic.add(Count::Bytes, len as u64);
            }
        }
    }
}

// --- with callbacks ---------------------------------------------------------------------------------------------------

/// Serves with callbacks, until the listener is closed or the loop ends.
///
/// # Errors
/// `NotConnected` if the listener was closed.
pub fn serve_with_callbacks(listener: &TcpListener, traffic: Rc<Traffic>) -> io::Result<()> {
    listener.on_connection(move |_, accepted| match accepted {
        Ok(stream) => start_reading(&stream, Rc::new(Connection::new(&traffic))),
        Err(_) => traffic.add(Count::Refused, 1),
    })
}

/// The loop holds the stream while it reads: nothing else has to.
fn start_reading(stream: &TcpStream, connection: Rc<Connection>) {
    let started = stream.read_start(move |stream, event| match event {
        ReadEvent::Data(bytes) => send_back(stream, bytes, &connection),
        // Reading goes on only when all is written, so the queue is empty here.
        ReadEvent::End => stream.close(),
        ReadEvent::Failed(_) => {
            connection.lose();
            stream.close();
        }
    });
    debug_assert!(started.is_ok(), "the stream is open: it has just been accepted, or has written");
}

/// Writes what fits. The rest is queued, and nothing more is read before it is written.
fn send_back(stream: &TcpStream, bytes: &[u8], connection: &Rc<Connection>) {
    connection.traffic.add(Count::Bytes, bytes.len() as u64);
    let written = match stream.try_write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        written => written,
    };
    let queued = written.and_then(|len| {
        if len == bytes.len() {
            return Ok(());
        }
        stream.read_stop();
        let connection = Rc::clone(connection);
        stream.queue_write_with(&bytes[len..], move |stream, written| match written {
            Ok(()) => start_reading(stream, connection),
            Err(_) => {
                connection.lose();
                stream.close();
            }
        })
    });
    if queued.is_err() {
        connection.lose();
        stream.close();
    }
}

// --- counting ---------------------------------------------------------------------------------------------------------

/// What a server has done since the last report.
#[derive(Debug, Default)]
pub struct Traffic {
    open: Cell<u64>,
    counts: [Cell<u64>; 4],
}

#[derive(Clone, Copy)]
enum Count {
    Accepted,
    Bytes,
    /// Peers that went away in the middle of a read or a write.
    Lost,
    /// Connections that could not be accepted: most often no descriptor was left.
    Refused,
}

impl Traffic {
    /// Connections that are open.
    pub fn open(&self) -> u64 {
        self.open.get()
    }

    /// What happened since the last report, or `None` if nothing did. `elapsed` is the time since then.
    pub fn report(&self, elapsed: Duration) -> Option<Report> {
        let [accepted, bytes, lost, refused] = [0, 1, 2, 3].map(|count: usize| self.counts[count].take());
        let busy = accepted + bytes + lost + refused > 0;
        busy.then(|| Report { open: self.open(), accepted, bytes, lost, refused, elapsed })
    }

    fn add(&self, count: Count, amount: u64) {
        let cell = &self.counts[count as usize];
        cell.set(cell.get() + amount);
    }
}

/// One line for the log, as its `Display`.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    open: u64,
    accepted: u64,
    bytes: u64,
    lost: u64,
    refused: u64,
    elapsed: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.elapsed.as_secs_f64().max(f64::EPSILON);
        let megabytes = self.bytes as f64 / 1e6 / second;
        write!(
            f,
            "{} connections, {:.0} new/s, {megabytes:.3} MB/s",
            self.open,
            self.accepted as f64 / second
        )?;
        if self.lost > 0 {
            write!(f, "; {} peers went away in the middle", self.lost)?;
        }
        if self.refused > 0 {
            write!(f, "; accepting failed {} times", self.refused)?;
        }
        Ok(())
    }
}

/// Counts an open connection for as long as it lives.
struct Connection {
    traffic: Rc<Traffic>,
}

impl Connection {
    fn new(traffic: &Rc<Traffic>) -> Self {
        traffic.open.set(traffic.open.get() + 1);
        traffic.add(Count::Accepted, 1);
        Self { traffic: Rc::clone(traffic) }
    }

    fn lose(&self) {
        self.traffic.add(Count::Lost, 1);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.traffic.open.set(self.traffic.open.get() - 1);
    }
}
