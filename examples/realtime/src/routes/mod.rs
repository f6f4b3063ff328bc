//! Which path leads where: `/api` in the style of Koa, `/admin` in that of Express, and the page.

mod admin;
mod api;
mod page;

pub(crate) use admin::admin;
pub(crate) use api::api;
pub(crate) use page::page;
