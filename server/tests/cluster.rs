//! Clusters of real processes.

#![cfg(all(feature = "cluster", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod cluster_load;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::env;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use cluster_load::{Load, Stage, kill_and_tell, signal};
use futures::AsyncReadExt;
use phaseloop::net::{ByteStream, StreamFamily, TcpStream, UnixAddr, UnixStream};
use phaseloop::process::{Command, Stdio};
use phaseloop::{EventLoop, LoopHandle, RunMode};
use phaseloop_server::cluster::{
    Ending, Event, Events, Heartbeat, NewWorker, Options, Policy, Primary, Setup, Stickiness, Stream, Worker,
    WorkerId, Workers,
};
use phaseloop_server::http::{Body, Limits, Request, Server};
use serde_json::{Value, json};

/// A test that takes longer fails. It is long, since the machine may be busy with other things.
const LIMIT: Duration = Duration::from_secs(120);

/// By which this program, run again, learns what it is to do.
const ROLE: &str = "PHASELOOP_TEST_ROLE";

fn in_time<T>(lp: &EventLoop, future: impl Future<Output = T>) -> T {
    lp.block_on(lp.timeout(LIMIT, future)).expect("the loop runs").expect("it is done in time")
}

// --- the workers' side ------------------------------------------------------------------------------------------------

/// Not a test: what workers run. Without its variable it does nothing.
#[test]
fn the_role_of_a_worker() {
    let Ok(role) = env::var(ROLE) else { return };
    let lp = EventLoop::new().unwrap();
    match role.as_str() {
        "exit" => std::process::exit(3),
        "grandchild" => {
            assert!(Worker::from_env(&lp).unwrap().is_none(), "a worker's child is no worker");
            return;
        }
        _ => {}
    }
    let worker = Worker::from_env(&lp).unwrap().expect("a primary started it");
    work(&lp, &worker, &role);
    lp.run(RunMode::Default).unwrap();
    std::process::exit(0); // without what the harness has to say
}

fn work(lp: &LoopHandle, worker: &Worker, role: &str) {
    match role {
        "silent" => {}
        "late" => {
            let serving = worker.clone();
            worker.on_message(move |worker, _| serve_web(worker.lp(), &serving));
        }
        "calls" => serve_by_callbacks(worker),
        "messages" => {
            worker.on_message(|worker, message| {
                let value: Value = message.parse().unwrap();
                worker.send(&json!({"got": value})).unwrap();
            });
            let env_clean = Command::new(env::current_exe().unwrap())
                .args(["--exact", "the_role_of_a_worker"])
                .env(ROLE, "grandchild")
                .stdout(Stdio::ignore());
            let (worker, lp) = (worker.clone(), lp.clone());
            lp.clone().spawn(async move {
                let status = env_clean.spawn(&lp).unwrap().wait().await.unwrap();
                worker.send(&json!({"grandchild": status.success()})).unwrap();
            });
        }
        _ => serve_web(lp, worker),
    }
}

/// Answers with its number; `/stuck` never comes back to the loop, `/slow` answers when it is to end, `/prefix` tells of sessions.
fn serve_web(lp: &LoopHandle, worker: &Worker) {
    let own = worker.clone();
    let server = Server::new(async move |request: Request<Body>| {
        match request.uri().path() {
            "/stuck" => loop {
                std::hint::spin_loop();
            },
            "/slow" => {
                own.send(&json!("slow")).unwrap();
                own.ending().await;
            }
            "/hangs" => {
                own.send(&json!("hangs")).unwrap();
                std::future::pending::<()>().await;
            }
            "/leave" => own.end(),
            "/prefix" => return own.session_prefix(),
            _ => {}
        }
        own.id().to_string()
    });
    let serving = server.limits(patient()).serve_streams(lp);
    for name in worker.listeners().map(str::to_owned).collect::<Vec<_>>() {
        worker.serve(&name, &serving).unwrap();
    }
    assert!(worker.serve("nowhere", &serving).is_err());
}

