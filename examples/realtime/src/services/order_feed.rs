//! The events of orders, as those who follow them get them: all of them, in order, also what happened while they were away.
//!
//! The database's table of events is the truth. A pump reads what is new in it, whenever somebody says that there is something,
//! and now and then by itself. Each client is a task with a place of its own in the events: what it has not had comes from the
//! last ones in memory or, further back, from the table. So a slow client waits, and takes up no memory.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures::future::select;
use phaseloop_server::http::{Body, BodySender, Bytes, Response};
use phaseloop_server::sse::{self, Event};
use serde_json::json;

use super::bell::Bell;
use crate::log::Log;
use crate::refusal::Refusal;
use crate::stores::Database;
use crate::stores::database::refusal;

/// Events that are kept in memory.
const RECENT_MAX: usize = 1_000;
/// Events that are read at a time.
const PAGE: usize = 200;
/// Bytes that may wait in a client's connection.
const HIGH_WATER: usize = 16 * 1024;
/// How often a silent connection hears that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How soon a browser comes back.
const RETRY: Duration = Duration::from_secs(1);
/// How long a database that is away is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// Where a client begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// With what comes now.
    Now,
    /// Behind this event.
    Event(i64),
    /// With the last ones, so many.
    Last(i64),
}

pub(crate) struct OrderFeed {
    database: Rc<Database>,
    log: Log,
    /// The last event that was read.
    position: Cell<i64>,
    recent: RefCell<VecDeque<(i64, Bytes)>>,
    /// Rung when there are new events for clients, and at the end.
    told: Bell,
    /// Rung when the table may have new events, and at the end.
    asked: Bell,
    clients: Cell<usize>,
    is_closed: Cell<bool>,
}

impl OrderFeed {
    /// A feed that begins where the table ends, and looks at it at least once in `period`.
    pub(crate) async fn open(
        database: &Rc<Database>,
        log: &Log,
        period: Duration,
    ) -> Result<Rc<Self>, Refusal> {
        let feed = Rc::new(Self {
            database: Rc::clone(database),
            log: log.clone(),
            position: Cell::new(0),
            recent: RefCell::default(),
            told: Bell::default(),
            asked: Bell::default(),
            clients: Cell::new(0),
            is_closed: Cell::new(false),
        });
        feed.position.set(feed.last().await?);
        phaseloop::spawn(Rc::clone(&feed).pump(period)).unref();
        Ok(feed)
    }

    /// Says that there may be something new.
    pub(crate) fn look(&self) {
        self.asked.ring();
    }

    pub(crate) fn clients(&self) -> usize {
        self.clients.get()
    }

