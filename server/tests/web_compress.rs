//! Compression both ways: what is compressed and what is not, and request bodies that unfold to too much.

#![cfg(feature = "compress")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod asking;
mod peer;

use asking::{get, with};
use fs_pool::compress::{Brotli, Compress, Deflate, Zstd};
use fs_pool::{pool::Pool, request::LoopPool};
use peer::on_loop;
use phaseloop_server::http::{Body, Handler, Request, Response};
use phaseloop_server::web::middleware::{Compression, decode_bodies};
use phaseloop_server::web::{Error, koa};

fn app(pool: &LoopPool, set_up: fn(Compression) -> Compression) -> koa::App {
    let mut app = koa::App::new();
    app.with(set_up(Compression::new(pool))).with(decode_bodies(pool, 50_000));
    app.get("/long", async |ctx, _| {
        ctx.set("etag", "\"a\"");
        ctx.body("long ".repeat(1000))
    });
    app.get("/short", async |ctx, _| ctx.body("short"));
    app.get("/image", async |ctx, _| ctx.set("content-type", "image/png").res.send(vec![0_u8; 5000]));
    app.get("/done", async |ctx, _| ctx.set("content-encoding", "br").res.text("x".repeat(5000)));
    app.get("/fixed", async |ctx, _| ctx.set("cache-control", "no-transform").res.text("x".repeat(5000)));
    app.get("/fixed-too", async |ctx, _| {
        ctx.res.append("cache-control", "max-age=1").append("cache-control", "private, No-Transform");
        ctx.body("x".repeat(5000))
    });
    app.get("/sheet", async |ctx, _| {
        ctx.set("content-type", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet");
        ctx.body("x".repeat(5000))
    });
    app.get("/feed", async |ctx, _| {
        ctx.set("content-type", "application/atom+xml; charset=utf-8");
        ctx.body("x".repeat(5000))
    });
    app.get("/unchanged", async |ctx, _| ctx.set("etag", "\"a\"").status(304).res.end());
    app.post("/twice", async |ctx, _| {
        let mut body = ctx.req.take_body();
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(body.chunk().await.map(|piece| piece.is_ok()));
        }
        ctx.body(format!("{seen:?}"))
    });
    app.get("/events", async |ctx, _| {
        ctx.set("content-type", "text/event-stream");
        let (mut sender, body) = Body::channel(1000);
        phaseloop::spawn(async move {
            for _ in 0..3 {
                sender.send("data: tick\n\n").await.unwrap();
            }
            sender.finish();
        });
        ctx.body(body)
    });
    app.post("/echo", async |ctx, _| {
        let text = ctx.req.text().await?;
        ctx.body(text.len().to_string())
    });
    app.on_error(|_, _| {});
    app
}

fn ask(set_up: fn(Compression) -> Compression, request: Request<Body>) -> (Response<()>, String) {
    on_loop(async |lp| {
        let pool = LoopPool::new(&lp, &Pool::builder().build().unwrap());
        let response = app(&pool, set_up).handle(request).await.map_err(Error::other).unwrap();
        let (parts, body) = response.into_parts();
        let (compress, bytes) = (Compress::new(&pool), body.bytes().await.unwrap());
        let text = match parts.headers.get("content-encoding").map(|coding| coding.to_str().unwrap()) {
            Some("gzip") => compress.decode(&Deflate::gzip(), bytes).await.unwrap(),
            Some("br") if !bytes.starts_with(b"xxx") => compress.decode(&Brotli::new(), bytes).await.unwrap(),
            Some("zstd") => compress.decode(&Zstd::new(), bytes).await.unwrap(),
            _ => bytes.to_vec(),
        };
        (Response::from_parts(parts, ()), String::from_utf8(text).unwrap())
    })
}

fn coding(response: &Response<()>) -> &str {
    response.headers().get("content-encoding").map_or("", |coding| coding.to_str().unwrap())
}

#[test]
fn answers_are_compressed_as_the_client_likes() {
    for (accepted, expected) in [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, zstd", "zstd"),
        ("gzip;q=1, br;q=0.5", "gzip"),
        ("identity", ""),
        ("", ""),
        ("br;q=0", ""),
    ] {
        let (response, text) = ask(|it| it, with("GET", "/long", &[("accept-encoding", accepted)]));
        assert_eq!((coding(&response), text.len()), (expected, 5000), "{accepted}");
        assert_eq!(response.headers()["vary"], "accept-encoding");
        assert_eq!(response.headers()["etag"], if expected.is_empty() { "\"a\"" } else { "W/\"a\"" });
    }
}

