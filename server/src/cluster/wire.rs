//! What the primary and a worker of ours say to each other: a line of JSON, and behind it bytes of any kind.

use phaseloop::ipc::{Channel, Message, SendError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The variable by which a worker's process learns what it is.
pub(super) const VARIABLE: &str = "PHASELOOP_CLUSTER_WORKER";

/// Bytes of a channel's queue that the user's messages leave to the protocol: answers are given, and connections confirmed, also by one who
/// sends more than is taken.
pub(super) const OWN_ROOM: usize = 4 * 1024 * 1024;

/// Sends a value of the user.
pub(super) fn send_user(
    channel: &Channel,
    value: &(impl Serialize + ?Sized),
    limit: usize,
) -> Result<(), SendError> {
    let message = match Message::json(value) {
        Ok(message) => message,
        Err(error) => {
            return Err(SendError::NotJson { message: Message::new([]), reason: error.to_string() });
        }
    };
    let queued = channel.send_queue_len();
    if queued > 0 && queued.saturating_add(message.bytes().len()) > limit {
        return Err(SendError::Full { message, queued, limit, counts_messages: false });
    }
    channel.send(message)
}

/// What a worker is, from its first moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Seat {
    pub(super) id: u32,
    pub(super) slot: usize,
    pub(super) listeners: Vec<ListenerSeat>,
    /// How long it may take to end, if nobody says otherwise.
    pub(super) grace_ms: u64,
}

/// A listener that a worker may serve.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ListenerSeat {
    pub(super) name: String,
    pub(super) is_unix: bool,
    /// Connections are handed over one by one; else the listener itself is.
    pub(super) is_handed: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(super) enum ToWorker {
    /// The listener is attached.
    Listener { listener: usize },
    /// The connection is attached; the bytes behind are what was read of it.
    Connection { listener: usize, connection: u64 },
    /// Your loop is to answer.
    Ask,
    /// Finish what you do, within this time, and end.
    End { grace_ms: u64 },
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(super) enum ToPrimary {
    Online,
    /// This listener is served from now on.
    Listening {
        listener: usize,
    },
    /// All that is to be served is.
    Ready,
    Answer,
    Taken {
        connection: u64,
    },
    Refused {
        connection: u64,
    },
    Paused {
        paused: bool,
    },
    /// I end, though nobody told me to.
    Leaving,
    /// What became of the connections.
    Drained {
        finished: usize,
        cut: usize,
    },
}

/// A message of the protocol.
pub(super) fn encode(say: &impl Serialize, behind: &[u8]) -> Message {
    let mut bytes = serde_json::to_vec(say).unwrap_or_default(); // enums of numbers always have a JSON
    bytes.push(b'\n');
    bytes.extend_from_slice(behind);
    Message::new(bytes).internal()
}

/// Reads one, and gives what is behind it.
///
/// # Errors
/// What is wrong with it, with its start.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), String> {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, behind) = bytes.split_at(end);
    let said = serde_json::from_slice(line)
        .map_err(|error| format!("{error}: {:?}", String::from_utf8_lossy(&line[..line.len().min(60)])))?;
    Ok((said, behind.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood_with_what_is_behind_it() {
        let said = ToWorker::Connection { listener: 1, connection: u64::MAX };
        let message = encode(&said, b"GET /\n\xff");
        assert_eq!(decode(message.bytes()), Ok((said, b"GET /\n\xff".as_slice())));
        let message = encode(&ToPrimary::Online, b"");
        assert_eq!(decode(message.bytes()), Ok((ToPrimary::Online, b"".as_slice())));
    }

    #[test]
    fn what_is_not_understood_is_shown() {
        let error = decode::<ToPrimary>(br#"{"say":"sing"}"#).unwrap_err();
        assert!(error.contains("sing") && error.contains("unknown variant"), "{error}");
        assert!(decode::<ToPrimary>(b"").is_err());
    }
}