/// A client of a busy machine may take long from its connection to its request.
fn patient() -> Limits {
    let mut limits = Limits::default();
    limits.first_request_at_shutdown = LIMIT;
    limits
}

fn serve_by_callbacks(worker: &Worker) {
    for name in worker.listeners().map(str::to_owned).collect::<Vec<_>>() {
        let id = worker.id();
        let answer = format!("{name} {id}");
        worker
            .on_connection(&name, move |connection| match connection.stream {
                Stream::Tcp(stream) => {
                    stream.queue_write(answer.as_bytes()).unwrap();
                    stream.shutdown_with(|stream, _| stream.close()).unwrap();
                }
                Stream::Unix(stream) => {
                    stream.queue_write(answer.as_bytes()).unwrap();
                    stream.shutdown_with(|stream, _| stream.close()).unwrap();
                }
                _ => {}
            })
            .unwrap();
    }
}

// --- the primary's side -----------------------------------------------------------------------------------------------

fn workers(role: &'static str) -> Workers {
    let program = env::current_exe().unwrap();
    Workers::processes(move |_: &NewWorker| {
        Command::new(&program)
            .args(["--exact", "the_role_of_a_worker", "--nocapture", "--quiet"])
            .env(ROLE, role)
            .stdin(Stdio::ignore())
            .stdout(Stdio::ignore())
            .kill_on_drop()
    })
}

fn options(workers: usize, policy: Policy) -> Options {
    let mut options = Options::default();
    options.workers = workers.try_into().unwrap();
    options.policy = policy;
    options.restart.storm_exits = 1000.try_into().unwrap();
    options.restart.delay_max = Duration::from_millis(100);
    options.start_timeout = Some(LIMIT);
    options.heartbeat = None; // a busy machine may let a worker wait for long
    options
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A cluster that serves, and its address.
async fn start(lp: &LoopHandle, options: Options, role: &'static str) -> (Primary, Events, SocketAddr) {
    let count = options.workers.get();
    let primary = Setup::new(options).listen("web", any_port()).start(lp, workers(role)).unwrap();
    let mut events = primary.events();
    let address = primary.local_addr("web").unwrap();
    for _ in 0..count {
        until(&mut events, |event| matches!(event, Event::Ready { .. })).await;
    }
    (primary, events, address)
}

/// Takes events until one is as it should be, and gives it.
async fn until(events: &mut Events, mut is_it: impl FnMut(&Event) -> bool) -> Event {
    let mut before = Vec::new();
    while let Some(event) = events.next().await {
        if is_it(&event) {
            return event;
        }
        before.push(event);
    }
    panic!("it did not come, but {before:?}");
}

async fn end(primary: Primary) {
    primary.end();
    let report = primary.ended().await;
    assert!(report.workers.iter().all(|end| end.was_told && !end.was_killed), "{report:?}");
    let good = |ending: &Ending| matches!(ending, Ending::Process(status) if status.success());
    assert!(report.workers.iter().all(|end| good(&end.ending)), "{report:?}");
}

/// One request by a connection of its own.
async fn get(lp: &LoopHandle, address: SocketAddr, target: &str) -> String {
    let stream = TcpStream::connect(lp, address).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = String::from_utf8(all(&stream).await).unwrap();
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or(answer)
}

/// All that comes until the other side closes.
async fn all<K: StreamFamily>(mut stream: &ByteStream<K>) -> Vec<u8> {
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    read
}

#[test]
fn round_robin_serves_in_turn() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let (primary, _events, address) = start(&lp, options(3, Policy::RoundRobin), "web").await;
        let mut answers = Vec::new();
        for _ in 0..9 {
            answers.push(get(&lp, address, "/").await);
        }
        assert_eq!(answers[..3].iter().collect::<BTreeSet<_>>().len(), 3, "{answers:?}");
        assert_eq!(answers[..3], answers[3..6]);
        assert_eq!(answers[..3], answers[6..]);
        end(primary).await;
    });
}

