//! Packets of Socket.IO v5: a type, attachments, a namespace, an id, and JSON.
//!
//! Binary values stand in the JSON as placeholders, `{"_placeholder":true,"num":0}`; the bytes follow the packet as messages
//! of their own. Source: `docs/socket.io-protocol/v5-current.md` of the Socket.IO project.

use std::fmt;

use serde_json::Value;

use super::json::without_half_pairs;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Connect,
    Disconnect,
    Event,
    Ack,
    ConnectError,
}

/// A packet whose attachments, if it has any, come next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Packet {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) id: Option<u64>,
    /// Of an event and an acknowledgement always an array.
    pub(crate) data: Option<Value>,
    /// How many binary messages belong to it.
    pub(crate) attachments: usize,
}

/// Why a text is not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    Kind,
    AttachmentCount,
    TooManyAttachments(usize),
    Id,
    Json,
    /// The data does not fit the type.
    Data,
    /// An event with a name that the library uses itself.
    ReservedEvent,
    /// A placeholder names an attachment that does not come.
    Placeholder,
    NamespaceTooLong(usize),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => f.write_str("unknown packet type"),
            Self::AttachmentCount => f.write_str("illegal count of attachments"),
            Self::TooManyAttachments(count) => write!(f, "{count} attachments are too many"),
            Self::Id => f.write_str("illegal id"),
            Self::Json => f.write_str("the data is no JSON, or nested too deeply"),
            Self::Data => f.write_str("the data does not fit the packet's type"),
            Self::ReservedEvent => f.write_str("the event's name is reserved"),
            Self::Placeholder => f.write_str("a placeholder names no attachment"),
            Self::NamespaceTooLong(len) => write!(f, "a namespace of {len} bytes is too long"),
        }
    }
}

impl std::error::Error for Invalid {}

/// Names that stand for something else at one of the ends. Source: `socket.io-parser`, `RESERVED_EVENTS`.
pub(crate) const RESERVED_EVENTS: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// A namespace may not be longer: it is looked up, and sent back.
const NAMESPACE_LEN_MAX: usize = 1024;

/// Reads the text of a packet. JSON may be nested 127 deep, which is serde_json's limit.
pub(crate) fn decode(text: &str, attachments_max: usize) -> Result<Packet, Invalid> {
    let (kind, is_binary) = match text.as_bytes().first() {
        Some(b'0') => (Kind::Connect, false),
        Some(b'1') => (Kind::Disconnect, false),
        Some(b'2') => (Kind::Event, false),
        Some(b'3') => (Kind::Ack, false),
        Some(b'4') => (Kind::ConnectError, false),
        Some(b'5') => (Kind::Event, true),
        Some(b'6') => (Kind::Ack, true),
        _ => return Err(Invalid::Kind),
    };
    let mut rest = &text[1..];
    let mut attachments = 0;
    if is_binary {
        let (count, after) = rest.split_once('-').ok_or(Invalid::AttachmentCount)?;
        attachments =
            number(count).and_then(|count| usize::try_from(count).ok()).ok_or(Invalid::AttachmentCount)?;
        if attachments > attachments_max {
            return Err(Invalid::TooManyAttachments(attachments));
        }
        rest = after;
    }
    let (namespace, rest) = take_namespace(rest);
    if namespace.len() > NAMESPACE_LEN_MAX {
        return Err(Invalid::NamespaceTooLong(namespace.len()));
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (id, json) = rest.split_at(digits);
    let id = if id.is_empty() { None } else { Some(number(id).ok_or(Invalid::Id)?) };
    let data = if json.is_empty() { None } else { Some(parse(json).ok_or(Invalid::Json)?) };
    let packet = Packet { kind, namespace: namespace.to_owned(), id, data, attachments };
    check(&packet)?;
    Ok(packet)
}

fn parse(json: &str) -> Option<Value> {
    let read = serde_json::from_str(json).ok();
    read.or_else(|| serde_json::from_slice(&without_half_pairs(json.as_bytes())?).ok())
}

/// The namespace, and what follows it; `/` where none is named.
fn take_namespace(text: &str) -> (&str, &str) {
    if !text.starts_with('/') {
        return ("/", text);
    }
    let (namespace, rest) = text.split_once(',').unwrap_or((text, ""));
    // Older clients put a query behind the name.
    (namespace.split('?').next().unwrap_or(namespace), rest)
}

/// A number as JavaScript writes one: digits, and exact in a double.
fn number(digits: &str) -> Option<u64> {
    const MAX: u64 = (1 << 53) - 1;
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| is_plain && *number <= MAX)
}

