//! Puts a load on a realtime service that runs, and tells what it bore: people who chat, people who follow orders, people who ask.
//!
//! `cargo run --release -p realtime --features load-test --bin load_test -- http://127.0.0.1:8080 --seconds 60 --sockets 2000 --streams 2000`
//!
//! The service has to run without a rate limit (`RATE_LIMIT_PER_S=0`), since all come from one address.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use phaseloop::observe::Histogram;
use phaseloop::{EventLoop, LoopHandle};
use phaseloop_server::client::{Client, ClientOptions};
use phaseloop_server::http::{Body, Request};
use phaseloop_server::ws::{self, WebSocket, WsSender};
use serde_json::{Value, json};

/// People in a room.
const ROOM: usize = 20;
/// How many of those who follow look at the loop instead of orders: one in so many.
const LOOKERS: usize = 20;
/// How often the memory is asked for, each time by a connection of its own, so that each worker answers.
const SAMPLES: usize = 16;
/// How long what was said may take to be heard, once nobody says more.
const DRAIN: Duration = Duration::from_secs(30);

#[derive(Clone)]
struct Plan {
    base: String,
    seconds: u64,
    sockets: usize,
    streams: usize,
    askers: usize,
    orders_per_s: u64,
    messages_per_s: u64,
    /// What no worker's memory may grow by, in MiB.
    rss_growth_max: Option<u64>,
}

/// What happened.
#[derive(Default)]
struct Tally {
    answers: RefCell<BTreeMap<(&'static str, u16), u64>>,
    times: RefCell<BTreeMap<&'static str, Histogram>>,
    joined: Cell<usize>,
    /// Messages that were sent, stored, refused, and those that should be heard and are.
    sent: Cell<u64>,
    said: Cell<u64>,
    refused: Cell<u64>,
    hearers: Cell<u64>,
    heard: Cell<u64>,
    events: Cell<u64>,
    /// Events that came out of their order, or not at all.
    gaps: Cell<u64>,
    broken: Cell<u64>,
    has_begun: Cell<bool>,
    is_over: Cell<bool>,
}

fn main() -> ExitCode {
    let plan = match plan(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(problem) => {
            eprintln!(
                "load_test: {problem}\nusage: load_test URL [--seconds 60] [--sockets 2000] [--streams 2000] [--askers 16] \
                 [--orders-per-s 5] [--messages-per-s 50] [--rss-growth-max MIB]"
            );
            return ExitCode::from(2);
        }
    };
    realtime::raise_descriptor_limit();
    let run = || -> Result<bool, Box<dyn Error>> {
        let lp = EventLoop::new()?;
        let handle = lp.handle();
        lp.block_on(async move { load(&handle, plan).await })?
    };
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load_test: {error}");
            ExitCode::FAILURE
        }
    }
}

fn plan(mut arguments: impl Iterator<Item = String>) -> Result<Plan, String> {
    let base = arguments.next().ok_or("where is the service?")?;
    let base = base.trim_end_matches('/').to_owned();
    if !base.starts_with("http://") {
        return Err(format!("{base:?} is no address such as http://127.0.0.1:8080"));
    }
    let mut plan = Plan {
        base,
        seconds: 60,
        sockets: 2000,
        streams: 2000,
        askers: 16,
        orders_per_s: 5,
        messages_per_s: 50,
        rss_growth_max: None,
    };
    while let Some(flag) = arguments.next() {
        let text = arguments.next().ok_or_else(|| format!("{flag} wants a number"))?;
        let number: u64 = text.parse().map_err(|_| format!("{flag}: {text:?} is no number"))?;
        match flag.as_str() {
            "--seconds" => plan.seconds = number.max(1),
            "--sockets" => plan.sockets = number as usize,
            "--streams" => plan.streams = number as usize,
            "--askers" => plan.askers = number as usize,
            "--orders-per-s" => plan.orders_per_s = number,
            "--messages-per-s" => plan.messages_per_s = number,
            "--rss-growth-max" => plan.rss_growth_max = Some(number),
            _ => return Err(format!("there is no {flag}")),
        }
    }
    Ok(plan)
}

