//! What a peer may cost, and what it is told when it costs more. In virtual time.

#![cfg(feature = "http1")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod peer;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use peer::{Raw, body, on_loop, secs, start, status};
use phaseloop_server::http::{Body, BodyError, Limits, Request, Server};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

async fn read_all(request: Request<Body>) -> Result<String, BodyError> {
    Ok(request.into_body().bytes().await?.len().to_string())
}

fn limits(set: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    set(&mut limits);
    limits
}

/// Sends bytes to a server with the default limits, and gives what comes until it closes, and how long that took.
fn answer_to(bytes: impl AsRef<[u8]>) -> (String, Duration) {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, Server::new(read_all));
        let before = lp.now();
        let mut raw = Raw::ask(&lp, address, bytes).await;
        let answer = raw.cut_off().await;
        (answer, lp.now() - before)
    })
}

/// As `answer_to`, for what needs no deadline to end: no time passes.
fn answer_at_once(bytes: impl AsRef<[u8]>) -> String {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, Server::new(read_all));
        Raw::ask(&lp, address, bytes).await.until_closed().await
    })
}

// --- heads ------------------------------------------------------------------------------------------------------------

#[test]
fn a_silent_connection_is_closed_without_a_word() {
    assert_eq!(answer_to(""), (String::new(), secs(30)));
}

#[test]
fn a_head_that_stops_is_answered_with_408() {
    for head in ["G", "GET / HTTP/1.1\r\nHost: x\r\nX-", "PRI * HTTP/1.1\r\n"] {
        let (answer, took) = answer_to(head);
        assert_eq!(status(&answer), 408, "{head:?}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert_eq!(took, secs(15));
    }
}

#[test]
fn a_head_that_trickles_is_answered_with_408_all_the_same() {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, Server::new(read_all));
        let mut raw = Raw::ask(&lp, address, "GET / HTTP/1.1\r\n").await;
        let before = lp.now();
        let (stream, pace) = (raw.stream.clone(), lp.clone());
        lp.spawn(async move {
            // One more field each second, each in time by itself.
            while stream.write_all(b"X-A: b\r\n").await.is_ok() {
                pace.sleep(secs(1)).await;
            }
        });
        assert_eq!(status(&raw.cut_off().await), 408);
        assert_eq!(lp.now() - before, secs(15));
    });
}

#[test]
fn a_preface_that_stops_is_no_reason_to_wait() {
    let (answer, took) = answer_to("PRI * HTTP/2.0\r\n\r\nSM");
    assert_eq!((answer.as_str(), took), ("", secs(30)));
}

#[test]
fn long_heads_are_answered_with_431_and_many_fields_too() {
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "y".repeat(20 * 1024));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(101));
    let endless =
        format!("GET / HTTP/1.1\r\nHost: x\r\n{}", "X: yyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(50_000));
    for head in [long, many, endless] {
        let (answer, took) = answer_to(&head);
        assert_eq!(status(&answer), 431, "{answer}");
        assert!(took < secs(3), "{took:?}");
    }
}

#[test]
fn long_targets_are_answered_with_414() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "y".repeat(9 * 1024));
    let endless = format!("GET /{}", "y".repeat(100 * 1024));
    for head in [long, endless] {
        assert_eq!(status(&answer_to(&head).0), 414);
    }
}

#[test]
fn a_request_needs_one_host() {
    let bad = ["", "Host: a\r\nHost: b\r\n", "Host: a\r\nHost: a\r\n"];
    let invalid = ["a b", "a, b", "http://a", "user@a", "a/", "a:b", "a:1:1", "a%2", "[::1", "::1", "\u{fc}"];
    let invalid = invalid.map(|host| format!("Host: {host}\r\n"));
    for hosts in bad.into_iter().chain(invalid.iter().map(String::as_str)) {
        let (answer, _) = answer_to(format!("GET / HTTP/1.1\r\n{hosts}\r\n"));
        assert_eq!(status(&answer), 400, "{hosts:?}: {answer}");
        if !hosts.is_empty() {
            let (answer, _) = answer_to(format!("GET / HTTP/1.0\r\n{hosts}\r\n"));
            assert!(answer.starts_with("HTTP/1.0 400 "), "{hosts:?}: {answer}");
        }
    }
    for host in ["", "a:80", "[::1]:80", "a%20b", "A_b"] {
        let (answer, _) = answer_to(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        assert_eq!(status(&answer), 200, "{host:?}: {answer}");
    }
    let (answer, _) = answer_to("GET / HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200 OK"), "HTTP/1.0 needs none: {answer}");
}

