//! A cluster that has come and gone leaves nothing behind. Alone in its program: it counts what the whole process has.

#![cfg(all(feature = "cluster", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod cluster_load;

use std::env;
use std::time::Duration;

use cluster_load::{Load, kill_and_tell, open_descriptors, zombies};
use phaseloop::process::{Command, Stdio};
use phaseloop::{EventLoop, RunMode};
use phaseloop_server::cluster::{Event, Options, Policy, Setup, Stickiness, Worker, Workers};
use phaseloop_server::http::{Body, Request, Server};

/// By which this program, run again, learns what it is to do.
const ROLE: &str = "PHASELOOP_TEST_ROLE";

/// Not a test: what workers run. Without its variable it does nothing.
#[test]
fn the_role_of_a_worker() {
    if env::var_os(ROLE).is_none() {
        return;
    }
    let lp = EventLoop::new().unwrap();
    let worker = Worker::from_env(&lp).unwrap().expect("a primary started it");
    let id = worker.id();
    let server = Server::new(async move |_: Request<Body>| id.to_string());
    worker.serve("web", &server.serve_streams(&lp)).unwrap();
    lp.run(RunMode::Default).unwrap();
    // All that the cluster opened here is closed, before the process is.
    drop(worker);
    std::process::exit(0);
}

#[test]
fn nothing_is_left_of_a_cluster_whose_workers_were_killed_and_replaced() {
    let run = |policy| {
        let lp = EventLoop::new().unwrap();
        let program = env::current_exe().unwrap();
        let workers = Workers::processes(move |_| {
            let command = Command::new(&program).args(["--exact", "the_role_of_a_worker", "--nocapture"]);
            command.env(ROLE, "1").stdin(Stdio::ignore()).stdout(Stdio::ignore()).kill_on_drop()
        });
        let mut options = Options::default();
        options.workers = 2.try_into().unwrap();
        options.policy = policy;
        let setup = Setup::new(options).listen("web", "127.0.0.1:0".parse().unwrap());
        let primary = setup.start(&lp, workers).unwrap();
        let address = primary.local_addr("web").unwrap();
        let work = async {
            let mut events = primary.events();
            let mut ready = 0;
            while ready < 2 {
                ready += usize::from(matches!(events.next().await, Some(Event::Ready { .. })));
            }
            let load = Load::start(&lp, address, 8);
            for kill in 1..=3 {
                load.until_answered(kill * 50).await;
                let victim = primary.workers().into_iter().find(|worker| worker.is_ready).unwrap();
                kill_and_tell(victim.pid.unwrap(), address).await;
                while !matches!(events.next().await, Some(Event::Exited(_))) {}
                while !matches!(events.next().await, Some(Event::Ready { .. })) {} // or the next kill finds nobody
            }
            primary.rolling_restart().await.unwrap();
            load.finish().await;
            primary.end();
            primary.ended().await;
        };
        lp.block_on(lp.timeout(Duration::from_secs(120), work)).unwrap().expect("it is done in time");
        assert!(primary.workers().is_empty());
        assert_eq!(zombies(), 0);
        drop(primary);
        lp.run(RunMode::Default).unwrap(); // nothing keeps it alive
    };
    run(Policy::RoundRobin); // what a first run opens for good, for signals, is open now
    let before = open_descriptors();
    for policy in
        [Policy::RoundRobin, Policy::Shared, Policy::Sticky(Stickiness::SessionId), Policy::ReusePort]
    {
        run(policy);
        assert_eq!(open_descriptors(), before, "{policy:?}");
    }
}