async fn load(lp: &LoopHandle, plan: Plan) -> Result<bool, Box<dyn Error>> {
    let mut options = ClientOptions::default();
    options.kept_per_server_max = 64;
    options.head = Duration::from_secs(30);
    let client = Client::with_options(lp, options.clone());
    let tally = Rc::new(Tally::default());
    let token = register(&client, &plan).await?;

    let mut people = Vec::new();
    for number in 0..plan.sockets {
        let url = format!("{}/socket.io/?EIO=4&transport=websocket", plan.base.replacen("http", "ws", 1));
        let socket = ws::connect(&client, &url).await?;
        people.push(phaseloop::spawn(chat(socket, number, plan.clone(), Rc::clone(&tally))));
    }
    for number in 0..plan.streams {
        let path = if number % LOOKERS == 0 { "/api/loop/events" } else { "/api/orders/events" };
        let body = client.get(&format!("{}{path}", plan.base)).await?.into_body();
        people.push(phaseloop::spawn(follow(body, number % LOOKERS != 0, Rc::clone(&tally))));
    }
    while tally.joined.get() < plan.sockets {
        if tally.broken.get() > 0 || tally.refused.get() > 0 {
            return Err("not all of them were let in".into());
        }
        phaseloop::sleep(Duration::from_millis(100)).await;
    }
    println!("{} people chat and {} follow; now {} s of asking", plan.sockets, plan.streams, plan.seconds);
    options.kept_per_server_max = 0;
    let looker = Client::with_options(lp, options);
    let first = memory(&looker, &plan).await?;
    println!("at begin: {}", shown(&first));
    tally.has_begun.set(true);
    let start = Instant::now();
    for number in 0..plan.askers {
        people.push(phaseloop::spawn(ask(client.clone(), plan.clone(), number, Rc::clone(&tally))));
    }
    if plan.orders_per_s > 0 {
        people.push(phaseloop::spawn(buy(client.clone(), plan.clone(), token, Rc::clone(&tally))));
    }
    while start.elapsed() < Duration::from_secs(plan.seconds) {
        phaseloop::sleep(Duration::from_secs(plan.seconds.min(10))).await;
        println!("after {:3} s: {}", start.elapsed().as_secs(), shown(&memory(&looker, &plan).await?));
    }
    tally.is_over.set(true);
    let elapsed = start.elapsed();
    while !tally.all_is_heard() && start.elapsed() < elapsed + DRAIN {
        phaseloop::sleep(Duration::from_millis(100)).await;
    }
    let last = memory(&looker, &plan).await?;
    drop(people);
    Ok(report(&tally, elapsed) & bears(&plan, &first, &last))
}

impl Tally {
    /// Whether each message was answered, and each that was stored heard by all in its room.
    fn all_is_heard(&self) -> bool {
        self.said.get() + self.refused.get() == self.sent.get() && self.heard.get() == self.hearers.get()
    }
}

/// Whether the memory of no worker that was there from the beginning grew by more than it may.
fn bears(plan: &Plan, first: &BTreeMap<u64, f64>, last: &BTreeMap<u64, f64>) -> bool {
    let Some(max) = plan.rss_growth_max else { return true };
    let grown = first.iter().filter_map(|(pid, before)| Some(last.get(pid)? - before)).fold(0.0, f64::max);
    println!("memory: {grown:.1} MiB more in a process, of {max} that it may be");
    grown <= max as f64
}

async fn register(client: &Client, plan: &Plan) -> Result<String, Box<dyn Error>> {
    let name = format!("load-{}", std::process::id());
    let body = json!({ "name": name, "password": "a password for the load" });
    let (status, answer) = send(client, plan, "POST", "/api/users", &[], Some(&body)).await?;
    let token =
        answer["token"].as_str().ok_or_else(|| format!("no user could be made: {status} {answer}"))?;
    Ok(token.to_owned())
}

