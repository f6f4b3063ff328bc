//! Scenarios from files.

use super::{Scenario, ScenarioError, parse};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Reads one scenario, whose name must be that of its file.
///
/// # Errors
/// As [`parse`], and when the file cannot be read.
pub fn load_file(path: &Path) -> Result<Scenario, ScenarioError> {
    let scenario = parse(&path.display().to_string(), &fs::read_to_string(path).map_err(unreadable(path))?)?;
    if path.file_stem().is_none_or(|stem| stem != scenario.name.as_str()) {
        let problem = format!("the name \"{}\" is not that of the file", scenario.name);
        return Err(ScenarioError { path: "name".to_owned(), ..problem_with(path, problem) });
    }
    Ok(scenario)
}

/// Reads all scenarios (`*.json`) of a folder, sorted by name.
///
/// # Errors
/// Those of the first file that [`load_file`] refuses, and when the folder cannot be read.
pub fn load_folder(folder: &Path) -> Result<Vec<Scenario>, ScenarioError> {
    let entries: io::Result<Vec<PathBuf>> =
        fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut files = entries.map_err(unreadable(folder))?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files.iter().map(|path| load_file(path)).collect()
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> ScenarioError {
    move |error| problem_with(path, format!("cannot be read: {error}"))
}

fn problem_with(path: &Path, problem: String) -> ScenarioError {
    ScenarioError { file: path.display().to_string(), path: String::new(), problem }
}
