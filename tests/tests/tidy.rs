//! How the sources are written, as far as a machine can tell.
//!
//! Every message names the place and says what to do. Where a rule stands in the way of clear code, change the rule here,
//! in the same commit, and say why.

use std::collections::BTreeSet;
use std::fs;
use std::sync::OnceLock;

use phaseloop_tests::ratchet::{Oversize, differences};
use phaseloop_tests::source::{
    Function, NamedPath, SourceFile, Token, read_workspace, tokens, workspace_root,
};

/// The modules of `runtime/src`, from bottom to top, one line each: its name and its layer.
///
/// A module may use itself and every lower layer. Above the leaves it may also use others of its own layer; the leaves
/// (and every file called `sys.rs`) know neither each other nor anything but the words below them. `lib.rs` may use all.
const LAYERS: &[(&str, u8)] = &[
    ("error", WORDS),
    ("limits", WORDS),
    ("parker", WORDS),
    ("schedule", WORDS),
    ("warning", WORDS),
    ("driver", LEAF),
    ("sys", LEAF),
    ("task", LEAF),
    ("time", LEAF),
    ("state", 2),
    ("channel", 3),
    ("emitter", 3),
    ("handle", 3),
    ("ipc", 3),
    ("loop_bound", 3),
    ("net", 3),
    ("node", 3),
    ("observe", 3),
    ("process", 3),
    ("remote", 3),
    ("request", 3),
    ("signal", 3),
    ("tty", 3),
    ("phase", 4),
    ("event_loop", 5),
    ("free", 5),
    ("threads", 6),
    ("test_loop", 6),
    ("tokio_host", 6),
    ("tokio_io", 6),
];
const WORDS: u8 = 0;
const LEAF: u8 = 1;

/// What the files below a folder must not name, because the arrow points the other way.
const ARROWS: &[(&str, &[&str])] = &[
    ("runtime/src/", &["fs_pool", "phaseloop_server", "hyper", "tokio"]),
    ("fs-pool/src/", &["phaseloop_server", "hyper", "tokio"]),
    ("fs-pool/src/pool/", &["phaseloop", "mio"]),
];

/// The modules of `fs-pool/src` that `fs-pool/src/pool/` may use: it is plain threads and queues, proved alone.
const POOL_MAY_USE: &[&str] = &["pool"];

/// The crates that name the operating system, for `sys.rs` files and `runtime/src/driver/` only.
const SYSTEM_CRATES: &[&str] = &["libc", "rustix"];

/// The files, besides those called `sys.rs`, that may hold `unsafe`.
const UNSAFE_FILES: &[&str] = &["runtime/src/task/raw.rs"];

/// The longest function that needs no line in `LONG_FUNCTIONS`, unless it is one flat `match`.
const FUNCTION_LINES_MAX: usize = 60;

/// Longer functions, as `("path: name", lines)`. This list only shrinks.
const LONG_FUNCTIONS: &[(&str, usize)] = &[("tests/src/model/execute.rs: execute", 70)];

/// The longest Rust file that needs no line in `LONG_FILES`.
const FILE_LINES_MAX: usize = 600;

/// Longer files, as `("path", lines)`. This list only shrinks.
const LONG_FILES: &[(&str, usize)] = &[("runtime/src/task/raw.rs", 686)];

/// Files of tests that may sleep, each with the reason.
const SLEEPING_ALLOWED: &[(&str, &str)] =
    &[("tests/src/runner/player.rs", "the operation `busy` blocks the loop's thread: nothing is waited for")];

/// Folders at the root of somebody's machine.
const MACHINE_FOLDERS: &[&str] = &["home", "root", "work", "tmp"];

/// Files that may name such a folder, each with the reason.
const MACHINE_FOLDERS_ALLOWED: &[(&str, &str)] = &[];

// --- layers -----------------------------------------------------------------------------------------------------------

#[test]
fn crates_depend_one_way() {
    verdict(workspace().iter().flat_map(against_arrows));
}

#[test]
fn runtime_modules_use_only_lower_layers() {
    verdict(workspace().iter().flat_map(against_layers));
}

