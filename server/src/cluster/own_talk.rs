//! The primary's side of the talk with a worker of ours.

use std::rc::Rc;

use phaseloop::ipc::{Attachment, AttachmentKind, Message};

use super::core::Core;
use super::event::{Drained, Event, WorkerId};
use super::member::{Dialect, Member};
use super::options::Policy;
use super::wire::{ToPrimary, ToWorker, decode, encode};

/// Gives a new worker the listeners that it accepts from.
pub(super) fn greet(core: &Rc<Core>, member: &Rc<Member>) {
    give_listeners(core, member, member.slot);
    let orphans = core.given_up.borrow().clone();
    orphans.into_iter().for_each(|slot| give_orphans(core, member, slot));
}

/// Has the other workers accept from the sockets of a slot that stays empty.
pub(super) fn adopt(core: &Rc<Core>, slot: usize) {
    let members: Vec<_> = core.members.borrow().values().cloned().collect();
    let own = members.iter().filter(|member| member.dialect == Dialect::Own && !member.was_told.get());
    own.for_each(|member| give_orphans(core, member, slot));
}

/// Tells a worker to finish and end.
pub(super) fn end(core: &Rc<Core>, member: &Member) {
    let grace_ms = u64::try_from(core.options.grace.as_millis()).unwrap_or(u64::MAX);
    member.send_surely(encode(&ToWorker::End { grace_ms }, b""));
}

/// Hears what a worker says.
///
/// # Errors
/// What is wrong with it.
pub(super) fn hear(core: &Rc<Core>, member: &Rc<Member>, message: &Message) -> Result<(), String> {
    let (said, _) = decode::<ToPrimary>(message.bytes())?;
    match said {
        ToPrimary::Online => core.is_online(member),
        ToPrimary::Listening { listener } => {
            let listening = core.listenings.borrow().get(listener).cloned();
            let listening = listening.ok_or_else(|| format!("there is no listener {listener}"))?;
            core.serves(member, &listening);
            core.tell(Event::Listening { worker: WorkerId(member.id), listener: listening.name.clone() });
        }
        ToPrimary::Ready => core.is_ready(member),
        ToPrimary::Answer => core.answered(member),
        ToPrimary::Taken { connection } => core.confirmed(member.id, connection),
        ToPrimary::Refused { connection } => core.refused(member.id, connection),
        ToPrimary::Paused { paused } => {
            member.is_paused.set(paused);
            core.pause_all(member.id, paused);
        }
        ToPrimary::Leaving => core.is_leaving(member),
        ToPrimary::Drained { finished, cut } => member.drained.set(Some(Drained { finished, cut })),
    }
    Ok(())
}

fn give_listeners(core: &Rc<Core>, member: &Rc<Member>, slot: usize) {
    for (listener, listening) in core.listenings.borrow().iter().enumerate() {
        if listening.is_handed() {
            continue;
        }
        let given = listening.socket_of(slot).and_then(|fd| {
            let attachment = Attachment::new(AttachmentKind::Listener, fd);
            let message = encode(&ToWorker::Listener { listener }, b"").attach(attachment);
            Ok(member.channel.send(message)?)
        });
        if let Err(error) = given {
            // A worker without it is never ready, and is replaced.
            core.failed(listening, error);
        }
    }
}

/// Where each slot has a socket of its own, that of another one.
fn give_orphans(core: &Rc<Core>, member: &Rc<Member>, slot: usize) {
    if core.options.policy == Policy::ReusePort && slot != member.slot {
        give_listeners(core, member, slot);
    }
}