#[test]
fn each_policy_serves() {
    for policy in [Policy::Shared, Policy::ReusePort, Policy::Sticky(Stickiness::Address)] {
        let lp = EventLoop::new().unwrap();
        in_time(&lp, async {
            let (primary, _events, address) = start(&lp, options(2, policy), "web").await;
            let mut answers = BTreeSet::new();
            for _ in 0..40 {
                answers.insert(get(&lp, address, "/").await);
            }
            let of_workers = BTreeSet::from(["1".to_owned(), "2".to_owned()]);
            assert!(answers.is_subset(&of_workers), "{policy:?}: {answers:?}");
            match policy {
                Policy::ReusePort => assert_eq!(answers, of_workers, "the kernel spreads 40 connections"),
                Policy::Sticky(_) => assert_eq!(answers.len(), 1, "all come from one address"),
                _ => {}
            }
            end(primary).await;
        });
    }
}

// --- workers that die -------------------------------------------------------------------------------------------------

/// Kills a worker every so many requests, and says what failed that was not in one.
fn killing(policy: Policy) {
    let number = |name: &str, default| env::var(name).map_or(default, |text| text.parse().unwrap());
    let kills = number("PHASELOOP_TEST_KILLS", 6);
    let requests = number("PHASELOOP_TEST_REQUESTS_A_KILL", 150);
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let (primary, mut events, address) = start(&lp, options(4, policy), "web").await;
        let (load, begun) = (Load::start(&lp, address, 16), std::time::Instant::now());
        let mut hit = BTreeSet::new();
        for kill in 0..kills {
            load.until_answered((kill + 1) * requests).await;
            let ready: Vec<_> = primary.workers().into_iter().filter(|worker| worker.is_ready).collect();
            let victim = ready[kill as usize % ready.len()];
            hit.extend(kill_and_tell(victim.pid.unwrap(), address).await);
            let exited = until(&mut events, |event| matches!(event, Event::Exited(_))).await;
            let Event::Exited(end) = exited else { unreachable!() };
            assert_eq!((end.worker, end.was_told, end.was_killed), (victim.id, false, false));
            let (answered, at) = (load.tally.answered.get(), begun.elapsed());
            eprintln_for_hand(&format!("{policy:?}: kill {kill}, {answered} answered, {at:?}"));
        }
        load.until_answered((kills + 1) * requests).await;
        let tally = load.finish().await;
        let failed = tally.failed.take();
        let unexplained: Vec<_> = failed.iter().filter(|failed| !hit.contains(&failed.port)).collect();
        assert!(unexplained.is_empty(), "{policy:?}: {unexplained:?}, killed were {hit:?}");
        assert!(failed.iter().all(|failed| failed.stage != Stage::Connect), "{failed:?}");
        assert!(failed.len() as u64 <= kills * 16, "each client has one request at a time");
        let successors = tally.by_worker.borrow().keys().filter(|id| id.parse::<u32>().unwrap() > 4).count();
        assert!(successors > 0, "those that came later served: {:?}", tally.by_worker);
        let (answered, again) = (tally.answered.get(), tally.asked_again.get());
        eprintln_for_hand(&format!(
            "{policy:?}: {answered} answered, {} failed in {kills} killed workers, {again} asked again",
            failed.len()
        ));
        end(primary).await;
    });
}

/// For who runs it by hand with `--nocapture`.
#[expect(clippy::print_stderr, reason = "a figure for the reader of a run by hand")]
fn eprintln_for_hand(line: &str) {
    eprintln!("{line}");
}

#[test]
fn killed_workers_take_only_their_own_requests_with_them_shared() {
    killing(Policy::Shared);
}

#[test]
fn killed_workers_take_only_their_own_requests_with_them_round_robin() {
    killing(Policy::RoundRobin);
}

