//! One script, explained: where each label ran and why, as text and as a page, and two orders side by side.
//!
//! `script` reads a scenario and writes it as JavaScript; `profile` is whom one can ask; `timeline` is a run, cut into
//! callbacks, with the `cause` of each entry; `compare` puts two beside each other, and `rules` finds out which rule moves
//! what; `text` and `html` write it all down.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::command_line::{Flags, Refusal};
use crate::page::Page;

pub mod cause;
pub mod compare;
pub mod html;
pub mod profile;
pub mod rules;
pub mod script;
pub mod text;
pub mod timeline;

use compare::Comparison;
use profile::Profile;
use script::Script;
use timeline::Timeline;

/// What is to be explained.
#[derive(Clone, Debug)]
pub struct Request {
    script: Script,
    orders: Orders,
    /// Where the page goes, if one is wanted.
    html: Option<PathBuf>,
}

/// Whose order it is.
#[derive(Clone, Debug)]
enum Orders {
    One(&'static Profile),
    Two([&'static Profile; 2]),
}

/// The flags that ask for an explanation.
const FLAGS: [&str; 5] = ["--explain", "--profile", "--compare", "--html", "FILE"];

impl Request {
    /// What the command line asks for; none if it asks for no explanation.
    ///
    /// # Errors
    /// A [`Refusal`] if something is unknown, can not be read, or does not go together.
    pub fn read(flags: &Flags) -> io::Result<Option<Self>> {
        if !FLAGS.iter().any(|flag| flags.has(flag)) {
            return Ok(None);
        }
        if flags.has("--node") {
            return Err(Refusal::error("`--node` goes with no other flag"));
        }
        let orders = match (flags.value("--profile"), flags.value("--compare")) {
            (Some(_), Some(_)) => {
                return Err(Refusal::error("`--compare` names its profiles: leave `--profile` out"));
            }
            (_, Some(names)) => Orders::Two(two_profiles(names)?),
            (name, None) => {
                Orders::One(Profile::named(&name.unwrap_or(OsStr::new("node26")).to_string_lossy())?)
            }
        };
        let script = flags.value("FILE").map_or_else(|| Ok(Script::article()), Script::load)?;
        Ok(Some(Self { script, orders, html: flags.value("--html").map(PathBuf::from) }))
    }

    /// Writes the explanation.
    ///
    /// # Errors
    /// The system's; a [`Refusal`] if the script does not end or the page can not be written.
    pub fn run(&self, page: &Page) -> io::Result<()> {
        match self.orders {
            Orders::One(profile) => {
                let timeline = Timeline::of(&self.script, profile)?;
                self.write(|| html::explain(&self.script, profile, &timeline))?;
                text::explain(page, &self.script, profile, &timeline);
            }
            Orders::Two(profiles) => {
                let comparison = Comparison::of(&self.script, profiles)?;
                self.write(|| html::compare(&self.script, &comparison))?;
                text::compare(page, &self.script, &comparison);
            }
        }
        if let Some(out) = &self.html {
            page.line("");
            page.line(format!("The page is in {}.", out.display()));
        }
        Ok(())
    }

    /// Writes the page, if one is wanted. Before the text: what is refused says nothing on standard output.
    fn write(&self, html: impl FnOnce() -> String) -> io::Result<()> {
        let Some(out) = &self.html else { return Ok(()) };
        fs::write(out, html())
            .map_err(|error| Refusal::error(format!("{}: cannot be written: {error}", out.display())))
    }
}

fn two_profiles(names: &OsStr) -> io::Result<[&'static Profile; 2]> {
    let names = names.to_string_lossy();
    match names.split(',').collect::<Vec<_>>()[..] {
        [one, other] => Ok([Profile::named(one.trim())?, Profile::named(other.trim())?]),
        _ => Err(Refusal::error(format!(
            "`--compare` needs two profiles, such as `node22,node26`, not `{names}`"
        ))),
    }
}