#[test]
fn every_runtime_module_has_a_layer() {
    let unknown =
        modules_of("runtime/src/").into_iter().filter(|module| layer_of(module_name(module)).is_none());
    verdict(
        unknown
            .map(|module| format!("runtime/src/{module}: give it a line in LAYERS in tests/tests/tidy.rs")),
    );
}

#[test]
fn the_pool_itself_knows_no_other_module() {
    let files = workspace().iter().filter(|file| file.path.starts_with("fs-pool/src/pool/"));
    verdict(files.flat_map(|file| {
        let foreign = |(_, module): &(NamedPath, String)| !POOL_MAY_USE.contains(&module.as_str());
        crate_uses(file, "fs-pool/src/").into_iter().filter(foreign).map(|(path, module)| {
            format!("{}: the pool may not use `{module}`: pass in what it needs", file.at(path.line))
        })
    }));
}

#[test]
fn only_sys_files_and_the_driver_name_the_system() {
    verdict(workspace().iter().flat_map(system_named));
}

// --- unsafe -----------------------------------------------------------------------------------------------------------

#[test]
fn unsafe_stands_only_in_sys_files() {
    let files = rust_files().filter(|file| !may_be_unsafe(&file.path));
    verdict(files.flat_map(|file| {
        lines_with(file, &["unsafe"]).into_iter().map(|line| {
            format!("{}: move the unsafe code to a `sys.rs` behind a safe function", file.at(line))
        })
    }));
}

#[test]
fn unsafe_blocks_say_why_they_are_safe() {
    verdict(rust_files().flat_map(unexplained_unsafe));
}

#[test]
fn the_server_forbids_unsafe_code() {
    let front = workspace().iter().find(|file| file.path == "server/src/lib.rs");
    let forbids = front.is_some_and(|file| file.parts.code.contains("#![forbid(unsafe_code)]"));
    assert!(forbids, "server/src/lib.rs:1: write `#![forbid(unsafe_code)]` below the crate's documentation");
}

// --- length -----------------------------------------------------------------------------------------------------------

#[test]
fn functions_fit_on_a_screen() {
    let found: Vec<_> = rust_files().flat_map(long_functions).collect();
    verdict(differences(&found, LONG_FUNCTIONS, "LONG_FUNCTIONS in tests/tests/tidy.rs", "lines"));
}

#[test]
fn files_have_one_subject() {
    let long = rust_files().map(|file| (file, file.text.lines().count()));
    let found: Vec<_> = long
        .filter(|(_, size)| *size > FILE_LINES_MAX)
        .map(|(file, size)| Oversize { name: file.path.clone(), at: file.at(1), size })
        .collect();
    verdict(differences(&found, LONG_FILES, "LONG_FILES in tests/tests/tidy.rs", "lines"));
}

// --- habits -----------------------------------------------------------------------------------------------------------

#[test]
fn tests_do_not_sleep() {
    let allowed = |file: &&SourceFile| !SLEEPING_ALLOWED.iter().any(|(path, _)| *path == file.path);
    verdict(rust_files().filter(allowed).flat_map(sleeping_tests));
}

#[test]
fn no_path_belongs_to_one_machine() {
    let allowed = |file: &&SourceFile| !MACHINE_FOLDERS_ALLOWED.iter().any(|(path, _)| *path == file.path);
    verdict(workspace().iter().filter(allowed).flat_map(|file| {
        matching_lines(&file.text, names_machine_folder)
            .map(|line| format!("{}: name no folder of one machine, make the path relative", file.at(line)))
    }));
}

#[test]
fn a_todo_says_what_and_when() {
    verdict(rust_files().flat_map(|file| {
        matching_lines(&file.parts.comments, is_empty_todo)
            .map(|line| format!("{}: say what is to be done and when, or do it", file.at(line)))
    }));
}

#[test]
fn nothing_is_left_from_debugging() {
    verdict(rust_files().flat_map(|file| {
        lines_with(file, &["dbg", "!"]).into_iter().map(|line| format!("{}: take `dbg!` out", file.at(line)))
    }));
}

#[test]
fn an_ignored_test_says_why() {
    verdict(rust_files().flat_map(|file| {
        let plain = lines_with(file, &["[", "ignore", "]"]);
        let conditional = lines_with(file, &[",", "ignore", ")", "]"]);
        let say = |line| format!("{}: write `#[ignore = \"why\"]`, or make the test run", file.at(line));
        plain.into_iter().chain(conditional).map(say)
    }));
}

