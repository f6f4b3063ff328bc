//! The chat, with the official client of Socket.IO.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod shop;

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
fn an_address_has_one_limit_for_all_its_people() {
    test(async |world| {
        let limit = [("RATE_LIMIT_PER_S", "1"), ("RATE_LIMIT_BURST", "10")];
        let shop = world.open(&limit).await;
        let Some(said) = talk(world, &[&shop.base, "limits"]).await else { return };
        assert_eq!(checks(&said), 2, "{said}");
    });
}
