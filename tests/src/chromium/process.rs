//! A browser as a group of processes with a profile of its own, both gone when it is dropped.

use std::env;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// A running browser.
pub(super) struct Process {
    child: Child,
    profile: PathBuf,
    /// Is told when the last process of the browser has let go of its standard output.
    all_gone: Receiver<()>,
}

impl Process {
    pub(super) fn start(binary: &Path, url: &str, flags: &[&str]) -> io::Result<Process> {
        let profile = fresh_folder()?;
        let started = Command::new(binary)
            .args(FLAGS)
            .args(flags)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(url)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        match started {
            Ok(mut child) => {
                let all_gone = when_ended(child.stdout.take());
                Ok(Process { child, profile, all_gone })
            }
            Err(error) => {
                fs::remove_dir_all(&profile)?;
                Err(error)
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The group: killing the browser alone leaves its zygotes. Nothing can be done about what has gone already.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
        // While one of them lives, it may write into the profile.
        let _ = self.all_gone.recv_timeout(PATIENCE);
        // What is left behind in the temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.profile);
    }
}

fn when_ended(stdout: Option<ChildStdout>) -> Receiver<()> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // What it prints is of no use; whoever waits may have given up.
        let _ = stdout.map(|mut stdout| stdout.read_to_end(&mut Vec::new()));
        let _ = sender.send(());
    });
    receiver
}

fn fresh_folder() -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // Relaxed: only uniqueness matters.
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("phaseloop-chromium-{}-{number}", std::process::id()));
    fs::create_dir(&folder)?;
    Ok(folder)
}

/// No sandbox, for that does not work as root, and the pages are ours. No throttling: nobody looks at these pages.
const FLAGS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
];

/// How long the processes of a killed browser may take to go.
const PATIENCE: Duration = Duration::from_secs(10);
