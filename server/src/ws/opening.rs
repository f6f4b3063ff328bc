//! What the connections of an acceptor or a client share, and making one of them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use phaseloop::LoopHandle;

use super::connection::{Connection, Core, Wakers, Work};
use super::deflate::{self, Agreed, Packing};
use super::link::Link;
use super::options::WsOptions;
use crate::joint::wire::Scratch;
use crate::proto::websocket::Role;
use crate::proto::websocket::reader::Reader;
use crate::waiting::Waiting;

/// Lent to connections while they read, instead of a buffer for each.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) options: Rc<WsOptions>,
    pub(crate) packing: Packing,
    scratch: Scratch,
}

/// What both sides agreed upon.
pub(crate) struct Terms {
    pub(crate) role: Role,
    pub(crate) protocol: Option<Box<str>>,
    pub(crate) agreed: Option<Agreed>,
}

impl Shared {
    pub(crate) fn new(options: WsOptions) -> Self {
        Self { options: Rc::new(options), packing: Packing::default(), scratch: Scratch::default() }
    }

    #[cfg(feature = "ws-deflate")]
    pub(crate) fn deflate(self, options: super::DeflateOptions) -> Self {
        Self { packing: Packing::new(options), ..self }
    }

    /// A connection over `link`, of which `first` was read before.
    pub(crate) fn open(&self, lp: &LoopHandle, link: Link, first: Vec<u8>, terms: Terms) -> Rc<Connection> {
        let options = &self.options;
        let reader = Reader::new(terms.role, options.frame_len_max, options.message_len_max);
        let (reader, deflater) = deflate::equip(&self.packing, reader, &terms);
        let mut core = Core::new(link, reader, deflater, lp.now());
        core.rest = first;
        Rc::new(Connection {
            lp: lp.clone(),
            options: Rc::clone(options),
            scratch: self.scratch.clone(),
            role: terms.role,
            protocol: terms.protocol,
            core: RefCell::new(core),
            wakers: RefCell::new(Wakers::default()),
            senders: Waiting::default(),
            is_heard: Cell::new(true),
            work: Cell::new(Work::Waits),
        })
    }
}
