//! How much is done at a time, how much may come out, and what is too small for the pool.

/// The bounds of compression.
#[derive(Clone, Copy, Debug)]
pub struct CompressLimits {
    /// Bytes of input, and of output, between two looks at whether the work is still wanted: 64 KiB, some 1 ms with deflate at
    /// level 6. It is also the size of each buffer of a reader, writer or file. At least 256.
    pub piece_len: usize,
    /// Bytes that decompressing a whole buffer may make: 256 MiB. A thousandfold of what went in is ordinary for
    /// deflate, so input that is not trusted needs a limit that fits its purpose.
    pub output_len_max: u64,
    /// Whole buffers below this many bytes, and pieces of a stream, are compressed on the loop's thread, with formats that are
    /// quick ([`Format::is_quick`](super::Format::is_quick)): 1024. 0 for never.
    ///
    /// Measured with gzip at level 6 (`pool_gzip_small` of the benches): 64 B take 12 us on the loop's thread and 1 KiB
    /// 15 us, most of it to make the encoder; 4 KiB take 29 us. By a job 1 KiB takes 26 us; the pool's round trip
    /// alone is 7 us. So up to here the loop is held up for two round trips at most, and the answer is there sooner.
    pub inline_below: usize,
}

impl Default for CompressLimits {
    fn default() -> Self {
        Self { piece_len: 64 * 1024, output_len_max: 256 * 1024 * 1024, inline_below: 1024 }
    }
}
