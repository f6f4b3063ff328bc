//! Keys from passwords that need memory to derive: scrypt and Argon2id.

use super::HashError;
use super::derive::key_of;

/// scrypt (RFC 7914). The default is Node's: n 16384, r 8, p 1, at most 32 MiB.
///
/// ```
/// use fs_pool::hash::{HashError, Scrypt};
///
/// let refused = Scrypt { n: 1 << 15, ..Scrypt::default() }.derive(b"password", b"salt", 32);
/// assert!(matches!(refused, Err(HashError::Memory { needed, .. }) if needed > 32 * 1024 * 1024));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Scrypt {
    /// The cost: a power of two above 1. Time and memory grow with it.
    pub n: u64,
    /// The size of a block, in 128 bytes. Time and memory grow with it.
    pub r: u32,
    /// How often it is done. Time grows with it; r times p is below 2^30.
    pub p: u32,
    /// Bytes it may need: `128 * r * (n + p + 2)`. Source: OpenSSL, `EVP_PBE_scrypt`; Node, `maxmem`.
    pub memory_max: u64,
}

impl Default for Scrypt {
    fn default() -> Self {
        Self { n: 16_384, r: 8, p: 1, memory_max: 32 * 1024 * 1024 }
    }
}

impl Scrypt {
    /// Derives a key of `len` bytes. Blocks; [`Hash::scrypt`](super::Hash::scrypt) does it on the pool.
    ///
    /// # Errors
    /// `Parameter` or `Memory`, with the value.
    pub fn derive(&self, password: &[u8], salt: &[u8], len: usize) -> Result<Vec<u8>, HashError> {
        let params = self.check()?;
        let mut out = key_of("scrypt length", len)?;
        scrypt::scrypt(password, salt, &params, &mut out).expect("the length was checked above");
        Ok(out)
    }

    fn check(&self) -> Result<scrypt::Params, HashError> {
        let Self { n, r, p, memory_max } = *self;
        if n < 2 || !n.is_power_of_two() {
            return Err(HashError::parameter("scrypt n", n, "must be a power of two above 1"));
        }
        if r == 0 {
            return Err(HashError::parameter("scrypt r", r, "must be above 0"));
        }
        if p == 0 {
            return Err(HashError::parameter("scrypt p", p, "must be above 0"));
        }
        if u64::from(r) * u64::from(p) >= 1 << 30 {
            let product = u64::from(r) * u64::from(p);
            return Err(HashError::parameter("scrypt r times p", product, "must be below 1073741824"));
        }
        let needed = 128 * u128::from(r) * (u128::from(n) + u128::from(p) + 2);
        if needed > u128::from(memory_max) {
            let needed = u64::try_from(needed).unwrap_or(u64::MAX);
            return Err(HashError::Memory { needed, allowed: Some(memory_max) });
        }
        // The crate would abort the process where there is no memory.
        let room = Vec::<u8>::new().try_reserve_exact(usize::try_from(needed).unwrap_or(usize::MAX));
        room.map_err(|_| HashError::Memory { needed: needed as u64, allowed: None })?;
        scrypt::Params::new(n.ilog2() as u8, r, p)
            .map_err(|_| HashError::parameter("scrypt n", n, "is too large for this machine"))
    }
}

/// Argon2id, version 19 (RFC 9106). The default is the crate's and OWASP's: 19 MiB, 2 passes, 1 lane.
///
/// ```
/// use fs_pool::hash::Argon2id;
///
/// let quick = Argon2id { memory_kib: 64, passes: 1, ..Argon2id::default() };
/// assert_eq!(quick.derive(b"password", b"some salt", 24)?.len(), 24);
/// # Ok::<(), fs_pool::hash::HashError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Argon2id {
    /// Memory in KiB: at least 8 a lane.
    pub memory_kib: u32,
    /// How often the memory is gone over: at least 1.
    pub passes: u32,
    /// How many lanes it has: 1 to 2^24 - 1. They are computed one after the other, on one worker.
    pub lanes: u32,
    /// A key that is kept apart from the passwords ("pepper"); may be empty.
    pub secret: Vec<u8>,
    /// What else goes in: at most 32 bytes; may be empty.
    pub associated: Vec<u8>,
}

impl Default for Argon2id {
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1, secret: Vec::new(), associated: Vec::new() }
    }
}

impl Argon2id {
    /// Derives a key of `len` bytes: at least 4. Blocks; [`Hash::argon2id`](super::Hash::argon2id) does it on the pool.
    ///
    /// # Errors
    /// `Parameter` or `Memory`, with the value. The salt must be of 8 bytes at least.
    pub fn derive(&self, password: &[u8], salt: &[u8], len: usize) -> Result<Vec<u8>, HashError> {
        self.check(salt, len)?;
        let mut out = key_of("argon2id length", len)?;
        let mut params = argon2::ParamsBuilder::new();
        params.m_cost(self.memory_kib).t_cost(self.passes).p_cost(self.lanes);
        params.data(argon2::AssociatedData::new(&self.associated).expect("the length was checked above"));
        let params = params.build().expect("the parameters were checked above");
        let (kind, version) = (argon2::Algorithm::Argon2id, argon2::Version::V0x13);
        argon2::Argon2::new_with_secret(&self.secret, kind, version, params)
            .and_then(|argon2| argon2.hash_password_into(password, salt, &mut out))
            .map_err(|error| self.refused(error))?;
        Ok(out)
    }

    fn check(&self, salt: &[u8], len: usize) -> Result<(), HashError> {
        let lanes = self.lanes;
        if lanes == 0 || lanes > argon2::Params::MAX_P_COST {
            return Err(HashError::parameter("argon2id lanes", lanes, "must be from 1 to 16777215"));
        }
        if self.memory_kib < 8 * lanes {
            return Err(HashError::parameter(
                "argon2id memory_kib",
                self.memory_kib,
                "must be at least 8 a lane",
            ));
        }
        if self.passes == 0 {
            return Err(HashError::parameter("argon2id passes", 0_u32, "must be at least 1"));
        }
        if self.associated.len() > argon2::Params::MAX_DATA_LEN {
            let len = self.associated.len();
            return Err(HashError::parameter("argon2id associated length", len, "must be at most 32"));
        }
        if salt.len() < argon2::MIN_SALT_LEN {
            return Err(HashError::parameter("argon2id salt length", salt.len(), "must be at least 8"));
        }
        if len < argon2::Params::MIN_OUTPUT_LEN {
            return Err(HashError::parameter("argon2id length", len, "must be at least 4"));
        }
        Ok(())
    }

    /// What is left to be refused after `check`: inputs of 4 GiB, and memory that is not there.
    fn refused(&self, error: argon2::Error) -> HashError {
        match error {
            argon2::Error::OutOfMemory => {
                HashError::Memory { needed: u64::from(self.memory_kib) * 1024, allowed: None }
            }
            _ => {
                HashError::parameter("argon2id input length", u64::from(u32::MAX) + 1, "must be below 4 GiB")
            }
        }
    }
}
