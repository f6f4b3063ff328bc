//! What a server shows of itself: certificates by name, replaceable while it runs.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::error::TlsError;

/// A certificate, with the chain that leads to its issuer and its private key.
#[derive(Clone)]
pub struct Certificate(Arc<CertifiedKey>);

impl Certificate {
    /// Reads a chain and a key from two files in PEM form. They are small, and are read at once: do this at the start, or on
    /// a pool.
    ///
    /// # Errors
    /// Why a file can not be read, or is not what it should be; `Rustls` if the key does not fit the certificate.
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| TlsError::File(path.to_owned(), error));
        Self::from_pem(&read(chain.as_ref())?, &read(key.as_ref())?)
    }

    /// Takes a chain and a key in PEM form.
    ///
    /// # Errors
    /// As [`from_files`](Self::from_files).
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|_| TlsError::NoPem("certificate"))?;
        if chain.is_empty() {
            return Err(TlsError::NoPem("certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoPem("private key"))?;
        Self::from_der(chain, key)
    }

    pub(crate) fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        let certified = CertifiedKey::new(chain, any_supported_type(&key)?);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
                Ok(Self(Arc::new(certified)))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("chain_len", &self.0.cert.len()).finish_non_exhaustive()
    }
}

/// The certificates of a server. Clones are the same ones: what is replaced here is used from the next handshake on.
///
/// Several loops may share them, so that one thread renews for all.
#[derive(Clone)]
pub struct Certificates(Arc<Store>);

struct Store {
    /// Read in each handshake, which costs far more than the lock.
    known: RwLock<Known>,
}

struct Known {
    default: Certificate,
    by_name: HashMap<String, Certificate>,
}

impl Certificates {
    /// Certificates that begin with the one for clients that name no server, or one that is not known.
    pub fn new(default: Certificate) -> Self {
        let known = Known { default, by_name: HashMap::new() };
        Self(Arc::new(Store { known: RwLock::new(known) }))
    }

    /// Replaces the default certificate.
    pub fn replace(&self, default: Certificate) {
        self.change(|known| known.default = default);
    }

    /// Adds or replaces the certificate for clients that ask for `name` (by SNI). `*.example.org` stands for all names with
    /// one more label; an exact name goes before.
    pub fn add(&self, name: &str, certificate: Certificate) {
        self.change(|known| known.by_name.insert(name.to_ascii_lowercase(), certificate));
    }

    /// Takes the certificate for `name` away. False if there is none.
    pub fn remove(&self, name: &str) -> bool {
        self.change(|known| known.by_name.remove(&name.to_ascii_lowercase())).is_some()
    }

    fn change<R>(&self, change: impl FnOnce(&mut Known) -> R) -> R {
        // Each change is one assignment, so whoever panicked with the lock left nothing half done.
        change(&mut self.0.known.write().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::clone(&self.0) as Arc<dyn ResolvesServerCert>
    }

    pub(super) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
        Arc::new(default_provider())
    }
}

impl Known {
    fn find(&self, name: Option<&str>) -> &Certificate {
        let by_name = |name: &str| {
            if self.by_name.is_empty() {
                return None;
            }
            let name = name.to_ascii_lowercase();
            let wildcard = || name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
            self.by_name.get(&name).or_else(|| wildcard().and_then(|wildcard| self.by_name.get(&wildcard)))
        };
        name.and_then(by_name).unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Store {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&known.find(hello.server_name()).0))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<_> = known.by_name.keys().collect();
        names.sort();
        f.debug_struct("Certificates").field("names", &names).finish_non_exhaustive()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
