//! The rules.

mod allowance;
mod bell;
mod chat;
mod gather;
mod loop_view;
mod order_feed;
mod orders;
mod passwords;
mod posts;
mod tokens;
mod users;

pub(crate) use allowance::{Allowance, Allowances};
pub(crate) use chat::Messages;
pub(crate) use gather::Gather;
pub(crate) use loop_view::LoopView;
pub(crate) use order_feed::{OrderFeed, Since};
pub(crate) use orders::{NEWS, Orders, Wanted, Whole};
pub(crate) use passwords::Passwords;
pub(crate) use posts::{Posts, SqlPosts, new_post};
pub(crate) use tokens::{Claims, Identity, Tokens, random_secret};
pub(crate) use users::{From, Users};
