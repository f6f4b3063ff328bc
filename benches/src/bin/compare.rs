//! Asks questions of every contestant in turn, A B C A B C, and prints how they stand.
//!
//! `compare [QUESTION...] [--rounds 5] [--peers a,b] [--core 0] [--brief] [--json] [--list]`. A question is named by
//! the beginning of its name. Each run is a fresh process; see `benches/README.md`.

use std::io::{self, Write};
use std::process::ExitCode;

use phaseloop_benches::child;
use phaseloop_benches::question::{Bound, Contestant, Goal, Question, Side};

const USAGE: &str =
    "usage: compare [QUESTION...] [--rounds 5] [--peers a,b] [--core 0|any] [--brief] [--json] [--list]";

struct Options {
    questions: Vec<String>,
    rounds: usize,
    peers: Option<Vec<String>>,
    core: Option<usize>,
    is_brief: bool,
    is_json: bool,
    is_list: bool,
}

/// One contestant's figures, in the question's unit.
struct Figures {
    contestant: &'static Contestant,
    /// In ascending order.
    figures: Vec<f64>,
    failure: Option<String>,
}

fn main() -> ExitCode {
    if child::run_if_child() {
        return ExitCode::SUCCESS;
    }
    let Some(options) = parse(std::env::args().skip(1)) else {
        let _ = writeln!(io::stderr(), "{USAGE}"); // nowhere is left to say it
        return ExitCode::FAILURE;
    };
    match compare(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "compare: {error}"); // nowhere is left to say it
            ExitCode::FAILURE
        }
    }
}

/// Returns whether every contestant answered.
fn compare(options: &Options) -> io::Result<bool> {
    let mut out = io::stdout();
    let questions: Vec<&'static Question> =
        phaseloop_benches::questions().into_iter().filter(|q| options.asks(q)).collect();
    if questions.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no question has such a name; see --list"));
    }
    let mut all_answered = true;
    for question in questions {
        if options.is_list {
            list(&mut out, question)?;
            continue;
        }
        let table = ask(question, options);
        all_answered &= table.iter().all(|row| row.failure.is_none());
        if options.is_json {
            writeln!(out, "{}", to_json(question, &table))?;
        } else {
            print(&mut out, question, &table, options)?;
        }
    }
    Ok(all_answered)
}

fn ask(question: &'static Question, options: &Options) -> Vec<Figures> {
    let ops = if options.is_brief { question.brief } else { question.full };
    let chosen = question.contestants.iter().filter(|c| options.admits(c));
    let mut table: Vec<Figures> =
        chosen.map(|contestant| Figures { contestant, figures: Vec::new(), failure: None }).collect();
    for row in &mut table {
        row.measure(question, question.brief, options); // checks the answer before anything is timed
        row.figures.clear();
    }
    for _ in 0..options.rounds {
        for row in &mut table {
            row.measure(question, ops, options);
        }
    }
    for row in &mut table {
        row.figures.sort_by(f64::total_cmp);
    }
    table
}

impl Figures {
    fn measure(&mut self, question: &'static Question, ops: u64, options: &Options) {
        if self.failure.is_some() {
            return;
        }
        match child::run(question, self.contestant, ops, options.core) {
            Ok(sample) => self.figures.push(sample.figure(question.unit)),
            Err(error) => self.failure = Some(error.to_string()),
        }
    }

    /// The middle figure, or the mean of the two in the middle.
    fn median(&self) -> Option<f64> {
        let len = self.figures.len();
        let (low, high) = (self.figures.get(len.checked_sub(1)? / 2)?, self.figures.get(len / 2)?);
        Some((low + high) / 2.0)
    }
}

/// The best peer's row.
fn best(table: &[Figures]) -> Option<(&Figures, f64)> {
    let peers = table.iter().filter(|row| row.contestant.side == Side::Peer);
    let medians = peers.filter_map(|row| Some((row, row.median()?)));
    medians.min_by(|a, b| a.1.total_cmp(&b.1))
}

fn median_of(table: &[Figures], name: &str) -> Option<f64> {
    table.iter().find(|row| row.contestant.name == name)?.median()
}

/// The figure that a goal asks for in this run. `None` if the peer it names was not asked.
fn target(goal: &Goal, table: &[Figures]) -> Option<f64> {
    match goal.bound {
        Bound::TimesBest(ratio) => Some(ratio * best(table)?.1),
        Bound::Times(ratio, peer) => Some(ratio * median_of(table, peer)?),
        Bound::AtMost(figure) => Some(figure),
    }
}

