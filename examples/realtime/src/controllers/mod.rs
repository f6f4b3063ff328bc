//! Requests taken apart, answers put together.

pub(crate) mod admin;
pub(crate) mod chat;
pub(crate) mod feed;
pub(crate) mod health;
pub(crate) mod loop_view;
pub(crate) mod orders;
pub(crate) mod users;

use std::str::FromStr;

use phaseloop_server::web::Req;

use crate::refusal::Refusal;
use crate::service::Parts;
use crate::services::{Claims, Identity};

/// Who asks, where somebody must.
async fn identity(parts: &Parts, req: &Req) -> Result<Identity, Refusal> {
    let missing = || Refusal::unauthorized("this needs a token: `Authorization: Bearer TOKEN`");
    parts.users.identify(req.state.get::<Claims>().ok_or_else(missing)?).await
}

/// A value of the query, where there is one.
fn query<T: FromStr>(req: &Req, name: &str, what: &str) -> Result<Option<T>, Refusal> {
    let Some(text) = req.query(name) else { return Ok(None) };
    let shown: String = text.chars().take(40).collect();
    text.parse()
        .map(Some)
        .map_err(|_| Refusal::bad_request(format!("`{name}` must be {what}, and is {shown:?}")))
}

/// How many of a list are wanted: 20, and at most 100.
fn limit(req: &Req) -> Result<u32, Refusal> {
    let limit = query::<u32>(req, "limit", "a number from 1 to 100")?.unwrap_or(20);
    match (1..=100).contains(&limit) {
        true => Ok(limit),
        false => Err(Refusal::bad_request(format!("`limit` must be from 1 to 100, and is {limit}"))),
    }
}

/// By which something that is sent again is known.
fn retry_key(text: Option<&str>, what: &str) -> Result<String, Refusal> {
    let key =
        text.filter(|key| (8..=64).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
    key.map(str::to_owned)
        .ok_or_else(|| Refusal::bad_request(format!("{what} must be 8 to 64 visible characters")))
}

/// Runs something to its end, also when the client that asked for it goes away: half a change would have to be undone, and whether it
/// was done would be known to nobody.
async fn to_the_end<T: 'static>(
    work: impl Future<Output = Result<T, Refusal>> + 'static,
) -> Result<T, Refusal> {
    match phaseloop::spawn(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Refusal::internal(error)),
    }
}
