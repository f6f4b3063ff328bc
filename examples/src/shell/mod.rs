//! A small job runner: lines of commands, joined by pipes, in the foreground or in the background.
//!
//! It knows `cd`, `jobs`, `wait`, `kill JOB` and `exit`. What jobs write goes to the page, line by line, so programs that draw on a
//! terminal are not for it. Ctrl-C ends the job in the foreground.
//!
//! `parse` reads a line, `job` runs one.

mod job;
mod parse;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;

use futures::future::{Either, select};
use phaseloop::LoopHandle;
use phaseloop::net::pipe::PipeStream;
use phaseloop::signal::Signal;

use crate::lines::Lines;
use crate::page::Page;
use job::Job;
use parse::{Line, parse};

/// Bytes of a line of commands.
const LINE_LEN_MAX: usize = 64 * 1024;
/// Jobs that may run at the same time.
const JOBS_MAX: usize = 64;

/// Reads lines of commands from `input` to its end, or to `exit`, and runs them. Then ends what still runs in the background.
/// Gives the status of the last job in the foreground.
///
/// # Errors
/// What reading the input says. What a job says is on the page.
pub async fn run(lp: &LoopHandle, input: &PipeStream, page: &Page) -> io::Result<i32> {
    let shell = Shell {
        lp: lp.clone(),
        page: page.clone(),
        jobs: Rc::default(),
        started: Cell::new(0),
        folder: RefCell::new(std::env::current_dir()?),
        status: Cell::new(0),
    };
    let (mut lines, mut buf) = (Lines::new(LINE_LEN_MAX), vec![0; 4096]);
    'input: loop {
        let len = input.read(&mut buf).await?;
        let ended = match lines.push(&buf[..len]) {
            Ok(ended) => ended,
            Err(too_long) => {
                shell.fail(too_long);
                continue;
            }
        };
        for line in ended.into_iter().chain((len == 0).then(|| lines.finish()).flatten()) {
            if shell.obey(&line).await?.is_break() {
                break 'input;
            }
        }
        if len == 0 {
            break;
        }
    }
    shell.end_all().await;
    Ok(shell.status.get())
}

struct Shell {
    lp: LoopHandle,
    page: Page,
    /// Those that run, by number.
    jobs: Rc<RefCell<BTreeMap<u32, Rc<Job>>>>,
    started: Cell<u32>,
    folder: RefCell<PathBuf>,
    status: Cell<i32>,
}

type Goes = std::ops::ControlFlow<()>;

impl Shell {
    fn fail(&self, problem: impl std::fmt::Display) {
        self.page.line(format!("shell: {problem}"));
        self.status.set(2);
    }

    async fn obey(&self, text: &str) -> io::Result<Goes> {
        match parse(text) {
            Err(problem) => self.fail(problem),
            Ok(None) => {}
            Ok(Some(line)) => match line.commands.first().map(Vec::as_slice) {
                Some([name, arguments @ ..]) if line.commands.len() == 1 => {
                    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                    match (name.as_str(), arguments.as_slice()) {
                        ("exit", []) => return Ok(Goes::Break(())),
                        ("cd", [folder]) => self.change_folder(folder),
                        ("jobs", []) => self.list(),
                        ("wait", []) => self.wait_for_all().await,
                        ("kill", [number]) => self.kill(number),
                        ("exit" | "cd" | "jobs" | "wait" | "kill", _) => {
                            self.fail(format!("{name} takes other arguments"));
                        }
                        _ => self.start(&line, text).await?,
                    }
                }
                _ => self.start(&line, text).await?,
            },
        }
        Ok(Goes::Continue(()))
    }

    fn change_folder(&self, folder: &str) {
        let path = self.folder.borrow().join(folder);
        // Blocks for a moment, as a shell may: nothing else is under way for the one who types.
        match path.canonicalize() {
            Ok(path) => *self.folder.borrow_mut() = path,
            Err(error) => self.fail(format!("{folder}: {error}")),
        }
    }

    fn list(&self) {
        for (number, job) in &*self.jobs.borrow() {
            self.page.line(format!("[{number}] {}", job.text()));
        }
    }

    fn kill(&self, number: &str) {
        let job = number.parse().ok().and_then(|number: u32| self.jobs.borrow().get(&number).cloned());
        match job {
            Some(job) => job.kill(Signal::TERM),
            None => self.fail(format!("there is no job {number}")),
        }
    }

    async fn start(&self, line: &Line, text: &str) -> io::Result<()> {
        if self.jobs.borrow().len() >= JOBS_MAX {
            self.fail(format!("{JOBS_MAX} jobs run already"));
            return Ok(());
        }
        let job = match Job::spawn(&self.lp, line, text, &self.folder.borrow()) {
            Ok(job) => Rc::new(job),
            Err(problem) => {
                self.fail(problem);
                self.status.set(127); // as shells say that there is no such program
                return Ok(());
            }
        };
        if line.background {
            self.leave_in_background(job);
            return Ok(());
        }
        self.status.set(self.in_foreground(&job).await?);
        Ok(())
    }

    fn leave_in_background(&self, job: Rc<Job>) {
        let number = self.started.get() + 1;
        self.started.set(number);
        self.page.line(format!("[{number}] {}", job.text()));
        self.jobs.borrow_mut().insert(number, Rc::clone(&job));
        let (page, jobs) = (self.page.clone(), Rc::clone(&self.jobs));
        let watching = self.lp.spawn(async move {
            let status = job.finish(&page).await;
            page.line(format!("[{number}] ended with {status}: {}", job.text()));
            jobs.borrow_mut().remove(&number);
            job.tell_ended();
        });
        watching.detach();
    }

    /// Waits for the end of a job, which Ctrl-C brings about.
    async fn in_foreground(&self, job: &Job) -> io::Result<i32> {
        let mut interrupts = self.lp.signals(&[Signal::INT])?;
        let mut finish = pin!(job.finish(&self.page));
        loop {
            match select(finish.as_mut(), pin!(interrupts.next())).await {
                Either::Left((status, _)) => return Ok(status),
                Either::Right(_) => job.kill(Signal::INT),
            }
        }
    }

    async fn wait_for_all(&self) {
        loop {
            let first = self.jobs.borrow().values().next().cloned();
            let Some(job) = first else { return };
            job.ended().await;
        }
    }

    async fn end_all(&self) {
        for job in self.jobs.borrow().values() {
            job.kill(Signal::TERM);
        }
        self.wait_for_all().await;
    }
}
