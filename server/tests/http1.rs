//! HTTP/1.1 as it is spoken on the wire.

#![cfg(feature = "http1")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod peer;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures::{AsyncReadExt, AsyncWriteExt};
use peer::{Raw, body, on_loop, start, status};
use phaseloop_server::http::{
    self, Body, BodyError, BoxError, HeaderMap, HeaderValue, Limits, Request, RequestExt, Response, Server,
    StatusCode, StatusError,
};

/// Says what it was asked, the body included.
async fn echo(request: Request<Body>) -> Result<String, BodyError> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    Ok(format!("{method} {uri} {}", request.into_body().text().await?))
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    on_loop(async |lp| {
        let (serving, address) = start(&lp, Server::new(echo));
        let mut raw = Raw::connect(&lp, address).await;
        for n in 0..3 {
            raw.send(format!("GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
            let reply = raw.reply().await;
            assert_eq!((status(&reply), body(&reply)), (200, format!("GET /{n} ").as_str()));
            assert!(reply.contains("\r\ndate: "), "{reply}");
        }
        assert_eq!((serving.stats().accepted, serving.stats().requests), (1, 3));
    });
}

#[test]
fn pipelined_requests_are_answered_in_order_and_gathered() {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, Server::new(echo));
        let requests: String = (0..10).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n")).collect();
        let mut raw = Raw::ask(&lp, address, requests).await;
        let mut buf = [0; 16 * 1024];
        // One read finds all answers: they left in one write.
        let waiting = lp.begin_request();
        let len = raw.stream.read(&mut buf).await.unwrap();
        drop(waiting);
        let answers = String::from_utf8_lossy(&buf[..len]).into_owned();
        let found: Vec<_> = (0..10).filter_map(|n| answers.find(&format!("GET /{n} "))).collect();
        assert_eq!(found.len(), 10, "{answers}");
        assert!(found.is_sorted());
        raw.send("GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(raw.until_closed().await.contains("connection: close"));
    });
}

#[test]
fn a_slow_handler_does_not_hold_back_the_answer_before_it() {
    on_loop(async |lp| {
        let handler = async |request: Request<Body>| {
            if request.uri() == "/slow" {
                phaseloop::sleep(peer::secs(5)).await;
            }
            request.uri().to_string()
        };
        let (_serving, address) = start(&lp, Server::new(handler));
        let both = "GET /fast HTTP/1.1\r\nHost: x\r\n\r\nGET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
        let before = lp.now();
        let mut raw = Raw::ask(&lp, address, both).await;
        assert_eq!(body(&raw.reply().await), "/fast");
        assert_eq!(lp.now(), before);
        raw.send("GET /third HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        let rest = raw.cut_off().await;
        assert!(rest.find("/slow").unwrap() < rest.find("/third").unwrap(), "{rest}");
    });
}

#[test]
fn bodies_come_by_length_and_in_chunks() {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, Server::new(echo));
        let mut raw =
            Raw::ask(&lp, address, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello").await;
        assert_eq!(body(&raw.reply().await), "POST /a hello");
        raw.send("POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        for piece in ["3\r\nhel\r\n", "2;name=value\r\nlo\r\n", "0\r\n\r\n"] {
            raw.send(piece).await;
        }
        assert_eq!(body(&raw.reply().await), "POST /b hello");
    });
}

#[test]
fn trailers_go_both_ways() {
    on_loop(async |lp| {
        let handler = async |request: Request<Body>| {
            let (bytes, trailers) = request.into_body().collect().await?;
            let sum = trailers.unwrap().get("sum").cloned().unwrap();
            let (mut sender, body) = Body::channel(1024);
            sender.try_send(bytes)?;
            sender.finish_with(HeaderMap::from_iter([("sum".parse()?, sum)]));
            Ok::<_, BoxError>(Response::builder().header("trailer", "sum").body(body)?)
        };
        let (_serving, address) = start(&lp, Server::new(handler));
        let request = "POST / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n\
                       2\r\nhi\r\n0\r\nsum: 7\r\n\r\n";
        let mut raw = Raw::ask(&lp, address, request).await;
        let reply = raw.reply().await;
        assert_eq!(body(&reply), "2\r\nhi\r\n0\r\nsum: 7\r\n\r\n");
    });
}

