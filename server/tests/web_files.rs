//! Static files: ranges, conditions, precompressed files, and every path that leads elsewhere.

#![cfg(feature = "web")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod asking;
mod peer;

use std::fs;
use std::path::PathBuf;
use std::{env, process};

use asking::{get, with};
use fs_pool::{pool::Pool, request::LoopPool};
use peer::{Raw, body, on_loop, start, status};
use phaseloop_server::http::{Body, Handler, Request, Response, Server};
use phaseloop_server::web::{Dotfiles, Error, Files, Links, koa};

/// A folder with a root to be served and a secret beside it, gone with it.
struct Site(PathBuf);

impl Site {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("phaseloop-web-{}-{name}", process::id()));
        let root = folder.join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(folder.join("secret.txt"), "secret").unwrap();
        fs::write(root.join("index.html"), "<p>index").unwrap();
        fs::write(root.join("ten.txt"), "0123456789").unwrap();
        fs::write(root.join("a b.css"), "a{}").unwrap();
        fs::write(root.join(".hidden"), "hidden").unwrap();
        fs::write(root.join("sub/index.html"), "<p>sub").unwrap();
        fs::write(root.join("app.js"), "plain").unwrap();
        fs::write(root.join("app.js.gz"), "gzipped").unwrap();
        fs::write(root.join("app.js.br"), "brotlied").unwrap();
        fs::write(root.join("large"), large()).unwrap();
        std::os::unix::fs::symlink("../secret.txt", root.join("leaves")).unwrap();
        std::os::unix::fs::symlink("ten.txt", root.join("stays")).unwrap();
        Self(folder)
    }

    /// Asks for one thing, on a loop of its own.
    fn ask(&self, set_up: impl Fn(Files) -> Files, request: Request<Body>) -> (Response<()>, Vec<u8>) {
        on_loop(async |lp| {
            let pool = Pool::builder().build().unwrap();
            let mut app = koa::App::new();
            app.with_at("/files", set_up(Files::new(&LoopPool::new(&lp, &pool), self.0.join("root"))));
            app.on_error(|_, _| {});
            let (parts, body) = app.handle(request).await.map_err(Error::other).unwrap().into_parts();
            (Response::from_parts(parts, ()), body.bytes().await.unwrap().to_vec())
        })
    }

    fn get(&self, path: &str) -> (u16, String) {
        let (response, bytes) = self.ask(|files| files, get(path));
        (response.status().as_u16(), String::from_utf8(bytes).unwrap())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // What is left behind in a folder for temporary files harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Longer than what is read at once.
fn large() -> Vec<u8> {
    (0..300_000_u32).map(|n| (n % 251) as u8).collect()
}

fn field<'a>(response: &'a Response<()>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[test]
fn files_are_served_with_their_type() {
    let site = Site::new("types");
    for (path, media_type, text) in [
        ("/files/ten.txt", "text/plain; charset=utf-8", "0123456789"),
        ("/files/a%20b.css", "text/css; charset=utf-8", "a{}"),
        ("/files/", "text/html; charset=utf-8", "<p>index"),
        ("/files/sub/", "text/html; charset=utf-8", "<p>sub"),
        ("/files/stays", "application/octet-stream", "0123456789"),
    ] {
        let (response, bytes) = site.ask(|files| files, get(path));
        assert_eq!((field(&response, "content-type"), &*bytes), (media_type, text.as_bytes()), "{path}");
        assert_eq!(field(&response, "x-content-type-options"), "nosniff");
    }
    let (response, bytes) = site.ask(|files| files, get("/files/large"));
    assert!(bytes == large() && response.status() == 200);
    let (response, _) = site.ask(|files| files, get("/files/sub?x=1"));
    assert_eq!((response.status().as_u16(), field(&response, "location")), (301, "/files/sub/?x=1"));
}

#[test]
fn no_path_leads_out() {
    let site = Site::new("paths");
    for (path, status) in [
        ("/files/../secret.txt", 403),
        ("/files/%2e%2e/secret.txt", 403),
        ("/files/sub/..%2f..%2fsecret.txt", 400),
        ("/files/..%5csecret.txt", 400),
        ("/files/ten.txt%00", 400),
        ("/files/%", 400),
        ("/files/%ff", 400),
        ("/files//etc/passwd", 404),
        ("/files//ten.txt", 404),
        ("/files/./ten.txt", 404),
        ("/files/sub/%2e/index.html", 404),
        ("/files//", 404),
        ("/files/leaves", 404),
        ("/files/.hidden", 404),
        ("/files/nothing", 404),
        ("/files/ten.txt/", 404),
        ("/files/ten.txt/more", 404),
    ] {
        assert_eq!(site.get(path).0, status, "{path}");
    }
    assert_eq!(site.get(&format!("/files/{}", "a".repeat(5000))).0, 404);
    let follow = site.ask(|files| files.links(Links::Follow), get("/files/leaves"));
    assert_eq!(follow.1, b"secret");
    assert_eq!(site.ask(|files| files.dotfiles(Dotfiles::Deny), get("/files/.hidden")).0.status(), 403);
    assert_eq!(site.ask(|files| files.dotfiles(Dotfiles::Allow), get("/files/.hidden")).1, b"hidden");
    assert_eq!(site.ask(|files| files.index(None), get("/files/")).0.status(), 404);
    assert_eq!(site.ask(|files| files.redirects(false), get("/files/sub")).0.status(), 404);
    assert_eq!(site.ask(|files| files, with("POST", "/files/ten.txt", &[])).0.status(), 404);
}

#[test]
fn a_part_is_sent_where_one_is_asked_for() {
    let site = Site::new("ranges");
    for (range, status, content_range, text) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=-2", 206, "bytes 8-9/10", "89"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=0-0,5-6", 200, "", "0123456789"),
        ("bytes=x", 200, "", "0123456789"),
        ("bytes=10-", 416, "bytes */10", "Range Not Satisfiable\n"),
    ] {
        let (response, bytes) = site.ask(|files| files, with("GET", "/files/ten.txt", &[("range", range)]));
        assert_eq!(
            (response.status().as_u16(), field(&response, "content-range")),
            (status, content_range),
            "{range}"
        );
        assert_eq!(bytes, text.as_bytes());
        assert_eq!(field(&response, "cache-control").is_empty(), status == 416, "{range}");
    }
    let asks = with("GET", "/files/large", &[("range", "bytes=100000-299998")]);
    assert!(site.ask(|files| files, asks).1 == large()[100_000..299_999]);
}

