//! A run as a page: one file that needs nothing else, with the phases as lanes.
//!
//! Everything that comes from a scenario goes through [`escape`]. The page is complete without its script, which shows
//! the reason beside a label, draws the way of the loop and replays it.

use std::fmt::Write;

use super::compare::Comparison;
use super::profile::Profile;
use super::script::Script;
use super::timeline::{Entry, Timeline};

mod diagram;

use diagram::{Diagram, Mark};

const STYLE: &str = include_str!("page.css");
const RAILS: &str = include_str!("rails.css");
const CODE: &str = include_str!("page.js");

/// The page of one run.
pub fn explain(script: &Script, profile: &Profile, timeline: &Timeline) -> String {
    let diagram = Diagram { timelines: &[timeline], index: 0, marks: &|_| Mark::default() };
    let title = format!("{} <em>as {} runs it</em>", escape(&script.title), escape(profile.title));
    let mut page = head(&format!("{}: {}", profile.name, script.title), &diagram);
    page += &header(&title, script, &[profile]);
    let _ = write!(page, "<li>profile <b>{}</b></li>", escape(profile.name));
    let _ = write!(page, "<li><b>{}</b> labels</li>", timeline.trace().len());
    let _ = write!(page, "<li>{}</li>", turns(timeline));
    page += REPLAY;
    page += "<main><div class=\"layout one\">";
    let _ = write!(page, "<section aria-label=\"The run\">{}</section>", diagram.html());
    page += &source(script, &|_| false);
    page += "</div>";
    page += &legend(false);
    page += &table(0, profile, timeline);
    page += "</main>";
    page + &foot()
}

/// The page of two runs side by side.
pub fn compare(script: &Script, comparison: &Comparison) -> String {
    let [one, other] = comparison.profiles;
    let timelines = [&comparison.timelines[0], &comparison.timelines[1]];
    let title =
        format!("{} <em>in {} and {}</em>", escape(&script.title), escape(one.title), escape(other.title));
    let marks = [0, 1].map(|side| move |index: usize| Mark::of(comparison, side, index));
    let diagrams = [0, 1].map(|index| Diagram { timelines: &timelines, index, marks: &marks[index] });
    let mut page = head(&format!("{} and {}: {}", one.name, other.name, script.title), &diagrams[0]);
    page += &header(&title, script, &comparison.profiles);
    for (profile, timeline) in comparison.profiles.iter().zip(timelines) {
        let (labels, turns) = (timeline.trace().len(), turns(timeline));
        let _ = write!(page, "<li>{} <b>{labels}</b> labels, {turns}</li>", escape(profile.name));
    }
    page += REPLAY;
    page += "<main><div class=\"layout\">";
    page += &verdict(comparison);
    page += "<div class=\"pair\">";
    for (profile, diagram) in comparison.profiles.iter().zip(&diagrams) {
        let (title, about) = (escape(profile.title), escape(profile.about));
        let _ = write!(page, "<section><h2>{title}<small>{about}</small></h2>{}</section>", diagram.html());
    }
    page += "</div>";
    page += &source(script, &|label| comparison.moves(label));
    page += "</div>";
    page += &legend(true);
    for (side, profile) in comparison.profiles.iter().enumerate() {
        page += &table(side, profile, timelines[side]);
    }
    page += "</main>";
    page + &foot()
}

const REPLAY: &str = "<li><button id=\"replay\" type=\"button\">Replay</button></li></ul></header>";

fn turns(timeline: &Timeline) -> String {
    let turns = timeline.turns();
    format!("<b>{turns}</b> turn{}", if turns == 1 { "" } else { "s" })
}

fn head(title: &str, diagram: &Diagram<'_>) -> String {
    // The lanes become rails where they would be too narrow for their labels.
    let rails = format!("@container (max-width: {}px) {{\n{RAILS}}}\n", diagram.width_min());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'\">\n<title>{}</title>\n<style>\n{STYLE}{rails}</style>\n</head>\n<body>\n\
         <div class=\"page\">\n",
        escape(title)
    )
}

fn header(title: &str, script: &Script, profiles: &[&Profile]) -> String {
    let foreign = profiles.iter().filter_map(|profile| profile.foreign_to(script));
    let notes: String = foreign.map(|note| format!("<p class=\"note\">{}</p>", escape(&note))).collect();
    format!(
        "<header><p class=\"over\">phaseloop · the order of events</p><h1>{title}</h1><p class=\"lede\">{}</p>{notes}\
         <ul class=\"facts\">",
        escape(&script.about)
    )
}

