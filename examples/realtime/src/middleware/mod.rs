//! What stands around all routes.

mod errors;
mod origin;

pub(crate) use errors::errors_as_json;
pub(crate) use origin::{Origins, same_origin};