    /// Ends the answers of all clients, and of those that come yet: browsers come back.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
        self.told.ring();
        self.asked.ring();
    }

    /// An answer that tells what happens.
    pub(crate) async fn follow(self: &Rc<Self>, since: Since) -> Result<Response<Body>, Refusal> {
        let position = self.position.get();
        let from = match since {
            Since::Now => position,
            Since::Last(count) => (position - count).max(0),
            Since::Event(id) if id <= position => id,
            // From another worker, which has read further; or from another database.
            Since::Event(id) => id.min(self.last().await?),
        };
        let (_, mut response) = sse::stream(0);
        let (sender, body) = Body::lasting(HIGH_WATER);
        *response.body_mut() = body;
        let feed = Rc::clone(self);
        phaseloop::spawn(async move {
            feed.clients.set(feed.clients.get() + 1);
            feed.serve(sender, from).await;
            feed.clients.set(feed.clients.get() - 1);
        })
        .detach();
        Ok(response)
    }

    async fn serve(&self, mut sender: BodySender, mut had: i64) {
        let database = json!(self.database.made_at).to_string();
        let mut next = Event::new(database).name("database").retry(RETRY).encode();
        loop {
            if sender.send(next).await.is_err() {
                return; // the client is gone
            }
            loop {
                let seen = self.told.rings();
                if self.is_closed.get() {
                    return sender.finish();
                }
                if had < self.position.get() {
                    match self.after(had).await {
                        Ok(events) => {
                            for (id, bytes) in events {
                                if sender.send(bytes).await.is_err() {
                                    return;
                                }
                                had = id;
                            }
                        }
                        Err(_) => phaseloop::sleep(PAUSE).await, // the pump has said so
                    }
                    continue;
                }
                let news = self.told.rung_since(seen);
                match phaseloop::timeout(HEARTBEAT, select(news, pin!(sender.gone()))).await {
                    Err(_) => break,
                    Ok(futures::future::Either::Left(_)) => {}
                    Ok(futures::future::Either::Right(_)) => return,
                }
            }
            next = Event::new("{}").name("beat").encode();
        }
    }

    /// The next events behind `id`.
    async fn after(&self, id: i64) -> Result<Vec<(i64, Bytes)>, Refusal> {
        {
            let recent = self.recent.borrow();
            if recent.front().is_some_and(|(first, _)| *first <= id + 1) {
                let start = recent.partition_point(|(number, _)| *number <= id);
                return Ok(recent.iter().skip(start).take(PAGE).cloned().collect());
            }
        }
        self.read(id).await
    }

    async fn read(&self, id: i64) -> Result<Vec<(i64, Bytes)>, Refusal> {
        let sql = "SELECT id, order_id, user_name, status, total_cents, at FROM order_events WHERE id > ? ORDER BY id LIMIT ?";
        let rows = self.database.fresh_rows(sql, vec![id.into(), (PAGE as i64).into()]).await?;
        rows.iter().map(|row| event(row).map_err(|error| refusal(&error))).collect()
    }

    async fn last(&self) -> Result<i64, Refusal> {
        let rows = self.database.fresh_rows("SELECT COALESCE(MAX(id), 0) FROM order_events", vec![]).await?;
        let last = rows.first().map_or(Ok(0), |row| row.try_get_by_index(0));
        last.map_err(|error| refusal(&error))
    }

    async fn pump(self: Rc<Self>, period: Duration) {
        let mut is_away = false;
        while !self.is_closed.get() {
            let seen = self.asked.rings();
            let outcome = self.pull().await;
            if outcome.is_err() != is_away {
                is_away = !is_away;
                match &outcome {
                    Err(error) => self.log.error("events", &[("state", &"away"), ("error", error)]),
                    Ok(_) => self.log.info("events", &[("state", &"back")]),
                }
            }
            match outcome {
                Ok(true) => {} // there may be more
                Ok(false) => drop(phaseloop::timeout(period, self.asked.rung_since(seen)).await),
                Err(_) => phaseloop::sleep(PAUSE).await,
            }
        }
    }

    /// Reads a page. True if it was full.
    async fn pull(&self) -> Result<bool, Refusal> {
        let events = self.read(self.position.get()).await?;
        let (is_full, Some((last, _))) = (events.len() == PAGE, events.last()) else { return Ok(false) };
        self.position.set(*last);
        let mut recent = self.recent.borrow_mut();
        recent.extend(events);
        let surplus = recent.len().saturating_sub(RECENT_MAX);
        recent.drain(..surplus);
        drop(recent);
        self.told.ring();
        Ok(is_full)
    }
}

fn event(row: &sea_orm::QueryResult) -> Result<(i64, Bytes), sea_orm::DbErr> {
    let id: i64 = row.try_get_by_index(0)?;
    let data = json!({
        "id": id,
        "order": row.try_get_by_index::<i64>(1)?,
        "user": row.try_get_by_index::<String>(2)?,
        "status": row.try_get_by_index::<String>(3)?,
        "total_cents": row.try_get_by_index::<i64>(4)?,
        "at": row.try_get_by_index::<i64>(5)?,
    });
    Ok((id, Event::new(data.to_string()).name("order").id(&id.to_string()).encode()))
}
