//! The database: SQLite, or MariaDB and MySQL. One set of SQL for all of them, in placeholders, never in texts put together.

use std::rc::Rc;
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, Value, sqlx,
};

use super::faults::Faults;
use super::schema;
use crate::config::{self, Config, Stage};
use crate::refusal::Refusal;

/// How often a transaction is tried that lost to another one.
const TRIES_MAX: u32 = 5;

/// Memory for pages of SQLite, of each connection: the system keeps the same pages once for all of them.
const PAGES_KIB: u32 = 512;

/// The way to the database.
pub(crate) struct Database {
    writer: DatabaseConnection,
    /// For what must be read as it was written.
    fresh: DatabaseConnection,
    /// For lists, which may be a little old: a replica, where there is one.
    lists: DatabaseConnection,
    /// How long a connection is waited for, which also ends the closing.
    wait: Duration,
    /// How long a connection and the statements on it are waited for.
    patience: Duration,
    /// When its tables were made. Another number is another database, whose ids begin anew.
    pub(crate) made_at: i64,
    pub(crate) faults: Rc<Faults>,
}

impl Database {
    /// Connects, and brings the tables up to date.
    pub(crate) async fn open(config: &Config) -> Result<Self, DbErr> {
        let writer = connect(&config.database, config, Use::Writing).await?;
        // With SQLite one connection writes, and others read beside it; a database in memory has only the one.
        let fresh = match &config.database {
            config::Database::Sqlite(Some(_)) => connect(&config.database, config, Use::Reading).await?,
            _ => writer.clone(),
        };
        let lists = match &config.replica {
            Some(replica) => connect(replica, config, Use::Reading).await?,
            None => fresh.clone(),
        };
        let (wait, patience) = (config.database_wait, config.database_wait + config.answer_wait);
        let made_at = schema::migrate(&writer, config.stage == Stage::Development, patience).await?;
        Ok(Self { writer, fresh, lists, wait, patience, made_at, faults: Rc::default() })
    }

