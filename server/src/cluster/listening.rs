//! What the primary listens on.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use phaseloop::LoopHandle;
use phaseloop::channel::Sender;
use phaseloop::net::{ListenOptions, TcpListener, UnixAddr, UnixListenOptions, UnixListener};
use serde_json::Value;

use super::dispatch::Dispatch;
use super::options::{ClusterLimits, Policy, Stickiness};
use super::wire::ListenerSeat;

/// Where a cluster listens.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Tcp { address: SocketAddr, options: ListenOptions },
    Unix(UnixAddr),
}

impl Address {
    pub(super) fn tcp(address: SocketAddr) -> Self {
        Self::Tcp { address, options: ListenOptions::default() }
    }
}

/// A listener of the primary.
pub(super) struct Listening {
    pub(super) name: String,
    pub(super) policy: Policy,
    pub(super) sockets: Sockets,
    pub(super) dispatch: RefCell<Dispatch>,
    /// Workers that serve it.
    pub(super) users: RefCell<BTreeSet<u32>>,
    /// Connections whose first line is being read, with what has them handed on as they are.
    pub(super) reading: RefCell<BTreeMap<u64, Option<Sender<()>>>>,
    is_paused: Cell<bool>,
    /// It is closed for good, and goes from the list when nothing of it is under way.
    pub(super) is_forgotten: Cell<bool>,
    /// Node: it is one worker's own, and closed with it.
    pub(super) is_own: Cell<bool>,
    /// Node: what its workers share.
    pub(super) data: RefCell<Value>,
}

pub(super) enum Sockets {
    /// One for all, or one for each slot.
    Tcp(Vec<TcpListener>),
    Unix(UnixListener),
}

impl Listening {
    /// Listens, with one socket or, where each worker has its own, with `slots`.
    pub(super) fn open(
        lp: &LoopHandle,
        name: String,
        address: &Address,
        policy: Policy,
        slots: usize,
        limits: &ClusterLimits,
    ) -> io::Result<Self> {
        let (policy, sockets) = match address {
            Address::Unix(address) => {
                let mut options = UnixListenOptions::default();
                options.replace_stale = true; // what a primary leaves that was killed
                let policy = match policy {
                    Policy::ReusePort => Policy::Shared,
                    Policy::Sticky(Stickiness::Address) => Policy::RoundRobin,
                    policy => policy,
                };
                (policy, Sockets::Unix(UnixListener::bind_with(lp, address.clone(), &options)?))
            }
            Address::Tcp { address, options } => {
                let mut options = options.clone();
                options.reuse_port = policy == Policy::ReusePort;
                let mut listeners = vec![TcpListener::bind_with(lp, *address, &options)?];
                if policy == Policy::ReusePort {
                    let chosen = listeners[0].local_addr()?;
                    for _ in 1..slots {
                        listeners.push(TcpListener::bind_with(lp, chosen, &options)?);
                    }
                }
                (policy, Sockets::Tcp(listeners))
            }
        };
        let dispatch = Dispatch::new(limits.unconfirmed_max, limits.connections_waiting_max);
        Ok(Self {
            name,
            policy,
            sockets,
            dispatch: RefCell::new(dispatch),
            users: RefCell::default(),
            reading: RefCell::default(),
            is_paused: Cell::new(false),
            is_forgotten: Cell::new(false),
            is_own: Cell::new(false),
            data: RefCell::default(),
        })
    }

    /// Connections are accepted by the primary.
    pub(super) fn is_handed(&self) -> bool {
        matches!(self.policy, Policy::RoundRobin | Policy::Sticky(_))
    }

    pub(super) fn is_unix(&self) -> bool {
        matches!(self.sockets, Sockets::Unix(_))
    }

    pub(super) fn seat(&self) -> ListenerSeat {
        ListenerSeat { name: self.name.clone(), is_unix: self.is_unix(), is_handed: self.is_handed() }
    }

    /// A duplicate of the socket that a slot's worker accepts from.
    pub(super) fn socket_of(&self, slot: usize) -> io::Result<OwnedFd> {
        match &self.sockets {
            Sockets::Tcp(listeners) => listeners[slot.min(listeners.len() - 1)].try_clone_fd(),
            Sockets::Unix(listener) => listener.try_clone_fd(),
        }
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.sockets {
            Sockets::Tcp(listeners) => listeners[0].local_addr(),
            Sockets::Unix(_) => {
                let problem = format!("{:?} is a Unix socket", self.name);
                Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
            }
        }
    }

    /// Accepts, or leaves connections where they wait.
    pub(super) fn pause(&self, pause: bool) {
        if self.is_paused.replace(pause) == pause {
            return;
        }
        match (&self.sockets, pause) {
            (Sockets::Tcp(listeners), true) => listeners[0].accept_pause(),
            (Sockets::Tcp(listeners), false) => listeners[0].accept_resume(),
            (Sockets::Unix(listener), true) => listener.accept_pause(),
            (Sockets::Unix(listener), false) => listener.accept_resume(),
        }
    }

    /// Listens no more. Those whose first line is being read are handed on without it.
    pub(super) fn close(&self) {
        for hurry in self.reading.borrow_mut().values_mut().filter_map(Option::take) {
            // It is about to be handed on anyway if nobody waits for that.
            let _ = hurry.send(());
        }
        match &self.sockets {
            Sockets::Tcp(listeners) => listeners.iter().for_each(TcpListener::close),
            Sockets::Unix(listener) => listener.close(),
        }
    }
}