fn check(packet: &Packet) -> Result<(), Invalid> {
    match (packet.kind, &packet.data) {
        (Kind::Connect, None | Some(Value::Object(_))) | (Kind::Disconnect, None) => Ok(()),
        (Kind::ConnectError, Some(Value::Object(_) | Value::String(_))) => Ok(()),
        (Kind::Event, Some(Value::Array(values))) => match values.first() {
            Some(Value::String(name)) if RESERVED_EVENTS.contains(&name.as_str()) => {
                Err(Invalid::ReservedEvent)
            }
            Some(Value::String(_) | Value::Number(_)) => check_placeholders(values, packet.attachments),
            _ => Err(Invalid::Data),
        },
        (Kind::Ack, Some(Value::Array(values))) if packet.id.is_some() => {
            check_placeholders(values, packet.attachments)
        }
        _ => Err(Invalid::Data),
    }
}

/// Where there are attachments, each placeholder names one. Without any, such an object is just an object.
fn check_placeholders(values: &[Value], attachments: usize) -> Result<(), Invalid> {
    if attachments == 0 {
        return Ok(());
    }
    // serde_json's limit of depth bounds the recursion.
    values.iter().try_for_each(|value| match value {
        Value::Array(values) => check_placeholders(values, attachments),
        Value::Object(_) if is_placeholder(value) => {
            placeholder(value).filter(|number| *number < attachments).map(|_| ()).ok_or(Invalid::Placeholder)
        }
        Value::Object(fields) => {
            fields.values().try_for_each(|value| check_placeholders(std::slice::from_ref(value), attachments))
        }
        _ => Ok(()),
    })
}

fn is_placeholder(value: &Value) -> bool {
    value.get("_placeholder") == Some(&Value::Bool(true))
}

/// Which attachment a value stands for.
pub(crate) fn placeholder(value: &Value) -> Option<usize> {
    let number = value.get("num").filter(|_| is_placeholder(value))?;
    usize::try_from(number.as_u64()?).ok()
}

/// The value that stands for an attachment.
pub(crate) fn placeholder_for(number: usize) -> Value {
    serde_json::json!({ "_placeholder": true, "num": number })
}