#[test]
fn killed_workers_take_only_their_own_requests_with_them_reuse_port() {
    killing(Policy::ReusePort);
}

#[test]
fn a_worker_that_never_comes_back_to_its_loop_is_noticed_and_replaced() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let mut options = options(1, Policy::Shared);
        let mut heartbeat = Heartbeat::default();
        (heartbeat.interval, heartbeat.unanswered_max) = (Duration::from_millis(400), 5);
        options.heartbeat = Some(heartbeat);
        let (primary, mut events, address) = start(&lp, options, "web").await;
        assert_eq!(get(&lp, address, "/").await, "1");
        let stream = TcpStream::connect(&lp, address).await.unwrap();
        stream.write_all(b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let told = until(&mut events, |event| matches!(event, Event::Unresponsive { .. })).await;
        assert!(matches!(told, Event::Unresponsive { unanswered: 5, .. }), "{told:?}");
        let Event::Exited(end) = until(&mut events, |event| matches!(event, Event::Exited(_))).await else {
            unreachable!()
        };
        assert!(end.was_killed && !end.was_told, "{end}");
        assert_eq!(
            get(&lp, address, "/").await,
            "2",
            "it waited in the backlog until the next one was there"
        );
        self::end(primary).await;
    });
}

#[test]
fn workers_that_end_at_once_are_given_up_and_so_are_those_that_can_not_be_started() {
    let missing = Workers::processes(|_: &NewWorker| Command::new("a-program-that-is-not-there"));
    for (workers, is_missing) in [(workers("exit"), false), (missing, true)] {
        let lp = EventLoop::new().unwrap();
        in_time(&lp, async {
            let mut options = options(1, Policy::Shared);
            options.restart.storm_exits = 3.try_into().unwrap();
            options.restart.delay_first = Duration::from_millis(1);
            let primary = Setup::new(options).listen("web", any_port()).start(&lp, workers).unwrap();
            let log = Rc::new(RefCell::new(Vec::new()));
            let told = Rc::clone(&log);
            primary.on_event(move |_, event| told.borrow_mut().push(event));
            assert_eq!(primary.ended().await.given_up, [0]);
            phaseloop::yield_now().await;
            let log = log.borrow();
            let gave_up = log.iter().filter(|event| matches!(event, Event::GaveUp { slot: 0, exits: 3, .. }));
            assert_eq!(gave_up.count(), 1, "{log:?}");
            let failed = log.iter().filter(|event| match event {
                Event::StartFailed { error, .. } => error.to_string().contains("a-program-that-is-not-there"),
                Event::Exited(end) => {
                    matches!(&end.ending, Ending::Process(status) if status.code() == Some(3))
                }
                _ => false,
            });
            assert_eq!(failed.count(), 3, "missing: {is_missing}, {log:?}");
        });
        lp.run(RunMode::Default).unwrap(); // nothing is left that keeps it alive
    }
}

#[test]
fn one_that_is_not_ready_in_time_is_replaced() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let mut options = options(1, Policy::Shared);
        options.start_timeout = Some(Duration::from_millis(300));
        let primary = Setup::new(options).listen("web", any_port()).start(&lp, workers("silent")).unwrap();
        let mut events = primary.events();
        until(&mut events, |event| matches!(event, Event::TooSlow { .. })).await;
        let exited = until(&mut events, |event| matches!(event, Event::Exited(_))).await;
        assert!(matches!(exited, Event::Exited(end) if end.was_killed));
        until(&mut events, |event| matches!(event, Event::Started { .. })).await;
        primary.kill();
        primary.ended().await;
    });
}

// --- restarts and ends ------------------------------------------------------------------------------------------------