    pub(crate) fn kind(&self) -> &'static str {
        if self.writer.get_database_backend() == DbBackend::MySql { "mysql" } else { "sqlite" }
    }

    /// The longest that a transaction takes, unless it lost to others.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// What the ORM writes with.
    pub(crate) fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// What the ORM reads with, where it must be as it was written.
    pub(crate) fn fresh(&self) -> &DatabaseConnection {
        &self.fresh
    }

    /// What the ORM reads lists with.
    pub(crate) fn lists(&self) -> &DatabaseConnection {
        &self.lists
    }

    /// Gives up after the configured time, as when a server is there but answers nothing.
    pub(crate) async fn within<T>(&self, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, Refusal> {
        match phaseloop::timeout(self.patience, work).await {
            Ok(outcome) => outcome.map_err(|error| refusal(&error)),
            Err(_) => Err(Refusal::unavailable("the database does not answer")),
        }
    }

    /// Whether it answers. The one connection that writes to SQLite is not asked: it has better things to do.
    pub(crate) async fn check(&self) -> Result<(), Refusal> {
        self.within(async {
            for way in [&self.fresh, &self.lists] {
                way.query_one_raw(Statement::from_string(way.get_database_backend(), "SELECT 1")).await?;
            }
            Ok(())
        })
        .await
    }

    /// Rows of a list.
    pub(crate) async fn rows(&self, sql: &str, values: Vec<Value>) -> Result<Vec<QueryResult>, Refusal> {
        self.within(self.lists.query_all_raw(statement(&self.lists, sql, values))).await
    }

    /// Rows as they were just written, not as a replica has them.
    pub(crate) async fn fresh_rows(
        &self,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Vec<QueryResult>, Refusal> {
        self.within(self.fresh.query_all_raw(statement(&self.fresh, sql, values))).await
    }

    pub(crate) async fn execute(&self, sql: &str, values: Vec<Value>) -> Result<ExecResult, Refusal> {
        self.within(self.writer.execute_raw(statement(&self.writer, sql, values))).await
    }

    /// Adds a row, and gives its number.
    pub(crate) async fn insert(&self, sql: &str, values: Vec<Value>) -> Result<i64, DbErr> {
        let outcome = self.writer.execute_raw(statement(&self.writer, sql, values)).await?;
        Ok(i64::try_from(outcome.last_insert_id()).unwrap_or(i64::MAX))
    }

    /// Runs `work` in a transaction, which is rolled back unless `work` and the commit succeed. One that lost to another is
    /// tried again.
    ///
    /// # Cancel safety
    /// Dropping it rolls back what is not committed.
    pub(crate) async fn transaction<T, E: From<Refusal>>(
        &self,
        work: impl AsyncFn(&Tx) -> Result<T, Stop<E>>,
    ) -> Result<T, E> {
        for left in (0..TRIES_MAX).rev() {
            let attempt = phaseloop::timeout(self.patience, self.attempt(&work));
            return match attempt.await {
                Err(_) => Err(Refusal::unavailable("the database does not answer").into()),
                Ok(Ok(output)) => Ok(output),
                Ok(Err(Stop::Refused(refusal))) => Err(refusal),
                Ok(Err(Stop::Database(error))) if left > 0 && lost(&error) => continue,
                Ok(Err(Stop::Database(error))) => Err(refusal(&error).into()),
            };
        }
        Err(Refusal::unavailable("the database is too busy").into())
    }

    async fn attempt<T, E>(&self, work: &impl AsyncFn(&Tx) -> Result<T, Stop<E>>) -> Result<T, Stop<E>> {
        // SQLite has one writer at a time: who says so at once waits, who says so later is refused.
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.faults.at("begin")?;
        let tx =
            Tx { inner: self.writer.begin_with_options(options).await?, faults: Rc::clone(&self.faults) };
        let outcome = match work(&tx).await {
            Ok(output) => tx.faults.at("commit").map(|()| output).map_err(Stop::Database),
            Err(stop) => Err(stop),
        };
        match outcome {
            Ok(output) => {
                tx.inner.commit().await?;
                self.faults.at("committed")?;
                Ok(output)
            }
            Err(stop) => {
                // What can not be rolled back is lost with its connection.
                let _ = tx.inner.rollback().await;
                Err(stop)
            }
        }
    }

    /// Closes all connections, once what is under way has ended; gives up after the configured time.
    pub(crate) async fn close(&self) {
        // What fails to close, or is not closed in time, is closed by the end of the process.
        let close = async {
            let _ = self.lists.close_by_ref().await;
            let _ = self.fresh.close_by_ref().await;
            let _ = self.writer.close_by_ref().await;
        };
        let _ = phaseloop::timeout(self.wait, close).await;
    }
}

/// A transaction.
pub(crate) struct Tx {
    inner: DatabaseTransaction,
    faults: Rc<Faults>,
}

impl Tx {
    /// Changes rows; the step is a name for tests.
    pub(crate) async fn execute(
        &self,
        step: &'static str,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<ExecResult, DbErr> {
        self.faults.at(step)?;
        self.inner.execute_raw(statement(&self.inner, sql, values)).await
    }

    pub(crate) async fn row(
        &self,
        step: &'static str,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Option<QueryResult>, DbErr> {
        self.faults.at(step)?;
        self.inner.query_one_raw(statement(&self.inner, sql, values)).await
    }

    pub(crate) async fn rows(
        &self,
        step: &'static str,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Vec<QueryResult>, DbErr> {
        self.faults.at(step)?;
        self.inner.query_all_raw(statement(&self.inner, sql, values)).await
    }
}

/// Why a transaction stops: the rules say no, or the database does.
pub(crate) enum Stop<E = Refusal> {
    Refused(E),
    Database(DbErr),
}

impl<E> From<DbErr> for Stop<E> {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

impl From<Refusal> for Stop<Refusal> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

pub(super) fn statement(way: &impl ConnectionTrait, sql: &str, values: Vec<Value>) -> Statement {
    Statement::from_sql_and_values(way.get_database_backend(), sql, values)
}

/// True if a row with this key is there already.
pub(crate) fn is_taken(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(sea_orm::SqlErr::UniqueConstraintViolation(_)))
}

/// What a client is told of a database's error: 503 if it will pass, 500 if the program is wrong.
pub(crate) fn refusal(error: &DbErr) -> Refusal {
    match (error, cause(error)) {
        (DbErr::ConnectionAcquire(_), _) => {
            Refusal::unavailable("the database is away or too busy").because(error)
        }
        (DbErr::Conn(_), _)
        | (_, Some(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)) => {
            Refusal::unavailable("the database is away").because(error)
        }
        (_, Some(sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed | sqlx::Error::Tls(_))) => {
            Refusal::unavailable("the database is away").because(error)
        }
        (_, Some(sqlx::Error::Database(told))) if passes(told.as_ref()) => {
            Refusal::unavailable("the database can not do this now").because(error)
        }
        (DbErr::Custom(_), _) => Refusal::unavailable("the database failed").because(error),
        _ => Refusal::internal(error),
    }
}

fn cause(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// What a server says that is over, or full, for now.
fn passes(told: &dyn sqlx::error::DatabaseError) -> bool {
    #[cfg(feature = "mysql")]
    if let Some(told) = told.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        // Full disk, too many connections, shutting down, read only, killed, lock waits, deadlocks.
        return [1021, 1040, 1053, 1077, 1114, 1203, 1205, 1213, 1290, 1317, 1836, 1927, 1969, 3024]
            .contains(&told.number());
    }
    // Busy, locked, read only, disk error, full: the low byte of SQLite's extended codes.
    let code = told.code().and_then(|code| code.parse::<i32>().ok());
    code.is_some_and(|code| [5, 6, 8, 10, 13].contains(&(code & 0xff)))
}

/// True if the transaction lost to another one and may win the next time.
fn lost(error: &DbErr) -> bool {
    let Some(sqlx::Error::Database(told)) = cause(error) else { return false };
    #[cfg(feature = "mysql")]
    if let Some(told) = told_by_mysql(error) {
        return [1205, 1213].contains(&told.number());
    }
    told.code().and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| [5, 6].contains(&(code & 0xff)))
}

