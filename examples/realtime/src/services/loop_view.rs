//! The loop, as it sees itself: what it did in the last moment.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use fs_pool::pool::{ClassSnapshot, Pool};
use phaseloop::observe::{DelayMonitor, Histogram, LoopTimes, Observer, PhaseTimes};
use phaseloop::{LoopHandle, Metrics};
use phaseloop_server::http::{Body, Request, Response};
use phaseloop_server::sse::{Channel, ChannelOptions, Event, WhenSlow};
use serde_json::{Value, json};

use crate::log::now_ms;

/// How often it is told.
const PERIOD: Duration = Duration::from_millis(500);

/// How often the loop's delay is measured.
const RESOLUTION: Duration = Duration::from_millis(10);

/// Up to where the delays of a bucket reach, in milliseconds; those above are in one more.
const BUCKETS_MS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/// What only the service knows.
pub(crate) type Others = Box<dyn Fn() -> Value>;

pub(crate) struct LoopView {
    lp: LoopHandle,
    pool: Pool,
    worker: u32,
    channel: Channel,
    /// When those who follow were told last.
    last: Cell<Moment>,
    others: RefCell<Option<Others>>,
    /// There while somebody follows: callbacks and delays are measured for nobody else.
    observed: RefCell<Option<Observed>>,
    is_telling: Cell<bool>,
    is_closed: Cell<bool>,
}

/// An instant, and what the loop had done until then.
type Moment = (Instant, Metrics);

struct Observed {
    observer: Observer,
    delay: DelayMonitor,
}

impl LoopView {
    pub(crate) fn new(lp: &LoopHandle, pool: &Pool, worker: u32) -> Rc<Self> {
        let mut options = ChannelOptions::default();
        // Old figures are no use to who comes back.
        options.replay_max = 0;
        options.when_slow = WhenSlow::SkipEvents;
        options.retry = Duration::from_secs(1);
        Rc::new(Self {
            lp: lp.clone(),
            pool: pool.clone(),
            worker,
            channel: Channel::new(options),
            last: Cell::new((Instant::now(), lp.metrics())),
            others: RefCell::default(),
            observed: RefCell::default(),
            is_telling: Cell::new(false),
            is_closed: Cell::new(false),
        })
    }

    /// Sets what is told beside the loop's own figures.
    pub(crate) fn set_others(&self, others: impl Fn() -> Value + 'static) {
        *self.others.borrow_mut() = Some(Box::new(others));
    }

    pub(crate) fn clients(&self) -> usize {
        self.channel.clients()
    }

    /// Ends the answers of all clients, and of those that come yet: browsers come back.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
        self.channel.disconnect();
    }

    /// An answer that tells each half second.
    pub(crate) fn follow(self: &Rc<Self>, request: &Request<Body>) -> Response<Body> {
        let response = self.channel.subscribe(request);
        if self.is_closed.get() {
            self.channel.disconnect();
            return response;
        }
        if !self.is_telling.replace(true) {
            let (observer, delay) = (self.lp.observe(), self.lp.monitor_delay(RESOLUTION));
            self.observed.replace(Some(Observed { observer, delay }));
            self.last.set((Instant::now(), self.lp.metrics()));
            phaseloop::spawn(tell(Rc::downgrade(self))).unref();
        }
        response
    }

    /// What happened since those who follow were told last, or since the start. It changes nothing: whoever asks takes nothing from others.
    pub(crate) fn sample(&self) -> Value {
        let observed = self.observed.borrow();
        let seen = observed.as_ref().map(|seen| (seen.observer.times(), seen.delay.delays().clone()));
        self.since_last((Instant::now(), self.lp.metrics()), seen.as_ref())
    }

    /// The same, and the next interval begins.
    fn take_sample(&self) -> Value {
        let now = (Instant::now(), self.lp.metrics());
        let seen = self.observed.borrow().as_ref().map(Observed::take);
        let sample = self.since_last(now, seen.as_ref());
        self.last.set(now);
        sample
    }

    fn since_last(&self, (now, metrics): Moment, seen: Option<&(LoopTimes, Histogram)>) -> Value {
        let (since, before) = self.last.get();
        let interval = now.saturating_duration_since(since);
        let idle = metrics.idle.saturating_sub(before.idle);
        let utilization = 1.0 - (idle.as_secs_f64() / interval.as_secs_f64().max(1e-9)).clamp(0.0, 1.0);
        let snapshot = self.pool.snapshot();
        let mut sample = json!({
            "at": now_ms(),
            "worker": self.worker,
            "pid": std::process::id(),
            "interval_ms": ms(interval),
            "turns": metrics.turns - before.turns,
            "events": metrics.events - before.events,
            "utilization": utilization,
            "phases": seen.map(|(times, _)| phases(times)),
            "delay": seen.map(|(_, delays)| delay(delays)),
            "pool": {
                "workers": snapshot.workers,
                "workers_max": snapshot.workers_max,
                "idle": snapshot.idle,
                "classes": snapshot.classes.iter().map(class).collect::<Vec<_>>(),
            },
            "rss_bytes": rss(),
        });
        let others = self.others.borrow().as_ref().map(|others| others());
        if let (Some(sample), Some(Value::Object(others))) = (sample.as_object_mut(), others) {
            sample.extend(others);
        }
        sample
    }
}

/// Tells while there is somebody to tell.
async fn tell(view: Weak<LoopView>) {
    loop {
        phaseloop::sleep(PERIOD).await;
        let Some(view) = view.upgrade() else { return };
        let sample = view.take_sample();
        if view.channel.send(Event::new(sample.to_string()).name("loop")) == 0 && view.clients() == 0 {
            view.is_telling.set(false);
            view.observed.take();
            return;
        }
    }
}

impl Observed {
    /// What came since it was asked last.
    fn take(&self) -> (LoopTimes, Histogram) {
        let delays = self.delay.delays().clone();
        self.delay.reset();
        (self.observer.take(), delays)
    }
}

fn phases(times: &LoopTimes) -> Vec<Value> {
    times.phases().map(|(name, times)| phase(&name.to_string(), times)).collect()
}

fn phase(name: &str, times: &PhaseTimes) -> Value {
    let all = times.all();
    json!({
        "name": name,
        "ms": ms(all.total),
        "longest_ms": ms(all.longest),
        "callbacks": times.callbacks.count,
        "ticks": times.ticks.count,
        "microtasks": times.microtasks.count,
    })
}

fn delay(delays: &Histogram) -> Value {
    let counts = delays.counts(&BUCKETS_MS.map(Duration::from_millis));
    let bounds = BUCKETS_MS.into_iter().map(Some).chain([None]);
    let buckets: Vec<Value> =
        bounds.zip(counts).map(|(le_ms, count)| json!({ "le_ms": le_ms, "count": count })).collect();
    json!({
        "p50_ms": ms(delays.percentile(50.0)),
        "p99_ms": ms(delays.percentile(99.0)),
        "max_ms": ms(delays.max()),
        "buckets": buckets,
    })
}

fn class(class: &ClassSnapshot) -> Value {
    json!({
        "name": class.name,
        "queued": class.queued,
        "running": class.running,
        "completed": class.completed,
        "rejected": class.rejected,
        "wait_p50_ms": ms(class.wait.percentile(50.0)),
        "wait_p99_ms": ms(class.wait.percentile(99.0)),
        "run_p50_ms": ms(class.run.percentile(50.0)),
        "run_p99_ms": ms(class.run.percentile(99.0)),
    })
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Bytes of memory that the process holds, as the kernel counts them; zero where there is no `/proc`.
fn rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
