//! The example `sse_ticks`: a page whose clock is driven by server-sent events, and that misses no tick when it was away.

use std::time::Duration;

use phaseloop::LoopHandle;
use phaseloop_server::http::{Body, Handler, Request, Response, StatusCode, header};
use phaseloop_server::sse::{Channel, ChannelOptions, Event};
use serde_json::json;

/// How often it ticks.
pub const PERIOD: Duration = Duration::from_secs(1);

const PAGE: &str = include_str!("sse_ticks.html");

/// The page at `/`, and the ticks at `/ticks`, which begin with number `first`.
pub fn handler(lp: &LoopHandle, first: u64) -> impl Handler + use<> {
    let mut options = ChannelOptions::default();
    // A browser that comes back says which tick it got last, and is told those behind it: a minute of them is kept.
    (options.replay_max, options.first_id) = (60, first);
    let channel = Channel::new(options);
    lp.spawn(tick(channel.clone(), first)).unref(); // it keeps no program alive that serves nobody
    async move |request: Request<Body>| match request.uri().path() {
        "/" => Response::builder().header(header::CONTENT_TYPE, "text/html; charset=utf-8").body(PAGE.into()),
        "/ticks" => Ok(channel.subscribe(&request)),
        _ => Response::builder().status(StatusCode::NOT_FOUND).body("not found\n".into()),
    }
}

/// Tells everybody at once: the event is encoded once, and its number is the tick's.
async fn tick(channel: Channel, first: u64) {
    let mut ticks = phaseloop::interval(PERIOD);
    for number in first.. {
        ticks.tick().await;
        let clients = channel.clients();
        channel.send(Event::new(json!({ "tick": number, "clients": clients }).to_string()).name("tick"));
    }
}
