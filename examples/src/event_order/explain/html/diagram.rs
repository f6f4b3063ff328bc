//! The lanes: one for the main program and one for each phase, in the order of the turn; time goes down.

use std::fmt::Write;

use phaseloop::{Drain, ListTimers, Phase, QueueKind};

use super::super::cause::Kind;
use super::super::compare::{Comparison, Parting, Row};
use super::super::text::rules;
use super::super::timeline::{Entry, Role, Timeline, phases_used};
use super::{escape, row_id};

/// One run among those that share the page.
pub(super) struct Diagram<'a> {
    /// All runs of the page: a lane in which any of them has something is wide.
    pub(super) timelines: &'a [&'a Timeline],
    /// Which of them this is.
    pub(super) index: usize,
    /// How an entry of the trace, by its index, stands to the other run.
    pub(super) marks: &'a dyn Fn(usize) -> Mark,
}

/// How an entry stands to another run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// It has nothing beside it there.
    is_moved: bool,
    /// What is to be said before it, because the runs part there.
    before: Vec<String>,
    /// The same behind it, if nothing follows.
    after: Vec<String>,
}

impl Mark {
    /// The mark of entry `index` of one side.
    pub(super) fn of(comparison: &Comparison, side: usize, index: usize) -> Self {
        let row_of = |index: usize| comparison.rows.iter().position(|row| row.indices[side] == Some(index));
        let Some(row) = row_of(index) else { return Self::default() };
        let first_row = index.checked_sub(1).and_then(row_of).map_or(0, |row| row + 1);
        let is_last = row_of(index + 1).is_none();
        let said = |from: usize, to: usize| -> Vec<String> {
            let starts =
                comparison.partings.iter().filter(|parting| (from..to).contains(&parting.rows.start));
            starts.map(|parting| sentence(comparison, side, parting)).collect()
        };
        let is_moved = comparison.rows[row].indices[1 - side].is_none();
        let after = if is_last { said(row + 1, comparison.rows.len()) } else { Vec::new() };
        Self { is_moved, before: said(first_row, row + 1), after }
    }
}

/// What is said where the runs part, on one side.
fn sentence(comparison: &Comparison, side: usize, parting: &Parting) -> String {
    let rules = rules(&parting.knobs);
    let other = comparison.profiles[1 - side];
    let rows = &comparison.rows[parting.rows.clone()];
    let theirs: Vec<usize> = rows.iter().filter_map(|row| row.indices[1 - side]).collect();
    match theirs.first().and_then(|index| comparison.traces[1 - side].get(*index)) {
        Some(label) if theirs.len() == 1 => format!("{rules}: {} has “{}” here", other.title, label),
        Some(label) => {
            format!("{rules}: {} has “{}” and {} more here", other.title, label, theirs.len() - 1)
        }
        None => format!("{rules}: {} in {}", when(comparison, side, rows), other.title),
    }
}

/// When the other run has what is first in `rows`, seen from here.
fn when(comparison: &Comparison, side: usize, rows: &[Row]) -> &'static str {
    let Some(index) = rows.iter().find_map(|row| row.indices[side]) else { return "not here" };
    let same = |row: &&Row| {
        let other = row.indices[1 - side].filter(|_| row.indices[side].is_none());
        other.is_some_and(|other| comparison.traces[1 - side][other] == comparison.traces[side][index])
    };
    let here = comparison.rows.iter().position(|row| row.indices[side] == Some(index)).unwrap_or(0);
    match (
        comparison.rows[..here].iter().any(|row| same(&row)),
        comparison.rows[here..].iter().any(|row| same(&row)),
    ) {
        (true, _) => "earlier",
        (false, true) => "later",
        (false, false) => "never",
    }
}

/// A column of the diagram.
struct Lane {
    name: String,
    is_used: bool,
}

/// Pixels for a lane with labels, and for one without.
const LANE: usize = 150;
const BARE_LANE: usize = 21;
const RAIL: usize = 17;

