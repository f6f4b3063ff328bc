//! Text that comes in pieces: a character may be cut, and a wrong byte is noticed at once.

/// The bytes of a character whose rest has not come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tail {
    bytes: [u8; 4],
    len: usize,
}

impl Tail {
    /// Takes the next piece. False if the text is not UTF-8, whatever follows.
    pub(super) fn take(&mut self, mut piece: &[u8]) -> bool {
        while self.len > 0 {
            let Some((first, rest)) = piece.split_first() else { return true };
            self.bytes[self.len] = *first;
            (self.len, piece) = (self.len + 1, rest);
            match std::str::from_utf8(&self.bytes[..self.len]) {
                Ok(_) => self.len = 0,
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        match std::str::from_utf8(piece) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => false,
            Err(error) => {
                let cut = &piece[error.valid_up_to()..];
                self.len = cut.len();
                self.bytes[..cut.len()].copy_from_slice(cut);
                true
            }
        }
    }

    /// True if no character is cut.
    pub(super) fn is_whole(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::Tail;

    #[test]
    fn characters_may_be_cut_anywhere() {
        let text = "aß€𝄞z".repeat(3);
        for size in 1..7 {
            let mut tail = Tail::default();
            assert!(text.as_bytes().chunks(size).all(|piece| tail.take(piece)), "{size}");
            assert!(tail.is_whole());
        }
    }

    #[test]
    fn a_wrong_byte_is_noticed_with_the_piece_it_comes_in() {
        for wrong in [&b"\xc0"[..], b"\xed\xa0", b"\xf4\x90", b"\xff", b"\xe2\x28"] {
            for size in [1, 2] {
                let mut tail = Tail::default();
                let taken: Vec<bool> = wrong.chunks(size).map(|piece| tail.take(piece)).collect();
                assert!(taken.contains(&false), "{wrong:?}");
            }
        }
    }
}
