//! What stands around all routes.

mod auth;
mod errors;
mod origin;

pub(crate) use auth::{admins_only, auth_optional};
pub(crate) use errors::errors_as_json;
pub(crate) use origin::{Origins, same_origin};
