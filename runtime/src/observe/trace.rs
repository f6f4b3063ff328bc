//! A timeline as Chrome's trace events.
//!
//! Source: "Trace Event Format", the object format with complete events (`X`) and metadata (`M`). Times are microseconds.

use std::io;
use std::time::Duration;

use super::timeline::Moment;
use crate::schedule::Phase;
use crate::state::place::QueueKind;
use crate::state::watch::What;

/// The lanes, from top to bottom.
const LANES: [(&str, Option<Phase>); 8] = [
    ("outside of the phases", None),
    ("timers", Some(Phase::Timers)),
    ("pending", Some(Phase::Pending)),
    ("idle", Some(Phase::Idle)),
    ("prepare", Some(Phase::Prepare)),
    ("poll", Some(Phase::Poll)),
    ("check", Some(Phase::Check)),
    ("close", Some(Phase::Close)),
];

pub(super) fn write(out: &mut dyn io::Write, moments: &[Moment], lost: u64) -> io::Result<()> {
    write!(out, "{{\"displayTimeUnit\":\"ms\",\"otherData\":{{\"lost\":{lost}}},\"traceEvents\":[")?;
    write!(
        out,
        "\n{{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{{\"name\":\"phaseloop\"}}}}"
    )?;
    for (lane, (name, _)) in LANES.iter().enumerate() {
        let begin = format!("{{\"ph\":\"M\",\"pid\":1,\"tid\":{lane}");
        write!(out, ",\n{begin},\"name\":\"thread_name\",\"args\":{{\"name\":\"{name}\"}}}}")?;
        write!(out, ",\n{begin},\"name\":\"thread_sort_index\",\"args\":{{\"sort_index\":{lane}}}}}")?;
    }
    for moment in moments {
        write_moment(out, moment)?;
    }
    writeln!(out, "\n]}}")
}

fn write_moment(out: &mut dyn io::Write, moment: &Moment) -> io::Result<()> {
    let lane = LANES.iter().position(|(_, phase)| *phase == moment.phase).unwrap_or(0);
    let (at, ran) = (micros(moment.at), micros(moment.ran));
    let (name, category) = (name(moment), moment.queue);
    write!(
        out,
        ",\n{{\"ph\":\"X\",\"pid\":1,\"tid\":{lane},\"ts\":{at},\"dur\":{ran},\"name\":\"{name}\",\"cat\":\"{category}\",\"args\":{{\"turn\":{}",
        moment.turn
    )?;
    if let Some(site) = moment.site {
        write!(out, ",\"site\":\"{}:{}:{}\"", escaped(site.file()), site.line(), site.column())?;
    }
    if let Some(waited) = moment.waited {
        write!(out, ",\"waited_us\":{}", micros(waited))?;
    }
    write!(out, "}}}}")
}

/// What it is, and the file and line where that is known: `task main.rs:12`.
fn name(moment: &Moment) -> String {
    let what = match (moment.what, moment.queue) {
        (What::Sleep, _) => "sleep".to_owned(),
        (What::Task, _) => "task".to_owned(),
        (What::Handle(kind), _) => format!("{kind:?}"),
        (What::Callback, QueueKind::Ticks) => "tick".to_owned(),
        (What::Callback, QueueKind::Microtasks) => "microtask".to_owned(),
        (What::Callback, QueueKind::Drained) => "drained hook".to_owned(),
        (What::Callback, QueueKind::Callbacks) => "callback".to_owned(),
    };
    match moment.site {
        Some(site) => {
            let file = site.file().rsplit(['/', '\\']).next().unwrap_or_default();
            format!("{what} {}:{}", escaped(file), site.line())
        }
        None => what,
    }
}

/// Microseconds with three digits behind the point.
fn micros(time: Duration) -> String {
    let nanos = time.as_nanos();
    format!("{}.{:03}", nanos / 1000, nanos % 1000)
}

/// A text within a JSON string.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '"' | '\\' => escaped.extend(['\\', char]),
            char if char < ' ' => escaped.push_str(&format!("\\u{:04x}", char as u32)),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{escaped, micros};

    #[test]
    fn names_of_files_can_not_end_a_string() {
        assert_eq!(escaped("a\"b\\c\n"), "a\\\"b\\\\c\\u000a");
    }

    #[test]
    fn nanoseconds_are_not_lost() {
        assert_eq!(micros(Duration::from_nanos(1_000_042)), "1000.042");
    }
}
