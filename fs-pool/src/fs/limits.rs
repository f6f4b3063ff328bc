//! How much of a file is taken at once.

/// The bounds of whole-file operations.
#[derive(Clone, Copy, Debug)]
pub struct FsLimits {
    /// Bytes that one job reads of a file: 512 KiB, about 100 us from memory, so that a large file does not keep a worker
    /// from others for long. Source: Node, `kReadFileBufferLength`.
    pub piece_len_max: usize,
    /// Bytes of the largest file that is read whole: 2 GiB less one. Source: Node, `kIoMaxLength`.
    pub file_len_max: u64,
}

impl Default for FsLimits {
    fn default() -> Self {
        Self { piece_len_max: 512 * 1024, file_len_max: (1 << 31) - 1 }
    }
}
