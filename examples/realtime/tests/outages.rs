//! Each store is away for five seconds under steady load, dead or frozen: what needs it is told so in time, the rest goes on, nobody
//! falls over, nothing that was promised is lost, and all comes back by itself.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]
#![allow(clippy::print_stdout, reason = "what was counted is shown to who asks for it, with --nocapture")]

mod shop;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use phaseloop::process::{Child, Command, Stdio};
use phaseloop::signal::Signal;
use serde_json::{Value, json};
use shop::books::Books;
use shop::program::open;
use shop::servers::{DATABASE_PASSWORD, Server, mariadb, redis, secantus};
use shop::{Asker, Events, SECRET, World, bearer, test};

const OUTAGE: Duration = Duration::from_secs(5);
/// Each of what the service waits for, one after the other: a connection to the database, and an answer.
const WAIT_MS: &str = "750";
/// The latest that an answer may come, on a machine that does something else as well. The longest that a request waits is 4.5 s:
/// who pays takes a lock in Redis, changes the order and reads it, each within its own time.
const LATE_MAX: Duration = Duration::from_secs(8);
/// The pause of each who asks, between an answer and the next question.
const PACE: Duration = Duration::from_millis(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Redis,
    MariaDb,
    Secantus,
}

impl Store {
    const ALL: [Self; 3] = [Self::Redis, Self::MariaDb, Self::Secantus];

    /// What `/api/health` calls it.
    fn part(self) -> &'static str {
        match self {
            Self::Redis => "cache",
            Self::MariaDb => "database",
            Self::Secantus => "documents",
        }
    }
}

/// What is asked all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Page,
    Loop,
    Profile,
    Products,
    Place,
    Pay,
    Feed,
    Post,
}

impl Question {
    const ALL: [Self; 8] = [
        Self::Page,
        Self::Loop,
        Self::Profile,
        Self::Products,
        Self::Place,
        Self::Pay,
        Self::Feed,
        Self::Post,
    ];

    /// Whether it has no answer without the store. None if that depends: a profile may be in the cache.
    fn needs(self, store: Store) -> Option<bool> {
        match (self, store) {
            (Self::Profile, Store::MariaDb) => None,
            (Self::Products | Self::Place | Self::Pay, Store::MariaDb)
            | (Self::Pay, Store::Redis)
            | (Self::Feed | Self::Post, Store::Secantus) => Some(true),
            _ => Some(false),
        }
    }
}

#[derive(Debug)]
struct Answer {
    question: Question,
    began: Instant,
    ended: Instant,
    /// 0 if the connection broke.
    status: u16,
    code: String,
    retry_after: String,
}

impl Answer {
    fn is_good(&self) -> bool {
        [200, 201].contains(&self.status)
    }
}

/// Those who ask, and what they were told.
struct Load {
    asker: Asker,
    token: String,
    is_over: Cell<bool>,
    answers: RefCell<Vec<Answer>>,
    /// Orders by their keys, once they were acknowledged.
    orders: RefCell<BTreeMap<String, i64>>,
    paid: RefCell<BTreeSet<i64>>,
    posts: RefCell<BTreeSet<String>>,
    told: RefCell<Vec<i64>>,
}

impl Load {
    fn new(asker: Asker, token: String) -> Self {
        Self {
            asker,
            token,
            is_over: Cell::new(false),
            answers: RefCell::default(),
            orders: RefCell::default(),
            paid: RefCell::default(),
            posts: RefCell::default(),
            told: RefCell::default(),
        }
    }

