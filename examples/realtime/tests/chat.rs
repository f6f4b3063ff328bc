//! The chat, with the official client of Socket.IO.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod shop;

use phaseloop::process::{Command, ExecOptions};
use phaseloop_tests::peers::{node_package, peer};
use shop::{Shop, World, test};

#[test]
fn people_talk_in_rooms_and_a_restart_loses_nothing() {
    test(async |world| {
        let Some(node) = peer("node") else { return };
        let Some(modules) = node_package("socket.io-client") else { return };
        let talk = async |world: &World, shop: &Shop, last: &str| {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chat.cjs");
            let command = Command::new(&node).args([script, &shop.base, last]).env("NODE_PATH", &modules);
            let output = command.output(&world.lp, ExecOptions::default()).await.unwrap();
            let (said, trouble) = (
                String::from_utf8_lossy(&output.stdout).into_owned(),
                String::from_utf8_lossy(&output.stderr),
            );
            assert!(output.success(), "{said}\n{trouble}");
            said
        };
        let shop = world.open(&[]).await;
        let said = talk(world, &shop, "0").await;
        assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), 9, "{said}");
        let last = said.lines().last().unwrap().to_owned();
        shop.service.shutdown().await;
        let shop = world.open(&[]).await;
        let said = talk(world, &shop, &last).await;
        assert!(said.starts_with("ok a restart loses nothing"), "{said}");
    });
}
