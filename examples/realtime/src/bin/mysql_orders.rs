//! Orders in MariaDB or MySQL from a loop: a pool, sessions that are set up, a transaction that is rolled back whole, and texts that stay texts.
//!
//! `cargo run --release -p realtime --features mysql --bin mysql_orders -- mysql://USER:PASSWORD@HOST:PORT/DB [REPLICA_URL]`
//!
//! It makes tables of its own, `example_accounts` and `example_orders`, and drops them at the end.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use std::process::ExitCode;
use std::time::Duration;

use phaseloop::EventLoop;
use sea_orm::sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};
use sea_orm::sqlx::{self, Executor as _, Row as _};

fn main() -> ExitCode {
    let mut urls = std::env::args().skip(1);
    let Some(primary) = urls.next() else {
        eprintln!("usage: mysql_orders mysql://USER:PASSWORD@HOST:PORT/DB [REPLICA_URL]");
        return ExitCode::from(2);
    };
    let replica = urls.next();
    let run = || -> Result<(), Box<dyn std::error::Error>> {
        // The driver is tokio's: it runs on this very thread, in the poll phase of the loop.
        let lp = EventLoop::builder().with_tokio()?.build()?;
        Ok(lp.block_on(show(&primary, replica.as_deref()))??)
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mysql_orders: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn show(primary: &str, replica: Option<&str>) -> Result<(), sqlx::Error> {
    let writes = pool(primary).await?;
    // Reads may be a little old; what was just written is read where it was written.
    let reads = match replica {
        Some(url) => pool(url).await?,
        None => writes.clone(),
    };
    let outcome = shop(&writes, &reads).await;
    writes.execute("DROP TABLE IF EXISTS example_orders, example_accounts").await?;
    outcome
}

/// Ten connections at most, three seconds of waiting for one, and the same session on each.
async fn pool(url: &str) -> Result<MySqlPool, sqlx::Error> {
    let options: MySqlConnectOptions = url.parse()?;
    MySqlPoolOptions::new()
        .max_connections(10)
        .acquire_timeout(Duration::from_secs(3))
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection
                    .execute("SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES'")
                    .await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await
}

async fn shop(writes: &MySqlPool, reads: &MySqlPool) -> Result<(), sqlx::Error> {
    writes.execute("DROP TABLE IF EXISTS example_orders, example_accounts").await?;
    writes
        .execute("CREATE TABLE example_accounts (name VARCHAR(64) PRIMARY KEY, cents BIGINT NOT NULL) ENGINE=InnoDB")
        .await?;
    writes
        .execute(
            "CREATE TABLE example_orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(64) NOT NULL, \
             cents BIGINT NOT NULL) ENGINE=InnoDB",
        )
        .await?;
    sqlx::query("INSERT INTO example_accounts VALUES (?, ?)")
        .bind("ada")
        .bind(10_000_i64)
        .execute(writes)
        .await?;

    // Ten at once on the pool's connections: three are paid for, and the rest changes nothing.
    let buying = (0..10).map(|_| buy(writes, "ada", 3_000));
    let bought = futures::future::join_all(buying).await;
    let paid = bought.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().filter(|paid| *paid).count();
    println!("{paid} of 10 orders of 3000 cents were paid from 10000");

    let row = sqlx::query(
        "SELECT (SELECT cents FROM example_accounts WHERE name = ?), (SELECT COUNT(*) FROM example_orders)",
    )
    .bind("ada")
    .fetch_one(reads)
    .await?;
    println!("left: {} cents, {} orders", row.try_get::<i64, _>(0)?, row.try_get::<i64, _>(1)?);

    let text = "ada' OR '1'='1";
    let found =
        sqlx::query("SELECT cents FROM example_accounts WHERE name = ?").bind(text).fetch_all(reads).await?;
    println!("{text:?} names {} accounts", found.len());
    Ok(())
}

/// True if it was paid for. Whatever fails, an order without its money is never there.
async fn buy(pool: &MySqlPool, name: &str, cents: i64) -> Result<bool, sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("INSERT INTO example_orders (name, cents) VALUES (?, ?)")
        .bind(name)
        .bind(cents)
        .execute(&mut *tx)
        .await?;
    let paid = sqlx::query("UPDATE example_accounts SET cents = cents - ? WHERE name = ? AND cents >= ?")
        .bind(cents)
        .bind(name)
        .bind(cents)
        .execute(&mut *tx)
        .await?;
    if paid.rows_affected() == 0 {
        tx.rollback().await?; // and so does dropping it
        return Ok(false);
    }
    tx.commit().await?;
    Ok(true)
}
