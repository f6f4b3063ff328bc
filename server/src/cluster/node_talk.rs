//! The primary's side of the talk with a worker that is a Node program.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use phaseloop::ipc::{Attachment, AttachmentKind, Message};
use phaseloop::net::{ListenOptions, UnixAddr};
use serde_json::Value;

use super::core::Core;
use super::event::{Event, WorkerId};
use super::listening::{Address, Listening};
use super::member::Member;
use super::node::{self, Place, Query, Said};

/// `EINVAL`, for what is not opened for workers.
const INVALID: i32 = 22;

/// Tells a worker to finish and end.
pub(super) fn end(member: &Member) {
    member.send_surely(node::end());
}

/// A connection on its way to a worker.
pub(super) fn connection(key: &str, connection: u64, fd: OwnedFd) -> Message {
    node::connection(key, connection).attach(Attachment::new(AttachmentKind::Native, fd))
}

/// Hears what a worker says.
///
/// # Errors
/// What is wrong with it.
pub(super) fn hear(core: &Rc<Core>, member: &Rc<Member>, message: &Message) -> Result<(), String> {
    match node::read(message.bytes(), member.id)? {
        Said::Online => core.is_online(member),
        Said::Listening { at } => {
            core.tell(Event::Listening { worker: WorkerId(member.id), listener: at });
            core.is_ready(member);
        }
        Said::Query(query) => return answer(core, member, &query),
        Said::Close { key } => close(core, member, &key),
        Said::Leaving { seq } => {
            core.is_leaving(member);
            // One that is not connected waits for nothing.
            let _ = member.channel.send(node::may_leave(seq));
        }
        Said::Reply { connection, accepted: true } => core.confirmed(member.id, connection),
        Said::Reply { connection, accepted: false } => core.refused(member.id, connection),
        Said::Other => {}
    }
    Ok(())
}

/// Opens what a worker wants to listen on, unless another one has, and lets it take part.
fn answer(core: &Rc<Core>, member: &Rc<Member>, query: &Query) -> Result<(), String> {
    if member.was_told.get() || core.is_ending() {
        return Ok(()); // it ends; Node does not answer either
    }
    let known = find(core, &query.key);
    let opened = known.map_or_else(|| open(core, query), Ok);
    let answered = opened.and_then(|listening| {
        let data = listening.data_of(&query.data);
        if listening.is_handed() {
            let answer = node::answer(query, &data, listening.local_addr().ok());
            member.channel.send(answer)?;
        } else {
            let socket = Attachment::new(AttachmentKind::Native, listening.socket_of(member.slot)?);
            member.channel.send(node::answer(query, &data, None).attach(socket))?;
        }
        core.serves(member, &listening);
        Ok(())
    });
    let Err(error) = answered else { return Ok(()) };
    // It is told, as Node tells it; if it can not be it is about to be gone.
    let _ = member.channel.send(node::failure(query, error.raw_os_error().unwrap_or(INVALID)));
    Err(format!("it can not listen on {}: {error}", query.key))
}

fn open(core: &Rc<Core>, query: &Query) -> io::Result<Rc<Listening>> {
    let mut options = ListenOptions::default();
    if let Some(backlog) = query.backlog {
        options.backlog = backlog;
    }
    let open = |address: &Address| {
        let (slots, limits) = (core.options.workers.get(), &core.options.limits);
        Listening::open(&core.lp, query.key.clone(), address, core.options.policy, slots, limits)
    };
    let opened = match &query.place {
        Place::Unix(path) => open(&Address::Unix(UnixAddr::from(path.as_str()))),
        Place::Unsupported(why) => Err(io::Error::new(io::ErrorKind::InvalidInput, why.clone())),
        place => {
            if let Place::TcpOnlyV6(_) = place {
                options.only_v6 = Some(true);
            }
            let mut result = Err(io::Error::from(io::ErrorKind::InvalidInput));
            for address in place.candidates() {
                result = open(&Address::Tcp { address, options: options.clone() });
                if result.is_ok() {
                    break;
                }
            }
            result
        }
    };
    let listening = Rc::new(opened?);
    listening.is_own.set(query.place.is_own());
    core.listenings.borrow_mut().push(Rc::clone(&listening));
    core.accept_from(&listening);
    Ok(listening)
}

/// A worker does not listen there any more. With its last worker the listener is closed, as in Node; unless that ended: its
/// successor finds it open.
fn close(core: &Rc<Core>, member: &Member, key: &str) {
    let Some(listening) = find(core, key) else { return };
    if listening.is_handed() {
        core.order(&listening, |dispatch, out| dispatch.leave(member.id, out));
    }
    listening.users.borrow_mut().remove(&member.id);
    let ends = member.was_told.get() || core.is_ending() || core.is_over();
    if !ends && listening.users.borrow().is_empty() {
        core.forget(&listening);
    }
}

/// The listener of that key, unless it was closed for good.
fn find(core: &Core, key: &str) -> Option<Rc<Listening>> {
    let listenings = core.listenings.borrow();
    listenings.iter().find(|known| known.name == key && !known.is_forgotten.get()).cloned()
}

impl Listening {
    /// What the workers of a listener share: what the first one brought.
    fn data_of(&self, data: &Value) -> Value {
        let mut shared = self.data.borrow_mut();
        if shared.is_null() {
            *shared = data.clone();
        }
        shared.clone()
    }
}
