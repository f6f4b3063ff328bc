//! Rooms that servers share through Redis, in the language of Node's `@socket.io/redis-adapter` 8.

mod listen;
mod requests;
mod wire;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use phaseloop::JoinHandle;
use serde_json::{Value, json};

use super::ack::AckError;
use super::adapter::{Adapter, Asking, Broadcast, Partial, Target};
use super::args::Args;
use super::namespace::Namespace;
use super::operator::RemoteSocket;
use crate::engineio::random_id;
use crate::redis::{Client, cmd, driver};
use requests::{Bounds, Gathered, Requests};
use wire::kind;

type OnError = Rc<dyn Fn(&str)>;

/// How servers find one another, and what that may cost.
#[derive(Clone)]
#[non_exhaustive]
pub struct RedisAdapterOptions {
    /// What the names of channels begin with; `socket.io`, as Node's. Servers with another one share nothing.
    pub prefix: String,
    /// How long other servers may take to answer; 5 s, as Node's.
    pub requests_timeout: Duration,
    /// Requests that may be under way in a namespace; 1,000.
    pub requests_max: usize,
    /// What one request may gather, in sockets, rooms or answers, and how many clients of others it may wait for; 100,000.
    pub items_max: usize,
    /// Bytes of answers that the requests under way in a namespace may gather together, as they come from Redis; 64 MiB. A request
    /// that would pass it ends with what it has.
    pub answers_len_max: usize,
    /// Bytes of a message from another server; 4 MiB. A longer one is dropped.
    pub message_len_max: usize,
    /// What is told of messages that were not sent or not understood; nothing is.
    pub on_error: Option<OnError>,
}

impl Default for RedisAdapterOptions {
    fn default() -> Self {
        Self {
            prefix: "socket.io".to_owned(),
            requests_timeout: Duration::from_secs(5),
            requests_max: 1000,
            items_max: 100_000,
            answers_len_max: 64 << 20,
            message_len_max: 4 << 20,
            on_error: None,
        }
    }
}

impl fmt::Debug for RedisAdapterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RedisAdapterOptions");
        out.field("prefix", &self.prefix)
            .field("requests_timeout", &self.requests_timeout)
            .finish_non_exhaustive()
    }
}

/// Shares a namespace with other servers through Redis: ours and Node's with `@socket.io/redis-adapter` 8. Behind the feature
/// `socketio-redis`.
///
/// What goes through Redis: events to rooms, with bytes and with acknowledgements; rooms that are joined and left from elsewhere;
/// disconnections; who is there; and events between servers. A server that can not reach Redis serves its own sockets, and the
/// others again once it can; what was said meanwhile is lost, as with Node.
///
/// Servers are counted by their connections: two in one process need a [`Client`] each.
///
/// # Examples
/// ```no_run
/// use phaseloop::EventLoop;
/// use phaseloop_server::redis::{Client, Options};
/// use phaseloop_server::socketio::{Io, RedisAdapter, RedisAdapterOptions};
///
/// let lp = EventLoop::new()?;
/// let redis = Client::new(&lp, Options::url("redis://127.0.0.1/")?);
/// let io = Io::new();
/// io.set_adapters(move |namespace| RedisAdapter::new(&redis, namespace, RedisAdapterOptions::default()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RedisAdapter {
    shared: Rc<Shared>,
    task: Option<JoinHandle<()>>,
}

/// What the adapter shares with the task that listens.
struct Shared {
    client: Client,
    options: RedisAdapterOptions,
    /// Who this server is, to others.
    uid: String,
    name: String,
    channels: Channels,
    namespace: Box<dyn Fn() -> Option<Namespace>>,
    requests: Requests,
    is_listening: Cell<bool>,
}

struct Channels {
    broadcast: String,
    request: String,
    response: String,
}

impl RedisAdapter {
    /// An adapter for a namespace, which takes it by [`Namespace::set_adapter`] or [`Io::set_adapters`](super::Io::set_adapters).
    pub fn new(client: &Client, namespace: &Namespace, options: RedisAdapterOptions) -> Self {
        let (prefix, name) = (&options.prefix, namespace.name());
        let channels = Channels {
            broadcast: format!("{prefix}#{name}#"),
            request: format!("{prefix}-request#{name}#"),
            response: format!("{prefix}-response#{name}#"),
        };
        let shared = Rc::new(Shared {
            client: client.clone(),
            uid: random_id(),
            name: name.to_owned(),
            channels,
            namespace: Box::new(namespace.downgrade()),
            requests: Requests::new(Bounds {
                requests_max: options.requests_max,
                items_max: options.items_max,
                answers_len_max: options.answers_len_max,
            }),
            is_listening: Cell::new(false),
            options,
        });
        let task = listen::start(&shared);
        Self { shared, task }
    }
}