/// Two rolling restarts under load.
fn rolling(policy: Policy) {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let (primary, _events, address) = start(&lp, options(3, policy), "web").await;
        let load = Load::start(&lp, address, 8);
        for round in 1..=2 {
            load.until_answered(round * 100).await;
            let report = primary.rolling_restart().await.unwrap();
            assert_eq!(report.replaced.len(), 3);
            for end in &report.replaced {
                assert!(end.was_told && !end.was_killed && end.drained.is_some_and(|d| d.cut == 0), "{end}");
            }
        }
        load.until_answered(load.tally.answered.get() + 100).await;
        let tally = load.finish().await;
        assert!(tally.failed.borrow().is_empty(), "{policy:?}: {:?}", tally.failed.borrow());
        let ids: Vec<_> = primary.workers().iter().map(|worker| worker.id.number()).collect();
        assert!(ids.len() == 3 && ids.iter().all(|id| *id > 6), "all are new: {ids:?}");
        end(primary).await;
    });
}

#[test]
fn a_rolling_restart_fails_no_request_shared() {
    rolling(Policy::Shared);
}

#[test]
fn a_rolling_restart_fails_no_request_round_robin() {
    rolling(Policy::RoundRobin);
}

#[test]
fn a_rolling_restart_fails_no_request_reuse_port() {
    rolling(Policy::ReusePort);
}

#[test]
fn the_end_waits_for_what_was_asked_and_cuts_what_hangs() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let mut options = options(1, Policy::Shared);
        options.grace = Duration::from_millis(500);
        let (primary, mut events, address) = start(&lp, options, "web").await;
        let slow = lp.spawn({
            let lp = lp.handle();
            async move { get(&lp, address, "/slow").await }
        });
        until(&mut events, |event| matches!(event, Event::Message { .. })).await;
        let hanging = lp.spawn({
            let lp = lp.handle();
            async move { get(&lp, address, "/hangs").await }
        });
        until(&mut events, |event| matches!(event, Event::Message { .. })).await;
        primary.end();
        let report = primary.ended().await;
        let drained = report.workers[0].drained.unwrap();
        assert_eq!(drained.cut, 1, "{report:?}");
        assert_eq!((slow.await.unwrap(), hanging.await.unwrap()), ("1".to_owned(), String::new()));
        assert!(TcpStream::connect(&lp, address).await.is_err(), "nobody listens");
    });
}

#[test]
fn one_that_leaves_by_itself_or_is_asked_by_a_signal_is_replaced() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let (primary, mut events, address) = start(&lp, options(1, Policy::Shared), "web").await;
        assert_eq!(get(&lp, address, "/leave").await, "1", "it finishes what it was asked");
        until(&mut events, |event| matches!(event, Event::Ready { .. })).await;
        assert_eq!(get(&lp, address, "/").await, "2");
        let info = primary.workers();
        signal(info.iter().find(|worker| worker.id.number() == 2).unwrap().pid.unwrap(), "TERM");
        until(&mut events, |event| matches!(event, Event::Ready { .. })).await;
        assert_eq!(get(&lp, address, "/").await, "3");
        end(primary).await;
    });
}

#[test]
fn a_restart_whose_new_workers_fail_keeps_the_old_ones() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let good = Rc::new(std::cell::Cell::new(true));
        let (program, is_good) = (env::current_exe().unwrap(), Rc::clone(&good));
        let workers = Workers::processes(move |_: &NewWorker| {
            let role = if is_good.get() { "web" } else { "exit" };
            let command = Command::new(&program).args(["--exact", "the_role_of_a_worker", "--nocapture"]);
            command.env(ROLE, role).stdout(Stdio::ignore()).kill_on_drop()
        });
        let setup = Setup::new(options(2, Policy::Shared)).listen("web", any_port());
        let primary = setup.start(&lp, workers).unwrap();
        let mut events = primary.events();
        for _ in 0..2 {
            until(&mut events, |event| matches!(event, Event::Ready { .. })).await;
        }
        good.set(false);
        let error = primary.rolling_restart().await.unwrap_err();
        assert!(error.to_string().contains("place 0"), "{error}");
        let ids: Vec<_> = primary.workers().iter().map(|worker| worker.id.number()).collect();
        assert_eq!(ids, [1, 2]);
        end(primary).await;
    });
}

