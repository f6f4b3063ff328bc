//! The messages of Node's `@socket.io/redis-adapter` 8. Pure.
//!
//! Events travel as msgpack, `[uid, {type, data, nsp}, {rooms, except, flags}]`, with bytes in place; requests and responses as JSON, or
//! as msgpack where they may carry bytes.

use std::time::Duration;

use bytes::Bytes;
use rmpv::Value as Pack;
use serde_json::{Map, Value, json};

use crate::proto::socketio::placeholder_for;
use crate::socketio::adapter::{Broadcast, Target};
use crate::socketio::args::Args;
use crate::socketio::flags::Flags;

/// Types of requests and responses.
pub(super) mod kind {
    pub(in super::super) const SOCKETS: u64 = 0;
    pub(in super::super) const ALL_ROOMS: u64 = 1;
    pub(in super::super) const JOIN: u64 = 2;
    pub(in super::super) const LEAVE: u64 = 3;
    pub(in super::super) const DISCONNECT: u64 = 4;
    pub(in super::super) const FETCH: u64 = 5;
    pub(in super::super) const SERVER_SIDE_EMIT: u64 = 6;
    pub(in super::super) const BROADCAST: u64 = 7;
    pub(in super::super) const CLIENT_COUNT: u64 = 8;
    pub(in super::super) const ACK: u64 = 9;
}

/// The type of an event's packet; with bytes it may be the other.
const EVENT: u64 = 2;
const BINARY_EVENT: u64 = 5;
/// As JSON's.
const DEPTH_MAX: usize = 127;

/// An event, as another server sends it.
#[derive(Debug, PartialEq)]
pub(super) struct Said {
    pub(super) event: String,
    pub(super) args: Args,
    pub(super) target: Target,
    pub(super) volatile: bool,
    pub(super) compress: bool,
    /// For acknowledgements.
    pub(super) timeout: Option<Duration>,
}

impl Said {
    /// How it is passed on to clients.
    pub(super) fn flags(&self) -> Flags {
        Flags { volatile: self.volatile, uncompressed: !self.compress, local: true }
    }
}

/// A message whose bytes stand apart.
#[derive(Debug, PartialEq)]
pub(super) struct Read {
    pub(super) value: Value,
    attachments: Vec<Bytes>,
}

/// Reads JSON or msgpack: JSON of an object begins with a brace, which no msgpack of ours does.
pub(super) fn read(bytes: &[u8]) -> Result<Read, String> {
    if bytes.first() == Some(&b'{') {
        let value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        return Ok(Read { value, attachments: Vec::new() });
    }
    let mut rest = bytes;
    let packed = rmpv::decode::read_value_with_max_depth(&mut rest, DEPTH_MAX);
    let packed = packed.map_err(|error| error.to_string())?;
    let mut attachments = Vec::new();
    let value = unpack(packed, &mut attachments);
    Ok(Read { value, attachments })
}

impl Read {
    /// One value of it, with the bytes that belong to it.
    pub(super) fn into_args(self, take: impl FnOnce(Value) -> Value) -> Args {
        Args::of(vec![take(self.value)], self.attachments)
    }

    /// The event that a packet and its options are.
    pub(super) fn into_said(self, packet: &str, options: &str) -> Option<Said> {
        let Self { mut value, attachments } = self;
        let options = value.pointer_mut(options)?.take();
        let packet = value.pointer_mut(packet)?;
        let Value::Array(mut data) = packet.get_mut("data")?.take() else { return None };
        if !matches!(packet["type"].as_u64()?, EVENT | BINARY_EVENT) || data.is_empty() {
            return None;
        }
        let event = match data.remove(0) {
            Value::String(name) => name,
            other => other.to_string(),
        };
        let flags = &options["flags"];
        Some(Said {
            event,
            args: Args::of(data, attachments),
            target: target(&options),
            volatile: flags["volatile"] == true,
            compress: flags["compress"] != false,
            timeout: flags["timeout"].as_u64().map(Duration::from_millis),
        })
    }
}

/// Whom options name.
pub(super) fn target(options: &Value) -> Target {
    Target { rooms: names(&options["rooms"]), except: names(&options["except"]) }
}

/// Rooms, which are numbers too in JavaScript.
pub(super) fn names(list: &Value) -> Vec<String> {
    let name = |value: &Value| match value {
        Value::String(name) => name.clone(),
        other => other.to_string(),
    };
    list.as_array().map(|list| list.iter().map(name).collect()).unwrap_or_default()
}

/// An event for servers that have sockets it is for.
pub(super) fn broadcast(uid: &str, namespace: &str, what: &Broadcast<'_>) -> Vec<u8> {
    write(&Pack::Array(vec![uid.into(), packet(namespace, what), options(what, None)]))
}

