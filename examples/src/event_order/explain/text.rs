//! A run, and two of them, as lines of text.

use super::compare::Comparison;
use super::profile::Profile;
use super::rules::Knob;
use super::script::Script;
use super::timeline::{Entry, Role, Timeline};
use crate::page::Page;

/// Writes a trace, with the turn, the phase and the queue beside each entry.
pub fn explain(page: &Page, script: &Script, profile: &Profile, timeline: &Timeline) {
    page.headline(&format!("{}, as {} runs it ({})", script.title, profile.title, profile.name), true);
    page.line(&script.about);
    if let Some(note) = profile.foreign_to(script) {
        page.line(note);
    }
    page.line("");
    page.line(page.paint("1", "      turn  phase    queue        label"));
    for entry in &timeline.entries {
        page.line(line(entry));
    }
    page.line("");
    page.line("Turn 0 is before the first one. Indented: run at the checkpoint after the callback above.");
    if timeline.entries.iter().any(|entry| entry.number.is_none()) {
        page.line("In brackets: a callback that records nothing.");
    }
}

/// Writes two traces side by side, with a mark and the rule wherever they part.
pub fn compare(page: &Page, script: &Script, comparison: &Comparison) {
    let [one, other] = comparison.profiles;
    page.headline(&format!("{}: {} and {}", script.title, one.name, other.name), true);
    page.line(&script.about);
    for note in comparison.profiles.iter().filter_map(|profile| profile.foreign_to(script)) {
        page.line(note);
    }
    page.line("");
    let traces = [comparison.timelines[0].trace(), comparison.timelines[1].trace()];
    let width = traces[0].iter().map(|entry| cell(entry).chars().count()).max();
    let width = width.unwrap_or(0).max(one.name.len() + 15);
    page.line(page.paint("1", &format!("      {:width$}  {}", one.name, other.name)));
    for (index, row) in comparison.rows.iter().enumerate() {
        if let Some(parting) = comparison.partings.iter().find(|parting| parting.rows.start == index) {
            page.line(page.paint("33", &format!("----  they part: {}", rules(&parting.knobs))));
        }
        let cells =
            [0, 1].map(|side| row.indices[side].map(|index| cell(traces[side][index])).unwrap_or_default());
        let parts = comparison.partings.iter().any(|parting| parting.rows.contains(&index));
        let mark = if parts { "*" } else { " " };
        let line = format!("{mark} {:>2}  {:width$}  {}", index + 1, cells[0], cells[1]);
        page.line(if parts { page.paint("33", line.trim_end()) } else { line.trim_end().to_owned() });
    }
    page.line("");
    verdict(page, comparison);
}

fn verdict(page: &Page, comparison: &Comparison) {
    let [one, other] = comparison.profiles;
    let Some(first) = comparison.first_difference() else {
        page.line(format!("{} and {} have the same order here.", one.name, other.name));
        match comparison.displaced() {
            0 => page.line("Each label has the same turn, phase and queue too."),
            count => page.line(format!("The turn or the phase of {count} labels differs.")),
        }
        return;
    };
    let times = match comparison.partings.len() {
        1 => String::new(),
        times => format!(", and {} more times", times - 1),
    };
    page.line(format!(
        "They part at entry {first}{times}. With these rules of {}, {} has its order:",
        other.name, one.name
    ));
    for knob in &comparison.knobs {
        page.line("");
        page.line(page.paint("1", &format!("  {}  {}", knob.rules, knob.field)));
        page.line(format!("      {}", knob.about));
        for (profile, timeline) in comparison.profiles.iter().zip(&comparison.timelines) {
            page.line(format!("      {}: {}", profile.name, knob.value(&timeline.recipe)));
        }
    }
}

/// The rules of some knobs, in words.
pub fn rules(knobs: &[Knob]) -> String {
    let rules: Vec<_> = knobs.iter().map(|knob| knob.rules).collect();
    rules.join("; ")
}

fn line(entry: &Entry) -> String {
    let number = entry.number.map_or(String::new(), |number| number.to_string());
    let indent = if entry.role == Role::Callback { "" } else { "  " };
    let text = if entry.number.is_some() { entry.text.clone() } else { format!("({})", entry.text) };
    let Entry { place, .. } = entry;
    let queue = entry.queue_name();
    format!("{number:>4}  {:>4}  {:7}  {queue:11}  {indent}{text}", place.turn, entry.phase_name())
}

/// An entry in one column of two.
fn cell(entry: &Entry) -> String {
    let indent = if entry.role == Role::Callback { "" } else { "  " };
    format!("{:>2} {:7} {indent}{}", entry.place.turn, entry.phase_name(), entry.text)
}
