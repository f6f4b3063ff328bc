//! What is stored, and what of it is well-formed.

// The ORM's derives make items that are `pub`, whatever stands around them.
#![allow(unreachable_pub, missing_docs, reason = "sea-orm's derives")]

pub(crate) mod order;
pub(crate) mod order_item;
pub(crate) mod post;
pub(crate) mod product;
pub(crate) mod user;
