//! What other servers say, ask and answer.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use futures_core::Stream;
use phaseloop::JoinHandle;
use serde_json::{Map, Value, json};

use super::requests::Answer;
use super::wire::{self, Read, kind};
use super::{Args, Shared};
use crate::redis::{Event, Gap, Subscription};
use crate::socketio::namespace::{Namespace, ServerAck, ServerEvent};
use crate::socketio::socket::Socket;

/// Subscribes, and listens until the adapter is dropped.
pub(super) fn start(shared: &Rc<Shared>) -> Option<JoinHandle<()>> {
    let channels = &shared.channels;
    // Some answer on a channel of one's own.
    let own = format!("{}{}#", channels.response, shared.uid);
    let pattern = format!("{}*", escape(&channels.broadcast));
    let names = [channels.request.as_str(), &channels.response, &own];
    match shared.client.subscribe_all_soon(&names, &[&pattern]) {
        Ok(subscription) => {
            let task = shared.client.lp().spawn(listen(Rc::clone(shared), subscription));
            task.unref();
            Some(task)
        }
        Err(error) => {
            shared.report(&error.to_string());
            None
        }
    }
}

/// A name as a pattern that matches nothing else.
fn escape(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for character in name.chars() {
        if "*?[]^\\".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

async fn listen(shared: Rc<Shared>, mut subscription: Subscription) {
    while let Some(event) = poll_fn(|cx| Pin::new(&mut subscription).poll_next(cx)).await {
        match event {
            Ok(Event::Message(message)) => hear(&shared, &message.channel, &message.payload).await,
            Ok(Event::Gap(Gap::Connection)) => shared.is_listening.set(true),
            Ok(Event::Gap(Gap::Overflow(count))) => {
                shared.is_listening.set(true); // what told of the connection may be among them
                shared.report(&format!("{count} messages of other servers were dropped: too many waited"));
            }
            Err(error) => shared.report(&error.to_string()),
        }
    }
    shared.is_listening.set(false);
}

/// One message. What is not understood is reported and dropped.
async fn hear(shared: &Rc<Shared>, channel: &str, payload: &[u8]) {
    let max = shared.options.message_len_max;
    if payload.len() > max {
        let len = payload.len();
        return shared
            .report(&format!("a message of {len} bytes on {channel:?} is above message_len_max, {max}"));
    }
    let Some(namespace) = (shared.namespace)() else { return };
    let understood = match wire::read(payload) {
        Err(error) => Err(error),
        Ok(message) if channel == shared.channels.request => requested(shared, &namespace, message).await,
        Ok(message) if channel.starts_with(&shared.channels.response) => {
            answered(shared, message, payload.len())
        }
        Ok(message) => broadcast(shared, &namespace, message),
    };
    if let Err(why) = understood {
        shared.report(&format!("a message on {channel:?}: {why}"));
    }
}

fn broadcast(shared: &Shared, namespace: &Namespace, message: Read) -> Result<(), String> {
    let is_own = message.value[0] == shared.uid.as_str();
    let meant = message.value[1]["nsp"].as_str().unwrap_or("/");
    if is_own || meant != shared.name {
        return Ok(());
    }
    let said = message.into_said("/1", "/2").ok_or("it is no event")?;
    namespace.broadcast(&said.target, said.flags(), &said.event, said.args);
    Ok(())
}

async fn requested(shared: &Rc<Shared>, namespace: &Namespace, request: Read) -> Result<(), String> {
    let value = &request.value;
    if value["uid"] == shared.uid.as_str() {
        return Ok(()); // done or counted already
    }
    let reply = |fields: Value| {
        let mut response = json!({ "requestId": value["requestId"] });
        if let (Value::Object(response), Value::Object(fields)) = (&mut response, fields) {
            response.extend(fields);
        }
        respond(shared, value, response.to_string().as_bytes());
    };
    match value["type"].as_u64().ok_or("a request has no type")? {
        kind::SOCKETS => {
            let rooms = wire::names(&value["rooms"]);
            let sockets = namespace.rooms().borrow().select(&rooms, &[]);
            reply(json!({ "sockets": sockets.iter().map(Socket::id).collect::<Vec<_>>() }));
        }
        kind::ALL_ROOMS => {
            let sockets = namespace.rooms().borrow().select(&[], &[]);
            let ids = sockets.iter().map(|socket| socket.id().to_owned());
            reply(json!({ "rooms": namespace.room_names().into_iter().chain(ids).collect::<Vec<_>>() }));
        }
        kind::FETCH => {
            let sockets: Vec<Value> = meant(namespace, &value["opts"]).iter().map(describe).collect();
            reply(json!({ "sockets": sockets }));
        }
        kind::JOIN | kind::LEAVE => {
            if change_rooms(namespace, value) {
                reply(json!({}));
            }
        }
        kind::DISCONNECT => {
            let options = value.get("opts");
            let sockets = options.map_or_else(|| one(namespace, value), |options| meant(namespace, options));
            let (is_one, close) = (options.is_none() && !sockets.is_empty(), value["close"] == true);
            let disconnecting = async move { sockets.iter().for_each(|socket| socket.disconnect(close)) };
            aside(shared, disconnecting).await;
            if is_one {
                reply(json!({}));
            }
        }
        kind::SERVER_SIDE_EMIT => {
            let event = server_event(shared, value)?;
            let namespace = namespace.clone();
            aside(shared, async move { namespace.server_said(event) }).await;
        }
        kind::BROADCAST => return broadcast_with_ack(shared, namespace, request),
        other => return Err(format!("a request of type {other}")),
    }
    Ok(())
}

/// Has sockets join or leave rooms. True if whoever asked waits to hear of it, as for the one socket of an older kind of order.
fn change_rooms(namespace: &Namespace, value: &Value) -> bool {
    let options = value.get("opts");
    let (sockets, rooms) = match options {
        Some(options) => (meant(namespace, options), wire::names(&value["rooms"])),
        None => (one(namespace, value), wire::names(&json!([value["room"]]))),
    };
    for (socket, room) in sockets.iter().flat_map(|socket| rooms.iter().map(move |room| (socket, room))) {
        if value["type"] == kind::JOIN { socket.join(room) } else { socket.leave(room) }
    }
    options.is_none() && !sockets.is_empty()
}

/// Runs code of the user apart, so that a panic of it does not end the listening.
async fn aside(shared: &Shared, work: impl Future<Output = ()> + 'static) {
    if let Err(error) = shared.client.lp().spawn(work).await {
        shared.report(&format!("a handler failed: {error}"));
    }
}

fn meant(namespace: &Namespace, options: &Value) -> Vec<Socket> {
    let target = wire::target(options);
    namespace.rooms().borrow().select(&target.rooms, &target.except)
}

/// The socket that an order of an older kind names.
fn one(namespace: &Namespace, value: &Value) -> Vec<Socket> {
    value["sid"].as_str().and_then(|id| namespace.socket_by_id(id)).into_iter().collect()
}

/// Answers whoever asked: on its own channel, if it says which.
fn respond(shared: &Shared, request: &Value, response: &[u8]) {
    let mut channel = shared.channels.response.clone();
    if let Some(uid) = request["uid"].as_str() {
        channel += uid;
        channel += "#";
    }
    // Reported; who asked has a deadline.
    let _ = shared.publish(&channel, response);
}

fn server_event(shared: &Rc<Shared>, request: &Value) -> Result<ServerEvent, String> {
    let mut data = request["data"].as_array().cloned().unwrap_or_default().into_iter();
    let name = data.next().ok_or("an event between servers has no name")?;
    let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
    let ack: Option<ServerAck> = request["requestId"].as_str().map(|id| {
        let (shared, id, uid) = (Rc::clone(shared), id.to_owned(), json!({ "uid": request["uid"] }));
        Box::new(move |answer: Value| {
            let response = json!({ "type": kind::SERVER_SIDE_EMIT, "requestId": id, "data": answer });
            respond(&shared, &uid, response.to_string().as_bytes());
        }) as ServerAck
    });
    Ok(ServerEvent { name, args: Args::of(data.collect(), Vec::new()), ack: Cell::new(ack) })
}

/// Asks this server's clients, says how many they are, and passes on what they answer.
fn broadcast_with_ack(shared: &Rc<Shared>, namespace: &Namespace, request: Read) -> Result<(), String> {
    let id = request.value["requestId"].as_str().ok_or("a request has no id")?.to_owned();
    let uid = json!({ "uid": request.value["uid"] });
    let said = request.into_said("/packet", "/opts").ok_or("it is no event")?;
    let sockets = namespace.rooms().borrow().select(&said.target.rooms, &said.target.except);
    let count = json!({ "type": kind::CLIENT_COUNT, "requestId": id, "clientCount": sockets.len() });
    respond(shared, &uid, count.to_string().as_bytes());
    let flags = said.flags();
    let limit = said.timeout.unwrap_or(shared.options.requests_timeout).min(ACK_TIMEOUT_MAX);
    for socket in sockets {
        let answer = socket.ask(&said.event, said.args.clone(), flags, limit);
        let (shared, id, uid) = (Rc::clone(shared), id.clone(), uid.clone());
        let task = shared.client.lp().clone().spawn(async move {
            if let Ok(args) = answer.await {
                respond(&shared, &uid, &wire::ack(&id, &args));
            }
        });
        task.unref();
    }
    Ok(())
}

/// What another server may have this one wait for its clients.
const ACK_TIMEOUT_MAX: Duration = Duration::from_secs(3600);

fn answered(shared: &Shared, response: Read, len: usize) -> Result<(), String> {
    let id = response.value["requestId"].as_str().ok_or("a response has no id")?.to_owned();
    let value = &response.value;
    let items = |list: &Value| -> Vec<Args> {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().map(|item| Args::of(vec![item.clone()], Vec::new())).collect()
    };
    let answer = match value["type"].as_u64() {
        Some(kind::CLIENT_COUNT) => {
            Answer::Clients(usize::try_from(value["clientCount"].as_u64().unwrap_or(0)).unwrap_or(usize::MAX))
        }
        Some(kind::ACK) => Answer::Client(
            response.into_args(|mut value| value.get_mut("packet").map(Value::take).unwrap_or_default()),
        ),
        Some(kind::SERVER_SIDE_EMIT) => {
            Answer::Server(vec![Args::of(vec![value["data"].clone()], Vec::new())])
        }
        _ if value.get("sockets").is_some() => Answer::Server(items(&value["sockets"])),
        _ if value.get("rooms").is_some() => Answer::Server(items(&value["rooms"])),
        _ => return Ok(()), // that something was done, which nobody of ours waits for
    };
    shared.requests.answered(&id, answer, len);
    Ok(())
}

/// A socket, as other servers see it.
fn describe(socket: &Socket) -> Value {
    let handshake = socket.handshake();
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in handshake.headers.iter() {
        headers.insert(name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into());
    }
    let query = handshake.uri.query().unwrap_or_default();
    let query: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    json!({
        "id": socket.id(),
        "handshake": {
            "headers": headers,
            "address": handshake.peer_addr.map(|addr| addr.ip().to_string()),
            "url": handshake.uri.to_string(),
            "query": query,
            "auth": handshake.auth,
        },
        "rooms": socket.rooms(),
        "data": socket.all_data(),
    })
}
