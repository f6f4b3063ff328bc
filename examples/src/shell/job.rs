//! One line of commands that runs: its processes, its output, its end.

use std::cell::RefCell;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use phaseloop::LoopHandle;
use phaseloop::channel::{Sender, oneshot};
use phaseloop::net::pipe::PipeStream;
use phaseloop::process::{Child, Command, Stdio};
use phaseloop::signal::Signal;

use super::parse::Line;
use crate::lines::Lines;
use crate::page::Page;

/// Bytes of a line of output.
const LINE_LEN_MAX: usize = 64 * 1024;

pub(super) struct Job {
    text: String,
    children: Vec<Child>,
    /// What the last one writes.
    output: PipeStream,
    /// Who waits for the end of one in the background.
    waiting: RefCell<Vec<Sender<()>>>,
}

impl Job {
    /// Spawns all of the line, each reading what the one before writes. The first reads nothing, and errors go where ours go.
    /// Those that run already are killed if one can not be spawned.
    pub(super) fn spawn(lp: &LoopHandle, line: &Line, text: &str, folder: &Path) -> Result<Self, String> {
        let mut children = Vec::new();
        let (output, mut writer) = io::pipe().map_err(|error| error.to_string())?;
        let output = PipeStream::from_fd(lp, output.into()).map_err(|error| error.to_string())?;
        // From the last to the first: each is given the pipe that the one behind it reads.
        for (at, words) in line.commands.iter().enumerate().rev() {
            let (program, arguments) = words.split_first().expect("a command has a word");
            let (reader, next) = io::pipe().map_err(|error| error.to_string())?;
            let input =
                if at == 0 { Stdio::ignore() } else { Stdio::from(std::os::fd::OwnedFd::from(reader)) };
            let stdout = Stdio::from(std::os::fd::OwnedFd::from(std::mem::replace(&mut writer, next)));
            // A group of its own, so that Ctrl-C at a terminal reaches the shell alone, which then decides.
            let command = Command::new(program).args(arguments).current_dir(folder).process_group();
            let child = command.stdin(input).stdout(stdout).kill_on_drop().spawn(lp);
            children.push(child.map_err(|error| error.to_string())?);
        }
        children.reverse();
        Ok(Self { text: text.trim().to_owned(), children, output, waiting: RefCell::default() })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn kill(&self, signal: Signal) {
        for child in &self.children {
            // One that has ended needs no more signals.
            let _ = child.kill_group(signal);
        }
    }

    /// Puts all that the job writes on the page, and gives the status of the last process: its code, or 128 and its signal.
    pub(super) async fn finish(&self, page: &Page) -> i32 {
        let (mut lines, mut buf) = (Lines::new(LINE_LEN_MAX), vec![0; 8192]);
        while let Ok(len @ 1..) = self.output.read(&mut buf).await {
            match lines.push(&buf[..len]) {
                Ok(ended) => ended.into_iter().for_each(|line| page.line(line)),
                Err(too_long) => page.line(too_long),
            }
        }
        lines.finish().into_iter().for_each(|line| page.line(line));
        let mut status = 0;
        for child in &self.children {
            status = match child.wait().await {
                Ok(ended) => ended.code().or(ended.signal().map(|signal| 128 + signal)).unwrap_or(1),
                Err(_) => 1,
            };
        }
        status
    }

    /// Wakes those that wait for the end.
    pub(super) fn tell_ended(&self) {
        for waiting in self.waiting.take() {
            // Whoever waited may have given up.
            let _ = waiting.send(());
        }
    }

    pub(super) async fn ended(&self) {
        let (sender, receiver) = oneshot();
        self.waiting.borrow_mut().push(sender);
        // An error says that the job is gone, and so it has ended.
        let _ = receiver.await;
    }
}