impl Drop for RedisAdapter {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Shared {
    fn publish(&self, channel: &str, message: impl AsRef<[u8]>) -> Result<(), String> {
        let mut command = cmd("PUBLISH");
        command.arg(channel).arg(message.as_ref());
        let told = self.client.tell(&command);
        told.map_err(|error| {
            let why = error.to_string();
            self.report(&why);
            why
        })
    }

    fn report(&self, why: &str) {
        if let Some(on_error) = &self.options.on_error {
            on_error(why);
        }
    }

    /// Asks all servers for something they do.
    fn order(&self, kind: u64, target: &Target, fields: Value) {
        let mut request = json!({
            "uid": self.uid,
            "type": kind,
            "opts": { "rooms": target.rooms, "except": target.except },
        });
        if let (Value::Object(request), Value::Object(fields)) = (&mut request, fields) {
            request.extend(fields);
        }
        // Reported; the caller asks for no answer.
        let _ = self.publish(&self.channels.request, request.to_string());
    }

    /// Asks all servers for something they answer, and gathers that.
    fn ask(
        self: &Rc<Self>,
        id: String,
        request: Vec<u8>,
        waits_for_clients: bool,
        limit: Duration,
    ) -> impl Future<Output = Gathered> + use<> {
        // Sent now, behind all that was said before.
        let begun = self.requests.begin(&id, waits_for_clients);
        let begun = begun.and_then(|done| self.publish(&self.channels.request, request).map(|()| done));
        let begun_at = self.client.lp().now();
        let ending = Ending { shared: Rc::clone(self), id };
        async move {
            let shared = &ending.shared;
            let gathering = async {
                let done = begun?;
                shared.requests.expect(&ending.id, shared.others().await?);
                done.await.map_err(|_| "the request was given up".to_owned())
            };
            let lp = shared.client.lp();
            let left = limit.saturating_sub(lp.now().saturating_duration_since(begun_at));
            let outcome = lp.timeout(left, gathering).await;
            let mut gathered = shared.requests.end(&ending.id);
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(why)) => gathered.why = Some(why),
                Err(_) => gathered.why = Some(late(&gathered, limit)),
            }
            gathered
        }
    }

    /// How many other servers listen.
    async fn others(&self) -> Result<usize, String> {
        let mut command = cmd("PUBSUB");
        command.arg("NUMSUB").arg(&self.channels.request);
        let answer: driver::Value = self.client.query(&command).await.map_err(|error| error.to_string())?;
        let count = match &answer {
            driver::Value::Array(items) => items.get(1),
            driver::Value::Map(fields) => fields.first().map(|(_, count)| count),
            _ => None,
        };
        let Some(driver::Value::Int(count)) = count else {
            return Err(format!("{answer:?} to PUBSUB NUMSUB"));
        };
        Ok(usize::try_from(*count).unwrap_or_default().saturating_sub(usize::from(self.is_listening.get())))
    }
}

fn late(gathered: &Gathered, limit: Duration) -> String {
    let (answered, clients, items) = (gathered.answered, gathered.clients, gathered.items.len());
    match gathered.servers {
        None => format!("redis did not say within {limit:?} how many servers there are"),
        Some(servers) if answered < servers => {
            format!("{answered} of {servers} other servers answered within {limit:?}")
        }
        Some(_) => format!("{items} of {clients} clients of other servers answered within {limit:?}"),
    }
}

/// A request that ends with its future.
struct Ending {
    shared: Rc<Shared>,
    id: String,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.shared.requests.end(&self.id);
    }
}

/// What was asked, as items of a type.
fn answers<T: 'static>(
    gathering: impl Future<Output = Gathered> + 'static,
    read: impl Fn(&Value) -> Option<T> + 'static,
) -> Asking<T> {
    Box::pin(async move {
        let Gathered { items, why, .. } = gathering.await;
        let found = items.iter().filter_map(|item| read(item.values().first()?)).collect();
        match why {
            None => Ok(found),
            Some(why) => Err(Partial::new(found, why)),
        }
    })
}

