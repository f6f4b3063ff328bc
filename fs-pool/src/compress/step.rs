//! What one step of an encoder or decoder takes and gives.

/// How much an encoder writes of what it has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flush {
    /// What it likes: the best compression. The default.
    #[default]
    None,
    /// All of it, so that the other side can decode all that was taken. Costs some bytes each time.
    Sync,
    /// As `Sync`, and what follows can be decoded without what was before. The same as `Sync` where the format has no such
    /// thing: brotli and zstd.
    Full,
    /// All of it, and the end of the stream.
    Finish,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many bytes of the input were taken.
    pub read: usize,
    /// How many bytes of the output were filled.
    pub written: usize,
    /// An encoder has taken all input and written what the flush asks for; a decoder has come to an end of its stream.
    pub is_done: bool,
}