    async fn ask(
        &self,
        question: Question,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Option<Value> {
        phaseloop::sleep(PACE).await;
        let began = Instant::now();
        let bearer = bearer(&self.token);
        let mut fields = vec![("authorization", bearer.as_str())];
        fields.extend(key.map(|key| ("idempotency-key", key)));
        let (status, retry_after, body) = match self.asker.try_response(method, path, &fields, body).await {
            Ok(response) => {
                let status = response.status().as_u16();
                let retry_after = response.headers().get("retry-after");
                let retry_after = retry_after.map_or("", |field| field.to_str().unwrap()).to_owned();
                match response.into_body().bytes().await {
                    Ok(bytes) => (status, retry_after, serde_json::from_slice(&bytes).unwrap_or(Value::Null)),
                    Err(error) => (0, String::new(), json!({ "error": { "code": error.to_string() } })),
                }
            }
            Err(error) => (0, String::new(), json!({ "error": { "code": error.to_string() } })),
        };
        let code = body["error"]["code"].as_str().unwrap_or_default().to_owned();
        let answer = Answer { question, began, ended: Instant::now(), status, code, retry_after };
        let is_good = answer.is_good();
        self.answers.borrow_mut().push(answer);
        is_good.then_some(body)
    }

    async fn read(&self, question: Question, path: &str) {
        while !self.is_over.get() {
            self.ask(question, "GET", path, None, None).await;
        }
    }

    /// Places orders, each until it is acknowledged.
    async fn place(&self, who: usize, unpaid: UnboundedSender<i64>) {
        let body = json!({ "items": [{ "product": 2, "quantity": 1 }] });
        for number in 0.. {
            if self.is_over.get() {
                return;
            }
            let key = format!("customer-{who}-{number:06}");
            let order = loop {
                let answer = self.ask(Question::Place, "POST", "/api/orders", Some(&key), Some(&body)).await;
                if let Some(answer) = answer {
                    break answer["order"]["id"].as_i64().unwrap();
                }
            };
            self.orders.borrow_mut().insert(key, order);
            let _ = unpaid.unbounded_send(order); // who pays may have gone home
        }
    }

    /// Pays orders, each until that is acknowledged.
    async fn pay(&self, mut unpaid: UnboundedReceiver<i64>) {
        while let Some(order) = unpaid.next().await.filter(|_| !self.is_over.get()) {
            let path = format!("/api/orders/{order}/pay");
            while self.ask(Question::Pay, "POST", &path, None, None).await.is_none() {}
            self.paid.borrow_mut().insert(order);
        }
    }

    async fn post(&self) {
        for number in 0.. {
            if self.is_over.get() {
                return;
            }
            let body = json!({ "text": format!("number {number}"), "tags": ["outage"] });
            if let Some(answer) = self.ask(Question::Post, "POST", "/api/feed", None, Some(&body)).await {
                self.posts.borrow_mut().insert(answer["post"]["id"].as_str().unwrap().to_owned());
            }
        }
    }

    async fn hear(&self, mut events: Events) {
        while let Some(event) = events.next().await {
            self.told.borrow_mut().push(event["id"].as_i64().unwrap());
        }
    }

    /// Waits until each question that needs the store has a good answer again that was asked for after `up`, and each worker says that it is
    /// well: the answer was of one of them.
    async fn until_all_is_well(&self, store: Store, up: Instant) {
        let mut missing: Vec<_> =
            Question::ALL.into_iter().filter(|question| question.needs(store) != Some(false)).collect();
        let mut seen = self.answers.borrow().len();
        while !missing.is_empty() {
            self.ask(Question::Loop, "GET", "/api/loop", None, None).await;
            let answers = self.answers.borrow();
            for answer in &answers[seen..] {
                if answer.is_good() && answer.began > up {
                    missing.retain(|question| *question != answer.question);
                }
            }
            seen = answers.len();
        }
        let mut well = BTreeSet::new();
        while well.len() < 3 {
            if let (200, health) = self.asker.get("/api/health").await {
                well.insert(health["worker"].as_u64());
            }
        }
    }
}

/// Who asks what: eight at once, orders twice.
fn begin(load: &Rc<Load>, events: Events) -> Vec<phaseloop::JoinHandle<()>> {
    let own = || Rc::clone(load);
    let read = |question, path: &'static str| {
        let load = own();
        phaseloop::spawn(async move { load.read(question, path).await })
    };
    let (first, second, payer, poster, listener) = (own(), own(), own(), own(), own());
    let (unpaid, orders) = unbounded();
    let also = unpaid.clone();
    phaseloop::spawn(async move { listener.hear(events).await }).detach();
    vec![
        read(Question::Page, "/"),
        read(Question::Loop, "/api/loop"),
        read(Question::Profile, "/api/users/1"),
        read(Question::Products, "/api/products"),
        read(Question::Feed, "/api/feed?limit=5"),
        phaseloop::spawn(async move { first.place(1, unpaid).await }),
        phaseloop::spawn(async move { second.place(2, also).await }),
        phaseloop::spawn(async move { payer.pay(orders).await }),
        phaseloop::spawn(async move { poster.post().await }),
    ]
}

/// When a store was away.
struct Window {
    store: Store,
    from: Instant,
    down: Instant,
    until: Instant,
    well: Instant,
}

