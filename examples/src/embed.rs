//! A host with a poll loop of its own, which drives phaseloop along.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use phaseloop::{EventLoop, RunMode, Timer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::page::Page;

/// Drives a loop from a poll loop that also waits for `input`, until both have ended.
///
/// # Errors
/// The system's.
pub fn run(page: &Page, input: OwnedFd) -> io::Result<()> {
    let clock = Instant::now();
    let lp = EventLoop::new()?;
    set_up_loop(&lp, page, clock);
    let thread = post_from_a_thread(&lp, page, clock);
    let host = Host { page: page.clone(), clock, input: File::from(input), line: Vec::new(), is_open: true };
    host.drive(&lp)?;
    thread.join().expect("the thread does not panic");
    Ok(())
}

/// The host: what it had before it heard of phaseloop, and `drive`.
struct Host {
    page: Page,
    clock: Instant,
    input: File,
    /// What was read of a line that has not ended.
    line: Vec<u8>,
    is_open: bool,
}

impl Host {
    /// The host's own loop. Five lines of it are phaseloop's.
    fn drive(mut self, lp: &EventLoop) -> io::Result<()> {
        let backend = lp.backend_fd()?;
        lp.run(RunMode::NoWait)?; // what the set-up queued
        while self.is_open || lp.is_alive() {
            // A loop that is not alive asks for no wait at all; the host has its own reason to wait then.
            let timeout = if lp.is_alive() { lp.backend_timeout() } else { None };
            let input_is_ready = self.wait(&backend, timeout)?;
            if input_is_ready {
                self.read_input()?;
            }
            lp.run(RunMode::NoWait)?;
        }
        say(&self.page, self.clock, "host", "the input and the loop have ended");
        Ok(())
    }

    /// Waits for the input, for the loop, or for as long as the loop allows. True if there is input.
    fn wait(&self, backend: &OwnedFd, timeout: Option<Duration>) -> io::Result<bool> {
        let mut fds = vec![PollFd::new(backend, PollFlags::IN)];
        if self.is_open {
            fds.push(PollFd::new(&self.input, PollFlags::IN));
        }
        // A duration beyond what the system's type holds is as good as no limit.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(fds.get(1).is_some_and(|input| !input.revents().is_empty()))
    }

    fn read_input(&mut self) -> io::Result<()> {
        let mut buf = [0; 4096];
        let len = self.input.read(&mut buf)?;
        self.is_open = len > 0;
        for byte in &buf[..len] {
            match byte {
                b'\n' => self.end_line(),
                byte => self.line.push(*byte),
            }
        }
        if !self.is_open && !self.line.is_empty() {
            self.end_line(); // the last line may lack its end
        }
        Ok(())
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        say(&self.page, self.clock, "host", &format!("read `{line}` from its own descriptor"));
        self.line.clear();
    }
}

/// What runs on the embedded loop: a timer that repeats, and a task.
fn set_up_loop(lp: &EventLoop, page: &Page, clock: Instant) {
    let writer = page.clone();
    let mut times = 0;
    let timer = Timer::new(lp);
    let started = timer.start_repeating(Duration::from_millis(20), Duration::from_millis(20), move |timer| {
        times += 1;
        say(&writer, clock, "loop", &format!("timer, time {times}"));
        if times == 4 {
            timer.close();
        }
    });
    started.expect("the timer is not closed");
    let writer = page.clone();
    lp.spawn(async move {
        phaseloop::sleep(Duration::from_millis(50)).await;
        say(&writer, clock, "loop", "a task has slept 50 ms");
    });
}

/// A thread that posts closures through a `Remote`. They run on the host's thread, inside `run`.
///
/// A remote does not keep the loop alive. The task that waits for the thread does.
fn post_from_a_thread(lp: &EventLoop, page: &Page, clock: Instant) -> thread::JoinHandle<()> {
    let (ended, end) = oneshot::channel();
    let writer = page.clone();
    lp.spawn(async move {
        // If the thread ends without a word, that is an end too.
        let _ = end.await;
        say(&writer, clock, "loop", "a task has seen the thread end");
    });
    let (remote, page) = (lp.remote(), page.clone());
    thread::spawn(move || {
        for count in 1..=3 {
            thread::sleep(Duration::from_millis(15));
            let page = page.clone();
            let posted =
                remote.post(move |_| say(&page, clock, "thread", &format!("posted closure {count}")));
            posted.expect("the loop waits for this thread");
        }
        // If nobody waits for the end, nobody needs to hear of it.
        let _ = ended.send(());
    })
}

/// A pipe into which a thread writes three lines, for a host that has nothing else to wait for.
///
/// # Errors
/// The system's, when no descriptor is left.
pub fn three_lines() -> io::Result<OwnedFd> {
    let (reader, writer) = rustix::pipe::pipe()?;
    thread::spawn(move || {
        let mut writer = File::from(writer);
        for line in ["one", "two", "three"] {
            thread::sleep(Duration::from_millis(25));
            if writeln!(writer, "{line}").is_err() {
                return; // nobody reads any more
            }
        }
    });
    Ok(reader)
}

/// Writes a line with the time and who speaks.
fn say(page: &Page, clock: Instant, who: &str, what: &str) {
    page.line(format!("{:4} ms  {who:6}  {what}", clock.elapsed().as_millis()));
}
