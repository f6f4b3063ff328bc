//! Finds the real programs that tests talk to.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::thread;

/// The environment variable that, set to `1`, makes a missing program fail its test. `.ci/run` sets it.
pub const REQUIRE_PEERS: &str = "PHASELOOP_REQUIRE_PEERS";

/// Finds a program on `PATH`, or says why the calling test cannot do without it.
///
/// Where the program is missing the answer is `None`, after a line `SKIPPED: <test>: <program> is not installed` on standard
/// error, past the capture of the test harness so that it is seen. The test then returns.
///
/// # Panics
/// If the program is missing and [`REQUIRE_PEERS`] is `1`.
///
/// # Examples
/// ```no_run
/// use phaseloop_tests::peers::peer;
///
/// let Some(redis) = peer("redis-server") else { return };
/// let server = std::process::Command::new(redis).arg("--version").spawn();
/// ```
#[track_caller]
pub fn peer(program: &str) -> Option<PathBuf> {
    let found = env::var_os("PATH").and_then(|path| find_on(&path, program));
    let required = env::var_os(REQUIRE_PEERS).is_some_and(|value| value == "1");
    if let Some(notice) = notice(found.is_some(), required, program, &calling_test()) {
        // Nothing is lost if standard error is closed: the answer says the same.
        let _ = writeln!(io::stderr(), "{notice}");
    }
    found
}

/// Finds a package of npm that `.ci/run setup` installs, or says why the calling test cannot do without it, as [`peer`] does.
///
/// The answer is the folder for `NODE_PATH`.
///
/// # Panics
/// As [`peer`].
#[track_caller]
pub fn node_package(name: &str) -> Option<PathBuf> {
    let modules =
        target().map(|target| target.join("node/node_modules")).filter(|modules| modules.join(name).is_dir());
    let required = env::var_os(REQUIRE_PEERS).is_some_and(|value| value == "1");
    if let Some(notice) =
        notice(modules.is_some(), required, &format!("the npm package {name}"), &calling_test())
    {
        // As in `peer`.
        let _ = writeln!(io::stderr(), "{notice}");
    }
    modules
}

/// Finds a program of the Python packages that `.ci/run setup` installs, or says why the calling test cannot do without it, as
/// [`peer`] does.
///
/// # Panics
/// As [`peer`].
#[track_caller]
pub fn python_program(name: &str) -> Option<PathBuf> {
    let program =
        target().map(|target| target.join("python/bin").join(name)).filter(|file| is_executable(file));
    let required = env::var_os(REQUIRE_PEERS).is_some_and(|value| value == "1");
    if let Some(notice) = notice(program.is_some(), required, &format!("{name} from PyPI"), &calling_test()) {
        // As in `peer`.
        let _ = writeln!(io::stderr(), "{notice}");
    }
    program
}

/// The folder that packages are installed in: a test runs from `debug/deps` of it.
fn target() -> Option<PathBuf> {
    env::current_exe().ok().and_then(|test| test.ancestors().nth(3).map(Path::to_path_buf))
}

/// A TCP port of loopback that nobody listens on now.
///
/// Another process may take it before it is used: only for programs that must be told a number. Our own listeners bind
/// port 0 and ask which one they got.
///
/// # Errors
/// What the system says, for instance that no port is free.
pub fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// What is to be said about a program that was looked for; nothing, if it was found.
#[track_caller]
fn notice(found: bool, required: bool, program: &str, test: &str) -> Option<String> {
    match (found, required) {
        (true, _) => None,
        (false, false) => Some(format!("SKIPPED: {test}: {program} is not installed")),
        (false, true) => panic!(
            "{test}: {program} is not installed: install it (see `.ci/run setup`), or unset {REQUIRE_PEERS} to skip"
        ),
    }
}

/// The name of the test that runs on this thread; the harness names threads after tests, unless it uses only one.
#[track_caller]
fn calling_test() -> String {
    match thread::current().name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => Location::caller().to_string(),
    }
}

/// Looks for an executable file in the folders of a `PATH`.
fn find_on(path: &OsStr, program: &str) -> Option<PathBuf> {
    env::split_paths(path).map(|folder| folder.join(program)).find(|file| is_executable(file))
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_in_any_folder_of_the_path_is_found() {
        let me = env::current_exe().unwrap();
        let folders = [Path::new("nowhere"), me.parent().unwrap()];
        let path = env::join_paths(folders).unwrap();
        assert_eq!(find_on(&path, me.file_name().unwrap().to_str().unwrap()), Some(me));
    }

    #[test]
    fn a_file_that_cannot_run_is_not_a_program() {
        let path = OsStr::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(find_on(path, "Cargo.toml"), None);
        assert_eq!(find_on(path, "src"), None);
        assert_eq!(find_on(path, "no-such-program"), None);
    }

    #[test]
    fn a_missing_program_skips_the_test_loudly() {
        let said = notice(false, false, "redis-server", "cache_keeps_its_order");
        assert_eq!(said.as_deref(), Some("SKIPPED: cache_keeps_its_order: redis-server is not installed"));
        assert_eq!(notice(true, true, "redis-server", "any"), None);
    }

    #[test]
    #[should_panic(expected = "redis-server is not installed: install it")]
    fn a_missing_program_fails_the_test_where_peers_are_required() {
        let _never = notice(false, true, "redis-server", "any");
    }

    #[test]
    fn the_calling_test_is_named() {
        let named = thread::Builder::new().name("a_test".to_owned()).spawn(calling_test).unwrap();
        assert_eq!(named.join().unwrap(), "a_test");
    }

    #[test]
    fn a_free_port_can_be_bound() {
        let port = free_port().unwrap();
        assert_ne!(port, 0);
    }
}
