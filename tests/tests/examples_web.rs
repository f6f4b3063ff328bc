//! The examples of routers and middleware show what they say they show.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use examples::page::Page;
use examples::{express_users, koa_users, onion, sse_ticks, static_site, upload_progress};
use fs_pool::fs::Fs;
use fs_pool::pool::Pool;
use fs_pool::request::LoopPool;
use phaseloop::EventLoop;
use phaseloop_server::http::{Body, Handler, Request, Response};

#[test]
fn the_onion_runs_in_and_out() {
    let page = Page::memory();
    onion::run(&page).unwrap();
    assert_eq!(page.text(), ONION);
}

const ONION: &str = "\
A request that is answered
  A before
  B before
  handler
  B after
  A after
  status 200
A request whose handler fails
  A before
  B before
  on_error: 409: the handler fails
  status 409
";

#[test]
fn users_are_made_read_changed_and_removed() {
    let lines = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let log = lines.clone();
    let app = koa_users::app(move |line: &str| log.borrow_mut().push(line.to_owned()));
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    let ask = |method: &str, path: &str, body: &'static str| {
        let builder = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = builder.body(Body::from(body)).unwrap();
        lp.block_on(async {
            let response = app.handle(request).await.map_err(|error| error.to_string()).unwrap();
            (response.status().as_u16(), response.into_body().text().await.unwrap())
        })
        .unwrap()
    };
    let ada = "{\"id\":1,\"name\":\"ada\"}";
    for (method, path, body, expected) in [
        ("GET", "/api/users", "", (200, "[]")),
        ("POST", "/api/users", "{\"name\":\" ada \"}", (201, ada)),
        ("GET", "/api/users/1", "", (200, ada)),
        ("PUT", "/api/users/1", "{\"name\":\"eve\"}", (200, "{\"id\":1,\"name\":\"eve\"}")),
        ("PUT", "/api/users/1", "{}", (400, "{\"error\":\"`name` must be a text of 1 to 100 bytes\"}")),
        ("GET", "/api/users/x", "", (400, "{\"error\":\"\\\"id\\\" can not be \\\"x\\\"\"}")),
        ("DELETE", "/api/users/1", "", (204, "")),
        ("GET", "/api/users/1", "", (404, "{\"error\":\"there is no user 1\"}")),
        ("PATCH", "/api/users/1", "", (405, "Method Not Allowed\n")),
    ] {
        let (status, text) = ask(method, path, body);
        assert_eq!((status, text.as_str()), expected, "{method} {path}");
    }
    assert!(lines.borrow()[0].starts_with("GET /api/users 200 0 ms 2 B"), "{:?}", lines.borrow());
}

// --- express_users ----------------------------------------------------------------------------------------------------