fn foot() -> String {
    format!(
        "<footer>Rules such as L6 are those of SEMANTICS.md. Written by <code>event_order --explain</code>, in virtual time: \
         the same order every time.</footer></div>\n<div id=\"detail\" role=\"status\"></div>\n<script>\n{CODE}</script>\n\
         </body>\n</html>\n"
    )
}

fn verdict(comparison: &Comparison) -> String {
    let [one, other] = comparison.profiles.map(|profile| escape(profile.title));
    let Some(first) = comparison.first_difference() else {
        return format!(
            "<section class=\"verdict same\"><h2>The same order</h2><p>No label runs earlier or later in {one} than in \
             {other}.</p></section>"
        );
    };
    let mut text = format!(
        "<section class=\"verdict\"><h2>They part at entry {first}</h2><p>Given only what stands below, {one} has the order \
         of {other}; found by running it so.</p><dl>"
    );
    for knob in &comparison.knobs {
        let values = comparison.profiles.iter().zip(&comparison.timelines);
        let values = values.map(|(profile, timeline)| {
            format!("<span>{}: {}</span>", escape(profile.name), escape(&knob.value(&timeline.recipe)))
        });
        let _ = write!(
            text,
            "<div><dt><span class=\"rule\">{}</span><code>{}</code></dt><dd>{}<div class=\"values\">{}</div></dd></div>",
            escape(knob.rules),
            escape(knob.field),
            escape(knob.about),
            values.collect::<String>()
        );
    }
    text + "</dl></section>"
}

fn source(script: &Script, is_moved: &dyn Fn(&str) -> bool) -> String {
    let mut text = "<section class=\"source\"><h2>The script</h2><pre>".to_owned();
    for line in &script.lines {
        let label = line.label.as_deref();
        let moved = if label.is_some_and(is_moved) { " class=\"moved\"" } else { "" };
        let data = label.map_or(String::new(), |label| format!(" data-label=\"{}\"", escape(label)));
        let _ =
            write!(text, "<code{moved}{data} style=\"--depth:{}\">{}</code>", line.depth, escape(&line.code));
    }
    text + "</pre></section>"
}

fn legend(is_pair: bool) -> String {
    let moved =
        if is_pair { "<li><i class=\"sign-moved\"></i>stands elsewhere on the other side</li>" } else { "" };
    format!(
        "<section class=\"legend\"><h2>How to read it</h2><ul>\
         <li><i class=\"sign-callback\"></i>a callback, in the lane of its phase</li>\
         <li><i class=\"sign-tick\" style=\"--kind:var(--tick)\"></i>a tick, run at the checkpoint after it</li>\
         <li><i class=\"sign-microtask\" style=\"--kind:var(--microtask)\"></i>a microtask, run there when ticks are empty</li>\
         <li><i class=\"sign-silent\"></i>a callback that records nothing</li>{moved}\
         <li>Time goes down; the lanes are a turn, from left to right. A turn in which nothing is recorded is left out. Tab or the arrow keys go through it.</li></ul></section>"
    )
}

/// The run as a table: for who can not see the lanes, and what the script shows beside a label.
fn table(side: usize, profile: &Profile, timeline: &Timeline) -> String {
    let mut text = format!(
        "<details><summary>As a table: {}</summary><div class=\"scroll\"><table><thead><tr><th>#</th><th>label</th>\
         <th>turn</th><th>phase</th><th>queue</th><th>from</th><th>why there</th><th>rules</th></tr></thead><tbody>",
        escape(profile.title)
    );
    for (index, entry) in timeline.entries.iter().enumerate() {
        let number = entry.number.map_or(String::new(), |number| number.to_string());
        let cells = [
            number,
            escape(&entry.text),
            entry.turn_name(),
            entry.phase_name(),
            entry.queue_name().to_owned(),
            escape(&origin(entry)),
            escape(&entry.why.text),
            escape(&entry.why.rules),
        ];
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        let _ = write!(text, "<tr id=\"{}\">{cells}</tr>", row_id(side, index));
    }
    text + "</tbody></table></div></details>"
}

fn origin(entry: &Entry) -> String {
    let name = entry.cause.kind.name();
    match &entry.cause.parent {
        Some(parent) => format!("{name}, from “{parent}”"),
        None => name.to_owned(),
    }
}

fn row_id(side: usize, index: usize) -> String {
    format!("r{side}-{index}")
}

/// Text as HTML, for elements and for attributes in quotes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}
