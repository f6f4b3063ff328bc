//! How much is hashed between two looks at whether it is still wanted.

/// The bounds of hashing.
#[derive(Clone, Copy, Debug)]
pub struct HashLimits {
    /// Bytes that are read and hashed at a time, and the size of the buffer of a file or reader: 256 KiB, some 0.2 ms with
    /// SHA-256 in hardware and 1 ms without. At least 1.
    pub chunk_len: usize,
}

impl Default for HashLimits {
    fn default() -> Self {
        Self { chunk_len: 256 * 1024 }
    }
}
