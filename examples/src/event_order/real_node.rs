//! The same scripts in the Node that is installed.

use std::io;
use std::path::Path;
use std::process::Command;

use super::Script;

/// What every script may use. `block` is what `thread::sleep` is in Rust.
const PRELUDE: &str = "
    const fs = require('fs');
    const file = process.argv[1];
    const log = (line) => fs.writeSync(1, line + '\\n');
    const block = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
";

/// The version of the installed Node, such as `v26.10.0`.
///
/// # Errors
/// When it does not run.
pub fn node_version() -> io::Result<String> {
    Ok(node(&["--version"])?.trim().to_owned())
}

/// The order in which the installed Node runs a script.
///
/// # Errors
/// When Node does not run, or says that the script failed.
pub fn order_in_node(script: &Script, file: &Path) -> io::Result<Vec<String>> {
    let code = format!("{PRELUDE}{}", script.javascript);
    let lines = node(&["-e", &code, &file.to_string_lossy()])?;
    Ok(lines.lines().map(str::to_owned).collect())
}

fn node(arguments: &[&str]) -> io::Result<String> {
    let output = Command::new("node").args(arguments).output().map_err(|error| {
        io::Error::new(error.kind(), format!("`node` does not run: {error}; leave `--node` out"))
    })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("`node` failed with {}: {message}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
