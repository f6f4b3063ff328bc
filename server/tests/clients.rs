//! Real clients: curl and nghttp, plain and encrypted, each version of HTTP.

#![cfg(all(feature = "http2", feature = "dev-certificates"))]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{self, Command, Output};

use phaseloop::{EventLoop, LoopHandle};
use phaseloop_server::http::{Body, BoxError, HeaderMap, Request, RequestExt, Response, Server, Serving};
use phaseloop_server::tls::{Certificate, Certificates, DevCertificate, ServerTls};
use phaseloop_tests::peers::peer;

/// Says how it was asked; echoes what is posted; streams at `/stream`.
async fn answer(request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let connection = request.connection().ok_or("no connection")?;
    let name = connection.tls.as_ref().map(|tls| tls.server_name.clone().unwrap_or_default());
    let says = format!("{} {} {name:?}", connection.protocol, request.method());
    match request.uri().path() {
        "/echo" => Ok(Response::new(request.into_body())),
        path @ ("/stream" | "/lasting") => {
            let make = if path == "/stream" { Body::channel } else { Body::lasting };
            let (mut sender, body) = make(64 * 1024);
            phaseloop::spawn(async move {
                for n in 0..1000 {
                    if sender.send(format!("{n:0>1023}\n")).await.is_err() {
                        return;
                    }
                }
                sender.finish_with(HeaderMap::from_iter([(
                    "lines".parse().expect("a name"),
                    "1000".parse().expect("a value"),
                )]));
            });
            Ok(Response::new(body))
        }
        _ => Ok(Response::new(says.into())),
    }
}

/// A folder of its own for a test's files, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("phaseloop-clients-{}-{name}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind in a folder for temporary files harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a program while the loop serves, and gives what it said. It is ended after a minute.
async fn run(lp: &LoopHandle, program: &PathBuf, arguments: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.arg("60").arg(program).args(arguments);
    let (remote, alive) = (lp.remote(), lp.keep_alive());
    let (sender, receiver) = futures::channel::oneshot::channel();
    let thread = std::thread::spawn(move || {
        let sent = sender.send(command.output());
        remote.wake();
        drop(alive);
        assert!(sent.is_ok(), "the test waits for it");
    });
    let output = receiver.await.unwrap().unwrap();
    thread.join().unwrap();
    output
}

