//! Reads the workspace's own sources, for the tests that check how they are written (`tests/tidy.rs`).
//!
//! No parser: a tidy test must also read a file that does not compile, and answer within a second. What it needs to know is
//! little, and each step adds one thing:
//!
//! - `file`: finds the files and gives each its text;
//! - `scan`: tells code from comments and from the insides of strings, line by line;
//! - `token`: cuts the code into words and marks with their line numbers;
//! - `item`: finds functions and inline modules with their length;
//! - `path`: finds the paths that are named, `use` groups written out.
//!
//! Known limit: code that only a macro's expansion holds is not seen.

mod file;
mod item;
mod path;
mod scan;
mod token;

pub use file::{SourceFile, read_workspace, workspace_root};
pub use item::{Function, Module, functions, modules};
pub use path::{NamedPath, named_paths};
pub use scan::{Scan, scan};
pub use token::{Token, tokens};