#[test]
fn conditions_are_kept() {
    let site = Site::new("conditions");
    let (whole, _) = site.ask(|files| files, get("/files/ten.txt"));
    let (tag, date) = (field(&whole, "etag"), field(&whole, "last-modified"));
    for (fields, status) in [
        (&[("if-none-match", tag)][..], 304),
        (&[("if-none-match", "\"other\"")], 200),
        (&[("if-modified-since", date)], 304),
        (&[("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")], 200),
        (&[("if-none-match", "\"other\""), ("if-modified-since", date)], 200),
        (&[("if-match", "\"other\"")], 412),
        (&[("if-match", tag)], 200),
        (&[("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT")], 412),
        (&[("range", "bytes=1-2"), ("if-range", tag)], 206),
        (&[("range", "bytes=1-2"), ("if-range", date)], 206),
        (&[("range", "bytes=1-2"), ("if-range", "\"other\"")], 200),
    ] {
        let (response, _) = site.ask(|files| files, with("GET", "/files/ten.txt", fields));
        assert_eq!(response.status(), status, "{fields:?}");
        assert_eq!(field(&response, "etag"), tag);
        assert_eq!(field(&response, "cache-control").is_empty(), status == 412, "{fields:?}");
    }
}

#[test]
fn what_is_compressed_already_is_sent_to_who_takes_it() {
    let site = Site::new("precompressed");
    for (accepted, coding, text) in [
        ("gzip, br", "br", "brotlied"),
        ("gzip", "gzip", "gzipped"),
        ("br;q=0, gzip", "gzip", "gzipped"),
        ("", "", "plain"),
    ] {
        let asks = with("GET", "/files/app.js", &[("accept-encoding", accepted)]);
        let (response, bytes) = site.ask(|files| files.precompressed(true), asks);
        assert_eq!((field(&response, "content-encoding"), &*bytes), (coding, text.as_bytes()), "{accepted}");
        assert_eq!(field(&response, "vary"), "accept-encoding");
        assert!(field(&response, "content-type").contains("javascript"));
    }
}

#[test]
fn a_head_is_as_long_as_the_file_and_has_no_body() {
    let site = Site::new("head");
    on_loop(async |lp| {
        let pool = Pool::builder().build().unwrap();
        let mut app = koa::App::new();
        app.with(Files::new(&LoopPool::new(&lp, &pool), site.0.join("root")));
        let (_serving, address) = start(&lp, Server::new(app));
        let close = "host: x\r\nconnection: close\r\n\r\n";
        let head =
            Raw::ask(&lp, address, format!("HEAD /ten.txt HTTP/1.1\r\n{close}")).await.until_closed().await;
        assert!(head.contains("content-length: 10\r\n") && body(&head).is_empty(), "{head}");
        let whole =
            Raw::ask(&lp, address, format!("GET /ten.txt HTTP/1.1\r\n{close}")).await.until_closed().await;
        assert_eq!((status(&whole), body(&whole)), (200, "0123456789"));
        let out = Raw::ask(&lp, address, format!("GET /../secret.txt HTTP/1.1\r\n{close}"))
            .await
            .until_closed()
            .await;
        assert_eq!(status(&out), 403);
    });
}
