//! Answers that are given without a handler, where hyper is not yet or no longer there to give them.

use std::time::SystemTime;

/// An answer of HTTP/1.1 that ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    status: &'static str,
    more: &'static str,
}

pub(crate) const REQUEST_TIMEOUT: Answer = Answer { status: "408 Request Timeout", more: "" };
pub(crate) const URI_TOO_LONG: Answer = Answer { status: "414 URI Too Long", more: "" };
/// The server has as many connections as it takes.
pub(crate) const UNAVAILABLE: Answer =
    Answer { status: "503 Service Unavailable", more: "retry-after: 1\r\n" };
pub(crate) const VERSION_NOT_SUPPORTED: Answer =
    Answer { status: "505 HTTP Version Not Supported", more: "" };

impl Answer {
    pub(crate) fn bytes(self) -> Vec<u8> {
        let Self { status, more } = self;
        let date = httpdate::fmt_http_date(SystemTime::now());
        let head = format!("HTTP/1.1 {status}\r\ndate: {date}\r\nconnection: close\r\ncontent-length: 0\r\n");
        [head.as_bytes(), more.as_bytes(), b"\r\n"].concat()
    }
}
