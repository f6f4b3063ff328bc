//! The questions as criterion benches: a measurement that is the question's own figure, not the time on the wall.

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{Criterion, SamplingMode, Throughput};

use crate::question::{Contestant, Question, Unit};

/// Asks `questions` of every contestant, in the way that `main` of a bench file does.
///
/// With `--test`, or run by `cargo test --benches` as in CI, each runs once with its brief size. Criterion does not interleave contestants: for ratios,
/// use `compare`.
pub fn run(questions: &'static [Question]) {
    if crate::child::run_if_child() {
        return;
    }
    // As criterion decides it: `cargo test --benches` leaves `--bench` away.
    let has = |flag: &str| std::env::args().any(|arg| arg == flag);
    let is_brief = has("--test") || !has("--bench");
    for question in questions {
        let criterion = Criterion::default()
            .without_plots()
            .sample_size(10)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(5))
            .with_measurement(Figure { unit: question.unit })
            .configure_from_args();
        ask(criterion, question, if is_brief { question.brief } else { question.full });
    }
    Criterion::default().configure_from_args().final_summary();
}

fn ask(mut criterion: Criterion<Figure>, question: &'static Question, ops: u64) {
    let mut group = criterion.benchmark_group(question.name);
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(1));
    for contestant in question.contestants {
        group.bench_function(contestant.name, |bencher| {
            bencher.iter_custom(|iterations| sum(question, contestant, ops, iterations));
        });
    }
    group.finish();
}

/// The sum of the figures of several runs, as criterion wants it: it divides by the number of iterations.
fn sum(question: &Question, contestant: &Contestant, ops: u64, iterations: u64) -> f64 {
    (0..iterations).map(|_| (contestant.run)(ops).figure(question.unit)).sum()
}

/// Criterion's measurement of a question: the cost of one operation in the question's unit.
pub struct Figure {
    unit: Unit,
}

impl Measurement for Figure {
    type Intermediate = ();
    type Value = f64;

    fn start(&self) {}

    fn end(&self, (): ()) -> f64 {
        unreachable!("every bench brings its own figures by iter_custom")
    }

    fn add(&self, a: &f64, b: &f64) -> f64 {
        a + b
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        match self.unit {
            Unit::CpuNs => &Label("ns CPU"),
            Unit::CpuUs => &Label("us CPU"),
            Unit::WallUs => &Label("us wall"),
            Unit::Bytes => &Label("B RSS"),
        }
    }
}

/// Prints figures with a unit and never scales them, so that tables can be read side by side.
struct Label(&'static str);

impl ValueFormatter for Label {
    fn scale_values(&self, _typical: f64, _values: &mut [f64]) -> &'static str {
        self.0
    }

    fn scale_throughputs(&self, _typical: f64, _: &Throughput, _values: &mut [f64]) -> &'static str {
        self.0
    }

    fn scale_for_machines(&self, _values: &mut [f64]) -> &'static str {
        self.0
    }
}