#[test]
fn who_has_logged_in_may_leave_and_nobody_else() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&lines);
    let app = express_users::app(move |line| log.borrow_mut().push(line.to_owned()));
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    let ask = |method: &str, path: &str, cookie: &str, (media_type, body): (&str, &'static str)| {
        let request = Request::builder().method(method).uri(path).header("cookie", cookie);
        let request = request.header("content-type", media_type).body(Body::from(body)).unwrap();
        let response = lp.block_on(app.handle(request)).unwrap().map_err(|error| error.to_string()).unwrap();
        let set = response.headers().get("set-cookie").map(|cookie| cookie.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        (status, lp.block_on(response.into_body().text()).unwrap().unwrap(), set.unwrap_or_default())
    };
    let (json, form, nothing) = ("application/json", "application/x-www-form-urlencoded", ("text/plain", ""));
    assert_eq!(ask("POST", "/users", "", (json, "{\"name\":\"ada\"}")).0, 201);
    assert_eq!(ask("POST", "/users", "", (json, "{\"name\":\"eve\"}")).1, "{\"id\":2,\"name\":\"eve\"}");
    assert_eq!(ask("GET", "/session", "", nothing).1, "null", "nobody has to log in");
    assert_eq!(ask("DELETE", "/users/1", "", nothing).0, 401);
    assert_eq!(ask("DELETE", "/users/1", "session=guessed", nothing).0, 401);
    let refused = ask("POST", "/session", "", (form, "name=mallory"));
    assert_eq!((refused.0, refused.1.as_str()), (401, "{\"error\":\"nobody is called \\\"mallory\\\"\"}"));
    let (status, _, set) = ask("POST", "/session", "", (form, "name=ada"));
    assert!(status == 201 && set.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{status} {set}");
    let cookie = set.split(';').next().unwrap();
    assert_eq!(ask("GET", "/session", cookie, nothing).1, "{\"id\":1,\"name\":\"ada\"}");
    assert_eq!(ask("DELETE", "/users/2", cookie, nothing).0, 403);
    assert_eq!(ask("DELETE", "/users/1", cookie, nothing).0, 204);
    assert_eq!(ask("GET", "/session", cookie, nothing).1, "null", "the session went with its user");
    let unknown = ask("GET", "/nowhere?x", "", nothing);
    assert_eq!((unknown.0, unknown.1.as_str()), (404, "{\"error\":\"there is no GET /nowhere\"}"));
    assert_eq!(ask("POST", "/users", "", (json, "{")).0, 400);
    assert!(lines.borrow()[0].starts_with("POST /users 201 "), "{:?}", lines.borrow());
}

// --- static_site ------------------------------------------------------------------------------------------------------

#[test]
fn a_folder_is_a_site_with_a_page_for_what_is_not_there() {
    let lp = EventLoop::new().unwrap();
    let pool = Pool::builder().build().unwrap();
    let (pool, lines) = (LoopPool::new(&lp, &pool), Rc::new(RefCell::new(Vec::new())));
    let fs = Fs::new(&pool);
    lp.block_on(async {
        let folder = fs.temp_folder(std::env::temp_dir().join("site-")).await.unwrap();
        let put = |name: &str, text: &'static str| fs.write_file(folder.path().join(name), text);
        put("index.html", "<h1>home</h1>").await.unwrap();
        put("a.js", "let plain;").await.unwrap();
        put("a.js.gz", "packed").await.unwrap();
        put(".secret", "no").await.unwrap();
        let log = Rc::clone(&lines);
        let app = static_site::app(&pool, folder.path(), move |line| log.borrow_mut().push(line.to_owned()));
        let ask = async |path: &str, name: &str, value: &str| {
            let request = Request::get(path).header(name, value).body(Body::empty()).unwrap();
            let response = app.handle(request).await.map_err(|error| error.to_string()).unwrap();
            (response.status().as_u16(), response.into_body().text().await.unwrap())
        };
        assert_eq!(ask("/", "x", "y").await, (200, "<h1>home</h1>".into()));
        assert_eq!(ask("/a.js", "accept-encoding", "gzip").await, (200, "packed".into()));
        assert_eq!(ask("/a.js", "range", "bytes=4-8").await, (206, "plain".into()));
        assert_eq!(ask("/.secret", "x", "y").await, (404, "<h1>not found</h1>\n".into()));
        put("404.html", "<h1>lost?</h1>").await.unwrap();
        assert_eq!(ask("/nothing", "x", "y").await, (404, "<h1>lost?</h1>".into()));
        assert_eq!(ask("/../etc/passwd", "x", "y").await.0, 403);
    })
    .unwrap();
    assert!(lines.borrow()[0].starts_with("GET / 200 "), "{:?}", lines.borrow());
}

// --- sse_ticks --------------------------------------------------------------------------------------------------------

#[test]
fn who_comes_back_is_told_the_ticks_it_missed() {
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    lp.block_on(async {
        let app = sse_ticks::handler(&lp, 7);
        let ask = async |last: &str| {
            let request = Request::get("/ticks").header("last-event-id", last).body(Body::empty()).unwrap();
            app.handle(request).await.map_err(|error| error.to_string()).unwrap().into_body()
        };
        let read = async |body: &mut Body, ticks: usize| {
            let mut text = String::new();
            while text.matches("event: tick").count() < ticks {
                text += std::str::from_utf8(&body.chunk().await.unwrap().unwrap()).unwrap();
            }
            text
        };
        let mut watching = ask("").await;
        let text = read(&mut watching, 2).await;
        assert!(text.contains("event: tick\nid: 7\ndata: {\"clients\":1,\"tick\":7}\n\n"), "{text}");
        drop(watching);
        phaseloop::sleep(3 * sse_ticks::PERIOD).await;
        let text = read(&mut ask("8").await, 3).await;
        let ids: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
        assert_eq!(ids, ["9", "10", "11"]);
    })
    .unwrap();
}

// --- upload_progress --------------------------------------------------------------------------------------------------

#[test]
fn uploads_are_watched_and_half_of_one_leaves_nothing() {
    let lp = EventLoop::new().unwrap();
    let pool = Pool::builder().build().unwrap();
    let fs = Fs::new(&LoopPool::new(&lp, &pool));
    lp.block_on(async {
        let folder = fs.temp_folder(std::env::temp_dir().join("uploads-")).await.unwrap();
        let app = upload_progress::app(&fs, folder.path().to_path_buf());
        let answer = async |request: Request<Body>| -> Response<Body> {
            app.handle(request).await.map_err(|error| error.to_string()).unwrap()
        };
        let put = |path: &str| Request::put(path.to_owned()).header("content-length", "1000000");
        let mut watching = answer(Request::get("/progress").body(Body::empty()).unwrap()).await.into_body();

        let (mut sender, body) = Body::channel(64 * 1024);
        let sending = lp.spawn(async move {
            for _ in 0..10 {
                sender.send(vec![b'x'; 100_000]).await.unwrap();
            }
            sender.finish();
        });
        let response = answer(put("/files/a%20b.txt").body(body).unwrap()).await;
        sending.await.unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.into_body().text().await.unwrap(), "{\"len\":1000000,\"name\":\"a b.txt\"}");
        assert_eq!(fs.stat(folder.path().join("a b.txt")).await.unwrap().len(), 1_000_000);

        // One that breaks off.
        let (sender, body) = Body::channel(1000);
        drop(sender);
        assert_ne!(answer(put("/files/broken").body(body).unwrap()).await.status(), 201);
        for name in ["..", ".hidden", "a%2fb", "a%5cb", "a%00b"] {
            let status = answer(put(&format!("/files/{name}")).body("x".into()).unwrap()).await.status();
            assert_eq!(status, 400, "{name}");
        }

        let mut told = String::new();
        while !told.contains("\"state\":\"broken\"") {
            let piece =
                lp.timeout(Duration::from_secs(60), watching.chunk()).await.unwrap().unwrap().unwrap();
            told += std::str::from_utf8(&piece).unwrap();
        }
        assert!(
            told.contains("{\"len\":100000,\"name\":\"a b.txt\",\"state\":\"coming\",\"total\":1000000}"),
            "{told}"
        );
        assert!(
            told.contains("{\"len\":1000000,\"name\":\"a b.txt\",\"state\":\"done\",\"total\":1000000}"),
            "{told}"
        );
        // What broke off is removed on the pool; a job behind it sees that it is gone.
        let mut left = fs.readdir(folder.path()).await.unwrap();
        while left.len() > 1 {
            phaseloop::yield_now().await;
            left = fs.readdir(folder.path()).await.unwrap();
        }
        assert_eq!(left.len(), 1);
    })
    .unwrap();
}
