//! Node's own channel: a line of JSON for each message, and messages of Node's own among them.
//!
//! Source: Node, `lib/internal/child_process.js`, tried with Node 20.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::error::ReceiveError;
use super::message::{AttachmentKind, Message};
use super::protocol::{Decoded, Framing, Protocol};

impl Framing {
    /// Node's channel, as `child_process.fork` and `process.send` speak it with the serialization `json`: each message is a line
    /// of JSON. For children and parents that are Node programs.
    ///
    /// Messages whose field `cmd` begins with `NODE_` are [internal](crate::ipc::Channel::on_internal). Connections that a Node program
    /// sends are not counted among those of its server: its `getConnections` is told none, and its `close` does not wait
    /// for them.
    pub const NODE: Self = Self {
        name: "node",
        make: |len_max| Box::new(Lines::new(len_max)),
        fd_variable: "NODE_CHANNEL_FD",
        variables: &[("NODE_CHANNEL_SERIALIZATION_MODE", "json")],
    };
}

struct Lines {
    len_max: usize,
    /// The line that has begun.
    line: Vec<u8>,
    /// Bytes of a line that is too long, which were dropped.
    skipped: usize,
    /// That line has a descriptor attached.
    attached: bool,
}

/// How much of a bad line is shown.
const SHOWN: usize = 60;

const INTERNAL: &str = "NODE_";

impl Protocol for Lines {
    fn encode(&self, message: &Message, into: &mut Vec<u8>) -> Result<(), String> {
        if !message.is_json {
            check(&message.body)?;
        }
        if let Some(attachment) = &message.attachment {
            let kind = type_of(attachment.kind);
            into.extend(format!(r#"{{"cmd":"NODE_HANDLE","type":"{kind}","msg":"#).as_bytes());
        }
        let begin = into.len();
        into.extend_from_slice(&message.body);
        // Between the tokens of JSON a line feed is a space, and inside of them there is none.
        if memchr::memchr(b'\n', &into[begin..]).is_some() {
            into[begin..].iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        }
        into.extend_from_slice(if message.attachment.is_some() { b"}\n" } else { b"\n" });
        Ok(())
    }

    fn decode(&mut self, mut bytes: &[u8], into: &mut Vec<Decoded>) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.keep(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            into.push(match std::mem::take(&mut self.skipped) {
                0 => decode_line(line),
                len => {
                    let attachment = std::mem::take(&mut self.attached).then_some(AttachmentKind::Native);
                    Decoded::Skipped(ReceiveError::TooLong { len, limit: self.len_max }, attachment)
                }
            });
        }
        self.keep(bytes);
    }

    fn unfinished(&self) -> Option<usize> {
        Some(self.skipped.max(self.line.len())).filter(|len| *len > 0)
    }

    fn receipt(&self, arrived: bool) -> Option<&'static [u8]> {
        Some(match arrived {
            true => b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n",
            false => b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n",
        })
    }
}

impl Lines {
    fn new(len_max: usize) -> Self {
        Self { len_max, line: Vec::new(), skipped: 0, attached: false }
    }

    /// Adds to the line, or only counts once it is too long.
    fn keep(&mut self, bytes: &[u8]) {
        let len = self.line.len() + bytes.len();
        if self.skipped > 0 || len > self.len_max.saturating_add(WRAPPING) {
            if self.skipped == 0 {
                let start = self.line.iter().chain(bytes).take(HANDED_OVER.len());
                self.attached = start.eq(HANDED_OVER);
            }
            self.skipped += len;
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(bytes);
        }
    }
}

/// How a line begins that has a descriptor attached. Source: Node, `target._send` in `internal/child_process`.
const HANDED_OVER: &[u8] = br#"{"cmd":"NODE_HANDLE","#;

/// What a message with an attachment has around it, at most; its length does not count.
const WRAPPING: usize = 128;

/// Refuses what is no JSON.
fn check(body: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| error.to_string())?;
    Ok(())
}

/// What tells Node's own messages from others.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    cmd: Cow<'a, str>,
    #[serde(borrow, rename = "type", default)]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    msg: Option<&'a RawValue>,
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
}

fn decode_line(line: Vec<u8>) -> Decoded {
    // Looked for first, since nearly no message has it: one is parsed only to see that it is JSON.
    if memchr::memmem::find(&line, INTERNAL.as_bytes()).is_some()
        && let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(&line)
        && envelope.cmd.starts_with(INTERNAL)
        && let Some(decoded) = decode_internal(&envelope)
    {
        return decoded;
    }
    match check(&line) {
        Ok(()) => {
            let internal = is_internal(&line);
            Decoded::Message { body: line, internal, attachment: None }
        }
        Err(reason) => {
            let start = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]).into_owned();
            Decoded::Skipped(ReceiveError::Malformed { reason, start }, None)
        }
    }
}

/// Answers what Node asks of every peer. `None` for what is built on the channel, such as cluster.
fn decode_internal(envelope: &Envelope<'_>) -> Option<Decoded> {
    let key = envelope.key.map_or("null", RawValue::get);
    Some(match &*envelope.cmd {
        "NODE_HANDLE" => {
            let body = envelope.msg.map_or("null", RawValue::get).as_bytes().to_vec();
            let internal = is_internal(&body);
            Decoded::Message { body, internal, attachment: Some(kind_of(envelope.kind)) }
        }
        "NODE_HANDLE_ACK" => Decoded::Receipt { arrived: true },
        "NODE_HANDLE_NACK" => Decoded::Receipt { arrived: false },
        "NODE_SOCKET_GET_COUNT" => Decoded::Answer(
            format!("{{\"cmd\":\"NODE_SOCKET_COUNT\",\"key\":{key},\"count\":0}}\n").into_bytes(),
        ),
        "NODE_SOCKET_NOTIFY_CLOSE" => {
            Decoded::Answer(format!("{{\"cmd\":\"NODE_SOCKET_ALL_CLOSED\",\"key\":{key}}}\n").into_bytes())
        }
        _ => return None,
    })
}

