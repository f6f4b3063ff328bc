//! The tables, as the steps that made them. A step that was released is never changed; the next one mends it.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, RuntimeErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait, Value,
};

use super::database::statement;
use crate::log::now_ms;

/// Each step's statements. `{id}` is a key that counts by itself, `{table}` what ends a table, in the database's own words.
const STEPS: &[&[&str]] = &[
    &[
        "CREATE TABLE users (id {id}, name VARCHAR(32) NOT NULL UNIQUE, role VARCHAR(16) NOT NULL,
            password VARCHAR(255) NOT NULL, created_at BIGINT NOT NULL) {table}",
        "CREATE TABLE products (id {id}, name VARCHAR(100) NOT NULL, price_cents BIGINT NOT NULL CHECK (price_cents >= 0),
            stock BIGINT NOT NULL CHECK (stock >= 0)) {table}",
        "CREATE TABLE orders (id {id}, user_id BIGINT NOT NULL, idem_key VARCHAR(64) NOT NULL, idem_hash VARCHAR(64) NOT NULL,
            status VARCHAR(16) NOT NULL, total_cents BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
            UNIQUE (user_id, idem_key), FOREIGN KEY (user_id) REFERENCES users (id)) {table}",
        "CREATE TABLE order_items (order_id BIGINT NOT NULL, product_id BIGINT NOT NULL, name VARCHAR(100) NOT NULL,
            quantity BIGINT NOT NULL CHECK (quantity > 0), price_cents BIGINT NOT NULL, PRIMARY KEY (order_id, product_id),
            FOREIGN KEY (order_id) REFERENCES orders (id), FOREIGN KEY (product_id) REFERENCES products (id)) {table}",
        "CREATE TABLE ledger (id {id}, order_id BIGINT NOT NULL, kind VARCHAR(16) NOT NULL, amount_cents BIGINT NOT NULL,
            at BIGINT NOT NULL, UNIQUE (order_id, kind), FOREIGN KEY (order_id) REFERENCES orders (id)) {table}",
        "CREATE TABLE order_events (id BIGINT NOT NULL PRIMARY KEY, order_id BIGINT NOT NULL, user_name VARCHAR(32) NOT NULL,
            status VARCHAR(16) NOT NULL, total_cents BIGINT NOT NULL, at BIGINT NOT NULL) {table}",
        "CREATE TABLE counters (name VARCHAR(32) NOT NULL PRIMARY KEY, value BIGINT NOT NULL) {table}",
        "INSERT INTO counters (name, value) VALUES ('order_events', 0)",
        "CREATE TABLE messages (id {id}, room VARCHAR(40) NOT NULL, name VARCHAR(40) NOT NULL, body VARCHAR(2000) NOT NULL,
            at BIGINT NOT NULL) {table}",
        "CREATE INDEX messages_by_room ON messages (room, id)",
    ],
    &[
        "CREATE TABLE posts (id VARCHAR(32) NOT NULL PRIMARY KEY, document TEXT NOT NULL) {table}",
        "CREATE TABLE post_tags (tag VARCHAR(32) NOT NULL, post_id VARCHAR(32) NOT NULL, PRIMARY KEY (tag, post_id)) {table}",
    ],
    &[
        "ALTER TABLE messages ADD COLUMN idem_key VARCHAR(64)",
        "CREATE UNIQUE INDEX messages_by_key ON messages (room, idem_key)",
    ],
];

/// What a shop in development begins with.
const FIRST_PRODUCTS: [(&str, i64, i64); 6] = [
    ("Espresso beans, 1 kg", 1890, 5_000),
    ("Filter papers, 100", 349, 20_000),
    ("Hand grinder", 8900, 400),
    ("Kettle with a long neck", 6450, 250),
    ("Cup, white", 1200, 3_000),
    ("The last moka pot", 3995, 3),
];

/// How long another worker may take for its steps, in seconds.
const LOCK_S: u64 = 30;