impl Window {
    /// What was answered meanwhile is as it should be.
    fn judge(&self, answers: &[Answer]) {
        let Self { store, from, down, until, well } = *self;
        let (mut good, mut refused) = (BTreeMap::new(), BTreeMap::new());
        for answer in answers.iter().filter(|answer| answer.ended > from && answer.began < well) {
            let name = format!("{:?}", answer.question);
            let told =
                format!("{store:?}, {:?} before it was back: {answer:?}", until - answer.began.min(until));
            match answer.status {
                200 | 201 => {
                    let is_within = answer.began > down && answer.ended < until;
                    assert!(!is_within || answer.question.needs(store) != Some(true), "{told}");
                    *good.entry(name).or_insert(0) += 1;
                }
                503 => {
                    assert_ne!(answer.question.needs(store), Some(false), "{told}");
                    assert_eq!((&*answer.code, &*answer.retry_after), ("unavailable", "1"), "{told}");
                    *refused.entry(name).or_insert(0) += 1;
                }
                // Redis gave the lock when it went on, to a request that was over by then: it ends by itself.
                409 if (answer.question, store, &*answer.code) == (Question::Pay, Store::Redis, "busy") => {}
                _ => panic!("{told}"),
            }
            assert!(answer.ended - answer.began < LATE_MAX, "{told}");
        }
        for question in Question::ALL {
            let counts = if question.needs(store) == Some(true) { &refused } else { &good };
            let count = counts.get(&format!("{question:?}")).copied().unwrap_or(0);
            assert!(count > 0 || question.needs(store).is_none(), "{store:?}: nobody asked for {question:?}");
        }
        let back = (well - until).as_millis();
        println!(
            "{store:?} away for {:?}, all well {back} ms later: {good:?}; 503: {refused:?}",
            until - from
        );
    }
}

/// The processes that answer.
async fn workers(asker: &Asker) -> BTreeSet<u64> {
    let mut pids = BTreeSet::new();
    while pids.len() < 3 {
        pids.insert(asker.get("/api/loop").await.1["pid"].as_u64().unwrap());
    }
    pids
}

/// Three workers on three stores; each of these is taken away for a while by `take`, and comes back by `give`.
async fn outages(world: &World, take: impl Fn(&mut Server), give: impl Fn(&mut Server)) {
    let Some((redis, redis_url)) = redis() else { return };
    let Some((mariadb, mariadb_url)) = mariadb(world.folder.path()) else { return };
    let Some((secantus, secantus_url)) = secantus(world.folder.path()) else { return };
    let mut servers = [redis, mariadb, secantus];
    while !servers.iter_mut().all(Server::listens) {
        phaseloop::yield_now().await;
    }
    let (child, asker) = start(world, &redis_url, &mariadb_url, &secantus_url).await;
    let token = asker.register("ada").await;
    let (pids, before) = (workers(&asker).await, Books::read(&mariadb_url).await);
    let events = asker.follow("/api/orders/events?after=0", &[]).await;
    let load = Rc::new(Load::new(asker, token));
    let askers = begin(&load, events);
    let mut windows = Vec::new();
    for (store, server) in Store::ALL.into_iter().zip(&mut servers) {
        load.until_all_is_well(store, Instant::now()).await;
        let from = Instant::now();
        take(server);
        let down = Instant::now();
        let (status, health) = load.asker.get("/api/health").await;
        assert_eq!((status, &health[store.part()]["ok"]), (503, &Value::from(false)), "{health}");
        phaseloop::sleep(OUTAGE.saturating_sub(from.elapsed())).await;
        let until = Instant::now();
        give(server);
        load.until_all_is_well(store, until).await;
        windows.push(Window { store, from, down, until, well: Instant::now() });
    }
    load.is_over.set(true);
    for asker in askers {
        asker.await.unwrap();
    }
    judge(&load.answers.borrow(), &windows);
    nothing_is_lost(&load, &before, &mariadb_url).await;
    assert_eq!(workers(&load.asker).await, pids, "no worker was replaced");
    child.kill(Signal::TERM).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    let log = std::fs::read_to_string(world.folder.file("service.log")).unwrap();
    assert!(!log.contains("panicked") && !log.contains(DATABASE_PASSWORD), "{log}");
}

async fn start(world: &World, redis: &str, mariadb: &str, secantus: &str) -> (Child, Asker) {
    let variables = [
        ("WORKERS", "3"),
        ("PORT", "0"),
        ("DATABASE_URL", mariadb),
        ("REDIS_URL", redis),
        ("MONGODB_URL", secantus),
        ("DATABASE_WAIT_MS", WAIT_MS),
        ("STORE_ANSWER_MS", WAIT_MS),
        ("TOKEN_SECRET", SECRET),
        ("RATE_LIMIT_PER_S", "0"),
        ("LOG_LEVEL", "warn"),
    ];
    let log = File::create(world.folder.file("service.log")).unwrap();
    let command = Command::new(env!("CARGO_BIN_EXE_realtime")).env_clear().envs(variables);
    open(world, command.stderr(Stdio::fd(&log).unwrap())).await
}