#[test]
fn text_files_are_clean() {
    verdict(workspace().iter().flat_map(unclean_text));
}

// --- documents --------------------------------------------------------------------------------------------------------

#[test]
fn the_architecture_names_every_module() {
    let map = document("ARCHITECTURE.md");
    for folder in ["runtime/src/", "fs-pool/src/", "server/src/"] {
        let missing = modules_of(folder).into_iter().filter(|module| !names_module(&map, module));
        verdict(missing.map(|module| format!("ARCHITECTURE.md:1: say what `{folder}{module}` is for")));
    }
}

#[test]
fn the_readme_names_every_example_and_bench() {
    let readme = document("README.md");
    for folder in ["examples/src/bin/", "benches/benches/"] {
        let missing =
            modules_of(folder).into_iter().filter(|program| !has_word(&readme, module_name(program)));
        verdict(missing.map(|program| format!("README.md:1: say what `{folder}{program}` shows")));
    }
}

// --- what the checks look at ------------------------------------------------------------------------------------------

fn workspace() -> &'static [SourceFile] {
    static FILES: OnceLock<Vec<SourceFile>> = OnceLock::new();
    FILES.get_or_init(|| {
        read_workspace(&workspace_root()).expect("the workspace that built this test can be read")
    })
}

fn rust_files() -> impl Iterator<Item = &'static SourceFile> {
    workspace().iter().filter(|file| file.is_rust())
}

/// A document at the root; missing is as bad as empty.
fn document(name: &str) -> String {
    fs::read_to_string(workspace_root().join(name))
        .unwrap_or_else(|error| panic!("{name}:1: write it ({error})"))
}

/// Fails the test with all that was found, one message a line.
#[track_caller]
fn verdict(found: impl IntoIterator<Item = String>) {
    let found: Vec<_> = found.into_iter().collect();
    assert!(found.is_empty(), "{} to mend:\n{}", found.len(), found.join("\n"));
}

/// The modules directly below a source folder: `timers.rs`, `net/`; without `lib.rs`, `mod.rs` and files of tests.
fn modules_of(folder: &str) -> BTreeSet<String> {
    let below = rust_files().filter(|file| !file.is_test()).filter_map(|file| file.path.strip_prefix(folder));
    let top = below.map(|path| match path.split_once('/') {
        Some((module, _)) => format!("{module}/"),
        None => path.to_owned(),
    });
    top.filter(|module| module != "lib.rs" && module != "mod.rs").collect()
}

/// `net/` and `net.rs` are both the module `net`.
fn module_name(module: &str) -> &str {
    module.trim_end_matches('/').trim_end_matches(".rs")
}

/// The numbers, from 1, of the lines that `is_match` picks.
fn matching_lines<'a>(text: &'a str, is_match: fn(&str) -> bool) -> impl Iterator<Item = usize> + 'a {
    text.lines().zip(1..).filter(move |(line, _)| is_match(line)).map(|(_, number)| number)
}

