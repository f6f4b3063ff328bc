//! Log lines: one a fact, as `key=value` or as JSON.

use std::fmt::{Display, Write as _};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::config::Level;

/// Writes log lines. What it is given holds no secret: it is the caller's to leave out bodies, headers and queries.
#[derive(Clone)]
pub struct Log {
    write: Rc<dyn Fn(&str)>,
    is_json: bool,
    level: Level,
    worker: Option<u32>,
}

impl Log {
    /// Lines for `write`, each without its end.
    pub fn new(is_json: bool, level: Level, write: impl Fn(&str) + 'static) -> Self {
        Self { write: Rc::new(write), is_json, level, worker: None }
    }

    /// The same, with the worker's number in each line.
    pub(crate) fn of_worker(&self, worker: u32) -> Self {
        Self { worker: Some(worker), ..self.clone() }
    }

    /// A line: an event and its facts.
    pub fn line(&self, level: Level, event: &str, facts: &[(&str, &dyn Display)]) {
        if level > self.level {
            return;
        }
        let at = now_ms();
        let worker = self.worker.unwrap_or_default();
        let named: Vec<_> = self
            .worker
            .iter()
            .map(|_| ("worker", &worker as &dyn Display))
            .chain(facts.iter().copied())
            .collect();
        let facts = &named[..];
        let line = if self.is_json { json(at, level, event, facts) } else { text(at, level, event, facts) };
        (self.write)(&line);
    }

    pub(crate) fn info(&self, event: &str, facts: &[(&str, &dyn Display)]) {
        self.line(Level::Info, event, facts);
    }

    pub(crate) fn warn(&self, event: &str, facts: &[(&str, &dyn Display)]) {
        self.line(Level::Warn, event, facts);
    }

    pub(crate) fn error(&self, event: &str, facts: &[(&str, &dyn Display)]) {
        self.line(Level::Error, event, facts);
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn json(at: i64, level: Level, event: &str, facts: &[(&str, &dyn Display)]) -> String {
    let mut line = Map::new();
    line.insert("at".into(), at.into());
    line.insert("level".into(), name(level).into());
    line.insert("event".into(), event.into());
    line.extend(facts.iter().map(|(key, value)| ((*key).to_owned(), Value::from(value.to_string()))));
    Value::Object(line).to_string()
}

/// Values with a space, a quote or a control character in them are quoted: a line stays a line.
fn text(at: i64, level: Level, event: &str, facts: &[(&str, &dyn Display)]) -> String {
    let mut line = format!("at={at} level={} event={event}", name(level));
    for (key, value) in facts {
        let value = value.to_string();
        let is_plain =
            !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
        let written =
            if is_plain { write!(line, " {key}={value}") } else { write!(line, " {key}={value:?}") };
        written.expect("a String takes all that is written");
    }
    line
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::{Level, Log};

    #[test]
    fn a_line_stays_a_line() {
        for is_json in [false, true] {
            let lines = Rc::new(RefCell::new(Vec::new()));
            let seen = Rc::clone(&lines);
            let log = Log::new(is_json, Level::Warn, move |line| seen.borrow_mut().push(line.to_owned()));
            log.warn("name", &[("who", &"a\nlevel=error \"b\""), ("n", &3)]);
            log.info("quiet", &[]);
            let lines = lines.borrow();
            assert_eq!(lines.len(), 1);
            assert!(!lines[0].contains('\n') && lines[0].contains(r#"a\nlevel=error \"b\""#), "{}", lines[0]);
        }
    }
}
