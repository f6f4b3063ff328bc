//! How a WebSocket ends.

use std::fmt;
use std::io;

/// Why a connection is closed, as a number. RFC 6455, section 7.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// All was said.
    pub const NORMAL: Self = Self(1000);
    /// The server shuts down, or the user left the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// A kind of message that is not taken.
    pub const UNSUPPORTED: Self = Self(1003);
    /// The peer gave no code. Never sent.
    pub const NONE: Self = Self(1005);
    /// The connection broke off. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// Text that is not UTF-8.
    pub const INVALID_TEXT: Self = Self(1007);
    /// Against the rules of the place.
    pub const POLICY: Self = Self(1008);
    /// A message that is too long.
    pub const TOO_BIG: Self = Self(1009);
    /// The server could not go on.
    pub const ERROR: Self = Self(1011);
    /// The server starts anew: come back.
    pub const RESTART: Self = Self(1012);
    /// The server is overloaded: come back later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// True for those that may stand in a frame: the registered ones, and 3000 to 4999 for libraries and programs.
    pub fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A code and a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code.
    pub code: CloseCode,
    /// The reason, for people. On the wire it is cut behind [`REASON_LEN_MAX`](Self::REASON_LEN_MAX) bytes.
    pub reason: Box<str>,
}

impl Close {
    /// How many bytes of a reason a frame holds.
    pub const REASON_LEN_MAX: usize = 123;

    /// A code and a reason.
    pub fn new(code: CloseCode, reason: &str) -> Self {
        Self { code, reason: reason.into() }
    }
}

impl From<CloseCode> for Close {
    fn from(code: CloseCode) -> Self {
        Self::new(code, "")
    }
}

/// How a connection ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Closed {
    /// The code of the peer, as in a browser: [`CloseCode::NONE`] if it gave none, [`CloseCode::ABNORMAL`] if it said no goodbye.
    /// If our side ended the connection for a fault, the code that the peer was told.
    pub code: CloseCode,
    /// The reason of that side.
    pub reason: Box<str>,
    /// Why there was no goodbye of both sides, if there was none.
    pub lost: Option<Lost>,
}

impl Closed {
    /// True if both sides said goodbye.
    pub fn is_clean(&self) -> bool {
        self.lost.is_none()
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "closed with {}", self.code)?;
        if !self.reason.is_empty() {
            write!(f, " {:?}", self.reason)?;
        }
        self.lost.as_ref().map_or(Ok(()), |lost| write!(f, ": {lost}"))
    }
}

/// Why a connection ended without a goodbye of both sides.
#[derive(Debug)]
#[non_exhaustive]
pub enum Lost {
    /// The peer broke the protocol: the rule.
    Protocol(&'static str),
    /// The peer sent text that is not UTF-8.
    InvalidText,
    /// The peer sent a frame or a message longer than this limit.
    TooBig(usize),
    /// The peer closed the connection without a word.
    NoGoodbye,
    /// The peer did not answer a ping in time.
    NoPong,
    /// The peer did not answer a goodbye in time.
    NoAnswer,
    /// The peer took nothing of what is there for it.
    WriteStall,
    /// More waited for the peer than it may, and the policy is to close.
    SlowPeer,
    /// The system says so.
    Io(io::Error),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(rule) => f.write_str(rule),
            Self::InvalidText => f.write_str("a text is not UTF-8"),
            Self::TooBig(limit) => write!(f, "a message is longer than {limit} bytes"),
            Self::NoGoodbye => f.write_str("the connection ended without a goodbye"),
            Self::NoPong => f.write_str("a ping was not answered in time"),
            Self::NoAnswer => f.write_str("a goodbye was not answered in time"),
            Self::WriteStall => f.write_str("the peer takes nothing"),
            Self::SlowPeer => f.write_str("the peer is too slow"),
            Self::Io(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for Lost {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}