async fn send(
    client: &Client,
    plan: &Plan,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: Option<&Value>,
) -> Result<(u16, Value), Box<dyn Error>> {
    let mut request = Request::builder().method(method).uri(format!("{}{path}", plan.base));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let body = match body {
        Some(body) => {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    let response = client.request(request.body(body)?).await?;
    let status = response.status().as_u16();
    let bytes = response.into_body().bytes().await?;
    Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
}

/// The resident memory of each process that answers, in MiB.
async fn memory(client: &Client, plan: &Plan) -> Result<BTreeMap<u64, f64>, Box<dyn Error>> {
    let mut found = BTreeMap::new();
    for _ in 0..SAMPLES {
        let (_, sample) = send(client, plan, "GET", "/api/loop", &[], None).await?;
        let mib = sample["rss_bytes"].as_f64().unwrap_or_default() / (1024.0 * 1024.0);
        found.insert(sample["pid"].as_u64().unwrap_or_default(), mib);
    }
    Ok(found)
}

fn shown(memory: &BTreeMap<u64, f64>) -> String {
    let each: Vec<_> = memory.iter().map(|(pid, mib)| format!("{mib:.1} MiB in {pid}")).collect();
    each.join(", ")
}

/// Joins a room, says something now and then, and counts what it hears.
async fn chat(mut socket: WebSocket, number: usize, plan: Plan, tally: Rc<Tally>) {
    let pause = plan.sockets as f64 / plan.messages_per_s.max(1) as f64;
    let sender = socket.sender();
    let mut spoken = false;
    while let Some(message) = socket.next().await {
        let Some(text) = message.as_text() else { continue };
        let answer = match text.as_bytes() {
            [b'0', ..] => Some("40".to_owned()),
            [b'2', ..] => Some("3".to_owned()),
            [b'4', b'0', ..] => {
                let args = json!(["join", { "room": format!("room {}", number / ROOM), "name": format!("n{number}") }]);
                Some(format!("420{args}"))
            }
            [b'4', b'2', ..] => {
                tally.heard.set(tally.heard.get() + u64::from(text.starts_with("42[\"message\"")));
                None
            }
            [b'4', b'3', b'1', ..] => {
                let was_said = text.starts_with("431[{\"message\"");
                let count = if was_said { &tally.said } else { &tally.refused };
                count.set(count.get() + 1);
                let hearers = ROOM.min(plan.sockets - number / ROOM * ROOM);
                tally.hearers.set(tally.hearers.get() + if was_said { hearers as u64 } else { 0 });
                None
            }
            _ => None,
        };
        if text.starts_with("430[{\"error\"") {
            tally.refused.set(tally.refused.get() + 1);
        } else if text.starts_with("430") && !spoken {
            spoken = true;
            tally.joined.set(tally.joined.get() + 1);
            if plan.messages_per_s > 0 {
                let share = number as f64 / plan.sockets as f64;
                phaseloop::spawn(speak(sender.clone(), pause, share, Rc::clone(&tally))).detach();
            }
        }
        if let Some(answer) = answer
            && sender.send(answer).await.is_err()
        {
            break;
        }
    }
    if !tally.is_over.get() {
        tally.broken.set(tally.broken.get() + 1);
    }
}

/// Says something now and then, once all are there; not all at once.
async fn speak(sender: WsSender, pause: f64, share: f64, tally: Rc<Tally>) {
    while !tally.has_begun.get() {
        phaseloop::sleep(Duration::from_millis(100)).await;
    }
    phaseloop::sleep(Duration::from_secs_f64(pause * share)).await;
    while !tally.is_over.get() {
        let args = json!(["message", { "text": "what somebody says to twenty people, as one does" }]);
        if sender.send(format!("421{args}")).await.is_err() {
            return;
        }
        tally.sent.set(tally.sent.get() + 1);
        phaseloop::sleep(Duration::from_secs_f64(pause)).await;
    }
}

/// Counts events; those of orders have ids without a gap.
async fn follow(mut body: Body, has_ids: bool, tally: Rc<Tally>) {
    let mut last = None;
    let mut left = String::new();
    while let Some(Ok(piece)) = body.chunk().await {
        left.push_str(&String::from_utf8_lossy(&piece));
        while let Some((event, rest)) = left.split_once("\n\n") {
            let id = event
                .lines()
                .find_map(|line| line.strip_prefix("id: "))
                .and_then(|id| id.parse::<u64>().ok());
            if event.contains("\ndata: ") && !event.contains("event: beat") {
                tally.events.set(tally.events.get() + 1);
            }
            if let (true, Some(id)) = (has_ids, id) {
                tally.gaps.set(tally.gaps.get() + u64::from(last.is_some_and(|last| id != last + 1)));
                last = Some(id);
            }
            left = rest.to_owned();
        }
    }
    if !tally.is_over.get() {
        tally.broken.set(tally.broken.get() + 1);
    }
}

/// Asks one thing after the other.
async fn ask(client: Client, plan: Plan, number: usize, tally: Rc<Tally>) {
    const PATHS: [&str; 4] = ["/api/products", "/api/users/1", "/api/feed?limit=20", "/api/health"];
    for turn in number.. {
        if tally.is_over.get() {
            return;
        }
        timed(&tally, "read", async {
            send(&client, &plan, "GET", PATHS[turn % PATHS.len()], &[], None).await
        })
        .await;
    }
}

/// Places orders and pays them, so many a second.
async fn buy(client: Client, plan: Plan, token: String, tally: Rc<Tally>) {
    let bearer = format!("Bearer {token}");
    let period = Duration::from_secs(1) / u32::try_from(plan.orders_per_s.max(1)).unwrap_or(u32::MAX);
    for number in 0_u64.. {
        if tally.is_over.get() {
            return;
        }
        let (client, plan, bearer, tally) = (client.clone(), plan.clone(), bearer.clone(), Rc::clone(&tally));
        phaseloop::spawn(async move {
            let key = format!("load-{}-{number}", std::process::id());
            let body = json!({ "items": [{ "product": 2, "quantity": 1 }] });
            let fields = [("authorization", &*bearer), ("idempotency-key", &*key)];
            let order =
                timed(&tally, "order", send(&client, &plan, "POST", "/api/orders", &fields, Some(&body)))
                    .await;
            let Some(id) = order["order"]["id"].as_i64() else { return };
            let path = format!("/api/orders/{id}/pay");
            timed(&tally, "pay", send(&client, &plan, "POST", &path, &fields, None)).await;
        })
        .detach();
        phaseloop::sleep(period).await;
    }
}

async fn timed(
    tally: &Tally,
    what: &'static str,
    asking: impl Future<Output = Result<(u16, Value), Box<dyn Error>>>,
) -> Value {
    let start = Instant::now();
    let (status, answer) = asking.await.unwrap_or((0, Value::Null));
    if !tally.is_over.get() {
        *tally.answers.borrow_mut().entry((what, status)).or_default() += 1;
        tally.times.borrow_mut().entry(what).or_default().record(start.elapsed());
    }
    answer
}

/// True if nothing broke.
fn report(tally: &Tally, elapsed: Duration) -> bool {
    let seconds = elapsed.as_secs_f64();
    let mut is_well = tally.gaps.get() == 0 && tally.broken.get() == 0;
    is_well &= tally.refused.get() == 0 && tally.all_is_heard();
    for ((what, status), count) in &*tally.answers.borrow() {
        println!("{what:6} {status}: {count}, {:.1} a second", *count as f64 / seconds);
        is_well &= (200..300).contains(status);
    }
    for (what, times) in &*tally.times.borrow() {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (p50, p99) = (ms(times.percentile(50.0)), ms(times.percentile(99.0)));
        println!("{what:6} p50 {p50:.1} ms, p99 {p99:.1} ms, max {:.1} ms", ms(times.max()));
    }
    println!(
        "chat: {} sent, {} said, {} refused; {} heard of {}; {:.0} a second",
        tally.sent.get(),
        tally.said.get(),
        tally.refused.get(),
        tally.heard.get(),
        tally.hearers.get(),
        tally.heard.get() as f64 / seconds
    );
    println!(
        "events: {}, {:.0} a second; {} gaps",
        tally.events.get(),
        tally.events.get() as f64 / seconds,
        tally.gaps.get()
    );
    println!("connections that broke: {}", tally.broken.get());
    is_well
}
