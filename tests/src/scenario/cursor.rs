//! Reading a JSON document strictly: every access knows where it stands, and what is not read is an error.

use serde_json::{Map, Value};
use std::error::Error;
use std::fmt;

/// Why a scenario could not be read.
#[derive(Clone, Debug, PartialEq)]
pub struct ScenarioError {
    /// The file, as it was named.
    pub file: String,
    /// The place in the document, such as `program[2].do[0].ms`; empty for the document itself.
    pub path: String,
    /// What is wrong, with the offending value.
    pub problem: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{}: {}{separator}{}", self.file, self.path, self.problem)
    }
}

impl Error for ScenarioError {}

/// A place in a document.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    file: &'a str,
    path: String,
    value: &'a Value,
}

impl<'a> Cursor<'a> {
    pub(super) fn root(file: &'a str, value: &'a Value) -> Self {
        Cursor { file, path: String::new(), value }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn error(&self, problem: impl Into<String>) -> ScenarioError {
        ScenarioError { file: self.file.to_owned(), path: self.path.clone(), problem: problem.into() }
    }

    pub(super) fn string(&self) -> Result<&'a str, ScenarioError> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    pub(super) fn number(&self) -> Result<f64, ScenarioError> {
        self.value.as_f64().ok_or_else(|| self.expected("a number"))
    }

    /// A whole number of at least `min`.
    pub(super) fn count(&self, min: u32) -> Result<u32, ScenarioError> {
        let count = self.value.as_u64().and_then(|count| u32::try_from(count).ok());
        match count {
            Some(count) if count >= min => Ok(count),
            _ => Err(self.expected(&format!("a whole number of at least {min}"))),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<Cursor<'a>>, ScenarioError> {
        let items = self.value.as_array().ok_or_else(|| self.expected("a list"))?;
        let at = |(index, value)| Cursor { file: self.file, path: format!("{}[{index}]", self.path), value };
        Ok(items.iter().enumerate().map(at).collect())
    }

    pub(super) fn fields(&self) -> Result<Fields<'a>, ScenarioError> {
        let object = self.value.as_object().ok_or_else(|| self.expected("an object"))?;
        Ok(Fields { at: self.clone(), object, known: Vec::new() })
    }

    pub(super) fn expected(&self, what: &str) -> ScenarioError {
        self.error(format!("expected {what}, found {}", self.value))
    }
}

/// The fields of an object. Each is asked for by name; `finish` refuses what nobody asked for.
pub(super) struct Fields<'a> {
    at: Cursor<'a>,
    object: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn optional(&mut self, name: &'static str) -> Option<Cursor<'a>> {
        self.known.push(name);
        let value = self.object.get(name)?;
        let path = if self.at.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at.path) };
        Some(Cursor { file: self.at.file, path, value })
    }

    pub(super) fn required(&mut self, name: &'static str) -> Result<Cursor<'a>, ScenarioError> {
        self.optional(name).ok_or_else(|| self.at.error(format!("the field \"{name}\" is missing")))
    }

    pub(super) fn finish(self) -> Result<(), ScenarioError> {
        match self.object.iter().find(|(name, _)| !self.known.contains(&name.as_str())) {
            Some((name, value)) => Err(self.at.error(format!("unknown field \"{name}\": {value}"))),
            None => Ok(()),
        }
    }
}