impl Adapter for RedisAdapter {
    fn broadcast(&self, what: &Broadcast<'_>) {
        let shared = &self.shared;
        let mut channel = shared.channels.broadcast.clone();
        if let [room] = what.target.rooms.as_slice() {
            channel += room;
            channel += "#";
        }
        // Reported; nobody waits for it.
        let _ = shared.publish(&channel, wire::broadcast(&shared.uid, &shared.name, what));
    }

    fn broadcast_with_ack(&self, what: &Broadcast<'_>, limit: Duration) -> Asking<Result<Args, AckError>> {
        let (shared, id) = (&self.shared, random_id());
        let request = wire::broadcast_with_ack(&shared.uid, &id, &shared.name, what, limit);
        let gathering = shared.ask(id, request, true, limit);
        let items_max = shared.options.items_max;
        Box::pin(async move {
            let gathered = gathering.await;
            let missing = gathered.clients.saturating_sub(gathered.items.len());
            let silent = gathered.servers.map_or(1, |servers| servers.saturating_sub(gathered.answered));
            let mut found: Vec<_> = gathered.items.into_iter().map(Ok).collect();
            found.extend((0..missing).map(|_| Err(AckError::TimedOut)));
            found.extend((0..silent.min(items_max)).map(|_| Err(AckError::ServerMissing)));
            match gathered.why {
                None => Ok(found),
                Some(why) => Err(Partial::new(found, why)),
            }
        })
    }

    fn join(&self, target: &Target, rooms: &[String]) {
        self.shared.order(kind::JOIN, target, json!({ "rooms": rooms }));
    }

    fn leave(&self, target: &Target, rooms: &[String]) {
        self.shared.order(kind::LEAVE, target, json!({ "rooms": rooms }));
    }

    fn disconnect(&self, target: &Target, close: bool) {
        self.shared.order(kind::DISCONNECT, target, json!({ "close": close }));
    }

    fn fetch(&self, target: &Target) -> Asking<RemoteSocket> {
        let (shared, id) = (&self.shared, random_id());
        let request = json!({
            "uid": shared.uid,
            "requestId": id,
            "type": kind::FETCH,
            "opts": { "rooms": target.rooms, "except": target.except },
        });
        answers(
            shared.ask(id, request.to_string().into(), false, shared.options.requests_timeout),
            remote_socket,
        )
    }

    fn rooms(&self) -> Asking<String> {
        let (shared, id) = (&self.shared, random_id());
        let request = json!({ "uid": shared.uid, "requestId": id, "type": kind::ALL_ROOMS });
        let name = |name: &Value| Some(name.as_str().map_or_else(|| name.to_string(), str::to_owned));
        answers(shared.ask(id, request.to_string().into(), false, shared.options.requests_timeout), name)
    }

    fn server_side_emit(&self, event: &str, args: &Args) {
        let shared = &self.shared;
        let request = json!({ "uid": shared.uid, "type": kind::SERVER_SIDE_EMIT, "data": said(event, args) });
        // Reported; nobody waits for it.
        let _ = shared.publish(&shared.channels.request, request.to_string());
    }

    fn server_side_emit_with_ack(&self, event: &str, args: &Args) -> Asking<Value> {
        let (shared, id) = (&self.shared, random_id());
        let request = json!({
            "uid": shared.uid,
            "requestId": id,
            "type": kind::SERVER_SIDE_EMIT,
            "data": said(event, args),
        });
        let limit = shared.options.requests_timeout;
        answers(shared.ask(id, request.to_string().into(), false, limit), |answer| Some(answer.clone()))
    }

    fn server_count(&self) -> Pin<Box<dyn Future<Output = Result<usize, String>>>> {
        let shared = Rc::clone(&self.shared);
        Box::pin(async move { shared.others().await.map(|others| others + 1) })
    }
}

fn said(event: &str, args: &Args) -> Vec<Value> {
    std::iter::once(event.into()).chain(wire::plain(args)).collect()
}

/// A socket of another server.
fn remote_socket(socket: &Value) -> Option<RemoteSocket> {
    Some(RemoteSocket {
        id: socket["id"].as_str()?.to_owned(),
        rooms: wire::names(&socket["rooms"]),
        data: socket["data"].as_object().cloned().unwrap_or_default(),
        auth: Rc::new(socket["handshake"]["auth"].clone()),
    })
}

impl fmt::Debug for RedisAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RedisAdapter");
        out.field("namespace", &self.shared.name).field("client", &self.shared.client).finish_non_exhaustive()
    }
}