/// Whether each was told what was true when it asked.
fn judge(answers: &[Answer], windows: &[Window]) {
    windows.iter().for_each(|window| window.judge(answers));
    let is_calm =
        |answer: &&Answer| !windows.iter().any(|one| answer.ended > one.from && answer.began < one.well);
    let wrong: Vec<_> = answers.iter().filter(is_calm).filter(|answer| !answer.is_good()).collect();
    assert!(wrong.is_empty(), "without an outage: {wrong:?}");
}

/// What was acknowledged is there, once, and nothing else; and who follows has heard of all of it.
async fn nothing_is_lost(load: &Load, before: &Books, database: &str) {
    let books = Books::read(database).await;
    assert_eq!(books.keys, *load.orders.borrow(), "orders, and those that were acknowledged");
    assert_eq!(books.by_status.get("paid").copied(), Some(load.paid.borrow().len() as u64));
    books.agree_with(before);
    while load.told.borrow().len() < books.events.len() {
        load.ask(Question::Loop, "GET", "/api/loop", None, None).await;
    }
    assert_eq!(*load.told.borrow(), books.events, "who follows has heard each event once, in order");
    let kept = posts(&load.asker).await;
    let lost: Vec<_> = load.posts.borrow().difference(&kept).cloned().collect();
    assert!(lost.is_empty(), "{} of {} posts are lost: {lost:?}", lost.len(), load.posts.borrow().len());
    let questions = load.answers.borrow().len();
    println!("{questions} questions, {} orders, {} posts", books.orders, kept.len());
}

/// The ids of all posts.
async fn posts(asker: &Asker) -> BTreeSet<String> {
    let (mut all, mut path) = (BTreeSet::new(), "/api/feed?limit=100".to_owned());
    loop {
        let (status, page) = asker.get(&path).await;
        assert_eq!(status, 200, "{page}");
        let ids =
            page["posts"].as_array().unwrap().iter().map(|post| post["id"].as_str().unwrap().to_owned());
        all.extend(ids);
        let Some(next) = page["next"].as_str() else { return all };
        path = format!("/api/feed?limit=100&before={next}");
    }
}

#[test]
fn a_worker_that_dies_without_a_database_is_replaced_when_there_is_one() {
    test(async |world| {
        let Some((mut mariadb, url)) = mariadb(world.folder.path()) else { return };
        while !mariadb.listens() {
            phaseloop::yield_now().await;
        }
        let variables = [
            ("WORKERS", "3"),
            ("PORT", "0"),
            ("DATABASE_URL", &*url),
            ("DATABASE_WAIT_MS", WAIT_MS),
            ("STORE_ANSWER_MS", WAIT_MS),
            ("TOKEN_SECRET", SECRET),
            ("RATE_LIMIT_PER_S", "0"),
        ];
        let path = world.folder.file("service.log");
        let log = File::create(&path).unwrap();
        let command = Command::new(env!("CARGO_BIN_EXE_realtime")).env_clear().envs(variables);
        let (child, asker) = open(world, command.stderr(Stdio::fd(&log).unwrap())).await;
        let log = || std::fs::read_to_string(&path).unwrap();
        let mut pids = workers(&asker).await;
        mariadb.kill();
        let victim = pids.pop_first().unwrap();
        let kill = Command::new("kill").args(["-KILL", &victim.to_string()]).spawn(&world.lp).unwrap();
        assert!(kill.wait().await.unwrap().success());
        while !["waits=", "GivenUp"].iter().any(|word| log().contains(word)) {
            phaseloop::yield_now().await;
        }
        mariadb.start();
        while !workers(&asker).await.is_superset(&pids) {}
        assert_eq!(log().matches("event=worker_started").count(), 4, "{}", log());
        child.kill(Signal::TERM).unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(0));
    });
}

#[test]
fn a_store_that_is_dead_for_five_seconds_costs_refusals_and_nothing_else() {
    test(async |world| outages(world, Server::kill, Server::start).await);
}

#[test]
fn a_store_that_is_frozen_for_five_seconds_costs_refusals_and_nothing_else() {
    test(async |world| outages(world, |server| server.freeze(), |server| server.thaw()).await);
}