fn print(out: &mut impl Write, question: &Question, table: &[Figures], options: &Options) -> io::Result<()> {
    let ops = if options.is_brief { question.brief } else { question.full };
    writeln!(
        out,
        "\n{}: {} a {}, {ops} a run, {} rounds",
        question.name,
        question.unit.label(),
        question.operation,
        options.rounds
    )?;
    writeln!(out, "  {:<20} {:>10} {:>21} {:>12}", "", "median", "min - max", "/ best peer")?;
    let best_median = best(table).map(|(_, median)| median);
    for row in table {
        print_row(out, row, best_median)?;
    }
    for goal in question.goals {
        print_goal(out, goal, table)?;
    }
    out.flush()
}

fn print_row(out: &mut impl Write, row: &Figures, best_median: Option<f64>) -> io::Result<()> {
    let name = row.contestant.name;
    if let Some(failure) = &row.failure {
        return writeln!(out, "  {name:<20} failed: {failure}");
    }
    let (Some(median), Some(min), Some(max)) = (row.median(), row.figures.first(), row.figures.last()) else {
        return writeln!(out, "  {name:<20} was not asked");
    };
    let spread = format!("{} - {}", digits(*min), digits(*max));
    let ratio = best_median.map_or(String::new(), |best| format!("{:.2}", median / best));
    writeln!(out, "  {name:<20} {:>10} {spread:>21} {ratio:>12}", digits(median))
}

fn print_goal(out: &mut impl Write, goal: &Goal, table: &[Figures]) -> io::Result<()> {
    let wish = match goal.bound {
        Bound::TimesBest(ratio) => format!("{ratio} of the best peer"),
        Bound::Times(ratio, peer) => format!("{ratio} of {peer}"),
        Bound::AtMost(figure) => format!("{figure}"),
    };
    let Some(target) = target(goal, table) else {
        return writeln!(out, "  goal of {}: at most {wish}, which was not asked", goal.of);
    };
    let verdict = match median_of(table, goal.of) {
        Some(median) if median <= target => "reached",
        Some(_) => "missed",
        None => "no figure",
    };
    writeln!(out, "  goal of {}: at most {wish}, here {}: {verdict}", goal.of, digits(target))
}

/// Three digits that count, or all before the point.
fn digits(figure: f64) -> String {
    match figure {
        f if f >= 100.0 => format!("{f:.0}"),
        f if f >= 10.0 => format!("{f:.1}"),
        f => format!("{f:.2}"),
    }
}

fn to_json(question: &Question, table: &[Figures]) -> serde_json::Value {
    let best_median = best(table).map(|(_, median)| median);
    let rows = table.iter().map(|row| {
        serde_json::json!({
            "contestant": row.contestant.name,
            "side": format!("{:?}", row.contestant.side).to_lowercase(),
            "median": row.median(),
            "min": row.figures.first(),
            "max": row.figures.last(),
            "figures": row.figures,
            "ratio_to_best_peer": row.median().zip(best_median).map(|(median, best)| median / best),
            "failure": row.failure,
        })
    });
    let goals = question.goals.iter().map(|goal| {
        let target = target(goal, table);
        let reached = median_of(table, goal.of).zip(target).map(|(median, target)| median <= target);
        serde_json::json!({ "of": goal.of, "at_most": target, "reached": reached })
    });
    serde_json::json!({
        "question": question.name,
        "unit": question.unit.label(),
        "operation": question.operation,
        "contestants": rows.collect::<Vec<_>>(),
        "goals": goals.collect::<Vec<_>>(),
    })
}

fn list(out: &mut impl Write, question: &Question) -> io::Result<()> {
    let names: Vec<&str> = question.contestants.iter().map(|c| c.name).collect();
    writeln!(out, "{:<24} {:<8} {}", question.name, question.unit.label(), names.join(" "))
}

impl Options {
    fn asks(&self, question: &Question) -> bool {
        self.questions.is_empty()
            || self.questions.iter().any(|name| question.name.starts_with(name.as_str()))
    }

    /// phaseloop is always asked; the others can be chosen.
    fn admits(&self, contestant: &Contestant) -> bool {
        let Some(peers) = &self.peers else { return true };
        contestant.side == Side::Ours || peers.iter().any(|name| name == contestant.name)
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        questions: Vec::new(),
        rounds: 5,
        peers: None,
        core: Some(0),
        is_brief: false,
        is_json: false,
        is_list: false,
    };
    while let Some(word) = args.next() {
        match word.as_str() {
            "--rounds" => options.rounds = args.next()?.parse().ok().filter(|rounds| *rounds > 0)?,
            "--peers" => options.peers = Some(args.next()?.split(',').map(str::to_string).collect()),
            "--core" => {
                options.core = match args.next()?.as_str() {
                    "any" => None,
                    core => Some(core.parse().ok()?),
                }
            }
            "--brief" => options.is_brief = true,
            "--json" => options.is_json = true,
            "--list" => options.is_list = true,
            flag if flag.starts_with('-') => return None,
            name => options.questions.push(name.to_string()),
        }
    }
    Some(options)
}
