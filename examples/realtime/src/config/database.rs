//! Where data is: URLs of stores, as far as this build can reach them.

use std::path::PathBuf;

use super::reader::Reader;
use super::secret::Secret;

/// What this build can reach.
const HAS_MYSQL: bool = cfg!(feature = "mysql");
const HAS_MONGO: bool = cfg!(feature = "mongo");
const HAS_REDIS: bool = cfg!(feature = "redis");

/// A database.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Database {
    /// SQLite, in a file or, without one, in memory.
    Sqlite(Option<PathBuf>),
    /// MariaDB or MySQL, by URL.
    MySql(Secret),
}

impl Default for Database {
    fn default() -> Self {
        Self::Sqlite(Some("data/realtime.db".into()))
    }
}

impl Database {
    /// True if it ends with the process.
    pub fn is_in_memory(&self) -> bool {
        *self == Self::Sqlite(None)
    }
}

pub(super) fn read(reader: &mut Reader<'_>, name: &str) -> Option<Database> {
    let url = reader.text(name)?;
    if let Some(path) = url.strip_prefix("sqlite:") {
        return match path {
            ":memory:" => Some(Database::Sqlite(None)),
            "" => {
                reader.wrong(name, "there is no path behind `sqlite:`");
                None
            }
            path => Some(Database::Sqlite(Some(path.into()))),
        };
    }
    if !url.starts_with("mysql://") {
        reader.wrong(name, "it must begin with `sqlite:` or `mysql://`");
        return None;
    }
    if is_torn(&url) {
        reader.wrong(name, TORN);
        return None;
    }
    if !HAS_MYSQL {
        reader.wrong(name, "this program was built without the feature `mysql`");
        return None;
    }
    Some(Database::MySql(Secret::new(url)))
}

const TORN: &str =
    "there is an `@` behind the first `/`, `?` or `#`: in a password these are %40, %2F, %3F and %23";

/// True if a password seems to end early. Its rest would be taken for a host, a port or an option, which nobody keeps secret.
fn is_torn(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find(['/', '?', '#']).is_some_and(|end| rest[end..].contains('@'))
}

pub(super) fn mongodb(reader: &mut Reader<'_>) -> Option<Secret> {
    driver(reader, "MONGODB_URL", &["mongodb://", "mongodb+srv://"], "mongo", HAS_MONGO)
}

pub(super) fn redis(reader: &mut Reader<'_>) -> Option<Secret> {
    driver(reader, "REDIS_URL", &["redis://"], "redis", HAS_REDIS)
}

fn driver(
    reader: &mut Reader<'_>,
    name: &str,
    schemes: &[&str],
    feature: &str,
    is_there: bool,
) -> Option<Secret> {
    let url = reader.text(name)?;
    if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
        reader.wrong(name, &format!("it must begin with `{}`", schemes.join("` or `")));
        return None;
    }
    if is_torn(&url) {
        reader.wrong(name, TORN);
        return None;
    }
    if !is_there {
        reader.wrong(name, &format!("this program was built without the feature `{feature}`"));
        return None;
    }
    Some(Secret::new(url))
}
