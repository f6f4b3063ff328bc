//! Middleware that most servers need. Each is a value for `with`, in either style.
//!
//! A good order, from the outside in: [`request_id()`], [`logger()`], [`Cors`], [`RateLimit`], [`timeout()`], `Compression`,
//! [`etag()`], `decode_bodies`, routes. Those without a link come with the feature `compress`.

mod allowed;
#[cfg(feature = "compress")]
mod compression;
mod cors;
#[cfg(feature = "compress")]
mod decode_bodies;
mod etag;
mod logger;
mod rate_limit;
mod request_id;
mod timeout;

pub use allowed::allowed_methods;
pub(super) use allowed::answer_allowed;
#[cfg(feature = "compress")]
pub use compression::Compression;
pub use cors::Cors;
#[cfg(feature = "compress")]
pub use decode_bodies::decode_bodies;
pub use etag::etag;
pub use logger::{LogLine, logger, response_time};
pub use rate_limit::RateLimit;
pub use request_id::{RequestId, request_id};
pub use timeout::timeout;
