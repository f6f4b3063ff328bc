//! Zstandard.

use std::io;
use std::sync::Arc;

use zstd::stream::raw::{CParameter, DParameter, InBuffer, Operation, OutBuffer};

use super::format::{Decode, Encode, Fault};
use super::{CompressError, Decoder, Encoder, Flush, Format, Step};

/// Zstandard (RFC 8878). Feature `zstd`, which builds the C library.
///
/// Level 3 and no checksum by default, as in Node. A decoder takes windows up to 128 MiB.
///
/// ```
/// use fs_pool::compress::{Format, Zstd};
///
/// assert!(Zstd::new().level(19).checksum(true).encoder().is_ok());
/// let error = Zstd::new().level(23).encoder().unwrap_err();
/// assert_eq!(error.to_string(), "zstd level is 23: it must be from -131072 to 22");
/// ```
#[derive(Clone, Debug)]
pub struct Zstd {
    level: i32,
    checksum: bool,
    window_bits_max: u32,
    dictionary: Option<Arc<[u8]>>,
}

impl Zstd {
    /// With the default settings.
    pub fn new() -> Self {
        Self { level: 3, checksum: false, window_bits_max: 27, dictionary: None }
    }

    /// From -131072, the fastest, to 22, the smallest; 3 by default.
    pub fn level(mut self, level: i32) -> Self {
        self.level = level;
        self
    }

    /// Has the encoder add a checksum of the content, which decoders then check.
    pub fn checksum(mut self, checksum: bool) -> Self {
        self.checksum = checksum;
        self
    }

    /// The decoder refuses windows above 2 to the power of this bytes: 10 to 30; 27 by default.
    pub fn window_bits_max(mut self, bits: u32) -> Self {
        self.window_bits_max = bits;
        self
    }

    /// A trained dictionary, or bytes like those to come; the other side needs the same.
    pub fn dictionary(mut self, dictionary: impl Into<Arc<[u8]>>) -> Self {
        self.dictionary = Some(dictionary.into());
        self
    }

    fn dictionary_bytes(&self) -> &[u8] {
        self.dictionary.as_deref().unwrap_or_default()
    }

    fn bad_dictionary(&self) -> CompressError {
        let (name, value) = ("zstd dictionary length", self.dictionary_bytes().len() as i64);
        CompressError::Parameter {
            name,
            value,
            rule: "must be that of a dictionary; this one can not be loaded",
        }
    }
}

impl Default for Zstd {
    fn default() -> Self {
        Self::new()
    }
}

impl Format for Zstd {
    fn encoder(&self) -> Result<Encoder, CompressError> {
        if !zstd::compression_level_range().contains(&self.level) {
            let value = i64::from(self.level);
            return Err(CompressError::Parameter {
                name: "zstd level",
                value,
                rule: "must be from -131072 to 22",
            });
        }
        let mut encoder = zstd::stream::raw::Encoder::with_dictionary(self.level, self.dictionary_bytes())
            .map_err(|_| self.bad_dictionary())?;
        encoder.set_parameter(CParameter::ChecksumFlag(self.checksum)).map_err(|_| CompressError::Broken)?;
        Ok(Encoder::new(Encoding(encoder)))
    }

    fn decoder(&self) -> Result<Decoder, CompressError> {
        if !(10..=30).contains(&self.window_bits_max) {
            let (name, value) = ("zstd window_bits_max", i64::from(self.window_bits_max));
            return Err(CompressError::Parameter { name, value, rule: "must be from 10 to 30" });
        }
        let mut decoder = zstd::stream::raw::Decoder::with_dictionary(self.dictionary_bytes())
            .map_err(|_| self.bad_dictionary())?;
        decoder
            .set_parameter(DParameter::WindowLogMax(self.window_bits_max))
            .map_err(|_| CompressError::Broken)?;
        Ok(Decoder::new(Decoding { decoder, is_between: false }))
    }

    fn is_quick(&self) -> bool {
        self.level <= QUICK_LEVEL_MAX
    }
}

/// Above it, the tables that each encoder clears take longer than the work of a small input.
const QUICK_LEVEL_MAX: i32 = 3;

struct Encoding(zstd::stream::raw::Encoder<'static>);

impl Encode for Encoding {
    fn step(&mut self, input: &[u8], output: &mut [u8], flush: Flush) -> Result<Step, CompressError> {
        let broken = |_: io::Error| CompressError::Broken;
        let mut from = InBuffer::around(input);
        let mut to = OutBuffer::around(output);
        if !input.is_empty() {
            self.0.run(&mut from, &mut to).map_err(broken)?;
        }
        let mut is_done = from.pos() == input.len();
        if is_done {
            let left = match flush {
                Flush::None => 0,
                Flush::Sync | Flush::Full => self.0.flush(&mut to).map_err(broken)?,
                Flush::Finish => self.0.finish(&mut to, true).map_err(broken)?,
            };
            is_done = left == 0;
        }
        Ok(Step { read: from.pos(), written: to.pos(), is_done })
    }
}

struct Decoding {
    decoder: zstd::stream::raw::Decoder<'static>,
    /// After a frame: another may follow.
    is_between: bool,
}

impl Decode for Decoding {
    fn format(&self) -> &'static str {
        "zstd"
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Fault> {
        if self.is_between && input.is_empty() {
            return Ok(Step { read: 0, written: 0, is_done: true });
        }
        let status = self.decoder.run_on_buffers(input, output);
        let status = status.map_err(|error| Fault::Corrupt { said: error.to_string(), read: 0 })?;
        self.is_between = status.remaining == 0;
        Ok(Step { read: status.bytes_read, written: status.bytes_written, is_done: self.is_between })
    }
}
