//! Posts in MongoDB, or what speaks its protocol.

use std::time::Duration;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, Collection, Database, IndexModel};
use serde::{Deserialize, Serialize};

use super::Later;
use crate::config::Secret;
use crate::models::post::Post;
use crate::refusal::Refusal;
use crate::services::Posts;

/// How long a request waits for a server.
const PATIENCE: Duration = Duration::from_secs(3);
const POOL_MAX: u32 = 10;
/// Codes of a server for what passes: it is shutting down, was interrupted, steps down, is no primary or reaches no other in time
/// (those after which a driver reads again, by the specification of retryable reads); locks, write conflicts, limits of time and
/// operators that ended something; write concern that was not met, a full disk, too much to do.
const PASSING: [i32; 24] = [
    91, 189, 10058, 10107, 11600, 11602, 13435, 13436, 6, 7, 89, 134, 262, 9001, 24, 46, 50, 112, 11601, 64,
    100, 14031, 365, 462,
];

pub(crate) struct MongoPosts {
    database: Database,
    posts: Collection<Stored>,
    /// How long a request waits for an answer.
    answer_wait: Duration,
}

/// A post as a document: its id is the document's.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    #[serde(rename = "_id")]
    id: String,
    author: String,
    text: String,
    #[serde(default)]
    tags: Vec<String>,
    created_at: i64,
}

impl MongoPosts {
    /// Connects, and sees to the index that lists are read by.
    pub(crate) async fn open(url: &Secret, answer_wait: Duration) -> Result<Self, Refusal> {
        let bad = |error: mongodb::error::Error| match &*error.kind {
            // What it says holds parts of the URL, and maybe of the password.
            mongodb::error::ErrorKind::InvalidArgument { .. } => Refusal::unavailable(
                "MONGODB_URL is no URL of MongoDB: mongodb://USER:PASSWORD@HOST:PORT/DB, and what is special in them is escaped",
            ),
            _ => refusal(&error),
        };
        let mut options = ClientOptions::parse(url.reveal()).await.map_err(bad)?;
        options.app_name = Some("realtime".to_owned());
        options.max_pool_size = Some(POOL_MAX);
        options.server_selection_timeout = Some(PATIENCE);
        options.connect_timeout = Some(PATIENCE);
        // What was acknowledged outlives the server's death.
        options.write_concern.get_or_insert_default().journal.get_or_insert(true);
        let client = Client::with_options(options).map_err(|error| refusal(&error))?;
        let database = client.default_database().unwrap_or_else(|| client.database("realtime"));
        let posts = database.collection::<Stored>("posts");
        let by_tag = IndexModel::builder().keys(doc! { "tags": 1, "_id": -1 }).build();
        let store = Self { database, posts, answer_wait };
        store.within(async { store.posts.create_index(by_tag).await }).await?;
        Ok(store)
    }

    async fn within<T>(&self, work: impl Future<Output = mongodb::error::Result<T>>) -> Result<T, Refusal> {
        match phaseloop::timeout(self.answer_wait, work).await {
            Ok(outcome) => outcome.map_err(|error| refusal(&error)),
            Err(_) => Err(Refusal::unavailable("the document store does not answer")),
        }
    }
}

impl Posts for MongoPosts {
    fn kind(&self) -> &'static str {
        "mongodb"
    }

    fn check(&self) -> Later<'_, Result<(), Refusal>> {
        Box::pin(async {
            self.within(async { self.database.run_command(doc! { "ping": 1 }).await }).await.map(drop)
        })
    }

    fn add<'a>(&'a self, post: &'a Post) -> Later<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let Post { id, author, text, tags, created_at } = post.clone();
            let stored = Stored { id, author, text, tags, created_at };
            self.within(async { self.posts.insert_one(stored).await }).await.map(drop)
        })
    }

    fn list<'a>(
        &'a self,
        tag: Option<&'a str>,
        before: Option<&'a str>,
        limit: u32,
    ) -> Later<'a, Result<Vec<Post>, Refusal>> {
        Box::pin(async move {
            // Values are values here, whatever stands in them: no text becomes an operator.
            let mut filter = Document::new();
            if let Some(tag) = tag {
                filter.insert("tags", tag);
            }
            if let Some(before) = before {
                filter.insert("_id", doc! { "$lt": before });
            }
            let finding = async {
                let found = self.posts.find(filter).sort(doc! { "_id": -1 }).limit(i64::from(limit)).await?;
                found.try_collect::<Vec<_>>().await
            };
            let post = |stored: Stored| {
                let Stored { id, author, text, tags, created_at } = stored;
                Post { id, author, text, tags, created_at }
            };
            Ok(self.within(finding).await?.into_iter().map(post).collect())
        })
    }
}

fn refusal(error: &mongodb::error::Error) -> Refusal {
    use mongodb::error::ErrorKind;
    match &*error.kind {
        ErrorKind::Io(_)
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Authentication { .. } => {
            Refusal::unavailable("the document store is away").because(&error.kind)
        }
        kind if passes(error) => Refusal::unavailable("the document store can not do this now").because(kind),
        kind => Refusal::internal(kind),
    }
}

/// What a server says of itself that is over, or full, for now: it is shutting down, steps down, is no primary, has too much to do.
fn passes(error: &mongodb::error::Error) -> bool {
    use mongodb::error::{
        ErrorKind, RETRYABLE_ERROR, RETRYABLE_WRITE_ERROR, SYSTEM_OVERLOADED_ERROR, WriteFailure,
    };
    let code = match &*error.kind {
        ErrorKind::Command(told) => told.code,
        ErrorKind::Write(WriteFailure::WriteError(told)) => told.code,
        ErrorKind::Write(WriteFailure::WriteConcernError(told)) => told.code,
        _ => return false,
    };
    let labels = [RETRYABLE_ERROR, RETRYABLE_WRITE_ERROR, SYSTEM_OVERLOADED_ERROR];
    PASSING.contains(&code) || labels.iter().any(|label| error.contains_label(label))
}
