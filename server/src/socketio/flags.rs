//! How something is sent.

/// How something is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// It may be lost: it is, for a client that could not take it at once.
    pub(crate) volatile: bool,
    /// Not by compressed frames. For other servers, and for transports that compress.
    pub(crate) uncompressed: bool,
    /// Not to other servers.
    pub(crate) local: bool,
}
