//! Two orders side by side: where they part, and by which rule.

use std::collections::BTreeSet;
use std::io;

use phaseloop_tests::scenario::Body;

use super::profile::Profile;
use super::rules::{Knob, mixed, responsible};
use super::script::Script;
use super::timeline::Timeline;

/// Two runs of one script.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Both profiles.
    pub profiles: [&'static Profile; 2],
    /// Both runs.
    pub timelines: [Timeline; 2],
    /// Both traces.
    pub traces: [Vec<String>; 2],
    /// The traces side by side, as indices into them.
    pub rows: Vec<Row>,
    /// Where they part, in order.
    pub partings: Vec<Parting>,
    /// The rules that lead from the one to the other.
    pub knobs: Vec<Knob>,
    moved: BTreeSet<String>,
}

/// An entry that both have, or one that has nothing beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The index in each trace.
    pub indices: [Option<usize>; 2],
}

/// Rows that follow each other and have nothing beside them.
#[derive(Clone, Debug)]
pub struct Parting {
    /// The first row and the one behind the last.
    pub rows: std::ops::Range<usize>,
    /// The rules behind it.
    pub knobs: Vec<Knob>,
}

impl Row {
    fn is_common(self) -> bool {
        self.indices.iter().all(Option::is_some)
    }
}

impl Comparison {
    /// Runs a script in both profiles, and finds what makes them differ.
    ///
    /// # Errors
    /// As [`Timeline::of`].
    pub fn of(script: &Script, profiles: [&'static Profile; 2]) -> io::Result<Self> {
        let timelines = [Timeline::of(script, profiles[0])?, Timeline::of(script, profiles[1])?];
        let traces = [texts(&timelines[0]), texts(&timelines[1])];
        let rows = align(&traces[0], &traces[1]);
        let knobs = responsible(&script.program, &timelines[0].recipe, &timelines[1].recipe)?;
        let partings = partings_of(&rows);
        let partings = partings.into_iter().map(|rows| Parting { rows, knobs: Vec::new() }).collect();
        let moved = moved(&rows, &traces[0], &traces[1]);
        let mut comparison = Self { profiles, timelines, traces, rows, partings, knobs, moved };
        comparison.attribute(&script.program)?;
        Ok(comparison)
    }

    /// True if both orders are the same.
    pub fn is_same(&self) -> bool {
        self.partings.is_empty()
    }

    /// The first entry at which the traces differ, from 1.
    pub fn first_difference(&self) -> Option<usize> {
        let first = self.partings.first()?;
        Some(self.rows[..first.rows.start].len() + 1)
    }

    /// How many labels that stand side by side ran in different places.
    pub fn displaced(&self) -> usize {
        let traces = [self.timelines[0].trace(), self.timelines[1].trace()];
        let place = |side: usize, row: &Row| Some(traces[side].get(row.indices[side]?)?.place);
        self.rows.iter().filter(|row| row.is_common() && place(0, row) != place(1, row)).count()
    }

    /// True if the label has nothing beside it somewhere.
    pub fn moves(&self, label: &str) -> bool {
        self.moved.contains(label)
    }

    /// The knob behind each parting: one without which what moved there is still out of place.
    fn attribute(&mut self, program: &Body) -> io::Result<()> {
        let [one, other] = [&self.timelines[0].recipe, &self.timelines[1].recipe];
        let traces = &self.traces;
        let mut moved_without = Vec::new();
        for index in 0..self.knobs.len() {
            let mut fewer = self.knobs.clone();
            fewer.remove(index);
            let trace = mixed(one, other, &fewer).trace(program)?;
            moved_without.push(moved(&align(&trace, &traces[1]), &trace, &traces[1]));
        }
        for parting in &mut self.partings {
            let here = moved(&self.rows[parting.rows.clone()], &traces[0], &traces[1]);
            let concerns =
                |(knob, moved): (&Knob, &BTreeSet<String>)| (!here.is_disjoint(moved)).then_some(*knob);
            parting.knobs = self.knobs.iter().zip(&moved_without).filter_map(concerns).collect();
            if parting.knobs.is_empty() {
                parting.knobs.clone_from(&self.knobs); // none alone: they do it together
            }
        }
        Ok(())
    }
}

fn texts(timeline: &Timeline) -> Vec<String> {
    timeline.trace().into_iter().map(|entry| entry.text.clone()).collect()
}

/// The labels of rows that have nothing beside them.
fn moved(rows: &[Row], one: &[String], other: &[String]) -> BTreeSet<String> {
    let lonely = rows.iter().filter(|row| !row.is_common());
    let label = |row: &Row| match row.indices {
        [Some(index), _] => one.get(index).cloned(),
        [None, Some(index)] => other.get(index).cloned(),
        [None, None] => None,
    };
    lonely.filter_map(label).collect()
}

fn partings_of(rows: &[Row]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::<std::ops::Range<usize>>::new();
    for (index, _) in rows.iter().enumerate().filter(|(_, row)| !row.is_common()) {
        match found.last_mut() {
            Some(last) if last.end == index => last.end += 1,
            _ => found.push(index..index + 1),
        }
    }
    found
}

/// The longest common subsequence, with what is not in it before what is. Quadratic: traces are bounded by
/// [`STEPS_MAX`](super::profile::STEPS_MAX).
fn align(one: &[String], other: &[String]) -> Vec<Row> {
    let width = other.len() + 1;
    // The length of the longest common subsequence of what is left of both.
    let mut lengths = vec![0_u32; (one.len() + 1) * width];
    for left in (0..one.len()).rev() {
        for right in (0..other.len()).rev() {
            lengths[left * width + right] = if one[left] == other[right] {
                lengths[(left + 1) * width + right + 1] + 1
            } else {
                lengths[(left + 1) * width + right].max(lengths[left * width + right + 1])
            };
        }
    }
    let (mut rows, mut left, mut right) = (Vec::new(), 0, 0);
    while left < one.len() || right < other.len() {
        let indices = match (one.get(left), other.get(right)) {
            (Some(a), Some(b)) if a == b => [Some(left), Some(right)],
            (Some(_), Some(_))
                if lengths[(left + 1) * width + right] >= lengths[left * width + right + 1] =>
            {
                [Some(left), None]
            }
            (Some(_), None) => [Some(left), None],
            _ => [None, Some(right)],
        };
        left += usize::from(indices[0].is_some());
        right += usize::from(indices[1].is_some());
        rows.push(Row { indices });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::{align, partings_of};

    #[test]
    fn what_both_have_stands_side_by_side() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let rows = align(&words("a b c d"), &words("a c b d e"));
        let indices: Vec<_> = rows.iter().map(|row| row.indices).collect();
        assert_eq!(
            indices,
            [
                [Some(0), Some(0)],
                [Some(1), None],
                [Some(2), Some(1)],
                [None, Some(2)],
                [Some(3), Some(3)],
                [None, Some(4)],
            ]
        );
        assert_eq!(partings_of(&rows), [1..2, 3..4, 5..6]);
    }
}
