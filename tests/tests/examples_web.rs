//! The examples of routers and middleware show what they say they show.

use examples::page::Page;
use examples::{koa_users, onion};
use phaseloop::EventLoop;
use phaseloop_server::http::{Body, Handler, Request};

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
