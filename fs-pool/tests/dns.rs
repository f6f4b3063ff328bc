//! Name lookups: what comes back, in which order, and how they fail. No test needs a name server.
#![allow(clippy::unwrap_used)]

#[path = "support/on_loop.rs"]
mod on_loop;
mod support;

use std::cell::RefCell;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use fs_pool::dns::{
    ConnectErrorKind, ConnectOptions, Dns, DnsError, DnsErrorKind, Family, Hints, LookupOptions, Resolved,
    lookup_blocking, lookup_service_blocking,
};
use fs_pool::pool::{Cancel, Class, Pool, Shutdown};
use fs_pool::request::LoopPool;
use on_loop::{Gate, Log, run};
use phaseloop::EventLoop;
use support::pool;

struct World {
    lp: EventLoop,
    pool: Pool,
    shared: LoopPool,
    dns: Dns,
}

fn world(workers: usize) -> World {
    let (lp, pool) = (EventLoop::new().unwrap(), pool(workers));
    let shared = LoopPool::new(&lp, &pool);
    let dns = Dns::new(&shared);
    World { lp, pool, shared, dns }
}

impl World {
    fn lookup(&self, name: &str, options: &LookupOptions) -> Result<Resolved, DnsError> {
        self.lp.block_on(self.dns.lookup(name, options)).unwrap()
    }

    /// Blocks a worker in the class of lookups.
    fn block(&self) -> Gate {
        let (gate, job) = Gate::new();
        self.shared.run(Class::DNS, job, |_, _| ()).unwrap();
        gate.wait_started();
        gate
    }

    fn submitted(&self) -> u64 {
        self.pool.snapshot().class(Class::DNS).submitted
    }
}

fn any() -> LookupOptions {
    LookupOptions::default()
}

fn v4() -> LookupOptions {
    LookupOptions { family: Some(Family::V4), ..any() }
}

fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

// --- what comes back --------------------------------------------------------------------------------------------------

#[test]
fn concurrent_lookups_each_get_their_answer() {
    let world = world(4);
    let answers = Rc::new(RefCell::new(Vec::new()));
    for port in 1..=200 {
        let answers = Rc::clone(&answers);
        world.dns.lookup("localhost", &LookupOptions { port, ..v4() }).on_done(move |_, found| {
            let addresses = found.unwrap().addresses;
            assert!(addresses.contains(&loopback(port)), "{addresses:?}");
            answers.borrow_mut().push(port);
        });
    }
    run(&world.lp);
    let mut answers = answers.take();
    answers.sort_unstable();
    assert_eq!(answers, (1..=200).collect::<Vec<_>>());
}

#[test]
fn the_sync_form_needs_no_loop() {
    let found = lookup_blocking("localhost", &LookupOptions { port: 80, ..v4() }).unwrap();
    assert!(found.addresses.contains(&loopback(80)));
    assert!(lookup_blocking("a..b", &any()).is_err());
    assert!(!lookup_service_blocking(loopback(22)).unwrap().host.is_empty());
}

#[test]
fn a_lookup_takes_one_hop_and_an_address_takes_none() {
    let world = world(1);
    world.lookup("localhost", &v4()).unwrap();
    assert_eq!(world.submitted(), 1);
    for (name, expected) in [("127.0.0.1", "127.0.0.1:9"), ("::1", "[::1]:9")] {
        let found = world.lookup(name, &LookupOptions { port: 9, ..any() }).unwrap();
        assert_eq!(found.addresses, [expected.parse::<SocketAddr>().unwrap()]);
    }
    assert_eq!(world.submitted(), 1);
}

#[test]
fn the_callback_of_an_address_runs_as_a_tick() {
    let (world, log) = (world(1), Log::default());
    let (first, second, third) = (log.clone(), log.clone(), log.clone());
    world.lp.next_tick(move |_| first.add("tick"));
    let job = world.dns.lookup("::1", &any()).on_done(move |_, found| {
        second.add(found.unwrap().addresses[0].ip().to_string());
    });
    assert!(job.is_none());
    world.lp.set_immediate(move |_| third.add("immediate"));
    assert!(log.take().is_empty(), "never inside the call");
    run(&world.lp);
    assert_eq!(log.take(), ["tick", "::1", "immediate"]);
}

#[test]
fn an_address_comes_back_as_it_is_whatever_the_family() {
    let world = world(1);
    let found = world.lookup("::1", &v4()).unwrap();
    assert!(found.addresses[0].is_ipv6());
    let named = LookupOptions { hints: Hints::CANONICAL_NAME, ..any() };
    assert_eq!(world.lookup("::1", &named).unwrap().canonical_name.as_deref(), Some("::1"));
}