#[test]
fn expect_is_answered_when_the_body_is_asked_for_and_not_before() {
    on_loop(async |lp| {
        let handler = async |request: Request<Body>| match request.uri().path() {
            "/no" => Err(StatusError::from(StatusCode::FORBIDDEN)),
            _ => Ok(request.into_body().text().await.unwrap_or_default()),
        };
        let (_serving, address) = start(&lp, Server::new(handler));
        let head = |path| {
            format!("PUT {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        };
        let mut raw = Raw::ask(&lp, address, head("/yes")).await;
        assert_eq!(raw.reply().await, "HTTP/1.1 100 Continue\r\n\r\n");
        raw.send("body").await;
        assert_eq!(body(&raw.reply().await), "body");
        raw.send(head("/no")).await;
        let reply = raw.until_closed().await; // the body never came, so the connection is of no more use
        assert_eq!(status(&reply), 403, "{reply}");
    });
}

#[test]
fn an_answer_is_written_while_the_request_is_read() {
    on_loop(async |lp| {
        let handler = async |request: Request<Body>| {
            let (mut sender, body) = Body::channel(1024);
            phaseloop::spawn(async move {
                let mut incoming = request.into_body();
                while let Some(piece) = incoming.chunk().await {
                    if sender.send(piece.unwrap().to_ascii_uppercase()).await.is_err() {
                        return;
                    }
                }
                sender.finish();
            });
            Response::new(body)
        };
        let (_serving, address) = start(&lp, Server::new(handler));
        let head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut raw = Raw::ask(&lp, address, head).await;
        let waiting = lp.begin_request();
        let mut seen = String::new();
        for piece in ["one", "two", "six"] {
            raw.send(format!("3\r\n{piece}\r\n")).await;
            while !seen.ends_with(&format!("3\r\n{}\r\n", piece.to_ascii_uppercase())) {
                let mut buf = [0; 1024];
                let len = raw.stream.read(&mut buf).await.unwrap();
                seen.push_str(std::str::from_utf8(&buf[..len]).unwrap());
            }
        }
        drop(waiting);
        raw.send("0\r\n\r\n").await;
        assert_eq!(raw.until_closed().await, "0\r\n\r\n");
    });
}

#[test]
fn a_writer_waits_for_a_peer_that_does_not_read() {
    on_loop(async |lp| {
        let sent = Rc::new(Cell::new(0));
        let counted = Rc::clone(&sent);
        let handler = async move |_: Request<Body>| {
            let (mut sender, body) = Body::channel(64 * 1024);
            let counted = Rc::clone(&counted);
            phaseloop::spawn(async move {
                while sender.send(vec![b'x'; 16 * 1024]).await.is_ok() {
                    counted.set(counted.get() + 16 * 1024);
                }
            });
            Response::new(body)
        };
        let (_serving, address) = start(&lp, Server::new(handler));
        let raw = Raw::ask(&lp, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        lp.sleep(peer::secs(1)).await;
        let before = sent.get();
        assert!(before < 32 * 1024 * 1024, "{before} bytes wait for a peer that reads nothing");
        lp.sleep(peer::secs(1)).await;
        assert_eq!(sent.get(), before);
        assert!(raw.stream.read(&mut vec![0; 1024 * 1024]).await.unwrap() > 0);
        // The peer goes: the writer learns of it.
        raw.stream.close();
        let gone = lp.timeout(peer::secs(60), async {
            let mut last = 0;
            while sent.get() != last {
                last = sent.get();
                lp.sleep(peer::ms(10)).await;
            }
        });
        assert!(gone.await.is_ok());
    });
}

#[test]
fn a_handler_is_dropped_when_its_peer_goes_away() {
    struct Witness(Rc<Cell<bool>>);
    impl Drop for Witness {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    on_loop(async |lp| {
        let dropped = Rc::new(Cell::new(false));
        let witnessed = Rc::clone(&dropped);
        let handler = async move |_: Request<Body>| {
            let _witness = Witness(Rc::clone(&witnessed));
            std::future::pending::<()>().await;
        };
        let (serving, address) = start(&lp, Server::new(handler));
        let raw = Raw::ask(&lp, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        lp.sleep(peer::ms(1)).await;
        assert!(!dropped.get());
        raw.stream.close();
        lp.sleep(peer::ms(1)).await;
        assert!(dropped.get());
        assert_eq!(serving.stats().connections, 0);
    });
}

#[test]
fn a_handler_is_dropped_when_its_peer_goes_away_behind_a_body() {
    // The body is read by a task of its own, read in part and kept, read in part and dropped.
    for path in ["task", "kept", "dropped"] {
        on_loop(async |lp| {
            let waits = Rc::new(());
            let (held, spawning) = (Rc::downgrade(&waits), lp.clone());
            let waits = Cell::new(Some(waits));
            let troubles = Rc::new(RefCell::new(Vec::new()));
            let told = Rc::clone(&troubles);
            let handler = move |mut request: Request<Body>| {
                let (_waits, lp) = (waits.take(), spawning.clone());
                async move {
                    match request.uri().path() {
                        "/task" => drop(lp.spawn(std::mem::take(request.body_mut()).bytes())),
                        "/kept" => drop(request.body_mut().chunk().await),
                        _ => drop(request.into_body().chunk().await),
                    }
                    let _waits = _waits;
                    std::future::pending::<()>().await;
                }
            };
            let server =
                Server::new(handler).on_trouble(move |trouble| told.borrow_mut().push(trouble.to_string()));
            let (serving, address) = start(&lp, server);
            let head = format!("POST /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n");
            let raw = Raw::ask(&lp, address, head).await;
            lp.sleep(peer::ms(1)).await;
            raw.stream.write_all(b"body").await.unwrap();
            lp.sleep(peer::ms(1)).await;
            assert!(held.upgrade().is_some(), "{path}");
            raw.stream.close();
            lp.sleep(peer::ms(1)).await;
            assert!(held.upgrade().is_none(), "{path}");
            assert_eq!(serving.stats().connections, 0);
            assert!(troubles.borrow()[0].ends_with("the peer went before it was answered"), "{troubles:?}");
        });
    }
}

#[test]
fn errors_become_answers_and_are_told() {
    on_loop(async |lp| {
        let troubles = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&troubles);
        let handler = async |request: Request<Body>| -> Result<&'static str, BoxError> {
            match request.uri().path() {
                "/teapot" => Err(StatusError::new(StatusCode::IM_A_TEAPOT, "short and stout")
                    .with_header(http::header::CONTENT_TYPE, HeaderValue::from_static("text/x-tea"))
                    .into()),
                _ => Err("a secret of the house".into()),
            }
        };
        let server =
            Server::new(handler).on_trouble(move |trouble| told.borrow_mut().push(trouble.to_string()));
        let (_serving, address) = start(&lp, server);
        let mut raw = Raw::ask(&lp, address, "GET /teapot HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let reply = raw.reply().await;
        assert_eq!((status(&reply), body(&reply)), (418, "short and stout\n"));
        assert!(reply.contains("content-type: text/x-tea\r\n") && !reply.contains("text/plain"), "{reply}");
        raw.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let reply = raw.reply().await;
        assert_eq!((status(&reply), body(&reply)), (500, "Internal Server Error\n"));
        let expected = [
            "GET /teapot was answered with 418: 418: short and stout",
            "GET /x was answered with 500: a secret of the house",
        ];
        assert_eq!(*troubles.borrow(), expected);
    });
}

#[test]
fn a_panic_of_a_handler_costs_its_connection_only() {
    on_loop(async |lp| {
        let handler = async |request: Request<Body>| match request.uri().path() {
            "/panic" => panic!("on purpose"),
            _ => "fine",
        };
        let (serving, address) = start(&lp, Server::new(handler));
        let mut other = Raw::ask(&lp, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(body(&other.reply().await), "fine");
        let mut raw = Raw::ask(&lp, address, "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(raw.until_closed().await, "");
        other.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(body(&other.reply().await), "fine");
        assert_eq!((serving.stats().connections, lp.task_failures()), (1, 1));
    });
}

#[test]
fn a_connection_is_handed_over_with_what_came_behind_the_request() {
    on_loop(async |lp| {
        let handler = async |mut request: Request<Body>| {
            let upgrading = http::upgrade(&mut request)?;
            assert!(http::upgrade(&mut request).is_err(), "there is one connection");
            if request.uri() == "/slow" {
                phaseloop::sleep(peer::secs(5)).await;
            }
            phaseloop::spawn(async move {
                let mut stream = upgrading.await.unwrap();
                let mut buf = [0; 5];
                stream.read_exact(&mut buf).await.unwrap();
                buf.reverse();
                stream.write_all(&buf).await.unwrap();
                stream.close().await.unwrap();
            });
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
            response.headers_mut().insert("upgrade", HeaderValue::from_static("mirror"));
            Ok::<_, BoxError>(response)
        };
        let (serving, address) = start(&lp, Server::new(handler));
        let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: mirror\r\n\r\nabcde";
        let mut raw = Raw::ask(&lp, address, request).await;
        let all = raw.until_closed().await;
        assert_eq!(status(&all), 101);
        assert!(all.ends_with("\r\n\r\nedcba"), "{all}");
        assert_eq!(serving.stats().connections, 0);
        let mut raw =
            Raw::ask(&lp, address, request.replace("/ HTTP", "/slow HTTP").replace("cde", "")).await;
        lp.sleep(peer::secs(1)).await;
        raw.send("cd").await;
        lp.sleep(peer::secs(1)).await;
        raw.send("e").await;
        assert!(raw.cut_off().await.ends_with("\r\n\r\nedcba"), "what came while the handler took its time");
        let mut raw = Raw::ask(&lp, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(status(&raw.reply().await), 500, "a plain request is no upgrade");
    });
}

#[test]
fn who_was_promised_a_connection_gets_its_own_or_an_error() {
    on_loop(async |lp| {
        let waiting = Rc::new(RefCell::new(Vec::new()));
        let promised = Rc::clone(&waiting);
        let handler = async move |mut request: Request<Body>| {
            let upgrading = http::upgrade(&mut request)?;
            promised.borrow_mut().push(phaseloop::spawn(upgrading));
            let mut response = Response::new(Body::empty());
            if request.uri() == "/yes" {
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
                response.headers_mut().insert("upgrade", HeaderValue::from_static("x"));
            }
            Ok::<_, BoxError>(response)
        };
        let mut limits = Limits::default();
        limits.requests_per_connection_max = 2;
        let (_serving, address) = start(&lp, Server::new(handler).limits(limits));
        let request =
            |path| format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        let mut raw = Raw::ask(&lp, address, request("/no")).await;
        assert_eq!(status(&raw.reply().await), 200);
        let first = waiting.borrow_mut().remove(0);
        let refused = first.await.unwrap();
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::NotConnected, "at once");
        raw.send(request("/yes")).await;
        let reply = raw.reply().await;
        assert!(status(&reply) == 101 && reply.contains("connection: upgrade"), "the last one too: {reply}");
        let second = waiting.borrow_mut().remove(0);
        let mut stream = second.await.unwrap().unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.flush().await.unwrap();
        raw.bytes_until(b"hello").await;
    });
}

#[test]
fn a_handler_knows_who_asks() {
    on_loop(async |lp| {
        let handler = async |request: Request<Body>| {
            let connection = request.connection().unwrap();
            format!("{} {} {}", connection.peer, connection.local, connection.protocol)
        };
        let (_serving, address) = start(&lp, Server::new(handler));
        let mut raw = Raw::ask(&lp, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let here = raw.stream.local_addr().unwrap();
        assert_eq!(body(&raw.reply().await), format!("{here} {address} HTTP/1.1"));
    });
}

#[test]
fn a_version_that_is_not_allowed_is_refused() {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, Server::new(echo).allow_http1(false));
        let mut raw = Raw::ask(&lp, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(status(&raw.until_closed().await), 505);
    });
}

#[test]
fn what_is_no_http_is_closed_without_an_answer_where_http2_may_come() {
    on_loop(async |lp| {
        for allow_http1 in [true, false] {
            let (_serving, address) = start(&lp, Server::new(echo).allow_http1(allow_http1));
            let mut raw = Raw::ask(&lp, address, "INVALID CONNECTION PREFACE\r\n\r\n").await;
            assert_eq!(raw.until_closed().await, "");
        }
        // Where only HTTP/1.1 is spoken it is a bad request.
        let (_serving, address) = start(&lp, Server::new(echo).allow_http2(false));
        let mut raw = Raw::ask(&lp, address, "INVALID CONNECTION PREFACE\r\n\r\n").await;
        assert_eq!(status(&raw.until_closed().await), 400);
    });
}