// --- smuggling --------------------------------------------------------------------------------------------------------

#[test]
fn what_two_parsers_could_read_differently_is_refused() {
    let bad = [
        "GET / HTTP/1.1\r\nHost: x\r\nX-Folded: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX Space: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX-Space : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX-Nul: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX-Bare-CR: a\rb\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
        "GET / HTTP/3.7\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03",
    ];
    for request in bad {
        let answer = answer_at_once(request);
        assert_eq!(status(&answer), 400, "{request:?}: {answer:?}");
    }
}

#[test]
fn bad_chunks_end_the_connection() {
    let bad = [
        "3\nabc\r\n0\r\n\r\n",
        "3 4\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc",
        "\r\nabc\r\n0\r\n\r\n",
    ];
    for chunks in bad {
        let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = answer_at_once(format!("{head}{chunks}{GET}"));
        assert_eq!(status(&answer), 400, "{chunks:?}: {answer:?}");
        assert!(answer.matches("HTTP/1.1 ").count() == 1, "{chunks:?} hid a request: {answer}");
    }
}

#[test]
fn lines_that_end_in_a_bare_lf_are_lines_to_everybody() {
    // RFC 9112, section 2.2, allows it; what matters is that none hides a request, and that a body is as long as is said.
    let (answer, _) = answer_to(format!("GET / HTTP/1.1\nHost: x\n\n{GET}"));
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 2, "{answer}");
    let (answer, _) = answer_to("POST / HTTP/1.1\nHost: x\nContent-Length: 6\n\nGET /\n");
    assert_eq!((answer.matches("HTTP/1.1 ").count(), body(&answer)), (1, "6"), "{answer}");
}

