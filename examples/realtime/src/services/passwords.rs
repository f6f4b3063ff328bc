//! Passwords: what becomes of them is computed on the pool, and cannot be turned back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use fs_pool::hash::{Argon2id, Hash, HashError, constant_time_eq};
use fs_pool::request::LoopPool;

use crate::refusal::Refusal;

/// Makes and checks what is stored of passwords: `argon2id$KiB$passes$salt$key`.
pub(crate) struct Passwords {
    hash: Hash,
    cost: Argon2id,
}

const SALT_LEN: usize = 16;
const KEY_LEN: usize = 32;

impl Passwords {
    pub(crate) fn new(pool: &LoopPool) -> Self {
        Self { hash: Hash::new(pool), cost: Argon2id::default() }
    }

    /// What is stored of a new password.
    pub(crate) async fn seal(&self, password: &str) -> Result<String, Refusal> {
        let salt = self.hash.random(SALT_LEN).await.map_err(failed)?;
        let key = self.derive(&self.cost, password, salt.clone()).await?;
        let Argon2id { memory_kib, passes, .. } = self.cost;
        let (salt, key) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(key));
        Ok(format!("argon2id${memory_kib}${passes}${salt}${key}"))
    }

    /// Whether this is the password. Where nothing is stored, since there is no such user, it takes as long.
    pub(crate) async fn fits(&self, password: &str, stored: Option<&str>) -> Result<bool, Refusal> {
        let Some(stored) = stored else {
            self.derive(&self.cost, password, vec![0; SALT_LEN]).await?;
            return Ok(false);
        };
        let unreadable = || Refusal::internal("what is stored of a password is not of the form it should be");
        let (cost, salt, key) = self.open(stored).ok_or_else(unreadable)?;
        let found = self.derive(&cost, password, salt).await?;
        Ok(constant_time_eq(&found, &key))
    }

    fn open(&self, stored: &str) -> Option<(Argon2id, Vec<u8>, Vec<u8>)> {
        let mut parts = stored.split('$');
        let is_known = parts.next()? == "argon2id";
        let (memory_kib, passes) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let salt = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
        let key = STANDARD_NO_PAD.decode(parts.next()?).ok().filter(|_| is_known)?;
        Some((Argon2id { memory_kib, passes, ..self.cost.clone() }, salt, key))
    }

    async fn derive(&self, cost: &Argon2id, password: &str, salt: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        let job = self.hash.argon2id(cost.clone(), password.to_owned(), salt, KEY_LEN);
        job.await.map_err(failed)
    }
}

fn failed(error: HashError) -> Refusal {
    match error {
        // The pool is full, or ends.
        HashError::Request(_) => Refusal::unavailable("too many log in at once").because(error),
        _ => Refusal::internal(error),
    }
}
