//! What users type: the futures and the callbacks of a socket of datagrams.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::receive::{Arrived, DATAGRAM_LEN_MAX, Held, OnReceive};
use super::send::OnSent;
use super::sys;
use super::{Core, Datagram, DatagramSocket, ReceiveEvent, Received};
use crate::net::family::{DatagramFamily, sealed::Address};
use crate::net::poll_io::Attempt;
use crate::net::sys::RawAddr;
use crate::state::sources::Direction;

/// Sending and receiving with futures.
impl<K: DatagramFamily> DatagramSocket<K> {
    /// Sends a datagram to the peer of a connected socket, and gives its length.
    ///
    /// # Errors
    /// `EMSGSIZE` if it is longer than a datagram can be; `EDESTADDRREQ` if the socket is not connected.
    ///
    /// # Cancel safety
    /// Nothing was sent if the future is dropped before it is done.
    pub async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.core.send(bytes, None).await
    }

    /// Sends a datagram to `addr`, and gives its length.
    ///
    /// # Errors
    /// `EMSGSIZE` if it is longer than a datagram can be, and what else the system says.
    ///
    /// # Cancel safety
    /// Nothing was sent if the future is dropped before it is done.
    pub async fn send_to(&self, bytes: &[u8], addr: &K::Addr) -> io::Result<usize> {
        let to = addr.to_raw()?;
        self.core.send(bytes, Some(&to)).await
    }

    /// Receives a datagram, and says who sent it and whether it was truncated.
    ///
    /// # Errors
    /// What the system says. It may be about a datagram that was sent:
    /// [`UndeliveredTo`](crate::net::UndeliveredTo).
    ///
    /// # Cancel safety
    /// Nothing is lost: a datagram is taken only when the future is done.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<Received<K::Addr>> {
        let received = poll_fn(|cx| self.core.poll_recv(cx, buf)).await?;
        let Received { len, from, full_len, segment_len } = received;
        Ok(Received { len, from: address::<K>(from)?, full_len, segment_len })
    }

    /// As [`recv_from`](Self::recv_from), and gives the number of bytes in `buf` only.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.core.poll_recv(cx, buf)).await.map(|received| received.len)
    }

    /// Waits until there is something to receive.
    pub async fn readable(&self) -> io::Result<()> {
        let ready =
            |cx: &mut Context<'_>| self.core.base.poll_op(cx, Direction::Read, |_| Ok(Attempt::Done(())));
        poll_fn(ready).await
    }

    /// Waits until a datagram can be sent. That the peer of a Unix socket without a connection is full is not waited for.
    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| {
            ready!(self.core.poll_may_send(cx));
            self.core.base.poll_op(cx, Direction::Write, |_| Ok(Attempt::Done(())))
        })
        .await
    }
}

/// Sending and receiving without waiting, and with callbacks.
impl<K: DatagramFamily> DatagramSocket<K> {
    /// Sends a datagram to the peer of a connected socket if the system takes it now.
    ///
    /// # Errors
    /// `WouldBlock` if it does not, or if others are queued, which are never overtaken. And as [`send`](Self::send).
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.core.try_send_by(|fd| sys::send_one(fd, bytes, None))
    }

    /// As [`try_send`](Self::try_send), to `addr`.
    pub fn try_send_to(&self, bytes: &[u8], addr: &K::Addr) -> io::Result<usize> {
        let to = addr.to_raw()?;
        self.core.try_send_by(|fd| sys::send_one(fd, bytes, Some(&to)))
    }

    /// Receives a datagram that is there.
    ///
    /// # Errors
    /// `WouldBlock` if none is. And as [`recv_from`](Self::recv_from).
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<Received<K::Addr>> {
        let Received { len, from, full_len, segment_len } = self.core.recv_now(buf)?;
        Ok(Received { len, from: address::<K>(from)?, full_len, segment_len })
    }

    /// Sends a datagram at once, or queues a copy of it; to `addr`, or else to the peer of a connected socket. Calls back when
    /// it was handed to the system or has failed.
    ///
    /// # Ordering
    /// Callbacks come in the order of the calls, in the pending phase; that of a datagram which is too long too.
    /// Source: PROMISES, UDP, dgram_too_big.
    ///
    /// # Errors
    /// `NotConnected` for a closed socket. `WouldBlock` if the queue is full: of
    /// [`Limits::datagram_queue_len_max`](crate::Limits::datagram_queue_len_max) datagrams or
    /// [`Limits::write_queue_len_max`](crate::Limits::write_queue_len_max) bytes. The callback is then dropped.
    pub fn queue_send_with(
        &self,
        bytes: &[u8],
        addr: Option<&K::Addr>,
        on_sent: impl FnOnce(&Self, io::Result<()>) + 'static,
    ) -> io::Result<()> {
        let to = addr.map(Address::to_raw).transpose()?;
        let on_sent: OnSent = match self.lp().captured_context() {
            None => Box::new(move |core, result| on_sent(&Self::of(core), result)),
            context => Box::new(move |core, result| {
                core.base.lp.in_context(context, || on_sent(&Self::of(core), result));
            }),
        };
        self.core.enqueue(bytes, to, Some(on_sent))
    }

    /// As [`queue_send_with`](Self::queue_send_with), for those who do not ask what becomes of a datagram.
    ///
    /// # Errors
    /// As `queue_send_with`.
    pub fn queue_send(&self, bytes: &[u8], addr: Option<&K::Addr>) -> io::Result<()> {
        let to = addr.map(Address::to_raw).transpose()?;
        self.core.enqueue(bytes, to, None)
    }

    /// Datagrams that wait to be sent.
    pub fn send_queue_len(&self) -> usize {
        self.core.queued().0
    }

    /// Bytes of the datagrams that wait to be sent.
    pub fn send_queue_bytes(&self) -> usize {
        self.core.queued().1
    }

    /// Calls `on_receive` with each datagram that comes, from the next poll phase on. Replaces the callback there was.
    ///
    /// It keeps the loop alive, and the socket open, until [`recv_stop`](Self::recv_stop). In one turn at most
    /// [`Limits::datagrams_per_turn`](crate::Limits::datagrams_per_turn) are received. Errors do not end it.
    ///
    /// # Ordering
    /// In the poll phase, with a checkpoint after each datagram.
    ///
    /// # Errors
    /// `NotConnected` if the socket was closed. The callback is then dropped.
    pub fn recv_start(
        &self,
        mut on_receive: impl FnMut(&Self, ReceiveEvent<'_, K::Addr>) + 'static,
    ) -> io::Result<()> {
        let mut call = move |core: &Rc<Core>, arrived: Arrived<'_>| {
            on_receive(&Self::of(core), event::<K>(arrived));
        };
        let on_receive: OnReceive = match self.lp().captured_context() {
            None => Box::new(call),
            context => Box::new(move |core, arrived| {
                core.base.lp.in_context(context.clone(), || call(core, arrived));
            }),
        };
        self.core.recv_start(on_receive)
    }

    /// Calls the receive callback no more, at once. Datagrams that came with the one it was stopped for are kept for whoever
    /// receives next.
    pub fn recv_stop(&self) {
        self.core.recv_stop();
    }

    /// Sets the room that a datagram has in the callback front: longer ones are truncated, and reported as such.
    ///
    /// The default is 65,535 bytes, which is all that a datagram can have, or [`Limits::read_buffer_len`](crate::Limits::read_buffer_len)
    /// if that is less. One system call then brings up to eight; with less room more come with it, at most 32.
    pub fn set_recv_room(&self, len: usize) {
        self.core.receiver.room.set(len.clamp(1, DATAGRAM_LEN_MAX));
    }
}

