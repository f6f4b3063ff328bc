//! gzip, zlib and raw deflate.

use std::sync::Arc;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::format::{Decode, Encode, Fault};
use super::{CompressError, Decoder, Encoder, Flush, Format, Step};

/// Deflate in one of its three wrappings: gzip (RFC 1952), zlib (RFC 1950) or none (RFC 1951).
///
/// Level 6 and a window of 32 KiB, as in Node. A decoder reads what any level and window made.
///
/// ```
/// use fs_pool::compress::{Deflate, Format};
///
/// assert!(Deflate::zlib().level(9).encoder().is_ok());
/// let error = Deflate::zlib().level(10).encoder().unwrap_err();
/// assert_eq!(error.to_string(), "zlib level is 10: it must be from 0 to 9");
/// ```
#[derive(Clone, Debug)]
pub struct Deflate {
    wrapping: Wrapping,
    level: u32,
    window_bits: u8,
    dictionary: Option<Arc<[u8]>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrapping {
    Gzip,
    Zlib,
    Raw,
}

impl Deflate {
    /// gzip, with a checksum. Several members after each other are decoded as one; after a member zero bytes, and what
    /// follows them, are ignored. Source: Node, `zlib.createGunzip`.
    pub fn gzip() -> Self {
        Self::new(Wrapping::Gzip)
    }

    /// zlib, with a short checksum. HTTP calls it `deflate`.
    pub fn zlib() -> Self {
        Self::new(Wrapping::Zlib)
    }

    /// Deflate alone, without a checksum.
    pub fn raw() -> Self {
        Self::new(Wrapping::Raw)
    }

    fn new(wrapping: Wrapping) -> Self {
        Self { wrapping, level: 6, window_bits: 15, dictionary: None }
    }

    /// From 0, which only stores, to 9, the smallest; 6 by default.
    pub fn level(mut self, level: u32) -> Self {
        self.level = level;
        self
    }

    /// The encoder's window is of 2 to the power of this bytes: 9 to 15, which is the default.
    pub fn window_bits(mut self, bits: u8) -> Self {
        self.window_bits = bits;
        self
    }

    /// Bytes like those to come, the likeliest last; the other side needs the same. Not with gzip.
    pub fn dictionary(mut self, dictionary: impl Into<Arc<[u8]>>) -> Self {
        self.dictionary = Some(dictionary.into());
        self
    }

    /// The names of the format, its level, its window and its dictionary, for errors.
    fn names(&self) -> [&'static str; 4] {
        match self.wrapping {
            Wrapping::Gzip => ["gzip", "gzip level", "gzip window_bits", "gzip dictionary length"],
            Wrapping::Zlib => ["zlib", "zlib level", "zlib window_bits", "zlib dictionary length"],
            Wrapping::Raw => ["deflate", "deflate level", "deflate window_bits", "deflate dictionary length"],
        }
    }

    fn check_dictionary(&self) -> Result<(), CompressError> {
        let Some(dictionary) = &self.dictionary else { return Ok(()) };
        let [_, _, _, name] = self.names();
        let value = dictionary.len() as i64;
        if self.wrapping == Wrapping::Gzip {
            return Err(CompressError::Parameter { name, value, rule: "must be absent: gzip has none" });
        }
        // Only the last 32 KiB are of use; the library counts in 32 bits.
        if dictionary.len() > DICTIONARY_LEN_MAX {
            return Err(CompressError::Parameter { name, value, rule: "must be at most 16777216" });
        }
        Ok(())
    }
}

/// Far above what is of use.
const DICTIONARY_LEN_MAX: usize = 1 << 24;

impl Format for Deflate {
    fn encoder(&self) -> Result<Encoder, CompressError> {
        let [_, level, window_bits, _] = self.names();
        if self.level > 9 {
            let value = i64::from(self.level);
            return Err(CompressError::Parameter { name: level, value, rule: "must be from 0 to 9" });
        }
        if !(9..=15).contains(&self.window_bits) {
            let value = i64::from(self.window_bits);
            return Err(CompressError::Parameter { name: window_bits, value, rule: "must be from 9 to 15" });
        }
        self.check_dictionary()?;
        let level = Compression::new(self.level);
        let mut stream = match self.wrapping {
            Wrapping::Gzip => Compress::new_gzip(level, self.window_bits),
            wrapping => Compress::new_with_window_bits(level, wrapping == Wrapping::Zlib, self.window_bits),
        };
        if let Some(dictionary) = &self.dictionary {
            stream.set_dictionary(dictionary).expect("nothing was compressed yet");
        }
        Ok(Encoder::new(Deflater(stream)))
    }

