//! Ending a server: what is finished, what is cut, and what is told of it.

#![cfg(feature = "http1")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod peer;

use std::cell::RefCell;
use std::rc::Rc;

use futures::AsyncReadExt;
use peer::{Raw, body, on_loop, secs, start, status};
use phaseloop::net::{TcpListener, TcpStream};
use phaseloop_server::http::{self, Body, BoxError, Protocol, Request, Response, Server, StatusCode};

/// Takes as many seconds as the path says.
async fn slow(request: Request<Body>) -> String {
    let path = request.uri().path();
    let takes = path[1..].parse().unwrap_or(0);
    phaseloop::sleep(secs(takes)).await;
    format!("{takes} s")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[test]
fn what_was_asked_is_finished_and_the_loop_ends() {
    on_loop(async |lp| {
        let (serving, address) = start(&lp, Server::new(slow));
        let mut idle = Raw::ask(&lp, address, get("/0")).await;
        assert_eq!(status(&idle.reply().await), 200);
        let mut fresh = Raw::connect(&lp, address).await;
        let mut busy = Raw::ask(&lp, address, get("/5")).await;
        lp.sleep(secs(1)).await;
        let report = serving.shutdown(secs(10));
        let (before, report) = (lp.now(), lp.spawn(report));
        assert_eq!(idle.cut_off().await, "");
        assert_eq!(fresh.cut_off().await, "");
        drop((idle, fresh));
        let answer = busy.cut_off().await;
        assert!(answer.contains("connection: close") && body(&answer) == "5 s", "{answer}");
        drop(busy);
        let report = report.await.unwrap().unwrap();
        assert_eq!((report.finished, report.cut.len()), (3, 0), "{report}");
        assert!((secs(4)..secs(5)).contains(&(lp.now() - before)));
        assert!(TcpStream::connect(&lp, address).await.is_err(), "nobody listens");
        assert_eq!(lp.task_count(), 1, "the test itself: {:?}", lp.why_alive());
    });
}

#[test]
fn what_was_asked_while_the_server_shut_down_is_answered_on_a_fresh_connection() {
    on_loop(async |lp| {
        let (serving, address) = start(&lp, Server::new(slow));
        let mut fresh = Raw::connect(&lp, address).await;
        let mut silent = Raw::connect(&lp, address).await;
        lp.sleep(secs(3)).await;
        let (report, before) = (serving.shutdown(secs(10)), lp.now());
        while !serving.is_draining() {
            phaseloop::yield_now().await;
        }
        fresh.send(get("/0")).await;
        assert_eq!(body(&fresh.cut_off().await), "0 s");
        assert_eq!(silent.cut_off().await, "");
        assert_eq!(lp.now() - before, secs(1), "so long its request may take to arrive");
        drop((fresh, silent));
        assert_eq!(report.await.unwrap().finished, 2);
    });
}

#[test]
fn what_takes_too_long_is_cut_and_told() {
    on_loop(async |lp| {
        let (serving, address) = start(&lp, Server::new(slow));
        let mut quick = Raw::ask(&lp, address, get("/3")).await;
        let mut hanging = Raw::ask(&lp, address, get("/1000")).await;
        let mut half = Raw::ask(&lp, address, "GET / HT").await;
        lp.sleep(secs(1)).await;
        let before = lp.now();
        let report = serving.shutdown(secs(10)).await.unwrap();
        assert_eq!(lp.now() - before, secs(10));
        assert_eq!(report.finished, 2, "half a head is no request");
        let cut = &report.cut[0];
        assert_eq!((cut.peer, cut.requests, cut.under_way), (hanging.stream.local_addr().unwrap(), 1, 1));
        assert_eq!((cut.protocol, cut.age, report.cut.len()), (Some(Protocol::Http1), secs(11), 1));
        assert_eq!(body(&quick.cut_off().await), "3 s");
        assert_eq!((hanging.cut_off().await, half.cut_off().await), (String::new(), String::new()));
        assert_eq!((serving.stats().connections, lp.task_count()), (0, 1), "the test itself");
    });
}

#[test]
fn what_waits_in_the_backlog_is_served() {
    on_loop(async |lp| {
        let (serving, address) = start(&lp, Server::new(slow));
        // Connected and asked before the server had a turn to accept it.
        let early = std::net::TcpStream::connect(address).unwrap();
        let mut early = Raw::adopt(&lp, early);
        early.send(get("/1")).await;
        let report = serving.shutdown(secs(10));
        assert_eq!(body(&early.cut_off().await), "1 s");
        drop(early);
        assert_eq!(report.await.unwrap().cut, []);
    });
}

#[test]
fn who_took_a_connection_over_is_told_and_then_cut() {
    on_loop(async |lp| {
        let handler = async |mut request: Request<Body>| {
            let upgrading = http::upgrade(&mut request)?;
            let polite = request.uri() == "/polite";
            phaseloop::spawn(async move {
                let mut stream = upgrading.await.unwrap();
                let mut buf = [0; 16];
                std::future::poll_fn(|cx| {
                    if polite && stream.is_draining() {
                        return std::task::Poll::Ready(());
                    }
                    futures::AsyncRead::poll_read(std::pin::Pin::new(&mut stream), cx, &mut buf).map(drop)
                })
                .await;
                if !polite {
                    assert!(stream.read(&mut buf).await.is_err(), "it was cut");
                }
            });
            let switching = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
            Ok::<_, BoxError>(
                switching.header("connection", "upgrade").header("upgrade", "x").body(Body::empty())?,
            )
        };
        let (serving, address) = start(&lp, Server::new(handler));
        let request =
            |path| format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        let mut polite = Raw::ask(&lp, address, request("/polite")).await;
        let mut stubborn = Raw::ask(&lp, address, request("/stubborn")).await;
        assert_eq!(status(&polite.reply().await), 101);
        assert_eq!(status(&stubborn.reply().await), 101);
        let report = serving.shutdown(secs(10)).await.unwrap();
        assert_eq!((report.finished, report.cut.len()), (1, 1), "{report}");
        assert_eq!((polite.cut_off().await, stubborn.cut_off().await), (String::new(), String::new()));
        lp.sleep(secs(1)).await;
        assert_eq!((lp.task_count(), lp.task_failures()), (1, 0), "the test itself");
    });
}

#[test]
fn a_connection_that_was_taken_over_and_left_alone_holds_nothing_up() {
    on_loop(async |lp| {
        let taken = Rc::new(RefCell::new(Vec::new()));
        let keeps = Rc::clone(&taken);
        let handler = async move |mut request: Request<Body>| {
            let (upgrading, kept) = (http::upgrade(&mut request)?, Rc::clone(&keeps));
            phaseloop::spawn(async move {
                let stream = upgrading.await.unwrap();
                kept.borrow_mut().push(stream);
            });
            let switching = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
            Ok::<_, BoxError>(
                switching.header("connection", "upgrade").header("upgrade", "x").body(Body::empty())?,
            )
        };
        let (serving, address) = start(&lp, Server::new(handler));
        let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
        let mut raw = Raw::ask(&lp, address, request).await;
        assert_eq!(status(&raw.reply().await), 101);
        let report = serving.shutdown(secs(10)).await.unwrap();
        assert_eq!((report.finished, report.cut.len()), (0, 1), "{report}");
        assert_eq!((raw.cut_off().await, taken.borrow().len()), (String::new(), 1));
        taken.take();
        assert_eq!(serving.stats().connections, 0, "it left once");
    });
}

#[test]
fn connections_that_are_handed_in_while_it_ends_are_counted() {
    on_loop(async |lp| {
        let (serving, address) = start(&lp, Server::new(slow));
        let listener = TcpListener::bind(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
        let elsewhere = listener.local_addr().unwrap();
        let mut first = Raw::ask(&lp, address, get("/5")).await;
        lp.sleep(secs(1)).await;
        let report = serving.shutdown(secs(10));
        lp.sleep(secs(1)).await;
        let mut late = Vec::new();
        for _ in 0..2 {
            late.push(Raw::ask(&lp, elsewhere, get("/20")).await);
            serving.serve_stream(listener.accept().await.unwrap().0);
        }
        assert_eq!(body(&first.cut_off().await), "5 s");
        let report = report.await.unwrap();
        assert_eq!((report.finished, report.cut.len()), (1, 2), "{report}");
    });
}
