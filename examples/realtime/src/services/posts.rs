//! Posts of the feed: documents, in whatever keeps documents.

use std::rc::Rc;

use fs_pool::hash::fill_random;

use super::tokens::Identity;
use crate::log::now_ms;
use crate::models::post::{self, Post};
use crate::refusal::Refusal;
use crate::stores::database::{Stop, refusal};
use crate::stores::{Database, Later};

/// Keeps posts.
pub(crate) trait Posts {
    fn kind(&self) -> &'static str;

    fn check(&self) -> Later<'_, Result<(), Refusal>>;

    fn add<'a>(&'a self, post: &'a Post) -> Later<'a, Result<(), Refusal>>;

    /// The newest first, those with `tag`, those before the id `before`.
    fn list<'a>(
        &'a self,
        tag: Option<&'a str>,
        before: Option<&'a str>,
        limit: u32,
    ) -> Later<'a, Result<Vec<Post>, Refusal>>;
}

/// A post by somebody, with an id that begins with its time.
pub(crate) fn new_post(author: &Identity, text: String, mut tags: Vec<String>) -> Result<Post, Refusal> {
    post::check_text(&text).and_then(|()| post::check_tags(&tags)).map_err(Refusal::bad_request)?;
    tags.sort();
    tags.dedup();
    let created_at = now_ms();
    let mut random = [0; 6];
    fill_random(&mut random).map_err(Refusal::internal)?;
    let random = random.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let id = format!("{created_at:012x}{random:012x}");
    Ok(Post { id, author: author.name.clone(), text, tags, created_at })
}

/// Documents as JSON in the database, with an index of their tags.
pub(crate) struct SqlPosts(pub(crate) Rc<Database>);

impl Posts for SqlPosts {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn check(&self) -> Later<'_, Result<(), Refusal>> {
        Box::pin(self.0.check())
    }

    fn add<'a>(&'a self, post: &'a Post) -> Later<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let document = serde_json::to_string(post).map_err(Refusal::internal)?;
            let work = async |tx: &crate::stores::Tx| {
                let values = vec![post.id.as_str().into(), document.as_str().into()];
                tx.execute("post", "INSERT INTO posts (id, document) VALUES (?, ?)", values).await?;
                for tag in &post.tags {
                    let values = vec![tag.as_str().into(), post.id.as_str().into()];
                    tx.execute("tag", "INSERT INTO post_tags (tag, post_id) VALUES (?, ?)", values).await?;
                }
                Ok::<_, Stop>(())
            };
            self.0.transaction(work).await
        })
    }

    fn list<'a>(
        &'a self,
        tag: Option<&'a str>,
        before: Option<&'a str>,
        limit: u32,
    ) -> Later<'a, Result<Vec<Post>, Refusal>> {
        Box::pin(async move {
            let before = before.unwrap_or("g"); // behind all that is hexadecimal
            let limit = i64::from(limit).into();
            let rows = match tag {
                None => {
                    let sql = "SELECT document FROM posts WHERE id < ? ORDER BY id DESC LIMIT ?";
                    self.0.rows(sql, vec![before.into(), limit]).await?
                }
                Some(tag) => {
                    let sql = "SELECT p.document FROM post_tags t JOIN posts p ON p.id = t.post_id \
                               WHERE t.tag = ? AND t.post_id < ? ORDER BY t.post_id DESC LIMIT ?";
                    self.0.rows(sql, vec![tag.into(), before.into(), limit]).await?
                }
            };
            let post = |row: &sea_orm::QueryResult| {
                let document: String = row.try_get_by_index(0).map_err(|error| refusal(&error))?;
                serde_json::from_str(&document).map_err(Refusal::internal)
            };
            rows.iter().map(post).collect()
        })
    }
}
