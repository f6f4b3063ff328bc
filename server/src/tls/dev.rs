//! Certificates made up on the spot.

use std::fmt;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::certificates::Certificate;
use super::error::TlsError;

/// A certificate that nobody signed but itself: for development and tests. Clients must be told to trust it.
///
/// # Examples
/// ```
/// use phaseloop_server::tls::{Certificates, DevCertificate, ServerTls};
///
/// let dev = DevCertificate::generate(["localhost", "127.0.0.1"])?;
/// let tls = ServerTls::new(&Certificates::new(dev.certificate()))?;
/// std::fs::write(std::env::temp_dir().join("dev.pem"), dev.pem())?; // for `curl --cacert`
/// # drop(tls);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DevCertificate {
    certificate: Certificate,
    pem: String,
    key_pem: String,
}

impl DevCertificate {
    /// Makes a certificate for names and addresses.
    ///
    /// # Errors
    /// `Dev` if one of them is neither, or there is no randomness.
    pub fn generate<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Result<Self, TlsError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).map_err(TlsError::Dev)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let certificate = Certificate::from_der(vec![cert.der().clone()], key)?;
        Ok(Self { certificate, pem: cert.pem(), key_pem: signing_key.serialize_pem() })
    }

    /// The certificate, to be shown.
    pub fn certificate(&self) -> Certificate {
        self.certificate.clone()
    }

    /// The certificate in PEM form, to be trusted.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The private key in PEM form.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }
}

impl fmt::Debug for DevCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevCertificate").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}