/// Brings the tables up to date, and tells when the first were made. Several workers may do so at once: one does, the others wait.
/// A database that answers nothing in `patience` is given up; only a step may take as long as it takes.
pub(super) async fn migrate(
    database: &DatabaseConnection,
    is_development: bool,
    patience: Duration,
) -> Result<i64, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Exclusive),
        ..TransactionOptions::default()
    };
    let tx = within(patience, database.begin_with_options(options)).await?;
    let is_mysql = tx.get_database_backend() == DbBackend::MySql;
    if is_mysql {
        let lock = statement(&tx, "SELECT GET_LOCK('realtime_migrate', ?)", vec![LOCK_S.into()]);
        let locked = within(patience + Duration::from_secs(LOCK_S), tx.query_one_raw(lock)).await?;
        let got = locked.map(|row| row.try_get_by_index::<Option<i64>>(0)).transpose()?.flatten();
        if got != Some(1) {
            return Err(DbErr::Migration(format!(
                "another worker has been changing the tables for {LOCK_S} s"
            )));
        }
    }
    let outcome = steps(&tx, is_development, patience).await;
    if is_mysql {
        let ended = within(patience, let_go(&tx, if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" })).await;
        if outcome.is_ok() {
            ended?; // else what failed first is what counts
        }
    }
    let made_at = outcome?;
    within(patience, tx.commit()).await?;
    Ok(made_at)
}

/// Ends the transaction, and then lets the lock go: who has it next looks for what was done last.
async fn let_go(tx: &DatabaseTransaction, end: &str) -> Result<(), DbErr> {
    tx.execute_unprepared(end).await?;
    // If it does not go now it goes with the connection.
    let _ = tx.query_one_raw(statement(tx, "SELECT RELEASE_LOCK('realtime_migrate')", vec![])).await;
    Ok(())
}

async fn within<T>(patience: Duration, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
    let silent = || DbErr::Conn(RuntimeErr::Internal("the database does not answer".to_owned()));
    phaseloop::timeout(patience, work).await.unwrap_or_else(|_| Err(silent()))
}

async fn steps(tx: &DatabaseTransaction, is_development: bool, patience: Duration) -> Result<i64, DbErr> {
    let table =
        "CREATE TABLE IF NOT EXISTS migrations (step BIGINT NOT NULL PRIMARY KEY, at BIGINT NOT NULL)";
    within(patience, execute(tx, table, vec![])).await?;
    let last = statement(tx, "SELECT COALESCE(MAX(step), 0), COALESCE(MIN(step), 0) FROM migrations", vec![]);
    let row = within(patience, tx.query_one_raw(last)).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the last step".to_owned()))?;
    let (highest, lowest): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    let done = usize::try_from(highest.max(0)).unwrap_or(usize::MAX);
    if done > STEPS.len() {
        let known = STEPS.len();
        return Err(DbErr::Migration(format!(
            "the database is at step {done}, and this program knows {known}: it is too old"
        )));
    }
    for (number, statements) in (1..).zip(STEPS).skip(done) {
        let was_begun = lowest == -number;
        step(tx, number, statements, was_begun, is_development).await?;
    }
    let made = statement(tx, "SELECT at FROM migrations WHERE step = 1", vec![]);
    within(patience, tx.query_one_raw(made)).await?.map_or(Ok(0), |row| row.try_get_by_index(0))
}

/// Takes one step. MariaDB and MySQL commit with each change of a table, so a step that dies may have done a part. So that it is known
/// for its own, and for nobody else's tables, it is noted before, under its number below zero; what is there then is not made again.
async fn step(
    tx: &DatabaseTransaction,
    number: i64,
    statements: &[&str],
    was_begun: bool,
    is_development: bool,
) -> Result<(), DbErr> {
    let is_mysql = tx.get_database_backend() == DbBackend::MySql;
    let note = "INSERT INTO migrations (step, at) VALUES (?, ?)";
    let forget = "DELETE FROM migrations WHERE step = ?";
    if is_mysql && !was_begun {
        execute(tx, note, vec![(-number).into(), now_ms().into()]).await?;
    }
    for sql in statements {
        match execute(tx, sql, vec![]).await {
            Err(error) if was_begun && is_there(&error) => {}
            Err(error) if is_there(&error) => {
                execute(tx, forget, vec![(-number).into()]).await?;
                return Err(error);
            }
            outcome => outcome?,
        }
    }
    if is_mysql {
        // What follows happens with the commit, and with it the step is done.
        tx.execute_unprepared("START TRANSACTION").await?;
        execute(tx, forget, vec![(-number).into()]).await?;
    }
    if number == 1 && is_development {
        for (name, price_cents, stock) in FIRST_PRODUCTS {
            let sql = "INSERT INTO products (name, price_cents, stock) VALUES (?, ?, ?)";
            execute(tx, sql, vec![name.into(), price_cents.into(), stock.into()]).await?;
        }
    }
    execute(tx, note, vec![number.into(), now_ms().into()]).await
}

async fn execute(tx: &DatabaseTransaction, sql: &str, values: Vec<Value>) -> Result<(), DbErr> {
    let sql = in_words_of(tx.get_database_backend(), sql);
    tx.execute_raw(statement(tx, &sql, values)).await.map(drop)
}

/// True if what a statement makes is there already: a table, a column, an index, a row.
fn is_there(error: &DbErr) -> bool {
    #[cfg(feature = "mysql")]
    if let Some(told) = super::database::told_by_mysql(error) {
        return [1050, 1060, 1061, 1062].contains(&told.number());
    }
    let _ = error;
    false
}

fn in_words_of(backend: DbBackend, sql: &str) -> String {
    let (id, table) = match backend {
        // Names and keys are told apart by case, as SQLite does.
        DbBackend::MySql => (
            "BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY",
            "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin",
        ),
        _ => ("INTEGER PRIMARY KEY AUTOINCREMENT", ""),
    };
    sql.replace("{id}", id).replace("{table}", table)
}
