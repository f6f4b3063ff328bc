//! What a process may do to a file.

use std::ops::BitOr;

/// Permissions to ask for with [`Fs::access`](super::Fs::access). Joined with `|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access(pub(super) u8);

impl Access {
    /// The file is there.
    pub const EXISTS: Self = Self(0);
    /// It may be executed, or the folder be passed through.
    pub const EXECUTE: Self = Self(1);
    /// It may be written to.
    pub const WRITE: Self = Self(2);
    /// It may be read.
    pub const READ: Self = Self(4);

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Access {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