#[test]
fn the_hints_reach_the_resolver() {
    let world = world(1);
    let mapped = LookupOptions { family: Some(Family::V6), hints: Hints::V4MAPPED, port: 7, ..any() };
    // Numbers that only the system's resolver reads, and that need no server.
    let found = world.lookup("127.1", &mapped).unwrap();
    assert_eq!(found.addresses, ["[::ffff:127.0.0.1]:7".parse::<SocketAddr>().unwrap()]);
    let named = LookupOptions { hints: Hints::CANONICAL_NAME | Hints::ADDRCONFIG, ..v4() };
    assert!(world.lookup("127.1", &named).unwrap().canonical_name.is_some());
    assert_eq!(world.lookup("127.1", &v4()).unwrap().canonical_name, None);
    let error = world.lookup("127.1", &LookupOptions { family: Some(Family::V6), ..any() }).unwrap_err();
    assert!(matches!(error.kind, DnsErrorKind::AddrFamily | DnsErrorKind::NoName), "{error}");
}

#[test]
fn an_address_and_a_port_have_names() {
    let world = world(1);
    let names = world.lp.block_on(world.dns.lookup_service(loopback(22), None)).unwrap().unwrap();
    assert!(names.host.starts_with("localhost"), "{names:?}");
    assert!(names.service == "ssh" || names.service == "22", "{names:?}");
}

// --- failures ---------------------------------------------------------------------------------------------------------

#[test]
fn a_failing_name_is_in_the_error() {
    // Whatever the name servers do: refuse, or not answer, and then the deadline ends it.
    let world = world(1);
    let options = LookupOptions { timeout: Some(Duration::from_millis(500)), ..any() };
    let error = world.lookup("no-such-name.invalid", &options).unwrap_err();
    assert_eq!((error.operation, error.subject.as_str()), ("lookup", "no-such-name.invalid"));
    assert!(error.to_string().contains("no-such-name.invalid"), "{error}");
    let code = error.kind.code();
    assert!(code.starts_with("EAI_") || code == "ETIMEDOUT", "{error}");
}

