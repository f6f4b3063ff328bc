//! The command line that the examples share: flags, `--help`, and a clear answer to everything else.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::page::Page;

/// What an example is called, what it shows, and the flags it knows.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The name of the program.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Each flag with what it does.
    pub flags: &'static [(&'static str, &'static str)],
}

/// The flags that were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags(Vec<&'static str>);

/// What the command line asks for, if not for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// `--help`: the text for standard output.
    Help(String),
    /// An argument that is not known: the text for standard error.
    Unknown(String),
}

impl Usage {
    /// Reads the arguments behind the program's name.
    ///
    /// # Errors
    /// What is to be said instead of running.
    pub fn read(&self, arguments: impl IntoIterator<Item = OsString>) -> Result<Flags, Instead> {
        let mut given = Flags::default();
        for argument in arguments {
            if argument == "--help" || argument == "-h" {
                return Err(Instead::Help(self.help()));
            }
            match self.flags.iter().find(|(flag, _)| argument == *flag) {
                Some((flag, _)) => given.0.push(flag),
                None => return Err(Instead::Unknown(self.refuse(&argument.to_string_lossy()))),
            }
        }
        Ok(given)
    }

    /// Runs an example as a program: reads the command line, gives `run` a page and the flags, reports what fails.
    ///
    /// The program ends with 0, with 1 if the example failed, or with 2 if the command line was wrong.
    pub fn run(&self, run: impl FnOnce(&Page, &Flags) -> io::Result<()>) -> ExitCode {
        let flags = match self.read(std::env::args_os().skip(1)) {
            Ok(flags) => flags,
            Err(Instead::Help(text)) => {
                // A closed standard output has nobody to be helped.
                let _ = io::stdout().write_all(text.as_bytes());
                return ExitCode::SUCCESS;
            }
            Err(Instead::Unknown(text)) => return complain(&text, 2),
        };
        let page = Page::stdout();
        match run(&page, &flags).and_then(|()| page.finish()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS, // `| head` has seen enough
            Err(error) => complain(&format!("{}: {error}\n", self.name), 1),
        }
    }

    fn help(&self) -> String {
        let mut text = format!(
            "{}\n\nUsage: cargo run --release -p examples --bin {} -- [FLAGS]\n\nFlags:\n",
            self.about, self.name
        );
        for (flag, about) in self.flags.iter().chain([&("--help", "says this")]) {
            text += &format!("  {flag:10} {about}\n");
        }
        text
    }

    fn refuse(&self, argument: &str) -> String {
        format!("{}: unknown argument `{argument}`; see `--help`\n", self.name)
    }
}

impl Flags {
    /// True if `flag` was given.
    pub fn has(&self, flag: &str) -> bool {
        self.0.contains(&flag)
    }
}

fn complain(text: &str, code: u8) -> ExitCode {
    // If standard error is closed, the exit code still says it.
    let _ = io::stderr().write_all(text.as_bytes());
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::{Instead, Usage};

    const USAGE: Usage = Usage { name: "demo", about: "Shows it.", flags: &[("--node", "asks Node too")] };

    fn read(arguments: &[&str]) -> Result<super::Flags, Instead> {
        USAGE.read(arguments.iter().map(Into::into))
    }

    #[test]
    fn known_flags_are_taken() {
        assert!(read(&["--node"]).unwrap().has("--node"));
        assert!(!read(&[]).unwrap().has("--node"));
    }

    #[test]
    fn an_unknown_argument_is_named() {
        let text = "demo: unknown argument `--nod`; see `--help`\n";
        assert_eq!(read(&["--nod"]), Err(Instead::Unknown(text.to_owned())));
    }

    #[test]
    fn help_lists_the_flags() {
        let Err(Instead::Help(text)) = read(&["--help"]) else { panic!("no help") };
        assert!(text.starts_with("Shows it.") && text.contains("  --node     asks Node too\n"), "{text}");
    }
}
