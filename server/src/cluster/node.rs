//! What Node's `cluster` module says between a primary and its workers, without any of it being done. Pure.
//!
//! Source: Node 20, `lib/internal/cluster/` (`primary.js`, `child.js`, `round_robin_handle.js`, `utils.js`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use phaseloop::ipc::Message;
use serde::Deserialize;
use serde_json::{Value, json};

/// What a worker says.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Online,
    /// It serves what it asked for.
    Listening {
        at: String,
    },
    /// It wants to listen.
    Query(Query),
    /// It does not listen there any more.
    Close {
        key: String,
    },
    /// It ends by its own decision, and waits for a word.
    Leaving {
        seq: u64,
    },
    /// Whether it takes a connection that it was sent.
    Reply {
        connection: u64,
        accepted: bool,
    },
    /// Something that needs no answer.
    Other,
}

/// Where a worker wants to listen.
#[derive(Debug, PartialEq)]
pub(super) struct Query {
    pub(super) seq: u64,
    /// By which both sides know the listener.
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) backlog: Option<i32>,
    /// What all workers of the listener share, such as the keys of TLS tickets.
    pub(super) data: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    Tcp(SocketAddr),
    /// Any address, of both families where there are two.
    AnyTcp {
        port: u16,
    },
    TcpOnlyV6(SocketAddr),
    Unix(String),
    /// What is not opened for workers, and why.
    Unsupported(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    cmd: String,
    #[serde(default)]
    act: Option<String>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default)]
    ack: Option<u64>,
    #[serde(default)]
    accepted: Option<bool>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    port: Option<i64>,
    #[serde(default)]
    address_type: Option<Value>,
    #[serde(default)]
    fd: Option<i64>,
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    flags: Option<u32>,
    /// A number, or `false`.
    #[serde(default)]
    backlog: Option<Value>,
    #[serde(default)]
    data: Value,
}

/// libuv's `UV_TCP_IPV6ONLY`.
const ONLY_V6: u32 = 1;

/// Reads what the worker of that number says.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(bytes: &[u8], worker: u32) -> Result<Said, String> {
    let raw: Raw = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if raw.cmd != "NODE_CLUSTER" {
        return Ok(Said::Other);
    }
    if let Some(connection) = raw.ack {
        return Ok(Said::Reply { connection, accepted: raw.accepted.unwrap_or(false) });
    }
    let seq = || raw.seq.ok_or_else(|| "a message that waits for an answer has no `seq`".to_owned());
    Ok(match raw.act.as_deref() {
        Some("online") => Said::Online,
        Some("listening") => Said::Listening { at: name_of(&raw) },
        Some("queryServer") => Said::Query(Query {
            seq: seq()?,
            key: key_of(&raw, worker),
            place: place_of(&raw)?,
            backlog: backlog_of(&raw),
            data: raw.data,
        }),
        Some("close") => Said::Close { key: raw.key.ok_or("`close` without a `key`")? },
        Some("exitedAfterDisconnect") => Said::Leaving { seq: seq()? },
        _ => Said::Other,
    })
}