#[test]
fn what_can_not_be_a_name_is_refused_with_the_name_and_asks_nobody() {
    let world = world(1);
    for (name, text) in [
        ("", r#"lookup "": EINVAL: the name is empty"#),
        ("a\0b", r#"lookup "a\0b": EINVAL: the name holds a zero byte, at which the system would cut it"#),
        ("a b", r#"lookup "a b": EINVAL: the name holds a space or a control character"#),
    ] {
        let error = world.lookup(name, &any()).unwrap_err();
        assert_eq!(error.to_string(), text);
        assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::InvalidInput);
    }
    let endless = "x".repeat(1_000_000);
    let text = world.lookup(&endless, &any()).unwrap_err().to_string();
    assert!(text.len() < 400 && text.contains("(1000000 bytes)"), "{text}");
    assert_eq!(world.submitted(), 0);
}

#[test]
fn a_refused_name_is_told_by_the_callback_and_not_in_the_call() {
    let (world, log) = (world(1), Log::default());
    let told = log.clone();
    world.dns.lookup("a..b", &any()).on_done(move |_, found| told.add(found.unwrap_err().kind.code()));
    assert!(log.take().is_empty());
    run(&world.lp);
    assert_eq!(log.take(), ["EINVAL"]);
}

#[test]
fn a_pool_that_is_shut_down_ends_lookups_with_an_error() {
    let world = world(1);
    world.pool.shutdown(Shutdown::Finish);
    let error = world.lookup("localhost", &any()).unwrap_err();
    assert!(matches!(error.kind, DnsErrorKind::NotRun(_)), "{error}");
    assert!(error.to_string().starts_with(r#"lookup "localhost": "#), "{error}");
}

// --- cancellation and the share ---------------------------------------------------------------------------------------

#[test]
fn a_queued_lookup_that_is_cancelled_ends_by_its_callback() {
    let (world, log) = (world(1), Log::default());
    let gate = world.block();
    let (first, second) = (log.clone(), log.clone());
    let job = world.dns.lookup("localhost", &any()).on_done(move |_, found| {
        first.add(format!("lookup {}", found.unwrap_err().kind.code()));
    });
    assert_eq!(world.shared.cancel(job.unwrap()), Cancel::Cancelled);
    let query = world.dns.lookup_service(loopback(22), None);
    assert_eq!(query.cancel(), Cancel::Cancelled);
    query.on_done(move |_, names| second.add(format!("service {}", names.unwrap_err().kind.code())));
    assert!(log.take().is_empty(), "never inside the call");
    gate.open();
    run(&world.lp);
    assert_eq!(log.take(), ["lookup ECANCELED", "service ECANCELED"]);
}

#[test]
fn a_lookup_that_is_dropped_never_runs() {
    let world = world(1);
    let gate = world.block();
    drop(world.dns.lookup("localhost", &any()));
    gate.open();
    run(&world.lp);
    assert_eq!(world.pool.snapshot().class(Class::DNS).cancelled, 1);
}

#[test]
fn a_deadline_ends_a_lookup_that_waits() {
    let world = world(1);
    let gate = world.block();
    let options = LookupOptions { timeout: Some(Duration::from_millis(1)), ..any() };
    let error = world.lookup("localhost", &options).unwrap_err();
    assert!(matches!(error.kind, DnsErrorKind::TimedOut), "{error}");
    gate.open();
    run(&world.lp);
}

#[test]
fn lookups_hold_at_most_half_of_the_workers() {
    let (world, log) = (world(4), Log::default());
    let gates = [world.block(), world.block()];
    let (lookup, file) = (log.clone(), log.clone());
    world.dns.lookup("localhost", &v4()).on_done(move |_, found| {
        found.unwrap();
        lookup.add("lookup");
    });
    let gates = RefCell::new(Some(gates));
    world
        .shared
        .run(
            Class::FS,
            |_| (),
            move |_, _| {
                file.add("file");
                gates.take().into_iter().flatten().for_each(Gate::open);
            },
        )
        .unwrap();
    run(&world.lp);
    // The lookup was given first, and two workers were idle: it waited for one that its class holds.
    assert_eq!(log.take(), ["file", "lookup"]);
}

#[test]
fn a_loop_that_goes_drops_callbacks_uncalled() {
    let World { lp, dns, .. } = world(1);
    let held = Rc::new(());
    let in_callback = Rc::clone(&held);
    dns.lookup("localhost", &any()).on_done(move |_, _| {
        drop(in_callback);
        panic!("the loop is gone");
    });
    drop(lp);
    assert_eq!(Rc::strong_count(&held), 1);
}

// --- connecting by name -----------------------------------------------------------------------------------------------

#[test]
fn a_host_is_connected_to_by_name() {
    let world = world(2);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for host in ["localhost", "127.1", "127.0.0.1"] {
        // One family, so that no name server is asked for the other.
        let options = ConnectOptions { family: Some(Family::V4), ..Default::default() };
        let stream = world.lp.block_on(world.dns.connect(host, address.port(), &options)).unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
    }
}

#[test]
fn both_families_are_looked_up_and_every_failure_is_told() {
    let world = world(2);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = ConnectOptions { hints: Hints::V4MAPPED, ..Default::default() };
    let error = world.lp.block_on(world.dns.connect("127.1", port, &options)).unwrap().unwrap_err();
    let failed: Vec<_> = error.failed.iter().map(|(address, _)| address.to_string()).collect();
    assert_eq!(failed, [format!("[::ffff:127.0.0.1]:{port}"), format!("127.0.0.1:{port}")]);
    assert_eq!(world.submitted(), 2);
}

#[test]
fn a_name_without_addresses_ends_the_connect_with_the_lookups() {
    let world = world(1);
    let error =
        world.lp.block_on(world.dns.connect("a..b", 80, &ConnectOptions::default())).unwrap().unwrap_err();
    assert!(matches!(error.kind, ConnectErrorKind::Failed));
    assert_eq!(error.unresolved.len(), 2);
    assert!(error.to_string().contains("there is no address to try"), "{error}");
    assert!(error.to_string().contains(r#"lookup "a..b""#), "{error}");
}

#[test]
fn delays_that_make_no_sense_are_refused_with_their_value() {
    let world = world(1);
    for (options, text) in [
        (ConnectOptions { attempt_delay: Duration::from_millis(99), ..Default::default() }, "99ms"),
        (ConnectOptions { attempt_delay: Duration::from_secs(3), ..Default::default() }, "3s"),
        (ConnectOptions { resolution_delay: Duration::from_secs(9), ..Default::default() }, "9s"),
        (ConnectOptions { attempts_max: 0, ..Default::default() }, "0 attempts"),
    ] {
        let error = world.lp.block_on(world.dns.connect("localhost", 80, &options)).unwrap().unwrap_err();
        assert!(matches!(error.kind, ConnectErrorKind::Settings(_)));
        assert!(error.to_string().contains(text), "{error}");
    }
    assert_eq!(world.submitted(), 0);
}

#[test]
fn a_connect_with_a_callback_calls_it_later_and_can_be_given_up() {
    let (world, log) = (world(1), Log::default());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (first, second) = (log.clone(), log.clone());
    world.dns.connect("127.0.0.1", port, &ConnectOptions::default()).on_done(move |_, stream| {
        first.add(if stream.is_ok() { "connected" } else { "failed" });
    });
    let given_up = world.dns.connect("127.0.0.1", port, &ConnectOptions::default());
    given_up.on_done(move |_, _| second.add("given up")).abort();
    assert!(log.take().is_empty(), "never inside the call");
    run(&world.lp);
    assert_eq!(log.take(), ["connected"]);
}
