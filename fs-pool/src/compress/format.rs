//! What all formats have in common.

use super::{CompressError, Decoder, Encoder};

/// A compressed format with its settings: makes encoders and decoders.
pub trait Format: Clone + Send + 'static {
    /// A new encoder.
    ///
    /// # Errors
    /// `Parameter`, if a setting is outside what the format takes.
    fn encoder(&self) -> Result<Encoder, CompressError>;

    /// A new decoder.
    ///
    /// # Errors
    /// As `encoder`. The level and what else concerns encoding alone is not looked at.
    fn decoder(&self) -> Result<Decoder, CompressError>;

    /// Whether a few KiB are encoded in some 10 us with these settings, so that it may be done on the loop's thread.
    fn is_quick(&self) -> bool;
}

/// The inside of an encoder.
pub(super) trait Encode: Send {
    fn step(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        flush: super::Flush,
    ) -> Result<super::Step, CompressError>;
}

/// The inside of a decoder. A step with no input and room for output makes what is left of earlier input.
pub(super) trait Decode: Send {
    /// The format's name, for errors.
    fn format(&self) -> &'static str;

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<super::Step, Fault>;
}

/// What a decoder found wrong; where, its owner knows.
pub(super) enum Fault {
    /// What is wrong, and how much of this step's input was read when it was noticed.
    Corrupt {
        said: String,
        read: usize,
    },
    Dictionary {
        needed: u32,
        given: bool,
    },
}