/// As Node makes it, so that each worker's second listener of an address is another one, and port 0 is each worker's own.
fn key_of(raw: &Raw, worker: u32) -> String {
    let text = |value: &Option<Value>| value.as_ref().map_or("undefined".to_owned(), plain);
    let (port, fd) = (raw.port.unwrap_or(-1), raw.fd.unwrap_or(-1));
    let address = raw.address.as_deref().unwrap_or("null");
    let own = if port == 0 { format!(":{worker}") } else { String::new() };
    format!("{address}:{port}:{}:{fd}:{}{own}", text(&raw.address_type), raw.index.unwrap_or(0))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn backlog_of(raw: &Raw) -> Option<i32> {
    let backlog = i32::try_from(raw.backlog.as_ref()?.as_i64()?).ok()?;
    (backlog > 0).then_some(backlog)
}

fn name_of(raw: &Raw) -> String {
    match (&raw.address, raw.port) {
        (address, Some(port)) if port >= 0 => format!("{}:{port}", address.as_deref().unwrap_or("*")),
        (Some(path), _) => path.clone(),
        (None, _) => "?".to_owned(),
    }
}

fn place_of(raw: &Raw) -> Result<Place, String> {
    let kind = raw.address_type.as_ref().map(plain).unwrap_or_default();
    if kind.starts_with("udp") {
        return Ok(Place::Unsupported(format!("{kind} is not shared between workers")));
    }
    if raw.fd.is_some_and(|fd| fd >= 0) {
        return Ok(Place::Unsupported("a descriptor is not shared between workers".to_owned()));
    }
    let port = raw.port.unwrap_or(-1);
    if port < 0 {
        let path = raw.address.clone().ok_or("a Unix socket without a path")?;
        return Ok(Place::Unix(path));
    }
    let port = u16::try_from(port).map_err(|_| format!("port {port} is none"))?;
    let Some(address) = &raw.address else { return Ok(Place::AnyTcp { port }) };
    let ip: IpAddr = address.parse().map_err(|_| format!("{address:?} is no address"))?;
    Ok(match raw.flags.unwrap_or(0) & ONLY_V6 {
        0 => Place::Tcp((ip, port).into()),
        _ => Place::TcpOnlyV6((ip, port).into()),
    })
}

impl Place {
    /// The addresses to try, one after the other.
    pub(super) fn candidates(&self) -> Vec<SocketAddr> {
        match self {
            Self::Tcp(address) | Self::TcpOnlyV6(address) => vec![*address],
            Self::AnyTcp { port } => {
                vec![(Ipv6Addr::UNSPECIFIED, *port).into(), (Ipv4Addr::UNSPECIFIED, *port).into()]
            }
            Self::Unix(_) | Self::Unsupported(_) => Vec::new(),
        }
    }

    /// True if each worker that asks gets a port of its own.
    pub(super) fn is_own(&self) -> bool {
        self.candidates().first().is_some_and(|address| address.port() == 0)
    }
}

/// The answer to a query: the listener goes with it, or connections come one by one, by way of the key.
pub(super) fn answer(query: &Query, data: &Value, local: Option<SocketAddr>) -> Message {
    let mut answer = json!({
        "cmd": "NODE_CLUSTER", "errno": 0, "key": query.key, "ack": query.seq, "data": data,
    });
    if let Some(local) = local {
        let family = if local.is_ipv4() { "IPv4" } else { "IPv6" };
        answer["sockname"] =
            json!({"address": local.ip().to_string(), "family": family, "port": local.port()});
    }
    message(&answer)
}

/// The answer to a query that failed, with the system's number.
pub(super) fn failure(query: &Query, errno: i32) -> Message {
    let errno = -errno.abs();
    message(&json!({"cmd": "NODE_CLUSTER", "errno": errno, "key": query.key, "ack": query.seq, "data": null}))
}

/// The word that a worker waits for before it leaves.
pub(super) fn may_leave(seq: u64) -> Message {
    message(&json!({"cmd": "NODE_CLUSTER", "ack": seq}))
}

/// A connection for a worker, which is attached.
pub(super) fn connection(key: &str, connection: u64) -> Message {
    message(&json!({"cmd": "NODE_CLUSTER", "act": "newconn", "key": key, "seq": connection}))
}

/// Finish and end.
pub(super) fn end() -> Message {
    message(&json!({"cmd": "NODE_CLUSTER", "act": "disconnect"}))
}

fn message(value: &Value) -> Message {
    Message::json(value).unwrap_or_else(|_| Message::new("null")) // it is JSON already
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        match read(text.as_bytes(), 7) {
            Ok(Said::Query(query)) => query,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_of_nodes_asks_for_its_place() {
        let asked = query(
            r#"{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"127.0.0.1","port":8000,
            "addressType":4,"fd":-1,"flags":0,"backlog":false,"seq":1}"#,
        );
        assert_eq!(asked.key, "127.0.0.1:8000:4:-1:0");
        assert_eq!((asked.seq, asked.place), (1, Place::Tcp("127.0.0.1:8000".parse().unwrap())));
    }

    #[test]
    fn without_an_address_both_families_are_tried_and_port_0_is_each_workers_own() {
        let asked = query(
            r#"{"cmd":"NODE_CLUSTER","act":"queryServer","index":1,"address":null,"port":0,"addressType":4,"seq":3}"#,
        );
        assert_eq!(asked.key, "null:0:4:-1:1:7");
        assert!(asked.place.is_own());
        assert_eq!(asked.place.candidates(), ["[::]:0".parse().unwrap(), "0.0.0.0:0".parse().unwrap()]);
    }

    #[test]
    fn a_path_is_a_unix_socket_and_udp_is_not_done() {
        let path = r#"{"cmd":"NODE_CLUSTER","act":"queryServer","address":"x/y","port":-1,"addressType":-1,"seq":0}"#;
        assert_eq!(query(path).place, Place::Unix("x/y".to_owned()));
        let udp = r#"{"cmd":"NODE_CLUSTER","act":"queryServer","address":"127.0.0.1","port":9,"addressType":"udp4","seq":0}"#;
        assert!(matches!(query(udp).place, Place::Unsupported(_)));
    }

    #[test]
    fn replies_and_the_rest_are_told_apart() {
        let said = |text: &str| read(text.as_bytes(), 1);
        let reply = Said::Reply { connection: 9, accepted: true };
        assert_eq!(said(r#"{"cmd":"NODE_CLUSTER","ack":9,"accepted":true,"seq":4}"#), Ok(reply));
        assert_eq!(said(r#"{"cmd":"NODE_CLUSTER","act":"online","seq":0}"#), Ok(Said::Online));
        assert_eq!(said(r#"{"cmd":"NODE_DEBUG_ENABLED"}"#), Ok(Said::Other));
        let leaving = Said::Leaving { seq: 5 };
        assert_eq!(said(r#"{"cmd":"NODE_CLUSTER","act":"exitedAfterDisconnect","seq":5}"#), Ok(leaving));
        assert!(
            said(r#"{"cmd":"NODE_CLUSTER","act":"queryServer","port":70000,"address":"::","seq":1}"#)
                .is_err()
        );
        assert!(said("7").is_err());
    }

    #[test]
    fn what_failed_has_the_systems_number_below_zero() {
        let asked = query(
            r#"{"cmd":"NODE_CLUSTER","act":"queryServer","address":"::1","port":80,"addressType":6,"flags":1,"seq":2}"#,
        );
        assert_eq!(asked.place, Place::TcpOnlyV6("[::1]:80".parse().unwrap()));
        let failed: Value = failure(&asked, 98).parse().unwrap();
        assert_eq!((failed["errno"].as_i64(), failed["ack"].as_i64()), (Some(-98), Some(2)));
    }
}
