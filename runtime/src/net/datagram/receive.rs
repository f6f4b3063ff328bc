//! Receiving with a callback.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::iter::Enumerate;
use std::rc::Rc;
use std::vec;

use super::Core;
use super::sys::{self, Slot};
use crate::driver::Readiness;
use crate::net::callback_slot::CallbackSlot;
use crate::net::sys::RawAddr;
use crate::state::LoopHandle;
use crate::state::sources::gone;

/// The longest datagram that UDP has, and what the kernel joins at most.
pub(super) const DATAGRAM_LEN_MAX: usize = 65_535;

/// Datagrams of any length that one call brings at most. The room for them is memory where a datagram has touched it.
const LONG_BATCH: usize = 8;

/// What a receive callback gets.
#[derive(Debug)]
pub enum ReceiveEvent<'a, A> {
    /// A datagram, in a buffer that the loop lends for the call.
    Datagram(Datagram<'a, A>),
    /// Receiving failed, or a datagram that was sent did not arrive. Receiving goes on.
    Failed(io::Error),
}

/// A datagram that came.
#[derive(Debug)]
pub struct Datagram<'a, A> {
    /// Its bytes, as far as they fit.
    pub bytes: &'a [u8],
    /// Who sent it.
    pub from: A,
    /// Its length, which is more than came if it was truncated.
    pub full_len: usize,
    /// The kernel joined several datagrams of this length into these bytes, the last perhaps shorter.
    pub segment_len: Option<usize>,
}

impl<A> Datagram<'_, A> {
    /// True if the datagram was longer than the room for it. The rest is lost.
    pub fn is_truncated(&self) -> bool {
        self.full_len > self.bytes.len()
    }
}

/// What receiving into a buffer of the caller's came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received<A> {
    /// Bytes that were put into the buffer.
    pub len: usize,
    /// Who sent them.
    pub from: A,
    /// The length of the datagram, which is more than `len` if it was truncated.
    pub full_len: usize,
    /// The kernel joined several datagrams of this length into these bytes, the last perhaps shorter.
    pub segment_len: Option<usize>,
}

impl<A> Received<A> {
    /// True if the datagram was longer than the buffer. The rest is lost.
    pub fn is_truncated(&self) -> bool {
        self.full_len > self.len
    }
}

/// What receiving came to, with the address as the system has it.
pub(super) enum Arrived<'a> {
    Datagram(Datagram<'a, Option<RawAddr>>),
    Failed(io::Error),
}

