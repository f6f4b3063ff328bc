//! The chat, with the official client of Socket.IO.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod shop;

use std::cell::Cell;

use sea_orm::{ConnectionTrait, Statement};
use shop::talk::{FIRST_CHECKS, checks, talk};
use shop::test;

#[test]
fn people_talk_in_rooms_and_a_restart_loses_nothing() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let Some(said) = talk(world, &[&shop.base, "0"]).await else { return };
        assert_eq!(checks(&said), FIRST_CHECKS, "{said}");
        let last = said.lines().last().unwrap().to_owned();
        shop.service.shutdown().await;
        let shop = world.open(&[]).await;
        let Some(said) = talk(world, &[&shop.base, &last]).await else { return };
        assert!(said.starts_with("ok a restart loses nothing"), "{said}");
    });
}

#[test]
fn who_missed_hundreds_of_messages_gets_them_all_page_by_page() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let database = sea_orm::Database::connect(world.database()).await.unwrap();
        let backend = database.get_database_backend();
        for number in 1..=450 {
            let sql = "INSERT INTO messages (room, name, body, at) VALUES ('hall', 'bob', ?, 0)";
            let message = Statement::from_sql_and_values(backend, sql, [format!("{number}").into()]);
            database.execute_raw(message).await.unwrap();
        }
        let Some(said) = talk(world, &[&shop.base, "missed"]).await else { return };
        assert_eq!(checks(&said), 2, "{said}");
    });
}

#[test]
fn an_address_has_one_limit_for_all_its_people() {
    test(async |world| {
        let limit = [("RATE_LIMIT_PER_S", "1"), ("RATE_LIMIT_BURST", "10")];
        let shop = world.open(&limit).await;
        let Some(said) = talk(world, &[&shop.base, "limits"]).await else { return };
        assert_eq!(checks(&said), 2, "{said}");
    });
}

#[test]
fn what_is_sent_again_is_kept_and_told_once() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let is_first = Cell::new(true);
        shop.service.fail_at(move |step| step == "said" && is_first.replace(false));
        let Some(said) = talk(world, &[&shop.base, "resent"]).await else { return };
        assert_eq!(checks(&said), 3, "{said}");
    });
}

#[test]
fn a_join_that_fails_leaves_a_newer_one_alone() {
    test(async |world| {
        let shop = world.open(&[]).await;
        shop.service.fail_at(|step| step == "missed");
        let Some(said) = talk(world, &[&shop.base, "joins"]).await else { return };
        assert_eq!(checks(&said), 2, "{said}");
    });
}

#[test]
fn messages_from_before_there_were_keys_are_kept() {
    test(async |world| {
        world.open(&[]).await.service.shutdown().await;
        let database = sea_orm::Database::connect(world.database()).await.unwrap();
        // As the second step left it.
        for sql in [
            "DROP INDEX messages_by_key",
            "ALTER TABLE messages DROP COLUMN idem_key",
            "DELETE FROM migrations WHERE step > 2",
            "INSERT INTO messages (room, name, body, at) VALUES ('hall', 'bob', 'from before', 0)",
        ] {
            database.execute_unprepared(sql).await.unwrap();
        }
        let shop = world.open(&[]).await;
        let Some(said) = talk(world, &[&shop.base, "before"]).await else { return };
        assert_eq!(checks(&said), 1, "{said}");
    });
}
