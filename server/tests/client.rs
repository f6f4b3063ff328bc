//! The client, against our server and against servers that misbehave.

#![cfg(all(feature = "client", feature = "http2", feature = "dev-certificates"))]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod peer;

use std::net::SocketAddr;
use std::rc::Rc;

use futures::future::join_all;
use peer::{on_loop, secs, start};
use phaseloop::LoopHandle;
use phaseloop::net::{TcpListener, TcpStream};
use phaseloop_server::client::{Client, ClientError, ClientOptions, HttpVersion, Resolve, resolve_on};
use phaseloop_server::http::{Body, BodyError, BoxError, Request, RequestExt, Response, Server};
use phaseloop_server::tls::{Certificates, ClientTls, DevCertificate, ServerTls};

async fn echo(request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let spoken = request.connection().map(|connection| connection.protocol.to_string());
    let builder = Response::builder().header("spoken", spoken.unwrap_or_default());
    let line = format!("{} {} ", request.method(), request.uri().path());
    let sent = request.into_body().text().await?;
    Ok(builder.body((line + &sent).into())?)
}

fn options(set: impl FnOnce(&mut ClientOptions)) -> ClientOptions {
    let mut options = ClientOptions::default();
    set(&mut options);
    options
}

fn post(uri: String, body: impl Into<Body>) -> Request<Body> {
    Request::builder().method("POST").uri(uri).body(body.into()).unwrap()
}

async fn text(response: Response<Body>) -> String {
    response.into_body().text().await.unwrap()
}

/// A server that says `answer` to whatever comes, once a connection, and then does as it is told.
fn raw_server(lp: &LoopHandle, answer: &'static str, closes: bool) -> SocketAddr {
    let listener = TcpListener::bind(lp, "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    lp.spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            let mut buf = [0; 4096];
            if stream.read(&mut buf).await.is_ok()
                && stream.write_all(answer.as_bytes()).await.is_ok()
                && !closes
            {
                kept.push(stream);
            }
        }
    })
    .unref();
    address
}

