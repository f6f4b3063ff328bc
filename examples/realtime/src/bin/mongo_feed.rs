//! Posts as documents, in MongoDB or what speaks its protocol, from a loop: defaults, a compound index, a sorted and limited list of a few fields.
//!
//! `cargo run --release -p realtime --features mongo --bin mongo_feed -- mongodb://HOST:PORT/DB`
//!
//! It makes a collection of its own, `example_posts`, and drops it at the end.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use std::process::ExitCode;
use std::time::Duration;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, Collection, IndexModel};
use phaseloop::EventLoop;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Post {
    author: String,
    text: String,
    /// What a document does not say.
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    likes: i64,
    at: i64,
}

fn main() -> ExitCode {
    let Some(url) = std::env::args().nth(1) else {
        eprintln!("usage: mongo_feed mongodb://HOST:PORT/DB");
        return ExitCode::from(2);
    };
    let run = || -> Result<(), Box<dyn std::error::Error>> {
        let lp = EventLoop::builder().with_tokio()?.build()?;
        Ok(lp.block_on(show(&url))??)
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mongo_feed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn show(url: &str) -> mongodb::error::Result<()> {
    let mut options = ClientOptions::parse(url).await?;
    options.max_pool_size = Some(10);
    options.server_selection_timeout = Some(Duration::from_secs(3));
    let client = Client::with_options(options)?;
    let database = client.default_database().unwrap_or_else(|| client.database("example"));
    let posts = database.collection::<Post>("example_posts");
    posts.drop().await?;
    let outcome = feed(&posts).await;
    posts.drop().await?;
    outcome
}

async fn feed(posts: &Collection<Post>) -> mongodb::error::Result<()> {
    let index = IndexModel::builder().keys(doc! { "tags": 1, "at": -1 }).build();
    println!("index: {}", posts.create_index(index).await?.index_name);

    let post = |at: i64| Post {
        author: if at % 2 == 0 { "ada" } else { "bob" }.to_owned(),
        text: format!("post {at}"),
        tags: if at % 3 == 0 { vec!["news".to_owned()] } else { Vec::new() },
        likes: at % 5,
        at,
    };
    posts.insert_many((0..30).map(post)).await?;
    // Without tags and likes, as an old version of a program would have written it.
    let old = posts.clone_with_type::<Document>();
    old.insert_one(doc! { "author": "cyd", "text": "an old post", "at": 100_i64 }).await?;

    // The newest three of a tag, and of each only what a list shows.
    let lean = old.find(doc! { "tags": "news" }).sort(doc! { "at": -1 }).limit(3);
    let lean: Vec<_> = lean.projection(doc! { "_id": 0, "text": 1, "at": 1 }).await?.try_collect().await?;
    lean.iter().for_each(|document| println!("{document}"));

    let newest = posts.find_one(doc! {}).sort(doc! { "at": -1 }).await?;
    if let Some(Post { author, text, tags, likes, .. }) = newest {
        println!("{author}: {text}, {} tags, {likes} likes", tags.len());
    }
    Ok(())
}
