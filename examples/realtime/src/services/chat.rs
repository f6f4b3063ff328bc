//! What is said in rooms, so that who comes later can read it.

use std::rc::Rc;

use serde::Serialize;

use crate::log::now_ms;
use crate::refusal::Refusal;
use crate::stores::Database;
use crate::stores::database::refusal;

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
}

/// Keeps messages.
pub(crate) struct Messages(pub(crate) Rc<Database>);

impl Messages {
    pub(crate) async fn add(&self, room: String, name: String, text: String) -> Result<Message, Refusal> {
        let at = now_ms();
        let sql = "INSERT INTO messages (room, name, body, at) VALUES (?, ?, ?, ?)";
        let values = vec![room.as_str().into(), name.as_str().into(), text.as_str().into(), at.into()];
        let id = self.0.execute(sql, values).await?.last_insert_id();
        Ok(Message { id: i64::try_from(id).unwrap_or(i64::MAX), room, name, text, at })
    }

    /// The last messages of a room or those behind `after`, the oldest first.
    pub(crate) async fn history(&self, room: &str, after: Option<i64>) -> Result<Vec<Message>, Refusal> {
        let fields = "SELECT id, name, body, at FROM messages WHERE room = ?";
        let overlap = if self.0.kind() == "mysql" { OVERLAP } else { 0 };
        let rows = match after {
            Some(after) => {
                let sql = format!("{fields} AND id > ? ORDER BY id LIMIT ?");
                let after = after.saturating_sub(overlap);
                self.0.fresh_rows(&sql, vec![room.into(), after.into(), MISSED_MAX.into()]).await?
            }
            None => {
                let sql = format!("{fields} ORDER BY id DESC LIMIT ?");
                let mut rows = self.0.fresh_rows(&sql, vec![room.into(), HISTORY.into()]).await?;
                rows.reverse();
                rows
            }
        };
        let message = |row: &sea_orm::QueryResult| {
            Ok(Message {
                id: row.try_get_by_index(0)?,
                room: room.to_owned(),
                name: row.try_get_by_index(1)?,
                text: row.try_get_by_index(2)?,
                at: row.try_get_by_index(3)?,
            })
        };
        rows.iter().map(|row| message(row).map_err(|error: sea_orm::DbErr| refusal(&error))).collect()
    }
}