#[cfg(feature = "mysql")]
pub(super) fn told_by_mysql(error: &DbErr) -> Option<&sqlx::mysql::MySqlDatabaseError> {
    let Some(sqlx::Error::Database(told)) = cause(error) else { return None };
    told.try_downcast_ref()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Writing,
    Reading,
}

async fn connect(
    database: &config::Database,
    config: &Config,
    usage: Use,
) -> Result<DatabaseConnection, DbErr> {
    match database {
        config::Database::Sqlite(path) => {
            let options = sqlite(path.as_deref(), config, usage)?;
            // One writes at a time anyway, and a database in memory is that of one connection.
            let connections = if usage == Use::Writing { 1 } else { config.database_pool.min(4) };
            let pool = SqlitePoolOptions::new()
                .max_connections(connections)
                .min_connections(1)
                .acquire_timeout(config.database_wait)
                .idle_timeout(None)
                .max_lifetime(None)
                .connect_with(options);
            Ok(pool.await.map_err(connecting)?.into())
        }
        #[cfg(feature = "mysql")]
        config::Database::MySql(url) => super::mysql::connect(url, config).await,
        #[cfg(not(feature = "mysql"))]
        config::Database::MySql(_) => {
            Err(DbErr::Custom("this program was built without the feature `mysql`".to_owned()))
        }
    }
}

/// The session of each connection: written ahead, safe when power fails, foreign keys held.
fn sqlite(
    path: Option<&std::path::Path>,
    config: &Config,
    usage: Use,
) -> Result<SqliteConnectOptions, DbErr> {
    let options = match path {
        None => SqliteConnectOptions::new().in_memory(true),
        Some(path) => {
            if let Some(folder) = path.parent() {
                let failed =
                    |error| DbErr::Custom(format!("can not make the folder {}: {error}", folder.display()));
                std::fs::create_dir_all(folder).map_err(failed)?;
            }
            SqliteConnectOptions::new().filename(path).create_if_missing(true)
        }
    };
    let options = options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(config.database_wait)
        .pragma("cache_size", format!("-{PAGES_KIB}"))
        .pragma("query_only", if usage == Use::Reading { "ON" } else { "OFF" });
    use sqlx::ConnectOptions as _;
    Ok(options.disable_statement_logging())
}

pub(super) fn connecting(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(error.into()))
}
