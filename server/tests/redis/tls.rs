//! An encrypted connection.

use std::fs;
use std::sync::Arc;

use phaseloop_server::redis::{Client, Cmd, Error, Options, encrypt_with};
use phaseloop_server::tls::DevCertificate;
use phaseloop_tests::peers::free_port;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::server::{Folder, ms, on_loop, secs, server_with};

#[test]
fn an_encrypted_connection_is_as_good_and_a_stranger_is_not_trusted() {
    let (folder, port) = (Folder::new(), free_port().unwrap().to_string());
    let dev = DevCertificate::generate(["localhost"]).unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (cert, key) = (write("cert.pem", dev.pem()), write("key.pem", dev.key_pem()));
    let options = ["--tls-port", &port, "--tls-cert-file", &cert, "--tls-key-file", &key];
    let more = ["--tls-ca-cert-file", &cert, "--tls-auth-clients", "no"];
    let Some(_server) = server_with(&[options.as_slice(), more.as_slice()].concat()) else { return };
    on_loop(async |lp| {
        let mut options = Options::url(&format!("rediss://localhost:{port}/1")).unwrap();
        options.backoff_min = ms(2);
        options.backoff_max = ms(20);
        let error = Client::connect(&lp, options.clone()).await.unwrap_err();
        assert!(matches!(&error, Error::Invalid(why) if why.contains("TLS")), "{error}");
        let mut trusting = options.clone();
        trusting.encrypt = Some(encrypt_with(trusting_only(dev.pem())));
        let redis = Client::new(&lp, trusting);
        redis.ready(secs(30)).await.unwrap();
        let value = vec![b'a'; 1_000_000];
        redis.query::<()>(&Cmd::set("a", &value)).await.unwrap();
        assert!(redis.query::<Vec<u8>>(&Cmd::get("a")).await.unwrap() == value);
        let stranger = DevCertificate::generate(["localhost"]).unwrap();
        options.encrypt = Some(encrypt_with(trusting_only(stranger.pem())));
        let error = Client::connect(&lp, options).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    });
}

fn trusting_only(pem: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}