fn is_internal(body: &[u8]) -> bool {
    memchr::memmem::find(body, INTERNAL.as_bytes()).is_some()
        && serde_json::from_slice::<Envelope<'_>>(body)
            .is_ok_and(|envelope| envelope.cmd.starts_with(INTERNAL))
}

fn type_of(kind: AttachmentKind) -> &'static str {
    match kind {
        AttachmentKind::Listener => "net.Server",
        AttachmentKind::Stream => "net.Socket",
        // A `dgram.Socket` would need its family said; a raw handle does not.
        AttachmentKind::Datagram => "dgram.Native",
        AttachmentKind::Native => "net.Native",
    }
}

fn kind_of(kind: Option<&RawValue>) -> AttachmentKind {
    match kind.map(RawValue::get) {
        Some("\"net.Server\"") => AttachmentKind::Listener,
        Some("\"net.Socket\"") => AttachmentKind::Stream,
        Some("\"dgram.Socket\"" | "\"dgram.Native\"") => AttachmentKind::Datagram,
        _ => AttachmentKind::Native,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&str]) -> Vec<String> {
        let (mut lines, mut found) = (Lines::new(40), Vec::new());
        pieces.iter().for_each(|piece| lines.decode(piece.as_bytes(), &mut found));
        let text = |decoded| match decoded {
            Decoded::Message { body, internal, attachment } => {
                format!("{} {internal} {attachment:?}", String::from_utf8(body).unwrap())
            }
            Decoded::Answer(bytes) => String::from_utf8(bytes).unwrap(),
            other => format!("{other:?}"),
        };
        found.into_iter().map(text).collect()
    }

    #[test]
    fn lines_are_messages_however_they_are_cut() {
        assert_eq!(
            decode(&["1\n\"tw", "o\"\n[", "]\n{"]),
            ["1 false None", "\"two\" false None", "[] false None"]
        );
    }

    #[test]
    fn what_node_says_to_itself_is_told_from_what_users_say() {
        let handle = decode(&[r#"{"cmd":"NODE_HANDLE","type":"net.Server","msg":{"a": 1}}"#, "\n"]);
        assert_eq!(handle, [r#"{"a": 1} false Some(Listener)"#]);
        let cluster = r#"{"cmd":"NODE_CLUSTER","act":"online"}"#;
        assert_eq!(decode(&[cluster, "\n"]), [format!("{cluster} true None")]);
        let wrapped = format!("{{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{cluster}}}\n");
        assert_eq!(decode(&[&wrapped]), [format!("{cluster} true Some(Native)")]);
        for plain in [r#""NODE_HANDLE_ACK""#, r#"{"cmd":7,"x":"NODE_"}"#, r#"{"x":{"cmd":"NODE_X"}}"#] {
            assert_eq!(decode(&[plain, "\n"]), [format!("{plain} false None")]);
        }
        assert_eq!(decode(&["{\"cmd\":\"NODE_HANDLE_NACK\"}\n"]), ["Receipt { arrived: false }"]);
        let closed = decode(&["{\"cmd\":\"NODE_SOCKET_NOTIFY_CLOSE\",\"key\":\"4:a:1\"}\n"]);
        assert_eq!(closed, ["{\"cmd\":\"NODE_SOCKET_ALL_CLOSED\",\"key\":\"4:a:1\"}\n"]);
    }

    #[test]
    fn bad_lines_are_skipped() {
        let found = decode(&["{\"a\":\n", &"x".repeat(200), "\n", "2\n"]);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("Skipped(Malformed"), "{found:?}");
        assert_eq!(found[1..], ["Skipped(TooLong { len: 200, limit: 40 }, None)", "2 false None"]);
    }

    #[test]
    fn a_line_that_is_too_long_tells_of_its_descriptor() {
        let line = [HANDED_OVER, br#""type":"net.Socket","msg":""#, &[b'x'; 400], b"\"}\n[]\n"].concat();
        for piece in [1, 10, line.len()] {
            let mut lines = Lines::new(40);
            let mut found = Vec::new();
            line.chunks(piece).for_each(|piece| lines.decode(piece, &mut found));
            assert!(matches!(found[0], Decoded::Skipped(ReceiveError::TooLong { .. }, Some(_))), "{found:?}");
            assert!(matches!(found[1], Decoded::Message { .. }), "{found:?}");
        }
    }

    #[test]
    fn only_json_is_sent_and_on_one_line() {
        let (lines, mut bytes) = (Lines::new(40), Vec::new());
        lines.encode(&Message::from("{\n\"a\": 1}"), &mut bytes).unwrap();
        assert_eq!(bytes, b"{ \"a\": 1}\n");
        let refused = lines.encode(&Message::from("{\"a\""), &mut bytes).unwrap_err();
        assert!(refused.contains("line 1 column 4"), "{refused}");
        assert!(lines.encode(&Message::new([b'"', 0xff, b'"']), &mut bytes).is_err(), "no UTF-8");
    }
}