#[test]
fn what_a_client_takes_may_stand_in_several_fields() {
    for (fields, expected) in
        [(["gzip", "br"], "br"), (["br;q=0", "*"], "zstd"), (["identity", "gzip"], "gzip")]
    {
        let fields = fields.map(|field| ("accept-encoding", field));
        let (response, _) = ask(|it| it, with("GET", "/long", &fields));
        assert_eq!(coding(&response), expected, "{fields:?}");
    }
}

#[test]
fn what_gains_nothing_is_left_alone() {
    for (path, expected) in [
        ("/short", ""),
        ("/image", ""),
        ("/done", "br"),
        ("/fixed", ""),
        ("/fixed-too", ""),
        ("/sheet", ""),
        ("/feed", "gzip"),
        ("/events", ""),
    ] {
        let (response, _) = ask(|it| it, with("GET", path, &[("accept-encoding", "gzip")]));
        assert_eq!(coding(&response), expected, "{path}");
    }
    let (response, text) = ask(|it| it.len_min(1), with("GET", "/short", &[("accept-encoding", "gzip")]));
    assert_eq!((coding(&response), text.as_str()), ("gzip", "short"));
    assert_eq!(ask(|it| it, get("/long")).1.len(), 5000);
}

#[test]
fn what_has_not_changed_says_what_the_whole_would_say() {
    for (held, tag) in [("W/\"a\"", "W/\"a\""), ("\"b\", W/\"a\"", "W/\"a\""), ("\"a\"", "\"a\"")] {
        let fields = [("accept-encoding", "gzip"), ("if-none-match", held)];
        let (response, _) = ask(|it| it, with("GET", "/unchanged", &fields));
        assert_eq!((response.status().as_u16(), &response.headers()["etag"]), (304, &tag.parse().unwrap()));
        assert_eq!(response.headers()["vary"], "accept-encoding");
    }
}

#[test]
fn events_are_compressed_where_it_is_asked_for() {
    for accepted in ["gzip", "br", "zstd"] {
        let asks = with("GET", "/events", &[("accept-encoding", accepted)]);
        let (response, text) = ask(|it| it.events(true), asks);
        assert_eq!((coding(&response), text), (accepted, "data: tick\n\n".repeat(3)));
    }
}

#[test]
fn a_compressed_request_is_read_up_to_its_ceiling() {
    let sent = |bytes: Vec<u8>, coding: &str| {
        let request = Request::post("/echo").header("content-encoding", coding);
        let (response, text) = ask(|it| it, request.body(bytes.into()).unwrap());
        (response.status().as_u16(), text)
    };
    let packed = |len: usize| {
        on_loop(async |lp| {
            let compress = Compress::new(&LoopPool::new(&lp, &Pool::builder().build().unwrap()));
            let text = vec![b'a'; len];
            let (gzip, brotli) = (
                compress.encode(&Deflate::gzip(), text.clone()),
                compress.encode(&Brotli::new(), text.clone()),
            );
            let (zlib, zstd) =
                (compress.encode(&Deflate::zlib(), text.clone()), compress.encode(&Zstd::new(), text));
            [
                ("gzip", gzip.await.unwrap()),
                ("br", brotli.await.unwrap()),
                ("deflate", zlib.await.unwrap()),
                ("zstd", zstd.await.unwrap()),
            ]
        })
    };
    for (coding, bytes) in packed(40_000) {
        assert_eq!(sent(bytes.clone(), coding), (200, "40000".into()), "{coding}");
        let half = bytes[..bytes.len() / 2].to_vec();
        assert_eq!(sent(half, coding).0, 400, "{coding} cut short");
    }
    for (coding, bomb) in packed(20_000_000) {
        let (status, says) = sent(bomb, coding);
        assert_eq!(
            (status, says.as_str()),
            (413, "there is more output than the 50000 bytes allowed\n"),
            "{coding}"
        );
    }
    assert_eq!(sent(b"no gzip at all".to_vec(), "gzip").0, 400);
    assert_eq!(sent(b"x".to_vec(), "gzip, gzip").0, 415);
    assert_eq!(sent(b"x".to_vec(), "compress").0, 415);
    let twice = Request::post("/echo").header("content-encoding", "gzip").header("content-encoding", "br");
    assert_eq!(ask(|it| it, twice.body("x".into()).unwrap()).0.status(), 415);
    let broken = Request::post("/twice").header("content-encoding", "gzip").body("no gzip".into()).unwrap();
    assert_eq!(ask(|it| it, broken).1, "[Some(false), None, None]");
    assert_eq!(sent(b"x".to_vec(), "identity"), (200, "1".into()));
}
