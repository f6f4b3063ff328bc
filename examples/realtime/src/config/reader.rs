//! Variables one by one, and what is wrong with them.

use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::Mistakes;
use super::secret::Secret;

/// Reads variables; what is wrong is kept, and a default goes on in its place.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
    mistakes: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Self { lookup, mistakes: Vec::new() }
    }

    /// An empty variable is as good as none.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let value = (self.lookup)(name).filter(|value| !value.is_empty())?;
        match value.into_string() {
            Ok(text) => Some(text),
            Err(_) => {
                self.wrong(name, "it is not UTF-8");
                None
            }
        }
    }

    pub(super) fn secret(&mut self, name: &str) -> Option<Secret> {
        self.text(name).map(Secret::new)
    }

    pub(super) fn parsed<T: FromStr>(&mut self, name: &str, what: &str, default: T) -> T {
        let Some(text) = self.text(name) else { return default };
        text.parse().unwrap_or_else(|_| {
            self.mistakes.push(format!("{name}={text:?}: it must be {what}"));
            default
        })
    }

    pub(super) fn number<T>(&mut self, name: &str, range: RangeInclusive<T>, default: T) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let Some(text) = self.text(name) else { return default };
        text.parse().ok().filter(|number| range.contains(number)).unwrap_or_else(|| {
            let (from, to) = (range.start(), range.end());
            self.mistakes.push(format!("{name}={text:?}: it must be a whole number from {from} to {to}"));
            default
        })
    }

    pub(super) fn millis(&mut self, name: &str, range: RangeInclusive<u64>, default: u64) -> Duration {
        Duration::from_millis(self.number(name, range, default))
    }

    /// The first is the default.
    pub(super) fn one_of<T: Copy>(&mut self, name: &str, values: &[(&str, T)]) -> T {
        let default = values[0].1;
        let Some(text) = self.text(name) else { return default };
        let found = values.iter().find(|(value, _)| *value == text).map(|(_, meaning)| *meaning);
        found.unwrap_or_else(|| {
            let names: Vec<_> = values.iter().map(|(value, _)| *value).collect();
            self.mistakes.push(format!("{name}={text:?}: it must be one of: {}", names.join(", ")));
            default
        })
    }

    pub(super) fn switch(&mut self, name: &str, default: bool) -> bool {
        let (on, off) = (("on", true), ("off", false));
        self.one_of(name, &if default { [on, off] } else { [off, on] })
    }

    /// Notes a mistake without the value, which may be a secret.
    pub(super) fn wrong(&mut self, name: &str, problem: &str) {
        self.mistakes.push(format!("{name}: {problem}"));
    }

    pub(super) fn finish<T>(self, config: T) -> Result<T, Mistakes> {
        if self.mistakes.is_empty() { Ok(config) } else { Err(Mistakes(self.mistakes)) }
    }
}
