//! How much is taken at once.

/// The bounds of operations on whole files, trees and batches.
#[derive(Clone, Copy, Debug)]
pub struct FsLimits {
    /// Bytes that one job reads of a file: 512 KiB, about 100 us from memory, so that a large file does not keep a worker
    /// from others for long. Source: Node, `kReadFileBufferLength`.
    pub piece_len_max: usize,
    /// Bytes of the largest file that is read whole: 2 GiB less one. Source: Node, `kIoMaxLength`.
    pub file_len_max: u64,
    /// Entries of a tree that one job removes, copies or lists before it makes way for others: 256, some milliseconds.
    pub entries_per_job: usize,
    /// Entries that [`Fs::readdir_recursive`](super::Fs::readdir_recursive) lists at most: 1,000,000, some 100 MiB.
    pub tree_len_max: usize,
    /// Operations that [`Fs::batch`](super::Fs::batch) takes at most: 1024. They keep one worker until all are done.
    pub batch_len_max: usize,
}

impl Default for FsLimits {
    fn default() -> Self {
        Self {
            piece_len_max: 512 * 1024,
            file_len_max: (1 << 31) - 1,
            entries_per_job: 256,
            tree_len_max: 1_000_000,
            batch_len_max: 1024,
        }
    }
}
