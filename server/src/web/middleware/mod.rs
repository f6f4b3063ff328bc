//! Middleware that most servers need. Each is a value for `with`, in either style.
//!
//! A good order, from the outside in: [`request_id()`], [`logger()`], [`Cors`], [`RateLimit`], [`timeout()`], [`etag()`], routes.

mod allowed;
mod cors;
mod etag;
mod logger;
mod rate_limit;
mod request_id;
mod timeout;

pub use allowed::allowed_methods;
pub(super) use allowed::answer_allowed;
pub use cors::Cors;
pub use etag::etag;
pub use logger::{LogLine, logger, response_time};
pub use rate_limit::RateLimit;
pub use request_id::{RequestId, request_id};
pub use timeout::timeout;
