//! Real Chromium: how scenarios are run in pages of it.
//!
//! A server of our own on loopback gives out one page a scenario (`tests/conformance/chromium/run.js` is its interpreter of the
//! format); a page sends its trace back and goes on to the next page. So one browser runs many scenarios, each in a page of its
//! own, in real time.

mod process;
mod server;

use crate::scenario::{Profile, Scenario};
use process::Process;
use server::Server;
use std::path::PathBuf;
use std::time::Duration;

/// A Chromium binary.
#[derive(Clone, Debug)]
pub struct Chromium {
    binary: PathBuf,
}

impl Chromium {
    /// The browser that this binary is; see [`peer`](crate::peers::peer).
    pub fn new(binary: PathBuf) -> Chromium {
        Chromium { binary }
    }

    /// Opens a page of somebody else's, with more flags of the command line.
    ///
    /// # Errors
    /// The browser does not start.
    pub fn open(&self, url: &str, flags: &[&str]) -> std::io::Result<Browser> {
        Process::start(&self.binary, url, flags).map(Browser)
    }

    /// Runs scenarios, one after the other, and gives their traces.
    ///
    /// # Errors
    /// What went wrong, in words: an operation that a page lacks, a browser that does not start, or a page that sends nothing
    /// within [`PATIENCE`].
    pub fn traces(&self, scenarios: &[Scenario]) -> Result<Vec<Vec<String>>, String> {
        for scenario in scenarios {
            if let Some(operation) = Profile::Browser.lacks(&scenario.program) {
                return Err(format!("{}: a page has no operation \"{operation}\"", scenario.name));
            }
        }
        if scenarios.is_empty() {
            return Ok(Vec::new());
        }
        let server = Server::start(scenarios).map_err(|error| format!("the server of the pages: {error}"))?;
        let _browser = Process::start(&self.binary, &server.url(), &[])
            .map_err(|error| format!("{}: {error}", self.binary.display()))?;
        scenarios.iter().enumerate().map(|(number, scenario)| trace(&server, number, scenario)).collect()
    }
}

/// A browser that shows a page. Dropping it ends the browser.
pub struct Browser(#[allow(dead_code, reason = "it is there to be dropped")] Process);

fn trace(server: &Server, number: usize, scenario: &Scenario) -> Result<Vec<String>, String> {
    let problem = |problem: String| format!("{} in Chromium: {problem}", scenario.name);
    let (from, json) =
        server.next_trace(PATIENCE).ok_or_else(|| problem("the page sends no trace".to_owned()))?;
    if from != number {
        return Err(problem(format!("page {from} answered")));
    }
    serde_json::from_str(&json).map_err(|error| problem(error.to_string()))
}

/// How long a page may take, the start of the browser included.
pub const PATIENCE: Duration = Duration::from_secs(60);
