//! A bar that shows how far a long job is, while the loop does other things.

use std::pin::pin;
use std::time::Duration;

use fs_pool::request::Progress;
use futures::future::{Either, select};
use phaseloop::{JoinHandle, LoopHandle};

use crate::page::Page;

/// How often it is drawn.
const PERIOD: Duration = Duration::from_millis(100);
const WIDTH: u64 = 40;

/// Awaits `work`, and meanwhile draws a bar on `page` if that is a terminal. The bar is gone at the end.
pub async fn beside<T>(
    lp: &LoopHandle,
    page: &Page,
    (progress, total): (&Progress, u64),
    work: impl Future<Output = T>,
) -> T {
    let drawer: JoinHandle<()> = lp.spawn({
        let (mut ticks, page, progress) = (lp.interval(PERIOD), page.clone(), progress.clone());
        async move {
            loop {
                ticks.tick().await;
                page.status(bar(progress.count(), total));
            }
        }
    });
    let (work, drawer) = (pin!(work), pin!(drawer));
    let done = match select(work, drawer).await {
        Either::Left((done, drawer)) => {
            drawer.abort();
            done
        }
        Either::Right((_, work)) => work.await, // the bar has failed, which is no reason to stop
    };
    page.status("");
    done
}

/// The bar itself: how much of it is full, and the bytes.
pub fn bar(done: u64, total: u64) -> String {
    // What is copied may have grown since it was measured.
    let share = if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) };
    let full = (share * WIDTH as f64) as usize;
    let rest = WIDTH as usize - full;
    let percent = (share * 100.0) as u64;
    format!("[{}{}] {percent:3} %  {} of {}", "#".repeat(full), ".".repeat(rest), bytes(done), bytes(total))
}

/// A number of bytes for people.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut amount = count as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{amount:.1} {}", UNITS[unit]) }
}
