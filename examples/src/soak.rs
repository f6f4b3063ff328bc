//! Opens and closes sockets, pipes, timers and children in a fixed mix, very often, and looks whether anything is left.

use std::fmt;
use std::fs;
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use phaseloop::net::{TcpListener, TcpStream, UdpSocket, UnixStream, pipe};
use phaseloop::process::{Command, Stdio};
use phaseloop::{EventLoop, LoopHandle};

use crate::page::Page;

/// What a round opens and closes: 160 TCP sockets, 100 of UDP, 240 Unix sockets, 200 ends of pipes, 299 timers, a child.
pub const ROUND: u64 = 1000;
const TCP_PAIRS: usize = 80;
const UDP_SOCKETS: usize = 100;
const UNIX_PAIRS: usize = 120;
const PIPES: usize = 100;
const TIMERS: usize = 299;

/// Rounds before the first look: by then each kind of thing has made what it keeps.
const WARM_ROUNDS: u64 = 3;

/// Bytes by which memory may grow: what allocators keep varies by some pages.
const GROWTH_MAX: u64 = 2 << 20;

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// Descriptors that are open.
    pub descriptors: usize,
    /// Threads, of whatever kind.
    pub threads: usize,
    /// Resident bytes.
    pub memory: u64,
}

impl Holdings {
    /// Looks.
    ///
    /// # Errors
    /// The system's, where there is no `/proc`.
    pub fn now() -> io::Result<Self> {
        let memory = fs::read_to_string("/proc/self/status")?;
        let resident = memory.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes =
            resident.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        Ok(Self {
            descriptors: fs::read_dir("/proc/self/fd")?.count() - 1, // less the one that looks
            threads: fs::read_dir("/proc/self/task")?.count(),
            memory: kilobytes.ok_or(io::ErrorKind::InvalidData)? * 1024,
        })
    }

    /// What there is too much of in comparison with an earlier look.
    pub fn excess_over(&self, before: &Self) -> Option<String> {
        let same = self.descriptors == before.descriptors && self.threads == before.threads;
        let fits = self.memory <= before.memory + GROWTH_MAX;
        (!same || !fits).then(|| format!("it began with {before} and ends with {self}"))
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.memory as f64 / f64::from(1 << 20);
        write!(f, "{} descriptors, {} threads, {megabytes:.1} MiB", self.descriptors, self.threads)
    }
}

/// Opens and closes `count` things, rounded up to whole rounds, on a loop of its own.
///
/// # Errors
/// What opening says, and an error that says what is left, if something is.
pub fn run(count: u64, page: &Page) -> io::Result<()> {
    let lp = EventLoop::new()?;
    lp.block_on(rounds(&lp, WARM_ROUNDS))??;
    let before = Holdings::now()?;
    page.line(format!("it begins with {before}"));
    let (rounds_due, began) = (count.div_ceil(ROUND), Instant::now());
    lp.block_on(rounds(&lp, rounds_due))??;
    let after = Holdings::now()?;
    page.line(format!(
        "it ends with {after}, after {} things in {:.1?}",
        rounds_due * ROUND,
        began.elapsed()
    ));
    let excess = after.excess_over(&before);
    lp.close().map_err(|busy| io::Error::other(busy.to_string()))?;
    match excess {
        Some(excess) => Err(io::Error::other(excess)),
        None => {
            page.line("nothing is left");
            Ok(())
        }
    }
}

async fn rounds(lp: &LoopHandle, rounds: u64) -> io::Result<()> {
    let listener = TcpListener::bind(lp, ([127, 0, 0, 1], 0).into())?;
    for _ in 0..rounds {
        round(lp, &listener).await?;
    }
    Ok(())
}

async fn round(lp: &LoopHandle, listener: &TcpListener) -> io::Result<()> {
    let child = Command::new("/bin/true").stdin(Stdio::ignore()).spawn(lp)?;
    let timers = (0..TIMERS).map(|at| {
        let delay = Duration::from_micros(at as u64 * 10);
        // Every third is given up before it is due.
        let lp = lp.clone();
        async move {
            let mut sleep = pin!(lp.sleep(delay));
            match at % 3 {
                0 => _ = futures::poll!(sleep.as_mut()),
                _ => sleep.await,
            }
            Ok::<_, io::Error>(())
        }
    });
    for _ in 0..TCP_PAIRS {
        tcp_pair(lp, listener).await?;
    }
    for _ in 0..UDP_SOCKETS {
        let socket = UdpSocket::bind(lp, ([127, 0, 0, 1], 0).into())?;
        socket.send_to(b"to itself", &socket.local_addr()?).await?;
    }
    for _ in 0..UNIX_PAIRS {
        let (a, b) = UnixStream::pair(lp)?;
        a.queue_write(b"ping")?;
        b.read_exact(&mut [0; 4]).await?;
    }
    for _ in 0..PIPES {
        let (reader, writer) = pipe::pair(lp)?;
        writer.write_all(b"ping").await?;
        reader.read_exact(&mut [0; 4]).await?;
    }
    try_join_all(timers).await?;
    child.wait().await?;
    Ok(())
}

/// Connects, echoes, and closes: by a reset, which leaves no port in the system's TIME_WAIT.
async fn tcp_pair(lp: &LoopHandle, listener: &TcpListener) -> io::Result<()> {
    let (client, accepted) =
        futures::join!(TcpStream::connect(lp, listener.local_addr()?), listener.accept());
    let (client, (server, _)) = (client?, accepted?);
    client.write_all(b"ping").await?;
    server.read_exact(&mut [0; 4]).await?;
    client.close_reset()?;
    server.close();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Holdings;

    #[test]
    fn what_is_left_is_named() {
        let before = Holdings { descriptors: 9, threads: 1, memory: 8 << 20 };
        assert_eq!(Holdings { memory: 9 << 20, ..before }.excess_over(&before), None);
        let problem = Holdings { descriptors: 10, ..before }.excess_over(&before);
        assert_eq!(
            problem.as_deref(),
            Some(
                "it began with 9 descriptors, 1 threads, 8.0 MiB and ends with 10 descriptors, 1 threads, 8.0 MiB"
            )
        );
        assert!(Holdings { threads: 2, ..before }.excess_over(&before).is_some());
        assert!(Holdings { memory: 64 << 20, ..before }.excess_over(&before).is_some());
    }
}