type ReceiveCallback = dyn FnMut(&Rc<Core>, Arrived<'_>);
pub(super) type OnReceive = Box<ReceiveCallback>;

/// Who is called with what arrives.
pub(super) struct Receiver {
    on_receive: CallbackSlot<ReceiveCallback>,
    /// Room for one datagram, in bytes.
    pub(super) room: Cell<usize>,
    /// What came with a batch that was broken off: less than one batch.
    pub(super) held: RefCell<VecDeque<Held>>,
}

impl Default for Receiver {
    fn default() -> Self {
        Self {
            on_receive: CallbackSlot::default(),
            room: Cell::new(DATAGRAM_LEN_MAX),
            held: RefCell::default(),
        }
    }
}

impl Receiver {
    pub(super) fn is_on(&self) -> bool {
        self.on_receive.is_on()
    }

    /// Takes the callback away, for the caller to drop.
    pub(super) fn stop(&self) -> Option<OnReceive> {
        self.on_receive.stop()
    }
}

impl Core {
    pub(super) fn recv_start(self: &Rc<Self>, on_receive: OnReceive) -> io::Result<()> {
        if self.base.is_gone() {
            return Err(gone());
        }
        drop(self.receiver.on_receive.start(on_receive));
        self.follow();
        // What came before is there without a new event.
        self.base.run_again();
        Ok(())
    }

    pub(super) fn recv_stop(self: &Rc<Self>) {
        let old = self.receiver.stop();
        self.follow();
        drop(old);
    }

    /// Receives and calls back until nothing is left, receiving stops, or the turn's budget is spent.
    pub(super) fn receive_ready(self: &Rc<Self>) {
        let mut left = self.base.lp.state.limits.datagrams_per_turn.get() as usize;
        while left > 0 {
            let any = self.base.has_ready(Readiness::ANY_READ) || !self.receiver.held.borrow().is_empty();
            if !self.receiver.is_on() || !any {
                return;
            }
            left = left.saturating_sub(self.receive_batch(left));
        }
        if self.receiver.is_on() {
            self.base.run_again();
        }
    }

    /// Receives at most `max` datagrams with one call, calls back for each, and gives their number, or one for a failure.
    fn receive_batch(self: &Rc<Self>, max: usize) -> usize {
        let held = self.receiver.held.borrow_mut().pop_front();
        if let Some(held) = held {
            self.call_receiver(Arrived::Datagram(held.lend()));
            return 1;
        }
        let lp = &self.base.lp;
        let mut buffer = lp.borrow_datagram_buffer();
        let room = self.receiver.room.get().min(lp.state.limits.read_buffer_len.get());
        let len = buffer.len().min(room.saturating_mul(max));
        let mut slots = Vec::new();
        let received = self.base.with(|fd| {
            self.receive_told(fd, |fd| {
                sys::receive(fd, &mut buffer[..len], room, self.joins.get(), |slot| slots.push(slot))
            })
        });
        let asked = (len / room).clamp(1, sys::BATCH_MAX);
        let count = *received.as_ref().unwrap_or(&1);
        match received {
            Ok(_) => {
                if count < asked {
                    lp.state.sources.exhaust(self.base.token, Readiness::READABLE);
                }
                Batch { core: self, slots: slots.into_iter().enumerate(), buffer: &buffer, room }.deliver();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.base.clear_ready(Readiness::ANY_READ);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.call_receiver(Arrived::Failed(error)),
        }
        lp.state.datagram_buffer.set(Some(buffer));
        count
    }

    fn call_receiver(self: &Rc<Self>, arrived: Arrived<'_>) {
        self.base.lp.call(|_| self.receiver.on_receive.call(|on_receive| on_receive(self, arrived)));
    }
}

impl LoopHandle {
    /// The loop's buffer for datagrams, or a fresh one while a callback of another socket has it.
    fn borrow_datagram_buffer(&self) -> Box<[u8]> {
        let room = self.state.limits.read_buffer_len.get().min(DATAGRAM_LEN_MAX);
        let lent = self.state.datagram_buffer.take();
        // Zeroes that nobody writes, and so no memory yet.
        lent.unwrap_or_else(|| vec![0; room * LONG_BATCH].into_boxed_slice())
    }
}

/// Datagrams that one call brought. What is not delivered, since receiving was stopped or a callback panicked, is kept.
struct Batch<'a> {
    core: &'a Rc<Core>,
    slots: Enumerate<vec::IntoIter<Slot>>,
    buffer: &'a [u8],
    room: usize,
}

impl<'a> Batch<'a> {
    fn deliver(mut self) {
        while self.core.receiver.is_on() {
            let Some(datagram) = self.next() else { return };
            self.core.call_receiver(Arrived::Datagram(datagram));
        }
    }

    fn next(&mut self) -> Option<Datagram<'a, Option<RawAddr>>> {
        let (at, slot) = self.slots.next()?;
        let bytes = &self.buffer[at * self.room..][..slot.full_len.min(self.room)];
        let Slot { from, full_len, segment_len } = slot;
        Some(Datagram { bytes, from, full_len, segment_len })
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if self.core.base.is_closed() {
            return;
        }
        while let Some(datagram) = self.next() {
            self.core.receiver.held.borrow_mut().push_back(Held::from(datagram));
        }
    }
}

/// A datagram that came with others and was not delivered yet.
pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    pub(super) from: Option<RawAddr>,
    pub(super) full_len: usize,
    pub(super) segment_len: Option<usize>,
}

impl Held {
    fn lend(&self) -> Datagram<'_, Option<RawAddr>> {
        let Self { bytes, from, full_len, segment_len } = self;
        Datagram { bytes, from: from.clone(), full_len: *full_len, segment_len: *segment_len }
    }
}

impl From<Datagram<'_, Option<RawAddr>>> for Held {
    fn from(datagram: Datagram<'_, Option<RawAddr>>) -> Self {
        let Datagram { bytes, from, full_len, segment_len } = datagram;
        Self { bytes: bytes.to_vec(), from, full_len, segment_len }
    }
}
