//! Puts the same loads on a loop under each preset and says how late things are: a table, and a page that draws it.
//!
//! `schedules [--rounds 5] [--brief] [--html FILE]`. The presets take turns, A B C A B C. See `benches/README.md`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use phaseloop_benches::drawing;
use phaseloop_benches::percentiles::Percentiles;
use phaseloop_benches::phase_scheduling::{LOADS, Load, PRESETS, QUESTIONS};

const USAGE: &str = "usage: schedules [--rounds 5] [--brief] [--html FILE]";

struct Options {
    rounds: usize,
    is_brief: bool,
    html: PathBuf,
}

/// What one preset showed in one load.
struct Shown {
    preset: String,
    /// By series, all rounds together.
    late: Vec<(&'static str, Vec<Duration>)>,
    /// The median of the first series in each round.
    medians: Vec<Duration>,
    ratios: Vec<(&'static str, f64)>,
}

fn main() -> ExitCode {
    let Some(options) = parse(std::env::args().skip(1)) else {
        let _ = writeln!(io::stderr(), "{USAGE}"); // nowhere is left to say it
        return ExitCode::FAILURE;
    };
    match show(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "schedules: {error}"); // nowhere is left to say it
            ExitCode::FAILURE
        }
    }
}

fn show(options: &Options) -> io::Result<()> {
    let mut out = io::stdout();
    let mut panels = Vec::new();
    for (question, (about, load)) in QUESTIONS.iter().zip(LOADS) {
        let ops = if options.is_brief { question.brief } else { question.full };
        let shown = measure(*load, ops, question.brief, options.rounds);
        let operation = question.operation;
        let name = question.name;
        writeln!(out, "\n{name}: {about}; a {operation}, {ops} a round, {} rounds", options.rounds)?;
        panels.extend(print(&mut out, about, &shown)?);
    }
    if let Some(folder) = options.html.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&options.html, drawing::page("Phase scheduling", &panels))?;
    writeln!(out, "\ndrawn in {}", options.html.display())
}

/// Asks every preset in turn, after a small run of each that only checks the answer.
fn measure(load: Load, ops: u64, brief: u64, rounds: usize) -> Vec<Shown> {
    let mut shown: Vec<Shown> = PRESETS.iter().map(|preset| Shown::new(preset().name.into_owned())).collect();
    for preset in PRESETS {
        load(preset(), brief);
    }
    for _ in 0..rounds {
        for (preset, shown) in PRESETS.iter().zip(&mut shown) {
            let observed = load(preset(), ops);
            shown.ratios.extend(observed.ratio);
            for (at, series) in observed.series.into_iter().enumerate() {
                if at == 0 {
                    shown.medians.push(Percentiles::of(series.late.clone()).median);
                }
                match shown.late.get_mut(at) {
                    Some((_, late)) => late.extend(series.late),
                    None => shown.late.push((series.name, series.late)),
                }
            }
        }
    }
    shown
}

impl Shown {
    fn new(preset: String) -> Self {
        Self { preset, late: Vec::new(), medians: Vec::new(), ratios: Vec::new() }
    }

    /// The lowest and the highest median of a round, in microseconds.
    fn spread(&self) -> String {
        let (low, high) = (self.medians.iter().min(), self.medians.iter().max());
        low.zip(high)
            .map_or(String::new(), |(low, high)| format!("{} - {}", low.as_micros(), high.as_micros()))
    }

    /// The mean of what was counted, with its name.
    fn ratio(&self) -> Option<String> {
        let (name, _) = self.ratios.first()?;
        let sum: f64 = self.ratios.iter().map(|(_, ratio)| ratio).sum();
        Some(format!("{:.1} {name}", sum / self.ratios.len() as f64))
    }
}

/// Prints a load's tables, one a series, and gives what is to be drawn of them.
fn print(out: &mut impl Write, load: &str, shown: &[Shown]) -> io::Result<Vec<drawing::Panel>> {
    let mut panels = Vec::new();
    let names = shown.first().map_or(&[][..], |first| &first.late);
    for (at, (name, _)) in names.iter().enumerate() {
        writeln!(out, "  {name}, us")?;
        writeln!(out, "  {:<12} {:>7} {:>15} {:>7} {:>7}", "", "p50", "of rounds", "p99", "max")?;
        let mut panel =
            drawing::Panel { title: load.to_string(), subtitle: (*name).to_string(), rows: Vec::new() };
        for preset in shown {
            let late = Percentiles::of(preset.late[at].1.clone());
            let (spread, ratio) =
                if at == 0 { (preset.spread(), preset.ratio()) } else { Default::default() };
            let [p50, p99, max] = late.micros();
            let note = ratio.clone().unwrap_or_default();
            writeln!(out, "  {:<12} {p50:>7.0} {spread:>15} {p99:>7.0} {max:>7.0}   {note}", preset.preset)?;
            panel.rows.push(drawing::Row { name: preset.preset.clone(), late, note });
        }
        panels.push(panel);
    }
    out.flush()?;
    Ok(panels)
}

fn parse(mut args: impl Iterator<Item = String>) -> Option<Options> {
    let html = PathBuf::from("target/phase_scheduling.html");
    let mut options = Options { rounds: 5, is_brief: false, html };
    while let Some(word) = args.next() {
        match word.as_str() {
            "--rounds" => options.rounds = args.next()?.parse().ok().filter(|rounds| *rounds > 0)?,
            "--brief" => options.is_brief = true,
            "--html" => options.html = PathBuf::from(args.next()?),
            _ => return None,
        }
    }
    Some(options)
}
