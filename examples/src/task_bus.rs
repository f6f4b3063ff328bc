//! The TaskBus: an emitter of typed events that tells who listens when a task is done; and the same with tasks.

use std::io;
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc;
use phaseloop::{ContextKey, EventEmitter, EventLoop, LoopHandle, RunMode};

use crate::page::Page;

/// What happens to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskEvent {
    /// It was accepted.
    Submitted,
    /// It has a result.
    Done,
    /// It failed, which must not go unheard.
    Error,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    name: &'static str,
    takes: Duration,
    fails: bool,
}

impl Task {
    /// A task that succeeds after `ms` milliseconds.
    pub fn new(name: &'static str, ms: u64) -> Self {
        Self { name, takes: Duration::from_millis(ms), fails: false }
    }

    /// The same, but it fails.
    pub fn failing(self) -> Self {
        Self { fails: true, ..self }
    }
}

/// The request on whose behalf something runs. It follows timers, ticks, tasks and listeners by itself.
static REQUEST: ContextKey<&str> = ContextKey::new();

/// Accepts tasks and emits what becomes of them.
#[derive(Clone, Debug)]
pub struct TaskBus {
    lp: LoopHandle,
    /// Who listens. `on`, `once`, `prepend` and `off` are the emitter's.
    pub events: EventEmitter<TaskEvent, Task>,
}

impl TaskBus {
    /// Makes a bus on a loop.
    pub fn new(lp: &LoopHandle) -> Self {
        Self { lp: lp.clone(), events: EventEmitter::new() }
    }

    /// Accepts a task: emits `Submitted` now, and `Done` or `Error` when its time is over.
    pub fn submit(&self, task: Task) {
        self.events.emit(&TaskEvent::Submitted, &task); // calls the listeners before it returns
        let events = self.events.clone();
        self.lp.set_timeout(task.takes, move |_| {
            if !task.fails {
                events.emit(&TaskEvent::Done, &task);
            } else if let Err(task) = events.emit_error(&TaskEvent::Error, task) {
                // Node throws what nobody listens to. Here it comes back, and whoever emits decides.
                panic!("task {} failed and nobody listens", task.name);
            }
        });
    }
}

/// Shows the bus, and then the same with tasks and a channel.
///
/// # Errors
/// The system's, when a loop can not be made or run.
pub fn run(page: &Page) -> io::Result<()> {
    with_an_emitter(page)?;
    with_tasks(page)
}

fn with_an_emitter(page: &Page) -> io::Result<()> {
    page.headline("An emitter and timers", true);
    let lp = EventLoop::new()?;
    let bus = TaskBus::new(&lp);
    lp.on_uncaught({
        let page = page.clone();
        move |_, uncaught| page.line(format!("uncaught: {}", uncaught.message().unwrap_or("no text")))
    });

    bus.events.on(TaskEvent::Submitted, says(page, &lp, "submitted"));
    bus.events.once(TaskEvent::Done, says(page, &lp, "done, heard once"));
    bus.events.on(TaskEvent::Done, says(page, &lp, "done"));
    bus.events.prepend(TaskEvent::Done, says(page, &lp, "done, heard first"));
    let removed = bus.events.on(TaskEvent::Done, says(page, &lp, "never heard"));
    bus.events.off(removed);

    REQUEST.scope(&lp, "request 1", || bus.submit(Task::new("resize", 100)));
    REQUEST.scope(&lp, "request 2", || bus.submit(Task::new("upload", 50)));
    bus.submit(Task::new("cleanup", 150).failing());
    page.line("all submitted, the loop starts");
    lp.run(RunMode::Default)?;

    page.line("now somebody listens to errors:");
    bus.events.on(TaskEvent::Error, says(page, &lp, "failed"));
    REQUEST.scope(&lp, "request 3", || bus.submit(Task::new("cleanup", 10).failing()));
    lp.run(RunMode::Default)?;
    Ok(())
}

/// A listener that writes what happened to which task, on whose behalf.
fn says(page: &Page, lp: &LoopHandle, what: &'static str) -> impl Fn(&Task) + 'static {
    let (page, lp) = (page.clone(), lp.clone());
    move |task| {
        let request = REQUEST.get(&lp).map_or("no request", |request| *request);
        page.line(format!("  {:8} {what} ({request})", task.name));
    }
}

fn with_tasks(page: &Page) -> io::Result<()> {
    page.headline("The same with tasks and a channel", false);
    let lp = EventLoop::new()?;
    lp.block_on(async {
        let (done, mut results) = mpsc::unbounded();
        for (request, task) in [
            ("request 1", Task::new("resize", 100)),
            ("request 2", Task::new("upload", 50)),
            ("request 3", Task::new("cleanup", 150).failing()),
        ] {
            let done = done.clone();
            let work = async move {
                phaseloop::sleep(task.takes).await;
                let result = if task.fails { Err("failed") } else { Ok("done") };
                let request = REQUEST.get(&phaseloop::current()).map_or("no request", |request| *request);
                // It fails only if nobody waits for results any more.
                let _ = done.unbounded_send((task.name, request, result));
            };
            REQUEST.scope(&lp, request, || lp.spawn(work).detach()); // the task takes the request along
        }
        drop(done); // the tasks hold the others: the channel ends with them
        while let Some((name, request, result)) = results.next().await {
            let (Ok(outcome) | Err(outcome)) = result;
            page.line(format!("  {name:8} {outcome} ({request})"));
        }
        page.line("  all tasks have ended");
    })
}