impl Diagram<'_> {
    /// Below this width lanes are rails.
    pub(super) fn width_min(&self) -> usize {
        self.lanes().iter().map(|lane| 4 + if lane.is_used { LANE } else { BARE_LANE }).sum()
    }

    pub(super) fn html(&self) -> String {
        let lanes = self.lanes();
        let (body, rows) = self.body();
        let wide: Vec<_> =
            lanes.iter().map(|lane| if lane.is_used { "minmax(0,1fr)" } else { "21px" }).collect();
        let mut html = format!(
            "<div class=\"stage\"><div class=\"diagram\" style=\"--wide:{};--rails:repeat({lanes},{RAIL}px) minmax(0,1fr);\
             --lanes:{lanes};--rows:{rows}\">",
            wide.join(" "),
            lanes = lanes.len()
        );
        for (index, lane) in lanes.iter().enumerate() {
            let bare = if lane.is_used { "" } else { " bare" };
            let (name, title, lane) = (&lane.name, self.title(&lane.name), index + 1);
            let _ = write!(
                html,
                "<div class=\"lane {name}{bare}\" style=\"--lane:{lane}\" aria-hidden=\"true\"></div>"
            );
            let _ = write!(
                html,
                "<div class=\"name {name}{bare}\" style=\"--lane:{lane}\" aria-hidden=\"true\">{title}</div>"
            );
        }
        html + "<svg class=\"way\" aria-hidden=\"true\"><path/></svg>" + &body + "</div></div>"
    }

    /// The turns and callbacks, and the number of grid rows that they take.
    fn body(&self) -> (String, usize) {
        let lanes = self.lanes();
        let (mut html, mut row, mut turn, mut index) = (String::new(), 1, None, 0);
        for callback in self.timeline().callbacks() {
            let Some(first) = callback.first() else { continue };
            if turn.as_ref() != Some(&first.turn_name()) {
                row += 1;
                turn = Some(first.turn_name());
                let name = first.turn_name();
                let _ = write!(html, "<h3 class=\"turn\" style=\"grid-row:{row}\"><span>{name}</span></h3>");
            }
            row += 1;
            let lane =
                lanes.iter().position(|lane| lane.name == lane_name(first.place.phase)).unwrap_or(0) + 1;
            let name = lane_name(first.place.phase);
            let quiet = if callback.iter().all(|entry| entry.number.is_none()) { " quiet" } else { "" };
            let at = format!("style=\"--lane:{lane};grid-row:{row}\"");
            let _ = write!(html, "<i class=\"dot {name}{quiet}\" {at} aria-hidden=\"true\"></i>");
            let _ =
                write!(html, "<ol class=\"block {name}\" {at} aria-label=\"{name}, {}\">", first.turn_name());
            if first.role == Role::DrainedLate {
                let _ = write!(html, "<li class=\"late\">{}</li>", self.late(first));
            }
            for entry in callback {
                html += &self.chip(entry, index);
                index += 1;
            }
            html += "</ol>";
        }
        (html, row)
    }

    fn chip(&self, entry: &Entry, index: usize) -> String {
        let mark = entry.number.map(|number| (self.marks)(number - 1)).unwrap_or_default();
        let say = |lines: &[String]| -> String {
            lines.iter().map(|line| format!("<li class=\"parting\">{}</li>", escape(line))).collect()
        };
        let (label, queue) = (escape(&entry.text), entry.queue_name());
        let number = entry.number.map_or(String::new(), |number| format!("<b>{number}</b>"));
        format!(
            "{}<li class=\"chip {}\"><button type=\"button\" data-row=\"{}\" data-label=\"{label}\"><span>{}</span>{number}\
             <i class=\"vh\">{queue}</i></button></li>{}",
            say(&mark.before),
            classes(entry, &mark),
            row_id(self.index, index),
            breakable(&entry.text),
            say(&mark.after)
        )
    }

    /// What stands above a lane.
    fn title<'a>(&self, lane: &'a str) -> &'a str {
        let is_page = self.timeline().recipe.schedule.list_timers == ListTimers::Tasks;
        if is_page && lane == "check" { "tasks" } else { lane }
    }

    /// When queues drain that do not after each callback.
    fn late(&self, entry: &Entry) -> &'static str {
        let drain = entry.place.phase.map(|phase| self.timeline().recipe.drain_in(phase));
        if drain == Some(Drain::EachList) { "when the list is over" } else { "when the phase is over" }
    }

    fn timeline(&self) -> &Timeline {
        self.timelines[self.index]
    }

    /// The main program, then the phases of a turn.
    fn lanes(&self) -> Vec<Lane> {
        let used = phases_used(self.timelines);
        let main = Lane { name: lane_name(None), is_used: true };
        let turn = self.timeline().recipe.schedule.turn.iter();
        let phases = turn.map(|phase| Lane { name: lane_name(Some(*phase)), is_used: used.contains(phase) });
        std::iter::once(main).chain(phases).collect()
    }
}

fn lane_name(phase: Option<Phase>) -> String {
    phase.map_or_else(|| "main".to_owned(), |phase| phase.to_string())
}

/// A label that may be broken behind its punctuation too.
fn breakable(label: &str) -> String {
    let parts: Vec<String> = label.split_inclusive([':', '.', '_', '-', '/']).map(escape).collect();
    parts.join("<wbr>")
}

fn classes(entry: &Entry, mark: &Mark) -> String {
    let mut classes = match entry.place.queue {
        QueueKind::Ticks => "drained tick",
        QueueKind::Microtasks => "drained microtask",
        QueueKind::Drained => "drained drained-hook",
        _ => "callback",
    }
    .to_owned();
    if entry.role == Role::Inside {
        classes = classes.replace("callback", "") + " inside";
    }
    let more = [
        (entry.cause.kind == Kind::Silent, " silent"),
        (matches!(entry.cause.kind, Kind::Uncaught | Kind::Unhandled), " problem"),
        (mark.is_moved, " moved"),
    ];
    classes.extend(more.iter().filter(|(holds, _)| *holds).map(|(_, class)| *class));
    classes
}