async fn curl(lp: &LoopHandle, program: &PathBuf, arguments: &[&str]) -> String {
    let output = run(lp, program, &[&["--silent", "--show-error", "--fail"], arguments].concat()).await;
    assert!(output.status.success(), "curl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn listen(lp: &LoopHandle, tls: Option<&Certificates>) -> (Serving, SocketAddr) {
    let mut server = Server::new(answer);
    if let Some(certificates) = tls {
        server = server.tls(&ServerTls::new(certificates).unwrap());
    }
    let serving = server.listen(lp, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = serving.local_addr().unwrap();
    (serving, address)
}

fn on_loop<F: Future>(test: impl FnOnce(LoopHandle) -> F) -> F::Output {
    let lp = EventLoop::new().unwrap();
    lp.block_on(test(lp.handle())).unwrap()
}

#[test]
fn curl_speaks_each_version_without_encryption() {
    let Some(program) = peer("curl") else { return };
    on_loop(async |lp| {
        let (serving, address) = listen(&lp, None);
        let url = format!("http://{address}/");
        assert_eq!(curl(&lp, &program, &["--http1.1", &url]).await, "HTTP/1.1 GET None");
        assert_eq!(curl(&lp, &program, &["--http1.0", &url]).await, "HTTP/1.1 GET None");
        assert_eq!(curl(&lp, &program, &["--http2", &url]).await, "HTTP/1.1 GET None"); // no Upgrade: h2c
        assert_eq!(curl(&lp, &program, &["--http2-prior-knowledge", &url]).await, "HTTP/2 GET None");
        assert_eq!(curl(&lp, &program, &["--http1.1", &url, &url, &url]).await.len(), 3 * 17);
        assert_eq!(serving.stats().accepted, 5, "the last three shared one");
    });
}

#[test]
fn curl_agrees_on_a_version_with_encryption() {
    let Some(program) = peer("curl") else { return };
    on_loop(async |lp| {
        let folder = Folder::new("versions");
        let dev = DevCertificate::generate(["localhost", "127.0.0.1"]).unwrap();
        let ca = folder.write("ca.pem", dev.pem());
        let (_serving, address) = listen(&lp, Some(&Certificates::new(dev.certificate())));
        let url = format!("https://localhost:{}/", address.port());
        let trusting = ["--cacert", &ca, &url];
        for (version, says) in [("--http2", "HTTP/2"), ("--http1.1", "HTTP/1.1"), ("--no-alpn", "HTTP/1.1")] {
            let said = curl(&lp, &program, &[&[version], &trusting[..]].concat()).await;
            assert_eq!(said, format!("{says} GET Some(\"localhost\")"));
        }
        for tls in [["--tlsv1.2", "--tls-max", "1.2"].as_slice(), &["--tlsv1.3"]] {
            assert!(curl(&lp, &program, &[tls, &trusting[..]].concat()).await.starts_with("HTTP/2"));
        }
        let output = run(&lp, &program, &["--silent", &url]).await;
        assert_eq!(output.status.code(), Some(60), "whoever does not trust the certificate is not served");
    });
}

#[test]
fn an_answer_that_lasts_ends_whole_in_each_version() {
    let Some(program) = peer("curl") else { return };
    on_loop(async |lp| {
        let dev = DevCertificate::generate(["localhost"]).unwrap();
        let (plain, address) = listen(&lp, None);
        let (secure, secure_address) = listen(&lp, Some(&Certificates::new(dev.certificate())));
        let plain_url = format!("http://{address}/lasting");
        let secure_url = format!("https://localhost:{}/lasting", secure_address.port());
        for (version, url) in [
            ("--http1.0", &plain_url),
            ("--http1.1", &plain_url),
            ("--http2-prior-knowledge", &plain_url),
            ("--http1.1", &secure_url),
            ("--http2", &secure_url),
        ] {
            let said = curl(&lp, &program, &["--insecure", version, url]).await;
            assert_eq!(said.len(), 1_024_000, "{version} {url}");
            assert!(said.ends_with("0999\n"), "{version} {url}");
        }
        // A second request of HTTP/1.1 takes a second connection.
        curl(&lp, &program, &["--http1.1", &plain_url, &plain_url]).await;
        assert_eq!((plain.stats().accepted, secure.stats().accepted), (5, 2));
    });
}

#[test]
fn large_bodies_go_both_ways() {
    let Some(program) = peer("curl") else { return };
    on_loop(async |lp| {
        let folder = Folder::new("bodies");
        let dev = DevCertificate::generate(["localhost"]).unwrap();
        let ca = folder.write("ca.pem", dev.pem());
        let bytes: Vec<u8> =
            (0..2_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let upload = format!("@{}", folder.write("upload", &bytes));
        let (_plain, plain) = listen(&lp, None);
        let (_secure, secure) = listen(&lp, Some(&Certificates::new(dev.certificate())));
        let (plain, secure) = (format!("http://{plain}"), format!("https://localhost:{}", secure.port()));
        for (version, base) in [
            ("--http1.1", &plain),
            ("--http2-prior-knowledge", &plain),
            ("--http1.1", &secure),
            ("--http2", &secure),
        ] {
            let download = folder.0.join("download").to_str().unwrap().to_owned();
            let url = format!("{base}/echo");
            let arguments = [version, "--cacert", &ca, "--data-binary", &upload, "--output", &download, &url];
            curl(&lp, &program, &arguments).await;
            assert!(fs::read(&download).unwrap() == bytes, "{version} {base}");
            let streamed = curl(&lp, &program, &[version, "--cacert", &ca, &format!("{base}/stream")]).await;
            assert_eq!(streamed.len(), 1024 * 1000, "{version} {base}");
            assert!(streamed.ends_with("0999\n"));
        }
    });
}

#[test]
fn certificates_are_chosen_by_name_and_replaced_while_serving() {
    let Some(program) = peer("curl") else { return };
    on_loop(async |lp| {
        let folder = Folder::new("names");
        let make = |name: &str| DevCertificate::generate([name]).unwrap();
        let (first, second, named, wild) = (make("a.test"), make("a.test"), make("b.test"), make("*.c.test"));
        let ca = |dev: &DevCertificate, file| folder.write(file, dev.pem());
        let certificates = Certificates::new(first.certificate());
        certificates.add("B.test", named.certificate());
        certificates.add("*.c.test", wild.certificate());
        let (_serving, address) = listen(&lp, Some(&certificates));
        let asks = async |name: &str, ca: String| {
            let (url, resolve) =
                (format!("https://{name}:{}/", address.port()), format!("*:{}:127.0.0.1", address.port()));
            let arguments = ["--silent", "--resolve", &resolve, "--cacert", &ca, &url];
            run(&lp, &program, &arguments).await.status.success()
        };
        assert!(asks("a.test", ca(&first, "1")).await);
        assert!(asks("b.test", ca(&named, "2")).await);
        assert!(asks("x.c.test", ca(&wild, "3")).await);
        assert!(!asks("a.test", ca(&named, "2")).await);
        certificates.replace(second.certificate());
        assert!(!asks("a.test", ca(&first, "1")).await);
        assert!(asks("a.test", ca(&second, "4")).await);
        assert!(certificates.remove("b.test"));
        assert!(!asks("b.test", ca(&named, "2")).await);
    });
}

#[test]
fn files_in_pem_form_are_read_and_bad_ones_refused() {
    let folder = Folder::new("pem");
    let (dev, other) =
        (DevCertificate::generate(["a.test"]).unwrap(), DevCertificate::generate(["a.test"]).unwrap());
    let (cert, key) = (folder.write("cert.pem", dev.pem()), folder.write("key.pem", dev.key_pem()));
    assert!(Certificate::from_files(&cert, &key).is_ok());
    let wrong_key = folder.write("other.pem", other.key_pem());
    let error = |cert: &str, key: &str| Certificate::from_files(cert, key).unwrap_err().to_string();
    assert!(error(&cert, &wrong_key).starts_with("TLS can not be set up: "), "{}", error(&cert, &wrong_key));
    assert_eq!(error(&key, &key), "there is no certificate in PEM form");
    assert_eq!(error(&cert, &cert), "there is no private key in PEM form");
    assert!(error("no such file", &key).starts_with("no such file: "));
}

#[test]
fn nghttp_opens_many_streams_on_one_connection() {
    let Some(program) = peer("nghttp") else { return };
    on_loop(async |lp| {
        let (serving, address) = listen(&lp, None);
        let url = format!("http://{address}/stream");
        let output = run(&lp, &program, &["--null-out", "--stat", "--multiply=50", &url]).await;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.lines().filter(|line| line.contains(" 200 ")).count(), 50, "{said}");
        assert_eq!((serving.stats().accepted, serving.stats().requests), (1, 50));
    });
}

#[test]
fn h2load_finds_no_error() {
    let Some(program) = peer("h2load") else { return };
    on_loop(async |lp| {
        let (_serving, address) = listen(&lp, None);
        let url = format!("http://{address}/");
        for arguments in [["-n1000", "-c5", "-m20"].as_slice(), &["-n1000", "-c5", "-m4", "--h1"]] {
            let output = run(&lp, &program, &[arguments, &[&url]].concat()).await;
            let said = String::from_utf8_lossy(&output.stdout);
            let expected =
                "1000 total, 1000 started, 1000 done, 1000 succeeded, 0 failed, 0 errored, 0 timeout";
            assert!(said.contains(expected), "{said}");
        }
    });
}
