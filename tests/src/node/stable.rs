//! Traces that are worth recording: those that come out the same however busy the machine is.

use super::Node;
use crate::scenario::Scenario;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Runs a scenario several times and returns its trace if it was the same each time.
///
/// # Errors
/// Two traces that differ, or why there is none.
pub fn stable_trace(node: &Node, scenario: &Scenario, runs: u32) -> Result<Vec<String>, String> {
    let first = node.trace(scenario)?;
    for _ in 1..runs {
        let again = node.trace(scenario)?;
        if again != first {
            return Err(format!("{} is not stable\n  {first:?}\n  {again:?}", scenario.name));
        }
    }
    Ok(first)
}

/// Threads that keep the processor busy until the hog is dropped.
pub struct Hog {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Hog {
    /// Starts so many threads.
    pub fn start(threads: usize) -> Hog {
        let stop = Arc::new(AtomicBool::new(false));
        let spin = |stop: Arc<AtomicBool>| {
            move || {
                // Relaxed: nothing else is read when it is seen.
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            }
        };
        let threads = (0..threads).map(|_| thread::spawn(spin(stop.clone()))).collect();
        Hog { stop, threads }
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("a spinning thread cannot panic");
        }
    }
}
