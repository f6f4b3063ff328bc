//! The chat: rooms of people who talk, over Socket.IO.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use phaseloop_server::socketio::{Event, Io, Partial, Socket};
use serde::Deserialize;
use serde_json::{Value, json};

use super::retry_key;
use crate::refusal::Refusal;
use crate::service::Parts;
use crate::services::{Allowance, Gather};
use crate::stores::{PEOPLE_MAX, ROOMS};

const NAME_LEN_MAX: usize = 40;
const TEXT_LEN_MAX: usize = 2000;
/// Events that a client may send at once, and a second.
const BURST: u32 = 20;
const PER_S: f64 = 5.0;
/// Messages that this worker knows that it has told.
const TOLD_MAX: usize = 1_000;
/// Events of a client that may be under way.
const UNDER_WAY_MAX: usize = 8;
/// How long changes of a room are gathered before it is told of its members.
const GATHER: Duration = Duration::from_millis(200);
/// How often a room is told of its members again because a worker did not say in time who is there, each time after twice as long.
const AGAIN_MAX: u32 = 6;

/// Sets the namespace up.
pub(crate) fn set_up(io: &Io, parts: &Rc<Parts>) {
    let (changed, told, counts) = (RefCell::default(), RefCell::default(), Gather::new());
    let chat = Rc::new(Chat { io: io.clone(), parts: Rc::clone(parts), changed, told, counts });
    // What was said at other workers was not told here: whoever joins again finds it in the history.
    let own = io.clone();
    parts.hub.listen(ROOMS, Box::new(move || own.local().emit("again", json!({}))));
    io.on_connection(move |socket| {
        let address = socket.handshake().peer_addr.map(|peer| peer.ip());
        let client = Rc::new(Client::new(address.and_then(|address| chat.parts.chat_limits.of(address))));
        on(&chat, socket, "join", &client, async |chat, who, args| chat.join(who, args).await);
        on(&chat, socket, "leave", &client, async |chat, who, _| {
            who.next_join();
            chat.leave(who.socket);
            Ok(json!({}))
        });
        on(&chat, socket, "message", &client, async |chat, who, args| chat.message(who.socket, args).await);
        on(&chat, socket, "typing", &client, async |chat, who, args| chat.typing(who.socket, args));
        let own = Rc::clone(&chat);
        socket.on_disconnect(move |socket, _| {
            if let Some((room, _)) = place(socket) {
                own.tell_members(room);
            }
        });
        // Who came back is in its room already.
        if let Some((room, _)) = place(socket) {
            chat.tell_members(room);
        }
    });
}

struct Chat {
    io: Io,
    parts: Rc<Parts>,
    /// Rooms whose members are about to be told.
    changed: RefCell<HashSet<String>>,
    /// Messages that were told last.
    told: RefCell<VecDeque<i64>>,
    /// Who is there is asked of all workers: of each room once at a time, however many come.
    counts: Rc<Gather<String, (Value, bool)>>,
}