/// The lines where these tokens follow each other in code.
fn lines_with(file: &SourceFile, wanted: &[&str]) -> Vec<usize> {
    let tokens = tokens(&file.parts.code);
    let same = |window: &&[Token<'_>]| window.iter().zip(wanted).all(|(token, want)| token.text == *want);
    tokens.windows(wanted.len()).filter(same).map(|window| window[0].line).collect()
}

// --- how layers are checked -------------------------------------------------------------------------------------------

fn against_arrows(file: &SourceFile) -> Vec<String> {
    let mut found = Vec::new();
    for (folder, forbidden) in ARROWS.iter().filter(|(folder, _)| file.path.starts_with(folder)) {
        for path in file.named_paths() {
            let name = path.segments[0].as_str();
            if forbidden.contains(&name) && !is_bridge(file, name) {
                found.push(format!(
                    "{}: `{folder}` may not use `{name}`: take what is needed as a parameter or a trait",
                    file.at(path.line)
                ));
            }
        }
    }
    found
}

/// Whether the file exists to join us with that crate: the features `tokio-io` and `tokio-host` have files of their own.
fn is_bridge(file: &SourceFile, name: &str) -> bool {
    name == "tokio" && file.path.contains("tokio")
}

fn against_layers(file: &SourceFile) -> Vec<String> {
    let Some(own) = top_module(file, "runtime/src/") else { return Vec::new() };
    let is_sys = file.path.ends_with("/sys.rs");
    let own_layer = if is_sys { Some(LEAF) } else { layer_of(&own) };
    let Some(own_layer) = own_layer else { return Vec::new() }; // reported by another test
    let mut found = Vec::new();
    for (path, used) in crate_uses(file, "runtime/src/") {
        let message = match layer_of(&used) {
            _ if used == own => continue,
            Some(layer) if layer < own_layer || (layer == own_layer && layer > LEAF) => continue,
            Some(_) => {
                format!("`{own}` may not use `{used}`: add a parameter or a callback, or move what it needs")
            }
            None => format!("write `crate::<module>::{used}`, so that the layer can be seen"),
        };
        found.push(format!("{}: {message}", file.at(path.line)));
    }
    found
}

fn layer_of(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

/// The top-level module a file below `folder` belongs to; none for `lib.rs` and for tests, which may use all.
fn top_module(file: &SourceFile, folder: &str) -> Option<String> {
    let path = file.path.strip_prefix(folder)?;
    let top = path.split('/').next()?;
    (path != "lib.rs" && file.is_rust() && !file.is_test()).then(|| module_name(top).to_owned())
}

/// What a file names of its own crate, outside tests: each path with the top-level module it leads to.
fn crate_uses(file: &SourceFile, folder: &str) -> Vec<(NamedPath, String)> {
    let paths = file.named_paths().into_iter().filter(|path| !file.is_test_line(path.line));
    paths.filter_map(|path| used_module(file, &path, folder).map(|module| (path, module))).collect()
}

/// The top-level module that a path starting with `crate` or `super` leads to.
fn used_module(file: &SourceFile, path: &NamedPath, folder: &str) -> Option<String> {
    if path.starts_with(&["crate"]) {
        return path.segments.get(1).cloned();
    }
    let ups = path.segments.iter().take_while(|name| *name == "super").count();
    let mut own = module_path(file, path.line, folder);
    own.truncate(own.len().checked_sub(ups)?);
    let down = path.segments[ups..].first().cloned();
    if ups == 0 { None } else { own.into_iter().next().or(down) }
}

/// The modules around a line, from the crate's root down, inline ones included.
fn module_path(file: &SourceFile, line: usize, folder: &str) -> Vec<String> {
    let path = file.path.strip_prefix(folder).unwrap_or(&file.path);
    let mut names: Vec<_> = path.split('/').map(|part| module_name(part).to_owned()).collect();
    names.retain(|name| name != "mod");
    names.extend(file.modules().into_iter().filter(|module| module.lines.contains(&line)).map(|m| m.name));
    names
}

fn system_named(file: &SourceFile) -> Vec<String> {
    let crates = ["runtime/src/", "fs-pool/src/", "server/src/"];
    let ours = crates.iter().any(|folder| file.path.starts_with(folder));
    if !ours || file.path.ends_with("/sys.rs") || file.path.starts_with("runtime/src/driver/") {
        return Vec::new();
    }
    let named =
        file.named_paths().into_iter().filter(|path| SYSTEM_CRATES.contains(&path.segments[0].as_str()));
    named
        .filter(|path| !file.is_test_line(path.line))
        .map(|path| format!("{}: move what uses `{}` to a `sys.rs`", file.at(path.line), path.segments[0]))
        .collect()
}

// --- how the rest is checked ------------------------------------------------------------------------------------------

fn may_be_unsafe(path: &str) -> bool {
    path.ends_with("/sys.rs") || UNSAFE_FILES.contains(&path)
}

fn unexplained_unsafe(file: &SourceFile) -> Vec<String> {
    let mut places = lines_with(file, &["unsafe", "{"]);
    places.extend(lines_with(file, &["unsafe", "impl"]));
    places.retain(|line| !has_safety_note(&file.text, *line));
    places.iter().map(|line| format!("{}: say why above it: `// SAFETY: ...`", file.at(*line))).collect()
}

/// Whether a `// SAFETY:` comment stands right above the statement that reaches to `line`.
fn has_safety_note(text: &str, line: usize) -> bool {
    let lines: Vec<_> = text.lines().take(line - 1).map(str::trim).collect();
    for above in lines.into_iter().rev() {
        if above.starts_with("// SAFETY:") {
            return true;
        }
        let goes_on = above.starts_with("//") || !above.is_empty() && !above.ends_with([';', '{', '}', ',']);
        if !goes_on {
            return false;
        }
    }
    false
}

fn long_functions(file: &SourceFile) -> Vec<Oversize> {
    let long = |function: &Function| function.line_count > FUNCTION_LINES_MAX && !function.is_flat_match;
    let oversize = |function: Function| Oversize {
        name: format!("{}: {}", file.path, function.name),
        at: file.at(function.line),
        size: function.line_count,
    };
    file.functions().into_iter().filter(long).map(oversize).collect()
}

fn sleeping_tests(file: &SourceFile) -> Vec<String> {
    let sleeps = |path: &&NamedPath| {
        path.segments.windows(2).any(|pair| pair[0] == "thread" && pair[1].starts_with("sleep"))
    };
    let paths = file.named_paths();
    let in_tests = paths.iter().filter(sleeps).filter(|path| file.is_test_line(path.line));
    let say = |path: &NamedPath| {
        format!("{}: wait for the event itself, advance the clock or count turns", file.at(path.line))
    };
    in_tests.map(say).collect()
}

fn names_machine_folder(line: &str) -> bool {
    MACHINE_FOLDERS.iter().any(|folder| {
        let path = format!("/{folder}/");
        line.match_indices(&path).any(|(at, _)| !line[..at].ends_with(is_path_character))
    })
}

/// Whether a slash after this character goes on with a path, instead of beginning one at the root.
fn is_path_character(c: char) -> bool {
    c.is_alphanumeric() || ['_', '-', '.', '}', ')', '*', '~'].contains(&c)
}

/// Whether a comment holds a mark of unfinished work with less than three words behind it.
fn is_empty_todo(comment: &str) -> bool {
    ["TODO", "FIXME", "XXX"].iter().any(|mark| {
        has_word(comment, mark)
            && comment
                .split(mark)
                .skip(1)
                .any(|after| after.split_whitespace().filter(|w| w.len() > 1).count() < 3)
    })
}

fn unclean_text(file: &SourceFile) -> Vec<String> {
    let mut found = Vec::new();
    if !file.text.ends_with('\n') {
        found.push(format!("{}: end the file with a newline", file.at(file.text.lines().count())));
    }
    for (line, number) in file.text.split('\n').zip(1..) {
        if line.contains('\t') {
            found.push(format!("{}: write blanks instead of the tab", file.at(number)));
        }
        if line.ends_with(char::is_whitespace) {
            found.push(format!("{}: take the blanks at the end away", file.at(number)));
        }
    }
    found
}

/// Whether a document names `net/` as such, or `remote.rs` as such or as `` `remote` ``.
fn names_module(document: &str, module: &str) -> bool {
    let quoted = format!("`{}`", module_name(module));
    has_word(document, module) || !module.ends_with('/') && document.contains(&quoted)
}

/// Whether `word` stands in the text without being part of a longer name.
fn has_word(text: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !before.ends_with(joins) && (word.ends_with('/') || !after.starts_with(joins))
    })
}

