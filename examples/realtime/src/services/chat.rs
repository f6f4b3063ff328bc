//! What is said in rooms, so that who comes later can read it.

use std::rc::Rc;

use sea_orm::Value;
use serde::Serialize;

use crate::log::now_ms;
use crate::refusal::Refusal;
use crate::stores::Database;
use crate::stores::database::{is_taken, refusal};

/// Messages that somebody gets who comes in, and who was away.
const HISTORY: i64 = 50;
const MISSED_MAX: i64 = 200;
/// Where several connections write, ids may be seen in another order than they were given: so many before the last one are told
/// again.
const OVERLAP: i64 = 10;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Message {
    pub(crate) id: i64,
    pub(crate) room: String,
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) at: i64,
    /// Its sender's, by which it is known when it is sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
}

/// Keeps messages.
pub(crate) struct Messages(pub(crate) Rc<Database>);

impl Messages {
    /// Keeps what is said. What was said in this room with this key before is found instead, and kept once.
    pub(crate) async fn add(
        &self,
        room: String,
        name: String,
        text: String,
        key: Option<String>,
    ) -> Result<Message, Refusal> {
        let at = now_ms();
        let sql = "INSERT INTO messages (room, name, body, at, idem_key) VALUES (?, ?, ?, ?, ?)";
        let values = vec![
            room.as_str().into(),
            name.as_str().into(),
            text.as_str().into(),
            at.into(),
            key.clone().into(),
        ];
        let adding = async {
            let outcome = match self.0.insert(sql, values).await {
                Err(error) if is_taken(&error) => Ok(None),
                outcome => outcome.map(Some),
            };
            self.0.faults.at("said")?;
            outcome
        };
        let Some(id) = self.0.within(adding).await? else { return self.said_before(&room, &text, key).await };
        Ok(Message { id, room, name, text, at, key })
    }

    async fn said_before(&self, room: &str, text: &str, key: Option<String>) -> Result<Message, Refusal> {
        let condition = "room = ? AND idem_key = ?";
        let mut found = self.read(room, condition, vec![room.into(), key.into()]).await?;
        // It can not have gone: nothing is ever removed.
        let found = found.pop().ok_or_else(|| Refusal::internal("a key that is taken by no message"))?;
        if found.text == text { Ok(found) } else { Err(Refusal::key_reused("this key", "text")) }
    }

    /// The last messages of a room or those behind `after`, the oldest first.
    pub(crate) async fn history(&self, room: &str, after: Option<i64>) -> Result<Vec<Message>, Refusal> {
        let overlap = if self.0.kind() == "mysql" { OVERLAP } else { 0 };
        match after {
            Some(after) => {
                let after = after.saturating_sub(overlap);
                let found = self
                    .read(
                        room,
                        "room = ? AND id > ? ORDER BY id LIMIT ?",
                        vec![room.into(), after.into(), MISSED_MAX.into()],
                    )
                    .await;
                self.0.faults.at("missed").map_err(|error| refusal(&error))?;
                found
            }
            None => {
                let mut found = self
                    .read(room, "room = ? ORDER BY id DESC LIMIT ?", vec![room.into(), HISTORY.into()])
                    .await?;
                found.reverse();
                Ok(found)
            }
        }
    }

    async fn read(&self, room: &str, which: &str, values: Vec<Value>) -> Result<Vec<Message>, Refusal> {
        let sql = format!("SELECT id, name, body, at, idem_key FROM messages WHERE {which}");
        let rows = self.0.fresh_rows(&sql, values).await?;
        let message = |row: &sea_orm::QueryResult| {
            Ok(Message {
                id: row.try_get_by_index(0)?,
                room: room.to_owned(),
                name: row.try_get_by_index(1)?,
                text: row.try_get_by_index(2)?,
                at: row.try_get_by_index(3)?,
                key: row.try_get_by_index(4)?,
            })
        };
        rows.iter().map(|row| message(row).map_err(|error: sea_orm::DbErr| refusal(&error))).collect()
    }
}
