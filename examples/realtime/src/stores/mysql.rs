//! Connections to MariaDB and MySQL.

use sea_orm::sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sea_orm::sqlx::{ConnectOptions as _, Executor as _};
use sea_orm::{DatabaseConnection, DbErr};

use super::database::connecting;
use crate::config::{Config, Secret};

/// What each session is told: time in UTC, nothing cut off or made up in silence, and what others have committed is seen.
const SESSION: [&str; 4] = [
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION innodb_lock_wait_timeout = 5",
];

/// A pool of connections. An address that is wrong fails here, without its password.
pub(super) async fn connect(url: &Secret, config: &Config) -> Result<DatabaseConnection, DbErr> {
    let bad =
        |_| DbErr::Custom("the URL of the database is none: mysql://USER:PASSWORD@HOST:PORT/DB".to_owned());
    let options: MySqlConnectOptions = url.reveal().parse().map_err(bad)?;
    let pool = MySqlPoolOptions::new()
        .max_connections(config.database_pool)
        .acquire_timeout(config.database_wait)
        .test_before_acquire(true)
        .after_connect(|connection, _| {
            Box::pin(async move {
                for setting in SESSION {
                    connection.execute(setting).await?;
                }
                Ok(())
            })
        })
        // A `BEGIN` that was given up may have begun a transaction nevertheless, of which the driver does not know: what came next on this
        // connection would be committed by nobody.
        .after_release(|connection, _| {
            Box::pin(async move { connection.execute("ROLLBACK").await.map(|_| true) })
        })
        .connect_with(options.charset("utf8mb4").disable_statement_logging());
    Ok(pool.await.map_err(connecting)?.into())
}
