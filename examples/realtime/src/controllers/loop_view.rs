//! The loop view, and the two buttons that give the loop something to bear.

use std::rc::Rc;
use std::time::{Duration, Instant};

use fs_pool::pool::Class;
use phaseloop_server::web::Result;
use phaseloop_server::web::koa::Context;
use serde::Deserialize;
use serde_json::json;

use crate::refusal::Refusal;
use crate::service::Parts;

pub(crate) async fn show(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    ctx.body(parts.loop_view.sample())
}

pub(crate) async fn events(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    let response = parts.loop_view.follow(&ctx.req.take_request());
    ctx.res.set_response(response);
    Ok(())
}

#[derive(Deserialize)]
struct Load {
    jobs: u32,
    ms: u64,
}

/// Has the pool compute for nothing.
pub(crate) async fn load_pool(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    let Load { jobs, ms } = ctx.req.json().await?;
    if !(1..=64).contains(&jobs) || !(1..=2000).contains(&ms) {
        return Err(Refusal::bad_request(format!(
            "`jobs` must be 1 to 64 and `ms` 1 to 2000, not {jobs} and {ms}"
        ))
        .into());
    }
    let mut queued = 0;
    for _ in 0..jobs {
        let request = parts.pool.request(Class::CPU).unref();
        let job = request.forget(move |cx| {
            let start = Instant::now();
            let mut number = 1_u64;
            while start.elapsed() < Duration::from_millis(ms) && !cx.is_cancelled() {
                number =
                    (0..10_000).fold(number, |number, n| number.rotate_left(5).wrapping_mul(0x9e37_79b9) ^ n);
            }
            std::hint::black_box(number);
        });
        match job {
            Ok(()) => queued += 1,
            Err(_) if queued > 0 => break, // the queue is full, which is what one wanted to see
            Err(error) => return Err(Refusal::unavailable("the pool is full").because(error).into()),
        }
    }
    ctx.status(202).body(json!({ "queued": queued }))
}

#[derive(Deserialize)]
struct Block {
    ms: u64,
}

/// Does what nobody should: stands still on the loop's thread.
pub(crate) async fn block(_parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    let Block { ms } = ctx.req.json().await?;
    if !(1..=2000).contains(&ms) {
        return Err(Refusal::bad_request(format!("`ms` must be 1 to 2000, not {ms}")).into());
    }
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(ms));
    ctx.body(json!({ "blocked_ms": start.elapsed().as_millis() as u64 }))
}
