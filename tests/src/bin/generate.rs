//! Writes the scenarios of some seeds into a folder, for `record` to complete.
//!
//!     cargo run -p phaseloop-tests --bin generate -- FOLDER FIRST_SEED COUNT

#![allow(clippy::print_stderr, reason = "a program that reports to whoever started it")]

use phaseloop_tests::generate;
use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match write(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [folder, first, count] = arguments else { return Err("usage: FOLDER FIRST_SEED COUNT".into()) };
    let (first, count): (u64, u64) = (first.parse()?, count.parse()?);
    for seed in first..first + count {
        let scenario = generate::scenario(seed);
        fs::write(Path::new(folder).join(format!("{}.json", scenario.name)), scenario.to_json())?;
    }
    Ok(())
}
