//! Brotli.

use brotli::enc::StandardAlloc;
use brotli::enc::encode::{BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct};
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};

use super::format::{Decode, Encode, Fault};
use super::{CompressError, Decoder, Encoder, Flush, Format, Step};

/// Brotli (RFC 7932). Feature `brotli`.
///
/// Quality 11 and a window of 4 MiB by default, as in Node: small, and some 100 times slower than quality 4, which suits what is
/// compressed while somebody waits.
///
/// ```
/// use fs_pool::compress::{Brotli, Format};
///
/// assert!(Brotli::new().quality(4).encoder().is_ok());
/// let error = Brotli::new().quality(12).encoder().unwrap_err();
/// assert_eq!(error.to_string(), "brotli quality is 12: it must be from 0 to 11");
/// ```
#[derive(Clone, Debug)]
pub struct Brotli {
    quality: u32,
    window_bits: u32,
}

impl Brotli {
    /// With the default settings.
    pub fn new() -> Self {
        Self { quality: 11, window_bits: 22 }
    }

    /// From 0, the fastest, to 11, the smallest; 11 by default.
    pub fn quality(mut self, quality: u32) -> Self {
        self.quality = quality;
        self
    }

    /// The encoder's window is of 2 to the power of this bytes: 10 to 24; 22 by default.
    pub fn window_bits(mut self, bits: u32) -> Self {
        self.window_bits = bits;
        self
    }
}

impl Default for Brotli {
    fn default() -> Self {
        Self::new()
    }
}

impl Format for Brotli {
    fn encoder(&self) -> Result<Encoder, CompressError> {
        if self.quality > 11 {
            let value = i64::from(self.quality);
            return Err(CompressError::Parameter {
                name: "brotli quality",
                value,
                rule: "must be from 0 to 11",
            });
        }
        if !(10..=24).contains(&self.window_bits) {
            let (name, value) = ("brotli window_bits", i64::from(self.window_bits));
            return Err(CompressError::Parameter { name, value, rule: "must be from 10 to 24" });
        }
        let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
        state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_QUALITY, self.quality);
        state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_LGWIN, self.window_bits);
        Ok(Encoder::new(Encoding(state)))
    }

    fn decoder(&self) -> Result<Decoder, CompressError> {
        let alloc = StandardAlloc::default;
        let state = Box::new(BrotliState::new(alloc(), alloc(), alloc()));
        Ok(Decoder::new(Decoding { state, is_over: false }))
    }

    fn is_quick(&self) -> bool {
        false // each encoder clears some MiB
    }
}

struct Encoding(BrotliEncoderStateStruct<StandardAlloc>);

impl Encode for Encoding {
    fn step(&mut self, input: &[u8], output: &mut [u8], flush: Flush) -> Result<Step, CompressError> {
        let operation = match flush {
            Flush::None => BrotliEncoderOperation::BROTLI_OPERATION_PROCESS,
            Flush::Sync | Flush::Full => BrotliEncoderOperation::BROTLI_OPERATION_FLUSH,
            Flush::Finish => BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
        };
        let (mut available_in, mut read) = (input.len(), 0);
        let (mut available_out, mut written) = (output.len(), 0);
        let is_ok = self.0.compress_stream(
            operation,
            &mut available_in,
            input,
            &mut read,
            &mut available_out,
            output,
            &mut written,
            &mut None,
            &mut |_, _, _, _| (),
        );
        if !is_ok {
            return Err(CompressError::Broken);
        }
        let is_done = match flush {
            Flush::None => available_in == 0,
            Flush::Sync | Flush::Full => available_in == 0 && !self.0.has_more_output(),
            Flush::Finish => self.0.is_finished(),
        };
        Ok(Step { read, written, is_done })
    }
}

struct Decoding {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    is_over: bool,
}

impl Decode for Decoding {
    fn format(&self) -> &'static str {
        "brotli"
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Fault> {
        if self.is_over {
            return Ok(Step { read: 0, written: 0, is_done: true });
        }
        let (mut available_in, mut read) = (input.len(), 0);
        let (mut available_out, mut written) = (output.len(), 0);
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut read,
            input,
            &mut available_out,
            &mut written,
            output,
            &mut 0,
            &mut self.state,
        );
        match result {
            BrotliResult::ResultFailure => {
                return Err(Fault::Corrupt { said: format!("{:?}", self.state.error_code), read });
            }
            BrotliResult::ResultSuccess => self.is_over = true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
        }
        Ok(Step { read, written, is_done: self.is_over })
    }
}