// --- the checks find what they look for -------------------------------------------------------------------------------

fn rust(path: &str, text: &str) -> SourceFile {
    SourceFile::new(path, text)
}

#[test]
fn an_upward_use_is_found_however_it_is_written() {
    for text in [
        "use crate::event_loop::EventLoop;",
        "use crate::{limits::Limits, event_loop::{self as up}};",
        "fn f() { super::super::event_loop::run(); }",
        "use crate::EventLoop;",
        "use crate::task::Task;",
        "mod inner { use super::super::super::phase::run; }",
    ] {
        assert_eq!(against_layers(&rust("runtime/src/driver/mio.rs", text)).len(), 1, "{text}");
    }
}

#[test]
fn a_downward_use_is_free() {
    for text in [
        "use crate::limits::Limits; use crate::driver::Event; use super::Event; use mio::Poll;",
        "//! See crate::event_loop::EventLoop.",
        "mod tests { use crate::event_loop::EventLoop; }",
        "mod inner { use super::super::Event; }",
    ] {
        assert!(against_layers(&rust("runtime/src/driver/mio.rs", text)).is_empty(), "{text}");
    }
    assert!(
        against_layers(&rust("runtime/src/phase/poll.rs", "use crate::net::A; use super::check;")).is_empty()
    );
    assert!(against_layers(&rust("runtime/src/net/tcp.rs", "use crate::handle::Key;")).is_empty());
    assert_eq!(against_layers(&rust("runtime/src/net/sys.rs", "use crate::state::LoopState;")).len(), 1);
    assert!(against_layers(&rust("runtime/src/lib.rs", "pub use crate::event_loop::EventLoop;")).is_empty());
}

