//! The style of Koa against Koa: what a client is told of errors.

#![cfg(feature = "web")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod asking;
mod peer;

use std::path::Path;
use std::process::Command;

use asking::{full, get};
use phaseloop_server::web::Error;
use phaseloop_server::web::koa::App;
use phaseloop_tests::peers;
use serde_json::{Value, json};

/// What web_koa/app.cjs is.
fn app() -> App {
    let mut app = App::new();
    app.on_error(|_, _| {});
    app.use_(async |ctx, next| {
        next.run(ctx).await?;
        ctx.set("x-seen", "after");
        Ok(())
    });
    app.get("/throw/:status", async |ctx, _| {
        let status: u16 = ctx.req.param_as("status")?;
        ctx.throw(status, "of the handler")
    });
    app.get("/fail", async |_, _| Err(Error::other("of the handler")));
    app.get("/body", async |ctx, _| ctx.body("a body"));
    app
}

#[test]
fn koa_tells_a_client_the_same_of_errors() {
    let (Some(node), Some(modules)) = (peers::peer("node"), peers::node_package("koa")) else { return };
    let thrown = [400, 401, 404, 409, 418, 422, 429, 500, 501, 502, 503, 507, 99];
    let mut paths: Vec<String> = thrown.iter().map(|status| format!("/throw/{status}")).collect();
    paths.extend(["/fail", "/body", "/nowhere"].map(str::to_owned));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web_koa/app.cjs");
    let mut command = Command::new(node);
    let output =
        command.arg(script).arg(json!(paths).to_string()).env("NODE_PATH", modules).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), paths.len());

    let app = app();
    for (path, theirs) in paths.iter().zip(answers) {
        let (response, text) = full(&app, get(path));
        let field =
            |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let ours = json!({
            "status": response.status().as_u16(),
            "type": field("content-type"),
            "seen": field("x-seen"),
            "text": text.trim_end(), // our texts end their line
        });
        assert_eq!(ours, theirs, "{path}");
    }
}

#[test]
fn who_handles_errors_gets_the_message_that_the_client_does_not() {
    let mut app = App::new();
    app.use_(async |ctx, next| {
        let error = next.run(ctx).await.unwrap_err();
        assert_eq!((error.status().as_u16(), error.message().as_str()), (503, "Service Unavailable"));
        ctx.body(error.to_string())
    });
    app.use_(async |ctx, _| ctx.throw(503, "the disk is full"));
    assert_eq!(full(&app, get("/")).1, "503: the disk is full");
}
