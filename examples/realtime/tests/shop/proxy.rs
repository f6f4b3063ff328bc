//! A way to MariaDB that is cut after so many commands.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;

use futures::channel::oneshot;
use futures::future::{Either, select};
use futures::{AsyncReadExt, AsyncWriteExt};
use phaseloop::LoopHandle;
use phaseloop::net::{TcpListener, TcpStream};

/// Commands of the protocol that have a statement run: from its text, and prepared.
const RUNS: [u8; 2] = [0x03, 0x17];

pub(crate) struct Proxy {
    pub(crate) port: u16,
    left: Rc<Cell<u32>>,
    held: Held,
}

/// What the next `BEGIN` waits for.
type Held = Rc<Cell<Option<oneshot::Receiver<()>>>>;

impl Proxy {
    /// Passes connections on to a server. Nothing is cut yet.
    pub(crate) fn start(lp: &LoopHandle, server: u16) -> Self {
        let listener = TcpListener::bind(lp, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let (port, left) = (listener.local_addr().unwrap().port(), Rc::new(Cell::new(u32::MAX)));
        let held = Held::default();
        let (lp, counter, holding) = (lp.clone(), Rc::clone(&left), Rc::clone(&held));
        let accepting = async move {
            while let Ok((client, _)) = listener.accept().await {
                let (lp, counter, holding) = (lp.clone(), Rc::clone(&counter), Rc::clone(&holding));
                phaseloop::spawn(async move { pass(&lp, client, server, &counter, &holding).await }).unref();
            }
        };
        phaseloop::spawn(accepting).unref();
        Self { port, left, held }
    }

    /// Passes on so many statements more, and then one that nobody gets an answer to.
    pub(crate) fn cut_after(&self, statements: u32) {
        self.left.set(statements);
    }

    /// Whether there was such a `BEGIN`.
    pub(crate) fn is_holding(&self) -> bool {
        let held = self.held.take();
        let is_holding = held.is_none();
        self.held.set(held);
        is_holding
    }

    /// Keeps the next `BEGIN` back until what is returned is dropped.
    pub(crate) fn hold_begin(&self) -> oneshot::Sender<()> {
        let (sender, receiver) = oneshot::channel();
        self.held.set(Some(receiver));
        sender
    }
}

/// Passes all on, until one of both ends closes or the statements are used up: then both are cut.
async fn pass(
    lp: &LoopHandle,
    client: TcpStream,
    server: u16,
    left: &Cell<u32>,
    held: &Held,
) -> io::Result<()> {
    let server = TcpStream::connect(lp, SocketAddr::from((Ipv4Addr::LOCALHOST, server))).await?;
    let (mut questions, mut to_client) = client.split();
    let (answers, mut to_server) = server.split();
    let asking = pin!(async {
        loop {
            let mut packet = vec![0; 4];
            questions.read_exact(&mut packet).await?;
            let len = u32::from_le_bytes([packet[0], packet[1], packet[2], 0]);
            let is_first = packet[3] == 0;
            packet.resize(4 + len as usize, 0);
            questions.read_exact(&mut packet[4..]).await?;
            if packet.get(5..) == Some(b"BEGIN")
                && let Some(held) = held.take()
            {
                let _ = held.await; // dropped is as good as sent
            }
            to_server.write_all(&packet).await?;
            if is_first && packet.get(4).is_some_and(|command| RUNS.contains(command)) {
                match left.get() {
                    0 => return io::Result::Ok(()),
                    more => left.set(more - 1),
                }
            }
        }
    });
    match select(asking, pin!(futures::io::copy(answers, &mut to_client))).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right((outcome, _)) => outcome.map(drop),
    }
}