impl Core {
    /// As `send`; `None` if the peer is full, and no event will tell when it is not.
    pub(super) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        to: Option<&RawAddr>,
    ) -> Poll<io::Result<Option<usize>>> {
        ready!(self.poll_may_send(cx));
        self.base.poll_op(cx, Direction::Write, |fd| {
            let sent = self.send_told(fd, |fd| sys::send_one(fd, bytes, to));
            match self.is_peer_full(fd, &sent) {
                true => Ok(Attempt::Done(None)),
                false => sent.map(|len| Attempt::Done(Some(len))),
            }
        })
    }

    pub(in crate::net) fn poll_send_segments(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        segment_len: u16,
        to: Option<&RawAddr>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_may_send(cx));
        self.base.poll_op(cx, Direction::Write, |fd| {
            self.send_told(fd, |fd| sys::send_segments(fd, bytes, segment_len, to)).map(Attempt::Done)
        })
    }

    /// Waits until nothing is queued: what is queued is never overtaken.
    fn poll_may_send(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.base.is_gone() || !self.has_queued() {
            return Poll::Ready(());
        }
        self.base.wait(Direction::Write, cx.waker());
        Poll::Pending
    }

    pub(in crate::net) fn set_joins(&self, on: bool) {
        self.joins.set(on);
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Received<Option<RawAddr>>>> {
        if let Some(held) = self.take_held(buf) {
            return Poll::Ready(Ok(held));
        }
        self.base.poll_op(cx, Direction::Read, |fd| self.recv_into(fd, buf).map(Attempt::Done))
    }

    fn recv_now(&self, buf: &mut [u8]) -> io::Result<Received<Option<RawAddr>>> {
        if let Some(held) = self.take_held(buf) {
            return Ok(held);
        }
        self.base.with(|fd| self.recv_into(fd, buf))
    }

    fn recv_into(
        &self,
        fd: std::os::fd::BorrowedFd<'_>,
        buf: &mut [u8],
    ) -> io::Result<Received<Option<RawAddr>>> {
        let room = buf.len();
        let mut found = None;
        self.receive_told(fd, |fd| {
            sys::receive(fd, buf, room, self.joins.get(), |slot| found = Some(slot)).map(drop)
        })?;
        let slot = found.ok_or(io::ErrorKind::WouldBlock)?;
        let sys::Slot { full_len, from, segment_len } = slot;
        Ok(Received { len: full_len.min(room), from, full_len, segment_len })
    }

    /// A datagram that the callback front left.
    fn take_held(&self, buf: &mut [u8]) -> Option<Received<Option<RawAddr>>> {
        let Held { bytes, from, full_len, segment_len } = self.receiver.held.borrow_mut().pop_front()?;
        let len = bytes.len().min(buf.len());
        buf[..len].copy_from_slice(&bytes[..len]);
        Some(Received { len, from, full_len, segment_len })
    }
}

fn address<K: DatagramFamily>(raw: Option<RawAddr>) -> io::Result<K::Addr> {
    raw.map_or_else(|| Ok(K::unnamed()), K::Addr::from_raw)
}

/// What the core says, in the family's words.
fn event<K: DatagramFamily>(arrived: Arrived<'_>) -> ReceiveEvent<'_, K::Addr> {
    match arrived {
        Arrived::Failed(error) => ReceiveEvent::Failed(error),
        Arrived::Datagram(Datagram { bytes, from, full_len, segment_len }) => match address::<K>(from) {
            Ok(from) => ReceiveEvent::Datagram(Datagram { bytes, from, full_len, segment_len }),
            Err(error) => ReceiveEvent::Failed(error),
        },
    }
}
