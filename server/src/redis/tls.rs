//! Encrypting the connection.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use futures_rustls::TlsConnector;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::connect::{BoxStream, Encrypt};

/// Encrypts by rustls, for [`Options::encrypt`](super::Options::encrypt). The configuration says whom to trust. Behind the feature `tls`.
pub fn encrypt_with(config: Arc<ClientConfig>) -> Encrypt {
    let connector = TlsConnector::from(config);
    Rc::new(move |stream, host| {
        let connector = connector.clone();
        Box::pin(async move {
            let name = ServerName::try_from(host)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            Ok(Box::new(connector.connect(name, stream).await?) as BoxStream)
        })
    })
}