/// Writes a packet, as an Engine.IO message: with its `4` in front.
pub(crate) fn encode(packet: &Packet) -> String {
    let digit = match (packet.kind, packet.attachments) {
        (Kind::Connect, _) => '0',
        (Kind::Disconnect, _) => '1',
        (Kind::Event, 0) => '2',
        (Kind::Ack, 0) => '3',
        (Kind::ConnectError, _) => '4',
        (Kind::Event, _) => '5',
        (Kind::Ack, _) => '6',
    };
    let mut out = String::with_capacity(64);
    out.extend(['4', digit]);
    if packet.attachments > 0 {
        out.push_str(&format!("{}-", packet.attachments));
    }
    if packet.namespace != "/" {
        out.push_str(&packet.namespace);
        out.push(',');
    }
    if let Some(id) = packet.id {
        out.push_str(&id.to_string());
    }
    if let Some(data) = &packet.data {
        out.push_str(&data.to_string());
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Packet, Invalid> {
        decode(text, 10)
    }

    #[test]
    fn each_part_is_read() {
        let packet =
            read(r#"52-/admin,456["pic",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#);
        let packet = packet.unwrap();
        assert_eq!((packet.kind, packet.id, packet.attachments), (Kind::Event, Some(456), 2));
        assert_eq!(packet.namespace, "/admin");
        assert_eq!(placeholder(&packet.data.unwrap()[1]), Some(1));
        assert_eq!(read("0").unwrap().namespace, "/");
        assert_eq!(read("0/random").unwrap().namespace, "/random");
        assert_eq!(read("0/a?token=1,").unwrap().namespace, "/a");
        assert_eq!(read(r#"0/a,{"token":"1"}"#).unwrap().data, Some(json!({"token": "1"})));
        assert_eq!(read("30[]").unwrap().id, Some(0));
    }

    #[test]
    fn what_does_not_fit_its_type_is_invalid() {
        let cases = [
            ("", Invalid::Kind),
            ("abc", Invalid::Kind),
            ("7", Invalid::Kind),
            ("2{}", Invalid::Data),
            ("2", Invalid::Data),
            ("2[]", Invalid::Data),
            ("2[{}]", Invalid::Data),
            (r#"2["disconnect"]"#, Invalid::ReservedEvent),
            (r#"2abc["m"]"#, Invalid::Json),
            ("3[]", Invalid::Data),
            ("0[]", Invalid::Data),
            ("1{}", Invalid::Data),
            (r#"299999999999999999999["m"]"#, Invalid::Id),
            (r#"5["m"]"#, Invalid::AttachmentCount),
            (r#"5-["m"]"#, Invalid::AttachmentCount),
            (r#"5+1-["m"]"#, Invalid::AttachmentCount),
            (r#"511-["m"]"#, Invalid::TooManyAttachments(11)),
            (r#"51-["m",{"_placeholder":true,"num":1}]"#, Invalid::Placeholder),
            (r#"51-["m",{"a":[{"_placeholder":true,"num":"0"}]}]"#, Invalid::Placeholder),
            (r#"51-["m",{"_placeholder":true,"num":-1}]"#, Invalid::Placeholder),
        ];
        for (text, why) in cases {
            assert_eq!(read(text), Err(why), "{text}");
        }
        assert_eq!(read(&format!("0/{}", "a".repeat(2000))), Err(Invalid::NamespaceTooLong(2001)));
    }

    #[test]
    fn deep_json_is_refused_and_costs_no_stack() {
        let deep = format!("2[\"m\",{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(&deep), Err(Invalid::Json));
    }

    #[test]
    fn without_attachments_a_placeholder_is_an_object() {
        assert!(read(r#"2["m",{"_placeholder":true,"num":7}]"#).is_ok());
    }

    /// A small generator, so that a failure can be repeated.
    struct Random(u64);

    impl Random {
        fn next(&mut self, below: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % below as u64) as usize
        }

        fn value(&mut self, depth: usize) -> Value {
            match self.next(if depth == 0 { 4 } else { 6 }) {
                0 => Value::Null,
                1 => json!(self.next(1000)),
                2 => json!(self.next(2) == 0),
                3 => json!("\u{e4}\u{1e}\"\\,-/["[..].repeat(self.next(3))),
                4 => (0..self.next(4)).map(|_| self.value(depth - 1)).collect(),
                _ => (0..self.next(4)).map(|key| (key.to_string(), self.value(depth - 1))).collect(),
            }
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut random = Random(0x5eed);
        for _ in 0..5000 {
            let attachments = random.next(4);
            let mut values = vec![json!("name")];
            values.extend((0..attachments).map(placeholder_for));
            values.extend((0..random.next(4)).map(|_| random.value(5)));
            let is_ack = random.next(2) == 0;
            let packet = Packet {
                kind: if is_ack { Kind::Ack } else { Kind::Event },
                namespace: ["/", "/a", "/a-b/1"][random.next(3)].to_owned(),
                id: (is_ack || random.next(2) == 0).then(|| random.next(1 << 40) as u64),
                data: Some(values.into()),
                attachments,
            };
            let text = encode(&packet);
            assert_eq!(read(&text[1..]).as_ref(), Ok(&packet), "{text}");
        }
    }

    #[test]
    fn spoiled_packets_never_panic() {
        let seeds = [
            r#"52-/admin,456["pic",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#,
            r#"0/a,{"token":"\u00e4"}"#,
            r#"36[1,"2",{"3":[false]}]"#,
            "\u{e9}\u{1f600}2[\"m\"]",
        ];
        let mut random = Random(0xbad);
        for round in 0..40_000 {
            let mut bytes = seeds[round % seeds.len()].as_bytes().to_vec();
            for _ in 0..=random.next(4) {
                let at = random.next(bytes.len());
                match random.next(3) {
                    0 => bytes[at] = random.next(256) as u8,
                    1 => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at, b"0123456789-/,[]{}\"?"[random.next(19)]),
                }
            }
            let text = String::from_utf8_lossy(&bytes);
            if let Ok(packet) = read(&text) {
                assert!(packet.attachments <= 10);
                assert_eq!(read(&encode(&packet)[1..]), Ok(packet), "{text:?}");
            }
        }
    }
}
