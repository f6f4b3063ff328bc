//! The command line that the examples share: flags, `--help`, and a clear answer to everything else.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;

use crate::page::Page;

/// What an example is called, what it shows, and the flags it knows.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The name of the program.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Each flag with what it does. `--flag VALUE` takes a value; a word without dashes, such as `FILE`, stands for one
    /// argument that is no flag, and `FILE...` for any number of them. `-` is no flag.
    pub flags: &'static [(&'static str, &'static str)],
}

/// The flags that were given, with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags(Vec<(&'static str, OsString)>);

/// Why an example does not do what the command line asks for: what was given is wrong, and the program ends with 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(String);

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
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            if argument == "--help" || argument == "-h" {
                return Err(Instead::Help(self.help()));
            }
            match self.take(&given, argument, &mut arguments) {
                Ok((name, _)) if given.has(name) && !is_repeated(name) => {
                    return Err(self.refuse(&format!("a second `{name}`")));
                }
                Ok(taken) => given.0.push(taken),
                Err(problem) => return Err(self.refuse(&problem)),
            }
        }
        Ok(given)
    }

    /// The name that `argument` has in the list of flags, with its value.
    fn take(
        &self,
        given: &Flags,
        argument: OsString,
        rest: &mut impl Iterator<Item = OsString>,
    ) -> Result<(&'static str, OsString), String> {
        let text = argument.to_string_lossy();
        for (entry, _) in self.flags {
            match entry.split_once(' ') {
                Some((flag, _)) if text == flag => {
                    let value = rest.next().ok_or_else(|| format!("`{flag}` needs a value"))?;
                    return Ok((flag, value));
                }
                None if text == *entry && entry.starts_with('-') => return Ok((entry, OsString::new())),
                _ => {}
            }
        }
        let mut words = self.flags.iter().map(|(entry, _)| *entry).filter(|entry| !entry.starts_with('-'));
        let last = words.clone().next_back();
        let word = words.find(|word| is_repeated(word) || !given.has(word)).or(last);
        match word {
            Some(word) if text == "-" || !text.starts_with('-') => Ok((word, argument)),
            _ => Err(format!("unknown argument `{text}`")),
        }
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
            Err(error) if is_refusal(&error) => complain(&format!("{}: {error}\n", self.name), 2),
            Err(error) => complain(&format!("{}: {error}\n", self.name), 1),
        }
    }

    fn help(&self) -> String {
        let mut text = format!(
            "{}\n\nUsage: cargo run --release -p examples --bin {} -- [FLAGS]\n\nFlags:\n",
            self.about, self.name
        );
        let width = self.flags.iter().map(|(flag, _)| flag.len()).max().unwrap_or(0).max(10);
        for (flag, about) in self.flags.iter().chain([&("--help", "says this")]) {
            text += &format!("  {flag:width$} {about}\n");
        }
        text
    }

    fn refuse(&self, problem: &str) -> Instead {
        Instead::Unknown(format!("{}: {problem}; see `--help`\n", self.name))
    }
}

impl Flags {
    /// True if `flag` was given.
    pub fn has(&self, flag: &str) -> bool {
        self.value(flag).is_some()
    }

    /// The value of `flag`, if it was given: what stands behind `--flag`, or the argument that a word stands for.
    pub fn value(&self, flag: &str) -> Option<&OsStr> {
        self.0.iter().find(|(name, _)| *name == flag).map(|(_, value)| &**value)
    }

    /// The value of `flag`, read as what is wanted, or `default` if it was not given.
    ///
    /// # Errors
    /// A [`Refusal`] with the value and why it does not fit.
    pub fn parsed<T: FromStr<Err: fmt::Display>>(&self, flag: &str, default: T) -> io::Result<T> {
        let Some(value) = self.value(flag) else { return Ok(default) };
        let text = value.to_string_lossy();
        text.parse().map_err(|error| Refusal::error(format!("`{flag}`: {text:?}: {error}")))
    }
}

impl Flags {
    /// All that `FILE...` stands for.
    pub fn values(&self, word: &str) -> Vec<OsString> {
        let of_word = self.0.iter().filter(|(name, _)| *name == word);
        of_word.map(|(_, value)| value.clone()).collect()
    }

    /// The value of a flag without which there is nothing to do.
    ///
    /// # Errors
    /// A [`Refusal`] if it was not given.
    pub fn required(&self, flag: &str) -> io::Result<&OsStr> {
        self.value(flag).ok_or_else(|| Refusal::error(format!("`{flag}` is missing; see `--help`")))
    }
}

impl Refusal {
    /// As the error that an example gives back.
    pub fn error(problem: impl Into<String>) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, Self(problem.into()))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Refusal {}

fn is_repeated(word: &str) -> bool {
    word.ends_with("...")
}

fn is_refusal(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Refusal>())
}

fn complain(text: &str, code: u8) -> ExitCode {
    // If standard error is closed, the exit code still says it.
    let _ = io::stderr().write_all(text.as_bytes());
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::{Instead, Usage};

    const USAGE: Usage = Usage {
        name: "demo",
        about: "Shows it.",
        flags: &[("FILE", "is read"), ("--node", "asks Node too"), ("--out PATH", "writes there")],
    };

    fn read(arguments: &[&str]) -> Result<super::Flags, Instead> {
        USAGE.read(arguments.iter().map(Into::into))
    }

    #[test]
    fn known_flags_are_taken() {
        assert!(read(&["--node"]).unwrap().has("--node"));
        assert!(!read(&[]).unwrap().has("--node"));
    }

    #[test]
    fn a_value_stands_behind_its_flag_and_a_word_anywhere() {
        let flags = read(&["--out", "--node", "a.json"]).unwrap();
        assert_eq!(flags.value("--out").unwrap(), "--node");
        assert_eq!(flags.value("FILE").unwrap(), "a.json");
        assert!(!flags.has("--node"));
    }

    #[test]
    fn words_are_taken_in_their_order_and_the_last_may_be_repeated() {
        let usage = Usage { flags: &[("FROM", "first"), ("MORE...", "the rest")], ..USAGE };
        let flags = usage.read(["a", "-", "c"].map(Into::into)).unwrap();
        assert_eq!(flags.required("FROM").unwrap(), "a");
        assert_eq!(flags.values("MORE..."), ["-", "c"]);
        let missing = usage.read([]).unwrap().required("FROM").unwrap_err();
        assert_eq!(missing.to_string(), "`FROM` is missing; see `--help`");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (arguments, problem) in [
            (&["--nod"][..], "unknown argument `--nod`"),
            (&["--out"], "`--out` needs a value"),
            (&["a", "b"], "a second `FILE`"),
            (&["--node", "--node"], "a second `--node`"),
        ] {
            assert_eq!(read(arguments), Err(Instead::Unknown(format!("demo: {problem}; see `--help`\n"))));
        }
    }

    #[test]
    fn a_value_is_read_as_what_is_wanted_or_refused_by_name() {
        let flags = read(&["--out", "7"]).unwrap();
        assert_eq!(flags.parsed("--out", 1).unwrap(), 7);
        assert_eq!(flags.parsed("FILE", 1).unwrap(), 1);
        let refused = flags.parsed("--out", true).unwrap_err().to_string();
        assert!(refused.starts_with("`--out`: \"7\": "), "{refused}");
    }

    #[test]
    fn help_lists_the_flags() {
        let Err(Instead::Help(text)) = read(&["--help"]) else { panic!("no help") };
        assert!(text.starts_with("Shows it.") && text.contains("  --node     asks Node too\n"), "{text}");
    }
}
