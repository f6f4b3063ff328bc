//! From replies to what the caller asked for.

use redis::{ConnectionLike, FromRedisValue, Pipeline, RedisResult, Value, from_redis_value};

use super::error::Error;

/// The answer to one command.
pub(super) fn one<T: FromRedisValue>(mut replies: Vec<Value>) -> Result<T, Error> {
    let reply = replies.pop().unwrap_or_default();
    Ok(from_redis_value(reply.extract_error()?)?)
}

/// The replies that a pipeline has: in a transaction, those of `MULTI` and `EXEC` too.
pub(super) fn count(pipeline: &Pipeline) -> usize {
    pipeline.len() + if pipeline.is_transaction() { 2 } else { 0 }
}

/// The answers to a pipeline.
pub(super) fn several<T: FromRedisValue>(pipeline: &Pipeline, mut replies: Vec<Value>) -> Result<T, Error> {
    if pipeline.is_transaction() {
        check_transaction(&replies)?;
        replies.drain(..replies.len().saturating_sub(1));
    }
    // The crate gathers what was refused; the first is what the caller can act on.
    let refused = first_refused(&replies);
    pipeline.query(&mut Answered(replies)).map_err(|error| refused.unwrap_or_else(|| error.into()))
}

fn first_refused(replies: &[Value]) -> Option<Error> {
    replies.iter().find_map(|reply| match reply {
        Value::ServerError(error) => Some(Error::refused(error)),
        Value::Array(replies) => first_refused(replies),
        _ => None,
    })
}

/// A transaction that was refused says so last; why, where it queues.
pub(super) fn check_transaction(replies: &[Value]) -> Result<(), Error> {
    let refusal = |reply: &Value| match reply {
        Value::ServerError(error) => Some(Error::refused(error)),
        _ => None,
    };
    match replies.last().and_then(refusal) {
        None => Ok(()),
        Some(last) => Err(replies.iter().find_map(refusal).unwrap_or(last)),
    }
}

/// Lets the crate `redis` put together what has arrived: it alone knows what a pipeline ignores.
struct Answered(Vec<Value>);

impl ConnectionLike for Answered {
    fn req_packed_command(&mut self, _: &[u8]) -> RedisResult<Value> {
        Ok(self.0.pop().unwrap_or_default())
    }

    fn req_packed_commands(&mut self, _: &[u8], _: usize, _: usize) -> RedisResult<Vec<Value>> {
        Ok(std::mem::take(&mut self.0))
    }

    fn get_db(&self) -> i64 {
        0
    }

    fn check_connection(&mut self) -> bool {
        true
    }

    fn is_open(&self) -> bool {
        true
    }
}
