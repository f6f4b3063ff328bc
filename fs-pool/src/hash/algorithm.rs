//! The algorithms by name.

use std::fmt;
use std::str::FromStr;

/// A hash algorithm. Its text is the name that Node gives it: `sha512-256`.
///
/// ```
/// use fs_pool::hash::Algorithm;
///
/// assert_eq!("sha3-256".parse(), Ok(Algorithm::Sha3_256));
/// assert_eq!((Algorithm::Sha512_256.to_string(), Algorithm::Sha1.digest_len()), ("sha512-256".to_owned(), 20));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-1. Broken for signatures; for what still asks for it, such as Git and WebSocket.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SHA-512/224.
    Sha512_224,
    /// SHA-512/256.
    Sha512_256,
    /// SHA3-224.
    Sha3_224,
    /// SHA3-256.
    Sha3_256,
    /// SHA3-384.
    Sha3_384,
    /// SHA3-512.
    Sha3_512,
    /// BLAKE3, with a digest of 32 bytes. Node has no name for it.
    Blake3,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Sha512_224,
        Self::Sha512_256,
        Self::Sha3_224,
        Self::Sha3_256,
        Self::Sha3_384,
        Self::Sha3_512,
        Self::Blake3,
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Sha512_224 => "sha512-224",
            Self::Sha512_256 => "sha512-256",
            Self::Sha3_224 => "sha3-224",
            Self::Sha3_256 => "sha3-256",
            Self::Sha3_384 => "sha3-384",
            Self::Sha3_512 => "sha3-512",
            Self::Blake3 => "blake3",
        }
    }

    /// How many bytes a digest has: 64 at most.
    pub fn digest_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 | Self::Sha512_224 | Self::Sha3_224 => 28,
            Self::Sha256 | Self::Sha512_256 | Self::Sha3_256 | Self::Blake3 => 32,
            Self::Sha384 | Self::Sha3_384 => 48,
            Self::Sha512 | Self::Sha3_512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        let found = Self::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        found.ok_or_else(|| UnknownAlgorithm(name.to_owned()))
    }
}

/// No algorithm has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAlgorithm(pub String);

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no hash algorithm {:?}", self.0)
    }
}

impl std::error::Error for UnknownAlgorithm {}

/// Runs `$body` with `$D` as the type behind an algorithm that has a block size, so that HMAC can use it; `$blake3` for the
/// one that has its own ways.
macro_rules! with_digest {
    ($algorithm:expr, $D:ident => $body:expr, blake3 => $blake3:expr) => {
        with_digest!(@ $algorithm, $D, $body, $blake3;
            Sha1 sha1::Sha1, Sha224 sha2::Sha224, Sha256 sha2::Sha256, Sha384 sha2::Sha384, Sha512 sha2::Sha512,
            Sha512_224 sha2::Sha512_224, Sha512_256 sha2::Sha512_256, Sha3_224 sha3::Sha3_224,
            Sha3_256 sha3::Sha3_256, Sha3_384 sha3::Sha3_384, Sha3_512 sha3::Sha3_512)
    };
    (@ $algorithm:expr, $D:ident, $body:expr, $blake3:expr; $($name:ident $type:ty),*) => {
        match $algorithm {
            $($crate::hash::Algorithm::$name => {
                type $D = $type;
                $body
            })*
            $crate::hash::Algorithm::Blake3 => $blake3,
        }
    };
}

pub(super) use with_digest;