    fn decoder(&self) -> Result<Decoder, CompressError> {
        self.check_dictionary()?;
        let dictionary = self.dictionary.clone();
        let stream = new_stream(self.wrapping, dictionary.as_deref());
        let [format, ..] = self.names();
        Ok(Decoder::new(Inflater {
            stream,
            wrapping: self.wrapping,
            format,
            dictionary,
            place: Place::Inside,
        }))
    }

    fn is_quick(&self) -> bool {
        true
    }
}

fn new_stream(wrapping: Wrapping, dictionary: Option<&[u8]>) -> Decompress {
    match (wrapping, dictionary) {
        (Wrapping::Gzip, _) => Decompress::new_gzip(15),
        (Wrapping::Zlib, _) => Decompress::new(true), // asks for its dictionary
        (Wrapping::Raw, None) => Decompress::new(false),
        (Wrapping::Raw, Some(dictionary)) => {
            let mut stream = Decompress::new(false);
            stream.set_dictionary(dictionary).expect("a raw stream takes any, at its beginning");
            stream
        }
    }
}

struct Deflater(Compress);

impl Encode for Deflater {
    fn step(&mut self, input: &[u8], output: &mut [u8], flush: Flush) -> Result<Step, CompressError> {
        let how = match flush {
            Flush::None => FlushCompress::None,
            Flush::Sync => FlushCompress::Sync,
            Flush::Full => FlushCompress::Full,
            Flush::Finish => FlushCompress::Finish,
        };
        let before = (self.0.total_in(), self.0.total_out());
        let status = self.0.compress(input, output, how).map_err(|_| CompressError::Broken)?;
        let read = (self.0.total_in() - before.0) as usize;
        let written = (self.0.total_out() - before.1) as usize;
        let is_done = match flush {
            Flush::None => read == input.len(),
            // A flush that ends exactly with the output is asked for again, and then writes nothing.
            Flush::Sync | Flush::Full => read == input.len() && written < output.len(),
            Flush::Finish => status == Status::StreamEnd,
        };
        Ok(Step { read, written, is_done })
    }
}

struct Inflater {
    stream: Decompress,
    wrapping: Wrapping,
    format: &'static str,
    dictionary: Option<Arc<[u8]>>,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Inside,
    /// After a gzip member: another may follow.
    Between,
    /// What follows does not belong to it.
    Over,
}

impl Inflater {
    fn corrupt(&self, error: &flate2::DecompressError, begin: u64) -> Fault {
        let said = error.message().unwrap_or("no deflate stream").to_owned();
        Fault::Corrupt { said, read: (self.stream.total_in() - begin) as usize }
    }

    /// Decodes into `output`; hands over the dictionary when it is asked for.
    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<Status, Fault> {
        let begin = self.stream.total_in();
        let error = match self.stream.decompress(input, output, FlushDecompress::None) {
            Ok(status) => return Ok(status),
            Err(error) => error,
        };
        let Some(needed) = error.needs_dictionary() else { return Err(self.corrupt(&error, begin)) };
        let given = self.dictionary.is_some();
        let accepted = self.dictionary.as_deref().map(|dictionary| self.stream.set_dictionary(dictionary));
        if !matches!(accepted, Some(Ok(_))) {
            return Err(Fault::Dictionary { needed, given });
        }
        // The header was read; nothing was written.
        let rest = &input[(self.stream.total_in() - begin) as usize..];
        self.stream
            .decompress(rest, output, FlushDecompress::None)
            .map_err(|error| self.corrupt(&error, begin))
    }
}

impl Decode for Inflater {
    fn format(&self) -> &'static str {
        self.format
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Fault> {
        if self.place == Place::Between {
            match input.first() {
                None => return Ok(Step { read: 0, written: 0, is_done: true }),
                // Padding. Source: Node, `ZlibContext::DoThreadPoolWork`.
                Some(0) => self.place = Place::Over,
                Some(_) => {
                    self.stream = new_stream(self.wrapping, None);
                    self.place = Place::Inside;
                }
            }
        }
        if self.place == Place::Over {
            return Ok(Step { read: 0, written: 0, is_done: true });
        }
        let before = (self.stream.total_in(), self.stream.total_out());
        let status = self.inflate(input, output)?;
        let read = (self.stream.total_in() - before.0) as usize;
        let written = (self.stream.total_out() - before.1) as usize;
        if status == Status::StreamEnd {
            self.place = if self.wrapping == Wrapping::Gzip { Place::Between } else { Place::Over };
        }
        Ok(Step { read, written, is_done: status == Status::StreamEnd })
    }
}
