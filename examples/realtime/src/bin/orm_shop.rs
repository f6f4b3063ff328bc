//! An ORM on a loop: entities with a relation, tables made from them, typed queries, relations that are loaded.
//!
//! `cargo run --release -p realtime --bin orm_shop` for SQLite in memory; with a URL for another one: `sqlite:FILE?mode=rwc`, or with
//! `--features mysql` `mysql://USER:PASSWORD@HOST:PORT/DB`, where it drops its tables at the end.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]
#![allow(unreachable_pub, reason = "sea-orm's derives make items that are `pub`")]

use std::process::ExitCode;

use phaseloop::EventLoop;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, ConnectOptions, ConnectionTrait, Database,
    DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder, Schema, TransactionTrait,
};

mod customer {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "example_customers")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[sea_orm(unique)]
        pub email: String,
        pub rank: Rank,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "String(StringLen::N(8))")]
    pub enum Rank {
        #[sea_orm(string_value = "new")]
        New,
        #[sea_orm(string_value = "regular")]
        Regular,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(has_many = "super::purchase::Entity")]
        Purchases,
    }

    impl Related<super::purchase::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Purchases.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod purchase {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "example_purchases")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub customer_id: i64,
        pub title: String,
        /// Money is counted, not measured: no fractions, no rounding.
        pub cents: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::customer::Entity",
            from = "Column::CustomerId",
            to = "super::customer::Column::Id"
        )]
        Customer,
    }

    impl Related<super::customer::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Customer.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

fn main() -> ExitCode {
    let url = std::env::args().nth(1).unwrap_or_else(|| "sqlite::memory:".to_owned());
    let run = || -> Result<(), Box<dyn std::error::Error>> {
        let lp = EventLoop::builder().with_tokio()?.build()?;
        Ok(lp.block_on(show(url))??)
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orm_shop: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn show(url: String) -> Result<(), DbErr> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false); // a database in memory is that of one connection
    let db = Database::connect(options).await?;
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(customer::Entity)).await?;
    db.execute(&schema.create_table_from_entity(purchase::Entity)).await?;
    let outcome = shop(&db).await;
    db.execute_unprepared("DROP TABLE example_purchases").await?;
    db.execute_unprepared("DROP TABLE example_customers").await?;
    outcome
}

async fn shop(db: &DatabaseConnection) -> Result<(), DbErr> {
    let ada = add(db, "ada@example.org", customer::Rank::Regular).await?;
    add(db, "bob@example.org", customer::Rank::New).await?;
    let again = add(db, "ada@example.org", customer::Rank::New).await;
    println!("the same address again: {}", if again.is_err() { "refused" } else { "taken" });

    // Both or neither: the transaction is rolled back when its future fails.
    let tx = db.begin().await?;
    for (title, cents) in [("A kettle", 6450), ("Beans", 1890)] {
        let new = purchase::ActiveModel {
            id: ActiveValue::NotSet,
            customer_id: ActiveValue::Set(ada.id),
            title: ActiveValue::Set(title.to_owned()),
            cents: ActiveValue::Set(cents),
        };
        new.insert(&tx).await?;
    }
    tx.commit().await?;

    let all = customer::Entity::find()
        .order_by_asc(customer::Column::Id)
        .find_with_related(purchase::Entity)
        .all(db)
        .await?;
    for (customer, purchases) in all {
        let cents: i64 = purchases.iter().map(|purchase| purchase.cents).sum();
        println!(
            "{} ({:?}) bought {} things for {cents} cents",
            customer.email,
            customer.rank,
            purchases.len()
        );
    }
    let dear = purchase::Entity::find().filter(purchase::Column::Cents.gt(2000)).all(db).await?;
    println!(
        "above 2000 cents: {}",
        dear.iter().map(|purchase| purchase.title.as_str()).collect::<Vec<_>>().join(", ")
    );
    Ok(())
}

async fn add(db: &DatabaseConnection, email: &str, rank: customer::Rank) -> Result<customer::Model, DbErr> {
    let new = customer::ActiveModel {
        id: ActiveValue::NotSet,
        email: ActiveValue::Set(email.to_owned()),
        rank: ActiveValue::Set(rank),
    };
    new.insert(db).await
}
