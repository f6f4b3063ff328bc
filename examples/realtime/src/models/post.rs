//! Posts of the feed: documents.

use serde::{Deserialize, Serialize};

/// A post. Its id begins with its time, so that ids sort as posts do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Post {
    pub(crate) id: String,
    pub(crate) author: String,
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    pub(crate) created_at: i64,
}

/// Says what is wrong with a text.
pub(crate) fn check_text(text: &str) -> Result<(), String> {
    match (1..=2000).contains(&text.chars().count()) && !text.trim().is_empty() {
        true => Ok(()),
        false => Err("`text` is 1 to 2000 characters, not all of them blank".to_owned()),
    }
}

/// Says what is wrong with tags.
pub(crate) fn check_tags(tags: &[String]) -> Result<(), String> {
    if tags.len() > 5 {
        return Err(format!("a post has up to 5 tags, not {}", tags.len()));
    }
    tags.iter().try_for_each(|tag| check_tag(tag))
}

pub(crate) fn check_tag(tag: &str) -> Result<(), String> {
    let fits = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-');
    match (1..=32).contains(&tag.len()) && tag.chars().all(fits) {
        true => Ok(()),
        false => Err(format!(
            "a tag is 1 to 32 of a-z, 0-9 and -, and not {:?}",
            tag.chars().take(40).collect::<String>()
        )),
    }
}
