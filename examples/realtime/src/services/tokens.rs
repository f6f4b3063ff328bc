//! Tokens: who somebody is and until when, signed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fs_pool::hash::{Algorithm, HashError, Hasher, constant_time_eq, fill_random};
use serde::{Deserialize, Serialize};

use crate::config::Secret;
use crate::log::now_ms;
use crate::models::user;
use crate::refusal::Refusal;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) role: String,
}

/// What a token says: whom it was given to, by all that tells a user from one who had the same id in another database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// When the user was made, and until when the token is good, in milliseconds since 1970.
    pub(crate) created_at: i64,
    expires_at: i64,
}

impl Identity {
    pub(crate) fn is_admin(&self) -> bool {
        self.role == user::ADMIN
    }
}

/// Signs tokens, and reads those it has signed: `claims.signature`, both base64url, the signature HMAC-SHA-256.
pub(crate) struct Tokens {
    secret: Secret,
    ttl: Duration,
}

/// Longer ones are none of ours.
const LEN_MAX: usize = 512;

impl Tokens {
    pub(crate) fn new(secret: Secret, ttl: Duration) -> Self {
        Self { secret, ttl }
    }

    /// A token for a user, and when it ends.
    pub(crate) fn issue(&self, user: &user::Model) -> Result<(String, i64), Refusal> {
        let expires_at = now_ms().saturating_add(i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX));
        let user::Model { id, name, created_at, .. } = user.clone();
        let claims = Claims { id, name, created_at, expires_at };
        let claims = serde_json::to_vec(&claims).map_err(Refusal::internal)?;
        let claims = URL_SAFE_NO_PAD.encode(claims);
        let signature = URL_SAFE_NO_PAD.encode(self.sign(&claims).map_err(Refusal::internal)?);
        Ok((format!("{claims}.{signature}"), expires_at))
    }

    /// What a token says, if it is ours and has not expired.
    pub(crate) fn verify(&self, token: &str) -> Result<Claims, Refusal> {
        let forged = || Refusal::unauthorized("the token is not one of ours");
        let (claims, signature) =
            token.split_once('.').filter(|_| token.len() <= LEN_MAX).ok_or_else(forged)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| forged())?;
        let wanted = self.sign(claims).map_err(Refusal::internal)?;
        if !constant_time_eq(&signature, &wanted) {
            return Err(forged());
        }
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| forged())?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| forged())?;
        match claims.expires_at > now_ms() {
            true => Ok(claims),
            false => Err(Refusal::unauthorized("the token has expired: log in again")),
        }
    }

    fn sign(&self, claims: &str) -> Result<Vec<u8>, HashError> {
        let mut hasher = Hasher::hmac(Algorithm::Sha256, self.secret.reveal())?;
        hasher.update(claims);
        Ok(hasher.finish().as_bytes().to_vec())
    }
}

/// A secret that nobody knows.
pub(crate) fn random_secret() -> Result<Secret, HashError> {
    let mut bytes = [0; 32];
    fill_random(&mut bytes)?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::{Tokens, URL_SAFE_NO_PAD, user};
    use crate::config::Secret;
    use base64::Engine as _;
    use std::time::Duration;

    fn tokens(secret: &str, ttl: Duration) -> Tokens {
        Tokens::new(Secret::new(secret), ttl)
    }

    fn ada() -> user::Model {
        let (name, role) = ("ada".to_owned(), user::CUSTOMER.to_owned());
        user::Model { id: 7, name, role, password: String::new(), created_at: 0 }
    }

    #[test]
    fn what_was_signed_is_read_and_nothing_else() {
        let ours = tokens("a secret", Duration::from_secs(60));
        let (token, expires_at) = ours.issue(&ada()).unwrap();
        let said = ours.verify(&token).unwrap();
        assert_eq!((said.id, said.name.as_str(), said.expires_at), (7, "ada", expires_at));

        let (claims, signature) = token.split_once('.').unwrap();
        let other = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap().replace("ada", "bob");
        let other = URL_SAFE_NO_PAD.encode(other);
        for forged in [
            format!("{other}.{signature}"),
            format!("{other}."),
            other,
            format!("{claims}.AAAA"),
            ".".into(),
            String::new(),
        ] {
            assert!(ours.verify(&forged).is_err(), "{forged}");
        }
        assert!(tokens("another", Duration::from_secs(60)).verify(&token).is_err());
        assert!(ours.verify(&format!("{token}{}", "A".repeat(1000))).is_err());
    }

    #[test]
    fn a_token_ends() {
        let ours = tokens("a secret", Duration::ZERO);
        let (token, _) = ours.issue(&ada()).unwrap();
        assert!(ours.verify(&token).unwrap_err().message().contains("expired"));
    }
}
