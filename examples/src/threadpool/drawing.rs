//! Draws runs as a picture that stands alone: no script, no font and no file from elsewhere, light and dark.

use std::fmt::Write;
use std::time::Duration;

use super::experiment::{Kind, Run, Span};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 150.0;
const ROW: f64 = 24.0;
const MARGIN: f64 = 24.0;
const TOP: f64 = 92.0;
/// Above the rows of a panel: its title and its axis.
const HEAD: f64 = 60.0;
const GAP: f64 = 26.0;

/// A picture with a panel for each run, all on one scale.
pub fn draw(title: &str, runs: &[(&str, Run)]) -> String {
    let panel = |run: &Run| HEAD + ROW * run.spans.len() as f64 + GAP;
    let height = TOP + runs.iter().map(|(_, run)| panel(run)).sum::<f64>();
    let (step, end) = scale(runs.iter().map(|(_, run)| run.end()).max().unwrap_or_default());
    let width = WIDTH + 2.0 * MARGIN;
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write!(out, "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' role='img'>");
    let title = escaped(title);
    let _ = write!(out, "<title>{title}</title><style>{STYLE}</style>");
    let _ = write!(out, "<rect class='page' width='{width}' height='{height}'/>");
    let _ = write!(out, "<text class='title' x='{MARGIN}' y='40'>{title}</text>");
    legend(&mut out);
    let mut top = TOP;
    for (title, run) in runs {
        let _ = write!(out, "<g transform='translate({MARGIN} {top})'>");
        draw_panel(&mut out, title, run, step, end);
        out.push_str("</g>");
        top += panel(run);
    }
    out.push_str("</svg>\n");
    out
}

fn legend(out: &mut String) {
    let y = 64.0;
    let mut x = MARGIN;
    for (mark, text, width) in [
        ("<line class='wait' x1='0' x2='26' y1='0' y2='0'/>", "waits for a worker", 172.0),
        ("<rect class='hash' width='26' height='12' y='-6' rx='2'/>", "hashes (PBKDF2)", 160.0),
        ("<rect class='file' width='26' height='12' y='-6' rx='2'/>", "reads a file", 132.0),
        ("<circle class='told' cx='13' r='4'/>", "its callback runs on the loop", 0.0),
    ] {
        let _ = write!(
            out,
            "<g transform='translate({x} {y})'>{mark}<text class='soft' x='34' y='4.5'>{text}</text></g>"
        );
        x += width;
    }
}

fn draw_panel(out: &mut String, title: &str, run: &Run, step: f64, end: f64) {
    let x = |at: Duration| LEFT + at.as_secs_f64() * 1e3 / end * (WIDTH - LEFT - RIGHT);
    let height = HEAD + ROW * run.spans.len() as f64;
    let _ = write!(out, "<text class='head' x='0' y='16'>{}</text>", escaped(title));
    let ticks = (end / step).round() as u32;
    for tick in 0..=ticks {
        let ms = f64::from(tick) * step;
        let at = x(Duration::from_secs_f64(ms / 1e3));
        let unit = if tick == ticks { " ms" } else { "" };
        let _ = write!(out, "<line class='grid' x1='{at:.1}' x2='{at:.1}' y1='{HEAD}' y2='{height}'/>");
        let _ = write!(out, "<text class='tick' x='{at:.1}' y='{}'>{}{unit}</text>", HEAD - 8.0, rounded(ms));
    }
    for (span, at) in run.spans.iter().zip(0_u32..) {
        draw_span(out, span, HEAD + ROW * (f64::from(at) + 0.5), x);
    }
}

fn draw_span(out: &mut String, span: &Span, y: f64, x: impl Fn(Duration) -> f64) {
    let (start, end, told) = (x(span.started), x(span.ended), x(span.told));
    let ms = |at: Duration| at.as_secs_f64() * 1e3;
    let (began, ended, heard) = (ms(span.started), ms(span.ended), ms(span.told));
    let name = span.name();
    let _ = write!(
        out,
        "<g><title>{name} on worker {}: began {began:.2} ms, ended {ended:.2} ms, told {heard:.2} ms</title>",
        span.worker
    );
    let _ = write!(out, "<text class='name' x='{}' y='{}'>{name}</text>", LEFT - 12.0, y + 4.5);
    let _ = write!(out, "<line class='wait' x1='{LEFT}' x2='{start:.1}' y1='{y}' y2='{y}'/>");
    let class = if span.kind == Kind::Hash { "hash" } else { "file" };
    let (top, width) = (y - 6.0, (end - start).max(2.0));
    let _ =
        write!(out, "<rect class='{class}' x='{start:.1}' y='{top}' width='{width:.1}' height='12' rx='2'/>");
    let _ = write!(out, "<circle class='told' cx='{:.1}' cy='{y}' r='4'/>", told.max(start + 2.0));
    let beside = WIDTH - RIGHT + 22.0;
    let figures = format!("{heard:.1} ms, worker {}", span.worker);
    let _ = write!(out, "<text class='soft' x='{beside}' y='{}'>{figures}</text></g>", y + 4.5);
}

/// The distance of grid lines and the end of the axis, in milliseconds.
fn scale(longest: Duration) -> (f64, f64) {
    let longest = (longest.as_secs_f64() * 1e3).max(1e-3);
    let rough = longest / 6.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|nice| nice * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    (step, (longest / step).ceil() * step)
}

/// Without the digits that floating point adds.
fn rounded(ms: f64) -> f64 {
    (ms * 1e6).round() / 1e6
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&#39;")
}

const STYLE: &str = "\
svg{color-scheme:light dark;--page:#f9f8f5;--ink:#22262b;--soft:#666d76;--grid:#e4e2db;--wait:#a9aeb6;\
--hash:#d08a3c;--file:#3a7d64;--told:#22262b}\
@media(prefers-color-scheme:dark){svg{--page:#15181c;--ink:#e6e8ea;--soft:#98a1ab;--grid:#2b3138;--wait:#69717b;\
--hash:#c98842;--file:#4fa585;--told:#f2f3f4}}\
text{fill:var(--ink);font:13px system-ui,sans-serif}\
.title{font-size:21px;font-weight:600}.head{font-size:15px;font-weight:600}\
.page{fill:var(--page)}.soft{fill:var(--soft);font-variant-numeric:tabular-nums}\
.name{text-anchor:end;font-family:ui-monospace,monospace}\
.tick{text-anchor:middle;fill:var(--soft);font-size:11px}\
.grid{stroke:var(--grid)}.wait{stroke:var(--wait);stroke-width:2;stroke-dasharray:2 4}\
.hash{fill:var(--hash)}.file{fill:var(--file)}.told{fill:var(--told);stroke:var(--page);stroke-width:1.5}";