#[test]
fn a_connection_is_kept_and_used_again() {
    on_loop(async |lp| {
        let (serving, address) = start(&lp, Server::new(echo));
        let client = Client::new(&lp);
        for n in 0..5 {
            let response = client.request(post(format!("http://{address}/{n}"), "body")).await.unwrap();
            assert_eq!(text(response).await, format!("POST /{n} body"));
            lp.sleep(secs(1)).await;
            assert_eq!(client.kept(), 1);
        }
        assert_eq!((serving.stats().accepted, serving.stats().requests), (1, 5));
        lp.sleep(secs(61)).await;
        assert_eq!(text(client.get(&format!("http://{address}/late")).await.unwrap()).await, "GET /late ");
        assert_eq!(serving.stats().accepted, 2, "what was idle for too long is not used");
        lp.sleep(secs(1)).await;
        client.close_kept();
        lp.sleep(secs(1)).await;
        assert_eq!(serving.stats().connections, 0);
    });
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_replaced() {
    on_loop(async |lp| {
        let client = Client::new(&lp);
        let once = raw_server(&lp, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true);
        for _ in 0..3 {
            assert_eq!(text(client.get(&format!("http://{once}/")).await.unwrap()).await, "ok");
            lp.sleep(secs(1)).await;
        }
    });
}

#[test]
fn http2_by_prior_knowledge_shares_one_connection() {
    on_loop(async |lp| {
        let (serving, address) = start(&lp, Server::new(echo));
        let client = Client::with_options(&lp, options(|options| options.version = HttpVersion::Http2));
        let uri = format!("http://{address}/");
        text(client.get(&uri).await.unwrap()).await;
        let all =
            join_all((0..20).map(|n| client.request(post(format!("http://{address}/{n}"), n.to_string()))))
                .await;
        for (n, response) in all.into_iter().enumerate() {
            let response = response.unwrap();
            assert_eq!(response.headers()["spoken"], "HTTP/2");
            assert_eq!(text(response).await, format!("POST /{n} {n}"));
        }
        assert_eq!((serving.stats().accepted, serving.stats().requests), (1, 21));
    });
}

#[test]
fn with_tls_both_agree_on_a_version() {
    on_loop(async |lp| {
        let dev = DevCertificate::generate(["localhost", "127.0.0.1"]).unwrap();
        let tls = ServerTls::new(&Certificates::new(dev.certificate())).unwrap();
        let trusting = ClientTls::trusting(dev.pem().as_bytes()).unwrap();
        for (server, client, spoken) in [
            (Server::new(echo), HttpVersion::Auto, "HTTP/2"),
            (Server::new(echo), HttpVersion::Http1, "HTTP/1.1"),
            (Server::new(echo).allow_http2(false), HttpVersion::Auto, "HTTP/1.1"),
        ] {
            let (_serving, address) = start(&lp, server.tls(&tls));
            let client =
                Client::with_options(&lp, options(|options| options.version = client)).tls(&trusting);
            for host in ["localhost", "127.0.0.1"] {
                let uri = format!("https://{host}:{}/x", address.port());
                let response = client.request(post(uri, "secret")).await.unwrap();
                assert_eq!(response.headers()["spoken"], spoken);
                assert_eq!(text(response).await, "POST /x secret");
            }
        }
    });
}

#[test]
fn who_is_not_trusted_is_not_asked() {
    on_loop(async |lp| {
        let (dev, other) = (
            DevCertificate::generate(["localhost"]).unwrap(),
            DevCertificate::generate(["localhost"]).unwrap(),
        );
        let tls = ServerTls::new(&Certificates::new(dev.certificate())).unwrap();
        let (serving, address) = start(&lp, Server::new(echo).tls(&tls));
        let client = Client::new(&lp).tls(&ClientTls::trusting(other.pem().as_bytes()).unwrap());
        let asked = client.get(&format!("https://localhost:{}/", address.port())).await;
        assert!(matches!(asked, Err(ClientError::Connect(..))), "{asked:?}");
        let untold = Client::new(&lp).get("https://localhost/").await.unwrap_err();
        assert!(matches!(untold, ClientError::Connect(..)), "{untold}");
        assert_eq!(serving.stats().requests, 0);
        assert!(ClientTls::trusting(b"nothing").is_err());
    });
}

#[test]
fn bodies_are_streamed_both_ways() {
    on_loop(async |lp| {
        let handler = async |request: Request<Body>| {
            let mut request = request;
            request.body_mut().set_len_max(u64::MAX);
            Response::new(request.into_body())
        };
        let (_serving, address) = start(&lp, Server::new(handler));
        for version in [HttpVersion::Http1, HttpVersion::Http2] {
            let client = Client::with_options(&lp, options(|options| options.version = version));
            let (mut sender, body) = Body::channel(64 * 1024);
            let mut response =
                client.request(post(format!("http://{address}/"), body)).await.unwrap().into_body();
            for n in 0..100_u8 {
                sender.send(vec![n; 10_000]).await.unwrap();
                let mut got = 0;
                while got < 10_000 {
                    let piece = response.chunk().await.unwrap().unwrap();
                    assert!(piece.iter().all(|byte| *byte == n));
                    got += piece.len();
                }
            }
            sender.finish();
            let end = response.chunk().await;
            assert!(end.is_none(), "{end:?}");
        }
    });
}

#[test]
fn redirects_are_followed_if_asked() {
    on_loop(async |lp| {
        let handler = async |request: Request<Body>| {
            let to = match request.uri().path() {
                "/a/one" => (302, "../b/two?x=1"),
                "/b/two" => (307, "/end"),
                "/round" => (301, "/round"),
                _ => {
                    let path = request.uri().to_string();
                    return Ok(Response::new(Body::from(format!("{} {path}", request.method()))));
                }
            };
            Response::builder().status(to.0).header("location", to.1).body(Body::empty())
        };
        let (_serving, address) = start(&lp, Server::new(handler));
        let uri = |path: &str| format!("http://{address}{path}");
        let response = Client::new(&lp).get(&uri("/a/one")).await.unwrap();
        assert_eq!(response.status(), 302, "not unless asked");
        let client = Client::with_options(&lp, options(|options| options.redirects_max = 3));
        let response = client.request(post(uri("/a/one"), "dropped by the 302")).await.unwrap();
        assert_eq!(text(response).await, "GET /end");
        let response = client.request(post(uri("/b/two"), "kept")).await.unwrap();
        assert_eq!(text(response).await, "POST /end");
        let (sender, body) = Body::channel(1);
        sender.finish();
        assert_eq!(
            client.request(post(uri("/b/two"), body)).await.unwrap().status(),
            307,
            "it can not be sent twice"
        );
        let error = client.get(&uri("/round")).await.unwrap_err();
        assert!(matches!(error, ClientError::TooManyRedirects(_)), "{error}");
    });
}

#[test]
fn what_takes_too_long_or_breaks_is_an_error() {
    on_loop(async |lp| {
        let client = Client::new(&lp);
        let before = lp.now();
        let silent = raw_server(&lp, "", false);
        let error = client.get(&format!("http://{silent}/")).await.unwrap_err();
        assert!(matches!(error, ClientError::SlowAnswer(_)), "{error}");
        assert_eq!(lp.now() - before, secs(30));
        for answer in ["", "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 2"] {
            let address = raw_server(&lp, answer, true);
            let error = client.get(&format!("http://{address}/")).await.unwrap_err();
            assert!(matches!(error, ClientError::Broken(..)), "{answer:?}: {error}");
        }
        let half = raw_server(&lp, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", true);
        let response = client.get(&format!("http://{half}/")).await.unwrap();
        assert!(matches!(response.into_body().bytes().await, Err(BodyError::Broken(_))));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = listener.local_addr().unwrap();
        drop(listener);
        let error = client.get(&format!("http://{closed}/")).await.unwrap_err();
        assert!(matches!(error, ClientError::Connect(..)), "{error}");
        for bad in ["/only/a/path", "ftp://x/", "http://", "no uri at all"] {
            let error = client.get(bad).await.unwrap_err();
            assert!(matches!(error, ClientError::BadUri(_)), "{bad}: {error}");
        }
        let error = client.get("http://some.name/").await.unwrap_err();
        assert!(error.to_string().contains("not told how to look names up"), "{error}");
    });
}

#[test]
fn a_client_that_speaks_http2_only_takes_nothing_else() {
    on_loop(async |lp| {
        let dev = DevCertificate::generate(["localhost"]).unwrap();
        let tls = ServerTls::new(&Certificates::new(dev.certificate())).unwrap();
        let (serving, address) = start(&lp, Server::new(echo).allow_http2(false).tls(&tls));
        let client = Client::with_options(&lp, options(|options| options.version = HttpVersion::Http2));
        let client = client.tls(&ClientTls::trusting(dev.pem().as_bytes()).unwrap());
        let error = client.get(&format!("https://localhost:{}/", address.port())).await.unwrap_err();
        assert!(matches!(error, ClientError::Connect(..)), "{error}");
        assert_eq!(serving.stats().requests, 0);
    });
}

#[test]
fn kept_connections_of_http2_do_not_keep_the_loop_alive() {
    let server = phaseloop::EventLoop::new().unwrap();
    let (_serving, address) = start(&server.handle(), Server::new(echo));
    let lp = phaseloop::EventLoop::new().unwrap();
    let client = Client::with_options(&lp, options(|options| options.version = HttpVersion::Http2));
    let asking = client.clone();
    let asked = lp.spawn(async move { asking.get(&format!("http://{address}/")).await.map(drop) });
    while !asked.is_finished() {
        server.run(phaseloop::RunMode::NoWait).unwrap();
        lp.run(phaseloop::RunMode::NoWait).unwrap();
    }
    lp.block_on(asked).unwrap().unwrap().unwrap();
    assert_eq!(client.kept(), 1);
    lp.run(phaseloop::RunMode::Default).unwrap(); // returns, though the connection is there
    assert_eq!(client.kept(), 1);
}

#[test]
fn dead_connections_make_room_for_other_servers() {
    on_loop(async |lp| {
        let client = Client::with_options(&lp, options(|options| options.kept_servers_max = 2));
        for _ in 0..2 {
            let closes = raw_server(&lp, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true);
            text(client.get(&format!("http://{closes}/")).await.unwrap()).await;
        }
        lp.sleep(secs(1)).await;
        let (_serving, address) = start(&lp, Server::new(echo));
        text(client.get(&format!("http://{address}/")).await.unwrap()).await;
        lp.sleep(secs(1)).await;
        assert_eq!(client.kept(), 1);
    });
}

#[test]
fn an_address_that_does_not_answer_leaves_time_for_the_next() {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, Server::new(echo));
        // A listener whose backlog is full takes no more: what else connects hears nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let deaf = silent.local_addr().unwrap();
        let mut waiting = Vec::new();
        while lp
            .timeout(secs(1), TcpStream::connect(&lp, deaf))
            .await
            .map(|stream| waiting.push(stream))
            .is_ok()
        {}
        let resolve: Resolve = Rc::new(move |_, _| Box::pin(std::future::ready(Ok(vec![deaf, address]))));
        let before = lp.now();
        let response = Client::new(&lp).resolve(resolve).get("http://somewhere/x").await.unwrap();
        assert_eq!((text(response).await.as_str(), lp.now() - before), ("GET /x ", secs(5)));
    });
}

#[test]
fn names_are_looked_up_on_a_pool() {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, Server::new(echo));
        let pool = fs_pool::pool::Pool::builder().build().unwrap();
        let resolve = resolve_on(&fs_pool::request::LoopPool::new(&lp, &pool));
        let found = resolve("localhost.".to_owned(), 7).await;
        // Whether a machine knows this name is its own affair; that the system was asked shows either way.
        assert!(found.is_err() || found.unwrap().iter().all(|address| address.ip().is_loopback()));
        let client = Client::new(&lp).resolve(resolve);
        let response = client.get(&format!("http://localhost:{}/x", address.port())).await.unwrap();
        assert_eq!(text(response).await, "GET /x ");
    });
}
