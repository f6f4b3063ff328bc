//! Encrypting the connections of a client.

use std::fmt;
use std::io;
use std::sync::Arc;

use futures_rustls::TlsConnector;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::certificates::Certificates;
use super::encrypted::Encrypted;
use super::error::TlsError;
use crate::client::{Encrypt, Encrypting, Established, HttpVersion};
use crate::http::SecureStream;
use crate::joint::cork::Cork;

/// Whom a client trusts: TLS 1.2 and 1.3, without a certificate of its own. Clones are the same settings.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Trusts the certificates in `roots`, in PEM form: the system's bundle, such as Debian's
    /// `/etc/ssl/certs/ca-certificates.crt`, or one of one's own.
    ///
    /// # Errors
    /// `NoPem` if there is none in it, `Rustls` if one is broken.
    pub fn trusting(roots: &[u8]) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots) {
            store.add(root.map_err(|_| TlsError::NoPem("certificate"))?)?;
        }
        if store.is_empty() {
            return Err(TlsError::NoPem("certificate"));
        }
        let builder = ClientConfig::builder_with_provider(Certificates::provider());
        let builder = builder.with_safe_default_protocol_versions()?;
        Ok(Self::with_config(builder.with_root_certificates(store).with_no_client_auth()))
    }

    /// Encrypts as `config` says, but for ALPN, which is the client's to choose.
    pub fn with_config(config: ClientConfig) -> Self {
        Self { config: Arc::new(config) }
    }
}

impl Encrypt for ClientTls {
    fn handshake(&self, cork: Cork, host: &str, version: HttpVersion) -> Encrypting {
        let mut config = ClientConfig::clone(&self.config);
        let offers: &[&[u8]] = match version {
            HttpVersion::Http1 => &[b"http/1.1"],
            HttpVersion::Http2 => &[b"h2"],
            HttpVersion::Auto if cfg!(feature = "http2") => &[b"h2", b"http/1.1"],
            HttpVersion::Auto => &[b"http/1.1"],
        };
        config.alpn_protocols = offers.iter().map(|name| name.to_vec()).collect();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned());
        Box::pin(async move {
            let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            let stream = TlsConnector::from(Arc::new(config)).connect(name, cork.clone()).await?;
            let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let stream = SecureStream(Box::new(Encrypted { stream: stream.into(), cork }));
            Ok(Established { stream, speaks_http2 })
        })
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}
