//! Draws percentiles as a page that stands alone: no script, no font and no file from elsewhere, light and dark.

use std::fmt::Write;

use crate::percentiles::Percentiles;

/// One chart: a row for each who was measured.
pub struct Panel {
    /// Says what is asked.
    pub title: String,
    /// Says what was late.
    pub subtitle: String,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

/// One row of a chart.
pub struct Row {
    /// Who was measured.
    pub name: String,
    /// How late things were.
    pub late: Percentiles,
    /// What was counted beside it, or nothing.
    pub note: String,
}

const WIDTH: f64 = 940.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 330.0;
const ROW: f64 = 30.0;
const AXIS: f64 = 26.0;

/// The page with all panels.
pub fn page(title: &str, panels: &[Panel]) -> String {
    let mut page = String::new();
    let title = escaped(title);
    let _ = write!(page, "<!doctype html><html lang=en><meta charset=utf-8>"); // writing to a string does not fail
    let _ = write!(page, "<meta name=viewport content='width=device-width'><title>{title}</title>");
    let _ = write!(page, "<style>{STYLE}</style><main><h1>{title}</h1>{LEGEND}");
    for panel in panels {
        draw(&mut page, panel);
    }
    page.push_str("</main></html>\n");
    page
}

fn draw(page: &mut String, panel: &Panel) {
    let height = AXIS + ROW * panel.rows.len() as f64 + 8.0;
    let (step, end) = scale(panel);
    let x = |us: f64| LEFT + (us / end).min(1.0) * (WIDTH - LEFT - RIGHT);
    let _ = write!(page, "<section><h2>{}</h2><p>{}</p>", escaped(&panel.title), escaped(&panel.subtitle));
    let label = escaped(&format!("{}: {}", panel.title, panel.subtitle));
    let _ = write!(page, "<svg viewBox='0 0 {WIDTH} {height}' role=img aria-label='{label}'>");
    for tick in 0..=(end / step).round() as u32 {
        let us = f64::from(tick) * step;
        let at = x(us);
        let _ = write!(page, "<line class=grid x1={at:.1} x2={at:.1} y1={AXIS} y2={height} />");
        let _ = write!(page, "<text class=tick x={at:.1} y={}>{}</text>", AXIS - 9.0, with_unit(us));
    }
    for (row, at) in panel.rows.iter().zip(0_u32..) {
        draw_row(page, row, AXIS + ROW * (f64::from(at) + 0.5), x);
    }
    page.push_str("</svg></section>");
}

fn draw_row(page: &mut String, row: &Row, y: f64, x: impl Fn(f64) -> f64) {
    let [median, p99, max] = row.late.micros();
    let (from, to) = (x(median), x(p99).max(x(median) + 1.0));
    let _ = write!(
        page,
        "<g><title>{}: p50 {median:.0} us, p99 {p99:.0} us, max {max:.0} us</title>",
        escaped(&row.name)
    );
    let _ = write!(page, "<text class=name x={} y={}>{}</text>", LEFT - 12.0, y + 4.5, escaped(&row.name));
    let _ = write!(page, "<rect class=half x={LEFT} y={} width={:.1} height=6 />", y - 3.0, from - LEFT);
    let _ = write!(page, "<rect class=tail x={from:.1} y={} width={:.1} height=6 />", y - 3.0, to - from);
    let _ = write!(page, "<circle class=median cx={from:.1} cy={y} r=5.5 />");
    let _ = write!(page, "<rect class=end x={:.1} y={} width=2.5 height=16 />", to - 1.2, y - 8.0);
    let figures = format!("{median:.0} \u{b7} {p99:.0} \u{b7} {max:.0}");
    let beside = WIDTH - RIGHT + 16.0;
    let _ = write!(page, "<text class=figures x={beside} y={}>{figures}</text>", y + 4.5);
    let note = escaped(&row.note);
    let _ = write!(page, "<text class=note x={WIDTH} y={}>{note}</text></g>", y + 4.5);
}

/// The distance of grid lines and the end of the axis, in microseconds: it reaches to the largest p99. A maximum may lie
/// beyond, since one interruption by another program makes it; it is written.
fn scale(panel: &Panel) -> (f64, f64) {
    let largest = panel.rows.iter().map(|row| row.late.micros()[1]).fold(1.0, f64::max);
    let rough = largest / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|nice| nice * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    (step, (largest / step).ceil() * step)
}

fn with_unit(us: f64) -> String {
    if us >= 1000.0 { format!("{} ms", us / 1000.0) } else { format!("{us} us") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&#39;")
}

const LEGEND: &str = "<p class=legend><svg viewBox='0 0 96 16' width=96 height=16 aria-hidden=true>\
<rect class=half x=0 y=5 width=40 height=6 /><rect class=tail x=40 y=5 width=50 height=6 />\
<circle class=median cx=40 cy=8 r=5.5 /><rect class=end x=89 y=0 width=2.5 height=16 /></svg>\
how late: half are below the dot, 99 in 100 below the bar&rsquo;s end; beside it p50 &middot; p99 &middot; max in us</p>";

const STYLE: &str = "\
:root{color-scheme:light dark;--page:#f6f5f1;--card:#fff;--ink:#22262b;--soft:#6b727b;--grid:#e5e3dc;\
--half:#b9cbe0;--tail:#5b8cc4;--median:#1f4e86}\
@media(prefers-color-scheme:dark){:root{--page:#14171b;--card:#1c2026;--ink:#e6e8ea;--soft:#98a1ab;--grid:#2d333b;\
--half:#33475f;--tail:#4f86c0;--median:#a9cdf5}}\
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.45 system-ui,sans-serif}\
main{max-width:1020px;margin:0 auto;padding:32px 20px 48px}\
h1{font-size:26px;margin:0 0 6px;letter-spacing:-.01em}\
h2{font-size:17px;margin:0}\
section{background:var(--card);border:1px solid var(--grid);border-radius:10px;padding:18px 22px 12px;margin-top:18px}\
section p{margin:2px 0 12px;color:var(--soft)}\
.legend{display:flex;align-items:center;gap:12px;margin:0;color:var(--soft)}\
.legend svg{flex:none;width:96px}\
svg{display:block;width:100%;height:auto;overflow:visible}\
text{fill:var(--ink);font:13px system-ui,sans-serif}\
.name{text-anchor:end;font-family:ui-monospace,monospace}\
.tick{text-anchor:middle;fill:var(--soft);font-size:11px}\
.figures{font-variant-numeric:tabular-nums}\
.note{text-anchor:end;fill:var(--soft);font-size:12px}\
.grid{stroke:var(--grid)}\
.half{fill:var(--half)}.tail{fill:var(--tail)}.median,.end{fill:var(--median)}";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Panel, Row, page, scale};
    use crate::percentiles::Percentiles;