#[test]
fn a_length_beside_chunks_ends_the_connection_behind_the_answer() {
    for heads in
        ["Content-Length: 4\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 4"]
    {
        // Read by its length, the body is `1\r\nA`, and what follows another request.
        let request = format!("POST / HTTP/1.1\r\nHost: x\r\n{heads}\r\n\r\n1\r\nA\r\n0\r\n\r\n{GET}");
        let answer = answer_at_once(request);
        assert_eq!((status(&answer), body(&answer)), (200, "1"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
}

// --- bodies -----------------------------------------------------------------------------------------------------------

#[test]
fn a_body_that_says_it_is_too_large_is_refused_before_it_comes() {
    let head = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2097153\r\n\r\n";
    let (answer, took) = answer_to(head);
    assert_eq!(status(&answer), 413, "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(took < secs(3));
}

#[test]
fn a_body_that_turns_out_too_large_is_refused() {
    on_loop(async |lp| {
        let server = Server::new(read_all).limits(limits(|limits| limits.body_len_max = 100));
        let (_serving, address) = start(&lp, server);
        let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let fits = format!("{head}64\r\n{}\r\n0\r\n\r\n", "x".repeat(100));
        let mut raw = Raw::ask(&lp, address, fits).await;
        assert_eq!(body(&raw.reply().await), "100");
        raw.send(format!("{head}65\r\n{}\r\n", "x".repeat(101))).await;
        assert_eq!(status(&raw.cut_off().await), 413);
    });
}

#[test]
fn a_handler_may_take_more() {
    on_loop(async |lp| {
        let handler = async |mut request: Request<Body>| {
            request.body_mut().set_len_max(200);
            read_all(request).await
        };
        let server = Server::new(handler).limits(limits(|limits| limits.body_len_max = 100));
        let (_serving, address) = start(&lp, server);
        let request = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 150\r\n\r\n{}", "x".repeat(150));
        assert_eq!(body(&Raw::ask(&lp, address, request).await.reply().await), "150");
    });
}

#[test]
fn a_body_that_stops_is_answered_with_408() {
    let (answer, took) = answer_to("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf");
    assert_eq!(status(&answer), 408, "{answer}");
    assert!((secs(5)..secs(8)).contains(&took), "{took:?}");
}

#[test]
fn a_body_that_nobody_asks_for_is_not_too_slow() {
    on_loop(async |lp| {
        let handler = async |request: Request<Body>| {
            phaseloop::sleep(secs(60)).await;
            read_all(request).await
        };
        let (_serving, address) = start(&lp, Server::new(handler));
        let mut raw = Raw::ask(&lp, address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n").await;
        lp.sleep(secs(30)).await;
        raw.send("body").await;
        lp.sleep(secs(30)).await;
        assert_eq!(body(&raw.reply().await), "4");
    });
}

// --- connections ------------------------------------------------------------------------------------------------------

#[test]
fn an_idle_connection_is_closed() {
    on_loop(async |lp| {
        let (serving, address) = start(&lp, Server::new(read_all));
        let mut raw = Raw::ask(&lp, address, GET).await;
        assert_eq!(status(&raw.reply().await), 200);
        let before = lp.now();
        assert_eq!(raw.cut_off().await, "");
        assert_eq!(lp.now() - before, secs(75));
        drop(raw);
        lp.sleep(secs(3)).await;
        assert_eq!(serving.stats().connections, 0);
    });
}

#[test]
fn a_peer_that_takes_nothing_is_cut() {
    on_loop(async |lp| {
        let handler = async |_: Request<Body>| vec![b'x'; 64 * 1024 * 1024];
        let troubles = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&troubles);
        let server =
            Server::new(handler).on_trouble(move |trouble| told.borrow_mut().push(trouble.to_string()));
        let (serving, address) = start(&lp, server);
        let _raw = Raw::ask(&lp, address, GET).await;
        lp.sleep(secs(29)).await;
        assert_eq!(serving.stats().connections, 1);
        lp.sleep(secs(2)).await;
        assert_eq!(serving.stats().connections, 0);
        assert!(troubles.borrow()[0].ends_with("the peer takes nothing"), "{troubles:?}");
    });
}

#[test]
fn the_last_request_of_a_connection_says_so() {
    on_loop(async |lp| {
        let server = Server::new(read_all).limits(limits(|limits| limits.requests_per_connection_max = 2));
        let (_serving, address) = start(&lp, server);
        let mut raw = Raw::ask(&lp, address, GET.repeat(3)).await;
        assert!(!raw.reply().await.contains("connection: close"));
        let rest = raw.until_closed().await;
        assert!(rest.contains("connection: close"), "{rest}");
        assert_eq!(rest.matches("HTTP/1.1 ").count(), 1, "{rest}");
    });
}

#[test]
fn one_connection_too_many_is_told_to_come_again() {
    on_loop(async |lp| {
        let server = Server::new(read_all).limits(limits(|limits| limits.connections_max = 2));
        let (serving, address) = start(&lp, server);
        let mut kept = [Raw::ask(&lp, address, GET).await, Raw::ask(&lp, address, GET).await];
        for raw in &mut kept {
            assert_eq!(status(&raw.reply().await), 200);
        }
        let answer = Raw::ask(&lp, address, GET).await.cut_off().await;
        assert_eq!(status(&answer), 503);
        assert!(answer.contains("retry-after: 1"), "{answer}");
        assert_eq!((serving.stats().connections, serving.stats().refused), (2, 1));
        let [first, _second] = kept;
        first.stream.close();
        lp.sleep(secs(1)).await;
        assert_eq!(status(&Raw::ask(&lp, address, GET).await.reply().await), 200);
    });
}

#[test]
fn connections_are_counted_by_address() {
    on_loop(async |lp| {
        let server = Server::new(read_all).limits(limits(|limits| limits.connections_per_address_max = 1));
        let (_serving, address) = start(&lp, server);
        let mut first = Raw::ask(&lp, address, GET).await;
        assert_eq!(status(&first.reply().await), 200);
        assert_eq!(status(&Raw::ask(&lp, address, GET).await.cut_off().await), 503);
        first.stream.close();
        lp.sleep(secs(1)).await;
        assert_eq!(status(&Raw::ask(&lp, address, GET).await.reply().await), 200);
    });
}

#[test]
fn hundreds_of_slow_heads_keep_nobody_else_waiting() {
    on_loop(async |lp| {
        let (serving, address) = start(&lp, Server::new(read_all));
        let mut slow = Vec::new();
        for _ in 0..400 {
            slow.push(Raw::ask(&lp, address, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await);
        }
        let before = lp.now();
        assert_eq!(status(&Raw::ask(&lp, address, GET).await.reply().await), 200);
        assert_eq!(lp.now(), before);
        lp.sleep(secs(20)).await;
        for raw in &mut slow {
            assert_eq!(status(&raw.cut_off().await), 408);
        }
        drop(slow);
        lp.sleep(secs(80)).await;
        assert_eq!(serving.stats().connections, 0);
    });
}
