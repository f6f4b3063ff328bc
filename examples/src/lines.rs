//! Lines out of pieces: what a stream brings is cut where its peer ended its lines, and no line is endless.

use std::fmt;

/// Bytes of a line that has not ended.
#[derive(Debug)]
pub struct Lines {
    begun: Vec<u8>,
    len_max: usize,
}

/// A line is longer than was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The bytes that a line may have.
    pub len_max: usize,
}

impl Lines {
    /// For lines of up to `len_max` bytes.
    pub fn new(len_max: usize) -> Self {
        Self { begun: Vec::new(), len_max }
    }

    /// Takes a piece, and gives the lines that it ends, without their ends. What is no UTF-8 is replaced.
    ///
    /// # Errors
    /// [`TooLong`], and the piece is lost with the line it belongs to.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut parts = piece.split_inclusive(|byte| *byte == b'\n');
        let mut ended = Vec::new();
        parts.try_for_each(|part| {
            self.begun.extend_from_slice(part);
            if self.begun.len() > self.len_max {
                self.begun.clear();
                return Err(TooLong { len_max: self.len_max });
            }
            if part.ends_with(b"\n") {
                ended.extend(self.finish());
            }
            Ok(())
        })?;
        Ok(ended)
    }

    /// The line that did not end, if there is one, and begins anew.
    pub fn finish(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.begun);
        let text = String::from_utf8_lossy(&line);
        (!line.is_empty()).then(|| text.trim_end_matches(['\r', '\n']).to_owned())
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a line is longer than {} bytes", self.len_max)
    }
}

impl std::error::Error for TooLong {}

#[cfg(test)]
mod tests {
    use super::{Lines, TooLong};

    #[test]
    fn lines_are_put_together_from_pieces() {
        let mut lines = Lines::new(10);
        assert_eq!(lines.push(b"one\r\ntw").unwrap(), ["one"]);
        assert_eq!(lines.push(b"o\n\nthree").unwrap(), ["two", ""]);
        assert_eq!(lines.finish().as_deref(), Some("three"));
        assert_eq!(lines.finish(), None);
    }

    #[test]
    fn a_line_without_end_is_refused_and_the_next_is_taken() {
        let mut lines = Lines::new(4);
        assert_eq!(lines.push(b"endless"), Err(TooLong { len_max: 4 }));
        assert_eq!(lines.push(b"ok\n").unwrap(), ["ok"]);
    }
}