/// An event whose acknowledgements are asked for.
pub(super) fn broadcast_with_ack(
    uid: &str,
    id: &str,
    namespace: &str,
    what: &Broadcast<'_>,
    limit: Duration,
) -> Vec<u8> {
    write(&map([
        ("uid", uid.into()),
        ("requestId", id.into()),
        ("type", kind::BROADCAST.into()),
        ("packet", packet(namespace, what)),
        ("opts", options(what, Some(limit))),
    ]))
}

/// A client's acknowledgement: its first argument, as there.
pub(super) fn ack(id: &str, args: &Args) -> Vec<u8> {
    let first = args.values().first().unwrap_or(&Value::Null);
    write(&map([("type", kind::ACK.into()), ("requestId", id.into()), ("packet", pack(first, args))]))
}

/// What servers say to servers is JSON, and bytes in it are as Node's `Buffer` writes them.
pub(super) fn plain(args: &Args) -> Vec<Value> {
    args.values().iter().map(|value| plain_value(value, args)).collect()
}

fn plain_value(value: &Value, args: &Args) -> Value {
    if let Some(bytes) = args.bytes(value) {
        return json!({ "type": "Buffer", "data": bytes.as_ref() });
    }
    match value {
        Value::Array(values) => values.iter().map(|value| plain_value(value, args)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), plain_value(value, args))).collect()
        }
        other => other.clone(),
    }
}

fn packet(namespace: &str, what: &Broadcast<'_>) -> Pack {
    let event = Pack::from(what.event);
    let args = what.args.values().iter().map(|value| pack(value, what.args));
    let data = std::iter::once(event).chain(args).collect();
    map([("type", EVENT.into()), ("data", Pack::Array(data)), ("nsp", namespace.into())])
}

fn options(what: &Broadcast<'_>, limit: Option<Duration>) -> Pack {
    let list = |names: &[String]| Pack::Array(names.iter().map(|name| name.as_str().into()).collect());
    let mut flags = Vec::new();
    if what.volatile {
        flags.push(("volatile", true.into()));
    }
    if !what.compress {
        flags.push(("compress", false.into()));
    }
    if let Some(limit) = limit {
        flags.push(("timeout", (limit.as_millis() as u64).into()));
    }
    let flags = map(flags);
    map([("rooms", list(&what.target.rooms)), ("except", list(&what.target.except)), ("flags", flags)])
}