#[test]
fn a_crate_from_above_is_found() {
    let arrows = |path, text| against_arrows(&rust(path, text)).len();
    assert_eq!(arrows("runtime/src/net/tcp.rs", "use tokio::io; use fs_pool::Pool;"), 2);
    assert_eq!(arrows("runtime/src/net/tokio_io.rs", "use tokio::io;"), 0);
    assert_eq!(arrows("fs-pool/src/pool/mod.rs", "use phaseloop::EventLoop;"), 1);
    assert_eq!(arrows("fs-pool/src/fs.rs", "use phaseloop::EventLoop; // not phaseloop_server::X"), 0);
    assert_eq!(system_named(&rust("runtime/src/net/tcp.rs", "let x = libc::getpid;")).len(), 1);
    assert_eq!(system_named(&rust("runtime/src/net/sys.rs", "let x = libc::getpid;")).len(), 0);
}

#[test]
fn a_safety_note_is_seen_above_the_whole_statement() {
    let noted = |text: &str| unexplained_unsafe(&rust("a/sys.rs", text)).is_empty();
    assert!(noted("// SAFETY: it is\n// so.\nlet x =\n    unsafe { y };\n"));
    assert!(noted("// SAFETY: none\nunsafe impl Send for X {}\n"));
    assert!(!noted("// it is\nunsafe { y };\n"));
    assert!(!noted("// SAFETY: it is\nunsafe { y };\nunsafe { z };\n"));
}

#[test]
fn sleeping_is_found_in_tests_only() {
    let sleeps = |path, text| sleeping_tests(&rust(path, text)).len();
    assert_eq!(
        sleeps("runtime/tests/a.rs", "use std::{thread::{self, sleep}}; fn f() { thread::sleep(x) }"),
        2
    );
    assert_eq!(sleeps("runtime/src/a.rs", "fn f() { thread::sleep(x) }"), 0);
    assert_eq!(sleeps("runtime/tests/a.rs", "phaseloop::sleep(x).await"), 0);
}

#[test]
fn lines_that_should_not_be_are_found() {
    let path = format!("/{}/x", MACHINE_FOLDERS[0]); // not written out, or this file would be found
    assert!(names_machine_folder(&format!("cd {path}")) && names_machine_folder(&format!("(\"{path}\")")));
    assert!(!names_machine_folder(&format!("below{path}")) && !names_machine_folder("home/x"));
    assert!(is_empty_todo("// TODO") && is_empty_todo("// FIXME: later"));
    assert!(!is_empty_todo("// TODO: use the new call once Rust 1.99 is out") && !is_empty_todo("// TODOS"));
    assert_eq!(unclean_text(&rust("a.rs", "a \n\tb\nc")).len(), 3);
    assert_eq!(lines_with(&rust("a.rs", "#[test]\n#[ignore]\nfn a() {}"), &["[", "ignore", "]"]), [2]);
}

#[test]
fn documents_name_modules_as_words() {
    assert!(names_module("    net/ tcp and udp", "net/") && names_module("`remote` is", "remote.rs"));
    assert!(!names_module("a subnet/ or remote", "net/") && !names_module("a remote one", "remote.rs"));
    assert!(has_word("run `echo`", "echo") && !has_word("echo_server", "echo"));
}
