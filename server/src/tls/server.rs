//! Encrypting the connections of a server.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use futures_rustls::TlsAcceptor;
use rustls::ServerConfig;

use super::certificates::Certificates;
use super::encrypted::Encrypted;
use super::error::TlsError;
use crate::http::{Allows, Handshake, Secure, SecureStream, Secured, TlsInfo};
use crate::joint::cork::Cork;

/// How a server encrypts: TLS 1.2 and 1.3, without client certificates. Clones are the same settings.
///
/// A handshake costs its loop about a millisecond of computing; resumed ones cost less.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Encrypts with what `certificates` hold at the time of each handshake.
    ///
    /// # Errors
    /// `Rustls` if ring offers nothing that rustls takes, which would be a fault of the build.
    pub fn new(certificates: &Certificates) -> Result<Self, TlsError> {
        // The provider is named: with two of them in a program, the default one would be anybody's.
        let builder = ServerConfig::builder_with_provider(Certificates::provider());
        let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
        Ok(Self::with_config(builder.with_cert_resolver(certificates.resolver())))
    }

    /// Encrypts as `config` says, but for ALPN, which is the server's to choose.
    pub fn with_config(config: ServerConfig) -> Self {
        Self { config: Arc::new(config) }
    }
}

impl Secure for ServerTls {
    fn allowing(&self, allows: Allows) -> Rc<dyn Secure> {
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols = [(allows.http2, "h2"), (allows.http1, "http/1.1")]
            .into_iter()
            .filter(|(allowed, _)| *allowed)
            .map(|(_, name)| name.into())
            .collect();
        Rc::new(Self::with_config(config))
    }

    fn handshake(&self, cork: Cork) -> Handshake {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        Box::pin(async move {
            let stream = acceptor.accept(cork.clone()).await?;
            let (_, session) = stream.get_ref();
            let info = TlsInfo {
                server_name: session.server_name().map(Into::into),
                alpn: session.alpn_protocol().map(Into::into),
            };
            let stream = SecureStream(Box::new(Encrypted { stream: stream.into(), cork }));
            Ok(Secured { stream, info })
        })
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("alpn", &self.config.alpn_protocols).finish_non_exhaustive()
    }
}