    fn panel(name: &str, micros: [u64; 3]) -> Panel {
        let [median, p99, max] = micros.map(Duration::from_micros);
        let row = Row { name: name.to_string(), late: Percentiles { median, p99, max }, note: String::new() };
        Panel { title: "load".to_string(), subtitle: "late".to_string(), rows: vec![row] }
    }

    #[test]
    fn the_axis_ends_at_a_round_figure_above_the_largest_p99() {
        assert_eq!(scale(&panel("a", [1, 860, 9000])), (200.0, 1000.0));
        assert_eq!(scale(&panel("a", [1, 1000, 1000])), (200.0, 1000.0));
        assert_eq!(scale(&panel("a", [0, 0, 0])).1, 1.0, "nothing is divided by zero");
    }

    #[test]
    fn names_are_text_and_nothing_lies_outside_of_the_chart() {
        let drawn = page("<title>", &[panel("<a & 'b'>", [10, 20, 999_999])]);
        assert!(drawn.contains("&lt;a &amp; &#39;b&#39;>") && !drawn.contains("<a &"));
        assert!(drawn.contains("10 \u{b7} 20 \u{b7} 999999"), "the maximum is written");
        assert!(!drawn.contains("http") && !drawn.contains("<script"), "the page stands alone");
    }
}
