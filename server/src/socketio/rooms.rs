//! Who is in which room of a namespace.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::socket::Socket;

/// Counts up: sockets are served in the order in which they connected.
pub(crate) type Number = u64;

/// The sockets of a namespace on this server, and their rooms. Each is in a room of its own, named by its id.
#[derive(Default)]
pub(crate) struct Rooms {
    sockets: BTreeMap<Number, Socket>,
    by_id: HashMap<String, Number>,
    members: HashMap<String, BTreeSet<Number>>,
    joined: HashMap<Number, BTreeSet<String>>,
    next: Number,
}

impl Rooms {
    pub(crate) fn next_number(&mut self) -> Number {
        self.next += 1;
        self.next
    }

    pub(crate) fn add(&mut self, socket: Socket) {
        self.by_id.insert(socket.id().to_owned(), socket.number());
        self.sockets.insert(socket.number(), socket);
    }

    /// The rooms a socket was in, its own not among them.
    pub(crate) fn remove(&mut self, socket: &Socket) -> BTreeSet<String> {
        let number = socket.number();
        if self.sockets.remove(&number).is_some() {
            self.by_id.remove(socket.id());
        }
        let rooms = self.joined.remove(&number).unwrap_or_default();
        for room in &rooms {
            self.remove_member(room, number);
        }
        rooms
    }

    /// False for a socket that has gone: it joins nothing any more.
    pub(crate) fn join(&mut self, number: Number, room: &str) -> bool {
        let Some(socket) = self.sockets.get(&number) else { return false };
        if socket.id() != room && self.joined.entry(number).or_default().insert(room.to_owned()) {
            self.members.entry(room.to_owned()).or_default().insert(number);
        }
        true
    }

    pub(crate) fn leave(&mut self, number: Number, room: &str) {
        if self.joined.get_mut(&number).is_some_and(|rooms| rooms.remove(room)) {
            self.remove_member(room, number);
        }
    }

    fn remove_member(&mut self, room: &str, number: Number) {
        let Some(members) = self.members.get_mut(room) else { return };
        members.remove(&number);
        if members.is_empty() {
            self.members.remove(room);
        }
    }

    pub(crate) fn rooms_of(&self, number: Number) -> Vec<String> {
        self.joined.get(&number).map(|rooms| rooms.iter().cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn is_in(&self, number: Number, room: &str) -> bool {
        self.joined.get(&number).is_some_and(|rooms| rooms.contains(room))
    }

    /// Rooms that somebody is in, those of single sockets not among them.
    pub(crate) fn names(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.sockets.len()
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Socket> {
        self.sockets.get(self.by_id.get(id)?)
    }

    /// Those in any of `rooms`, all if there are none named, but those in any of `except`; each once.
    pub(crate) fn select(&self, rooms: &[String], except: &[String]) -> Vec<Socket> {
        let shut_out: BTreeSet<Number> = except.iter().flat_map(|room| self.members(room)).collect();
        let stays = |number: &Number| !shut_out.contains(number);
        match rooms {
            [] => {
                self.sockets.iter().filter(|(number, _)| stays(number)).map(|(_, one)| one.clone()).collect()
            }
            [room] => self.pick(self.members(room).filter(stays)),
            rooms => {
                let numbers: BTreeSet<Number> = rooms.iter().flat_map(|room| self.members(room)).collect();
                self.pick(numbers.into_iter().filter(stays))
            }
        }
    }

    fn pick(&self, numbers: impl Iterator<Item = Number>) -> Vec<Socket> {
        numbers.filter_map(|number| self.sockets.get(&number).cloned()).collect()
    }

    fn members(&self, room: &str) -> impl Iterator<Item = Number> + '_ {
        let members = self.members.get(room).into_iter().flatten().copied();
        members.chain(self.by_id.get(room).copied())
    }
}