// --- messages, sessions, other listeners ------------------------------------------------------------------------------

#[test]
fn messages_go_both_ways_and_a_workers_child_is_no_worker() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let setup = Setup::new(options(2, Policy::Shared));
        let primary = setup.start(&lp, workers("messages")).unwrap();
        let mut events = primary.events();
        let mut grandchildren = BTreeSet::new();
        while grandchildren.len() < 2 {
            let event = until(&mut events, |event| matches!(event, Event::Message { .. })).await;
            let Event::Message { worker, message } = event else { unreachable!() };
            assert_eq!(message.parse::<Value>().unwrap(), json!({"grandchild": true}));
            grandchildren.insert(worker);
        }
        assert!(primary.broadcast(&json!("hello")).is_empty());
        for _ in 0..2 {
            let event = until(&mut events, |event| matches!(event, Event::Message { .. })).await;
            let Event::Message { message, .. } = event else { unreachable!() };
            assert_eq!(message.parse::<Value>().unwrap(), json!({"got": "hello"}));
        }
        let id: WorkerId = *grandchildren.iter().next().unwrap();
        let error = primary.send(id, &"x".repeat(2 * 1024 * 1024)).unwrap_err().to_string();
        assert!(error.contains("1048576"), "{error}");
        end(primary).await;
    });
}

#[test]
fn a_session_stays_with_its_worker() {
    let lp = EventLoop::new().unwrap();
    in_time(&lp, async {
        let sticky = Policy::Sticky(Stickiness::SessionId);
        let (primary, _events, address) = start(&lp, options(3, sticky), "web").await;
        for _ in 0..6 {
            let prefix = get(&lp, address, "/prefix").await;
            for _ in 0..4 {
                let target = format!("/socket.io/?EIO=4&transport=polling&sid={prefix}abc");
                assert_eq!(format!("{}~", get(&lp, address, &target).await), prefix);
            }
        }
        // One byte at a time, and nothing of the rest is lost.
        let stream = TcpStream::connect(&lp, address).await.unwrap();
        for byte in b"GET /?sid=2~x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" {
            stream.set_nodelay(true).unwrap();
            stream.write_all(&[*byte]).await.unwrap();
            phaseloop::yield_now().await;
        }
        let answer = String::from_utf8(all(&stream).await).unwrap();
        assert!(answer.ends_with("\r\n\r\n2"), "{answer}");
        end(primary).await;
    });
}

#[test]
fn several_listeners_of_both_families_are_served_by_callbacks() {
    for policy in [Policy::Shared, Policy::RoundRobin] {
        let lp = EventLoop::new().unwrap();
        in_time(&lp, async {
            let name =
                UnixAddr::abstract_name(format!("phaseloop-cluster-{}-{policy:?}", std::process::id()));
            let setup = Setup::new(options(1, policy)).listen("a", any_port()).listen("b", any_port());
            let primary = setup.listen_unix("c", name.clone()).start(&lp, workers("calls")).unwrap();
            let mut events = primary.events();
            until(&mut events, |event| matches!(event, Event::Ready { .. })).await;
            for listener in ["a", "b"] {
                let stream = TcpStream::connect(&lp, primary.local_addr(listener).unwrap()).await.unwrap();
                assert_eq!(all(&stream).await, format!("{listener} 1").as_bytes());
            }
            let stream = UnixStream::connect(&lp, &name).await.unwrap();
            assert_eq!(all(&stream).await, b"c 1");
            assert!(primary.local_addr("c").unwrap_err().to_string().contains("Unix"));
            assert!(primary.local_addr("d").unwrap_err().to_string().contains("\"d\""));
            end(primary).await;
        });
    }
}
