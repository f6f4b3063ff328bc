//! The handler of the example `http2_time`: an answer that never ends, and one that is JSON.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use phaseloop_server::http::header::CONTENT_TYPE;
use phaseloop_server::http::{Body, BodySender, BoxError, Handler, Request, RequestExt, Response, Server};
use serde_json::json;

/// How often `/time` says the time.
pub const PERIOD: Duration = Duration::from_secs(2);

/// A server that answers `/time` with the time, again and again, and everything else with JSON.
pub fn server() -> Server<impl Handler> {
    Server::new(answer)
}

async fn answer(request: Request<Body>) -> Result<Response<Body>, BoxError> {
    match request.uri().path() {
        "/time" => {
            let (sender, body) = Body::channel(1024);
            phaseloop::spawn(tell_time(sender));
            Ok(Response::builder().header(CONTENT_TYPE, "text/plain; charset=utf-8").body(body)?)
        }
        _ => {
            let spoken = request.connection().map(|connection| connection.protocol.to_string());
            let (head, body) = request.into_parts();
            let answer = json!({
                "message": "hello from phaseloop",
                "method": head.method.as_str(),
                "path": head.uri.path(),
                "protocol": spoken,
                "body_len": body.bytes().await?.len(), // to its end: an answer may not be behind a request that is none
            });
            let builder = Response::builder().header(CONTENT_TYPE, "application/json");
            Ok(builder.body(format!("{answer}\n").into())?)
        }
    }
}

/// Says the time until nobody listens.
async fn tell_time(mut sender: BodySender) {
    let mut ticks = phaseloop::interval(PERIOD);
    loop {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if sender.send(format!("{}.{:03}\n", since_1970.as_secs(), since_1970.subsec_millis())).await.is_err()
        {
            return; // the client is gone
        }
        // A client that goes away between two ticks ends this at once.
        let next = std::pin::pin!(ticks.tick());
        let gone = std::pin::pin!(sender.gone());
        if let futures::future::Either::Right(_) = futures::future::select(next, gone).await {
            return;
        }
    }
}