/// An event whose answer is JSON, or why there is none. What is too much is refused before anything is done.
fn on<F>(chat: &Rc<Chat>, socket: &Socket, name: &str, client: &Rc<Client>, handler: F)
where
    F: AsyncFn(&Rc<Chat>, &Who<'_>, Value) -> Result<Value, Refusal> + Copy + 'static,
{
    let (chat, client) = (Rc::clone(chat), Rc::clone(client));
    socket.on(name, move |event: Event| {
        let Some(taken) = client.take() else {
            event.ack(json!({ "error": { "code": "rate_limited", "message": "too much at once: try again in a second" } }));
            return;
        };
        let (chat, client) = (Rc::clone(&chat), Rc::clone(&client));
        phaseloop::spawn(async move {
            let who = Who { socket: &event.socket, client: &client };
            let args = event.args.get::<Value>(0).unwrap_or(Value::Null);
            let answer = handler(&chat, &who, args).await.unwrap_or_else(|refusal| {
                json!({ "error": { "code": refusal.code, "message": refusal.message() } })
            });
            event.ack(answer);
            drop(taken);
        })
        .detach();
    });
}

#[derive(Deserialize)]
struct Join {
    room: String,
    name: String,
    after: Option<i64>,
}

#[derive(Deserialize)]
struct Say {
    text: String,
    key: Option<String>,
}

#[derive(Deserialize)]
struct Typing {
    on: bool,
}

impl Chat {
    async fn join(self: &Rc<Self>, who: &Who<'_>, args: Value) -> Result<Value, Refusal> {
        let Join { room, name, after } = parse(args)?;
        let (room, name) = (short(&room, "room", NAME_LEN_MAX)?, short(&name, "name", NAME_LEN_MAX)?);
        let (socket, turn) = (who.socket, who.next_join());
        self.leave(socket);
        socket.set_data("room", room.as_str());
        socket.set_data("name", name.as_str());
        // First into the room, then its history: so nothing is missed in between, and what comes twice has one id.
        socket.join(&room_key(&room));
        let history = match self.parts.messages.history(&room, after).await {
            Ok(history) => history,
            Err(refusal) => {
                // A newer one may have gone to another room meanwhile, and is there.
                if who.client.joins.get() == turn {
                    self.leave(socket);
                }
                return Err(refusal);
            }
        };
        let (mut answer, _) = self.members(&room).await;
        answer["history"] = json!(history);
        answer["database"] = json!(self.parts.database.made_at);
        self.tell_members(room);
        Ok(answer)
    }

    fn leave(self: &Rc<Self>, socket: &Socket) {
        if let Some((room, _)) = place(socket) {
            socket.leave(&room_key(&room));
            socket.set_data("room", Value::Null);
            self.tell_members(room);
        }
    }

    async fn message(&self, socket: &Socket, args: Value) -> Result<Value, Refusal> {
        let Say { text, key } = parse(args)?;
        let text = short(&text, "text", TEXT_LEN_MAX)?;
        let key = key.map(|text| retry_key(Some(&text), "`key`")).transpose()?;
        let (room, name) = place(socket).ok_or_else(no_room)?;
        let message = self.parts.messages.add(room.clone(), name, text, key).await?;
        let (is_news, message) = (self.is_news(message.id), json!(message));
        if is_news {
            self.io.to(room_key(&room)).emit("message", message.clone());
        }
        Ok(json!({ "message": message }))
    }

    /// Whether a message has to be told. One that was sent again has been, unless its first sending found no answer in time or came to
    /// another worker: then it is told once more, which is better than never.
    fn is_news(&self, id: i64) -> bool {
        let mut told = self.told.borrow_mut();
        let is_news = !told.contains(&id);
        if is_news {
            told.truncate(TOLD_MAX - 1);
            told.push_front(id);
        }
        is_news
    }

    fn typing(&self, socket: &Socket, args: Value) -> Result<Value, Refusal> {
        let Typing { on } = parse(args)?;
        let (room, name) = place(socket).ok_or_else(no_room)?;
        // Who is busy can do without.
        let others = socket.to(room_key(&room)).volatile();
        others.emit("typing", json!({ "room": room, "name": name, "on": on }));
        Ok(json!({}))
    }

    /// Who is in a room, and whether that is all.
    async fn members(&self, room: &str) -> (Value, bool) {
        let (io, own) = (self.io.clone(), room.to_owned());
        let count = async move {
            let found = io.in_(room_key(&own)).fetch_sockets().await;
            let is_all = found.is_ok();
            let sockets = found.unwrap_or_else(Partial::into_found);
            let mut names: Vec<_> =
                sockets.iter().filter_map(|socket| socket.data.get("name")?.as_str()).collect();
            names.sort_unstable();
            names.truncate(PEOPLE_MAX);
            (json!({ "room": own, "count": sockets.len(), "names": names }), is_all)
        };
        self.counts.ask(room.to_owned(), count).await
    }

    /// Tells a room of its members, once for all that changes within a moment.
    fn tell_members(self: &Rc<Self>, room: String) {
        if !self.changed.borrow_mut().insert(room.clone()) {
            return;
        }
        let chat = Rc::clone(self);
        let telling = async move {
            for times in 0..=AGAIN_MAX {
                phaseloop::sleep(GATHER * 2_u32.pow(times)).await;
                chat.changed.borrow_mut().remove(&room);
                let (members, is_all) = chat.members(&room).await;
                chat.io.to(room_key(&room)).emit("members", members);
                // Another change has begun to tell.
                if is_all || !chat.changed.borrow_mut().insert(room.clone()) {
                    return;
                }
            }
            chat.changed.borrow_mut().remove(&room);
        };
        phaseloop::spawn(telling).unref();
    }
}

/// Where a client is, and under which name.
fn place(socket: &Socket) -> Option<(String, String)> {
    let noted = |key| socket.data(key)?.as_str().map(str::to_owned);
    Some((noted("room")?, noted("name")?))
}

/// Ids of sockets are rooms too: nobody may name one and listen in.
fn room_key(room: &str) -> String {
    format!("room:{room}")
}

fn parse<T: serde::de::DeserializeOwned>(args: Value) -> Result<T, Refusal> {
    serde_json::from_value(args)
        .map_err(|error| Refusal::bad_request(format!("the event carries something else: {error}")))
}

fn short(text: &str, what: &str, len_max: usize) -> Result<String, Refusal> {
    let text = text.trim();
    let len = text.chars().count();
    match (1..=len_max).contains(&len) {
        true => Ok(text.to_owned()),
        false => Err(Refusal::bad_request(format!("`{what}` is 1 to {len_max} characters, not {len}"))),
    }
}

fn no_room() -> Refusal {
    Refusal::conflict("conflict", "join a room first")
}

/// What a client may send.
struct Client {
    own: Allowance,
    /// That of its address, which it shares with others.
    shared: Option<Rc<Allowance>>,
    under_way: Rc<Cell<usize>>,
    /// Its joins so far: the newest alone counts.
    joins: Cell<u64>,
}

/// Whoever has sent an event.
struct Who<'a> {
    socket: &'a Socket,
    client: &'a Client,
}

impl Who<'_> {
    /// The number of a join, or of what ends one.
    fn next_join(&self) -> u64 {
        let joins = &self.client.joins;
        joins.set(joins.get() + 1);
        joins.get()
    }
}

/// One event of a client, until it is answered.
struct Taken(Rc<Cell<usize>>);

impl Client {
    fn new(shared: Option<Rc<Allowance>>) -> Self {
        Self { own: Allowance::new(BURST, PER_S), shared, under_way: Rc::default(), joins: Cell::new(0) }
    }

    fn take(&self) -> Option<Taken> {
        let is_allowed = self.under_way.get() < UNDER_WAY_MAX
            && self.own.take()
            && self.shared.as_ref().is_none_or(|shared| shared.take());
        is_allowed.then(|| {
            self.under_way.set(self.under_way.get() + 1);
            Taken(Rc::clone(&self.under_way))
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