fn map(fields: impl IntoIterator<Item = (&'static str, Pack)>) -> Pack {
    Pack::Map(fields.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

fn write(value: &Pack) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A vector takes all that is written.
    rmpv::encode::write_value(&mut bytes, value).expect("a vector takes whatever is written");
    bytes
}

fn pack(value: &Value, args: &Args) -> Pack {
    if let Some(bytes) = args.bytes(value) {
        return Pack::Binary(bytes.to_vec());
    }
    match value {
        Value::Null => Pack::Nil,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => number.as_f64().unwrap_or_default().into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(values) => Pack::Array(values.iter().map(|value| pack(value, args)).collect()),
        Value::Object(fields) => {
            Pack::Map(fields.iter().map(|(key, value)| (key.as_str().into(), pack(value, args))).collect())
        }
    }
}

fn unpack(value: Pack, attachments: &mut Vec<Bytes>) -> Value {
    match value {
        Pack::Nil => Value::Null,
        Pack::Boolean(value) => value.into(),
        Pack::Integer(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into(),
            (None, number) => number.into(),
        },
        // What JSON has no word for is null, as in JavaScript.
        Pack::F32(number) => f64::from(number).into(),
        Pack::F64(number) => number.into(),
        Pack::String(text) => String::from_utf8_lossy(text.as_bytes()).into_owned().into(),
        Pack::Binary(bytes) => {
            attachments.push(bytes.into());
            placeholder_for(attachments.len() - 1)
        }
        Pack::Array(values) => values.into_iter().map(|value| unpack(value, attachments)).collect(),
        Pack::Map(fields) => {
            let field = |(key, value): (Pack, Pack)| {
                let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                (key, unpack(value, attachments))
            };
            Value::Object(fields.into_iter().map(field).collect::<Map<_, _>>())
        }
        Pack::Ext(TIMESTAMP, bytes) => timestamp(&bytes).map_or(Value::Null, Value::String),
        Pack::Ext(..) => Value::Null,
    }
}

/// The type of msgpack's dates.
const TIMESTAMP: i8 = -1;

/// A date as `JSON.stringify` writes it, which is how a client would get it. Source: msgpack's timestamp, 32, 64 and 96 bits.
fn timestamp(bytes: &[u8]) -> Option<String> {
    let (seconds, nanos) = match bytes.len() {
        4 => (i64::from(u32::from_be_bytes(bytes.try_into().ok()?)), 0),
        8 => {
            let both = u64::from_be_bytes(bytes.try_into().ok()?);
            ((both & 0x3_ffff_ffff) as i64, both >> 34)
        }
        12 => {
            let nanos = u32::from_be_bytes(bytes[..4].try_into().ok()?);
            (i64::from_be_bytes(bytes[4..].try_into().ok()?), u64::from(nanos))
        }
        _ => return None,
    };
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days)?;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", nanos / 1_000_000))
}

/// The date of a day that is counted from 1970, within what JavaScript has. Source: H. Hinnant, `civil_from_days`.
fn date(days: i64) -> Option<(i64, i64, i64)> {
    if days.abs() > 100_000_000 {
        return None;
    }
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Some((year, month, day_of_year - (153 * shifted + 2) / 5 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(args: &Args, target: &Target) -> Said {
        let what = Broadcast { target, event: "e", args, volatile: true, compress: false };
        read(&broadcast("me", "/n", &what)).unwrap().into_said("/1", "/2").unwrap()
    }

    #[test]
    fn an_event_comes_back_as_it_was() {
        let mut args = Args::new();
        let picture = args.attach(vec![1, 2, 3]);
        args.push(json!({ "deep": [picture, -1, 1.5, u64::MAX, null, true] }));
        args.push("\u{e4}");
        let target = Target { rooms: vec!["a".into(), "b".into()], except: vec!["c".into()] };
        let found = said(&args, &target);
        assert_eq!((found.event.as_str(), &found.args, &found.target), ("e", &args, &target));
        assert!(found.volatile && !found.compress);
        let nothing = said(&Args::new(), &Target::default());
        assert_eq!((nothing.args, nothing.target), (Args::new(), Target::default()));
    }

    #[test]
    fn what_node_writes_is_read() {
        // notepack.io: ["abc", {type: 2, data: ["e", 1, Buffer [7], 1.5], nsp: "/"}, {rooms: ["r", 1], except: [], flags: {}}]
        let bytes = b"\x93\xa3abc\x83\xa4type\x02\xa4data\x94\xa1e\x01\xc4\x01\x07\xcb\x3f\xf8\0\0\0\0\0\0\xa3nsp\xa1/\
            \x83\xa5rooms\x92\xa1r\x01\xa6except\x90\xa5flags\x80";
        let message = read(bytes).unwrap();
        assert_eq!((&message.value[0], &message.value[1]["nsp"]), (&json!("abc"), &json!("/")));
        let found = message.into_said("/1", "/2").unwrap();
        assert_eq!(found.target.rooms, ["r", "1"]);
        assert_eq!(found.args.values().len(), 3);
        assert_eq!(found.args.bytes(&found.args.values()[1]).unwrap().as_ref(), [7]);
        assert!(found.compress && !found.volatile);
    }

    #[test]
    fn dates_are_as_clients_would_get_them() {
        assert_eq!(timestamp(&0_u32.to_be_bytes()).unwrap(), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(&1_709_251_199_u32.to_be_bytes()).unwrap(), "2024-02-29T23:59:59.000Z");
        let both = (123_000_000_u64 << 34) | 951_868_800;
        assert_eq!(timestamp(&both.to_be_bytes()).unwrap(), "2000-03-01T00:00:00.123Z");
        let old = [0_u32.to_be_bytes().as_slice(), (-1_i64).to_be_bytes().as_slice()].concat();
        assert_eq!(timestamp(&old).unwrap(), "1969-12-31T23:59:59.000Z");
        let absurd = [0_u32.to_be_bytes().as_slice(), i64::MIN.to_be_bytes().as_slice()].concat();
        assert_eq!(timestamp(&absurd), None);
    }

    #[test]
    fn what_is_no_message_is_refused_without_a_panic() {
        let deep = vec![0x91; 100_000];
        for bytes in
            [&b""[..], b"{", b"{\"a\":", b"\x93", b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", &deep]
        {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
        for bytes in
            [&b"\x90"[..], b"\x01", b"{}", b"\x93\xa1a\x80\x80", b"\x93\xa1a\x82\xa4type\x02\xa4data\x90\x80"]
        {
            assert_eq!(read(bytes).unwrap().into_said("/1", "/2"), None, "{bytes:?}");
        }
        let mut random = 0xbad_u64;
        let args = Args::of(vec![json!({ "a": [1, "b"] })], Vec::new());
        let target = Target::default();
        let what = Broadcast { target: &target, event: "e", args: &args, volatile: false, compress: true };
        let seed = broadcast("me", "/", &what);
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let mut bytes = seed.clone();
            let at = random as usize % bytes.len();
            bytes[at] = (random >> 32) as u8;
            if let Ok(message) = read(&bytes) {
                message.into_said("/1", "/2");
            }
        }
    }
}
