//! Which commands a connection may carry.

use redis::{Arg, Cmd};

use super::error::Error;

/// Commands that change what the connection is, which the client decides.
const OURS: &[&str] = &["AUTH", "HELLO", "MONITOR", "PSYNC", "QUIT", "RESET", "SELECT", "SYNC"];
/// Commands of which each answer is pushed.
const SUBSCRIBING: &[&str] =
    &["PSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE", "SUBSCRIBE", "SUNSUBSCRIBE", "UNSUBSCRIBE"];
/// Commands that bind what comes behind them.
const BINDING: &[&str] = &["DISCARD", "EXEC", "MULTI", "UNWATCH", "WATCH"];
/// Commands that may wait, and all that is sent behind them.
const WAITING: &[&str] = &[
    "BLMOVE",
    "BLMPOP",
    "BLPOP",
    "BRPOP",
    "BRPOPLPUSH",
    "BZMPOP",
    "BZPOPMAX",
    "BZPOPMIN",
    "WAIT",
    "WAITAOF",
];

/// Refuses what would take a shared connection from the others.
pub(super) fn shared(command: &Cmd) -> Result<(), Error> {
    let name = dedicated_name(command)?;
    let is = |names: &[&str]| names.binary_search(&name.as_str()).is_ok();
    if is(BINDING) {
        return refuse(
            &name,
            "binds the commands behind it: use `pipe().atomic()`, or a dedicated connection",
        );
    }
    if is(WAITING) || (matches!(name.as_str(), "XREAD" | "XREADGROUP") && blocks(command)) {
        return refuse(&name, "would have everybody wait: use a dedicated connection");
    }
    Ok(())
}

/// Refuses what no connection of ours may carry.
pub(super) fn dedicated(command: &Cmd) -> Result<(), Error> {
    dedicated_name(command).map(drop)
}

fn dedicated_name(command: &Cmd) -> Result<String, Error> {
    let mut args = command.args_iter();
    let Some(Arg::Simple(name)) = args.next() else {
        return Err(Error::Invalid("a command without a name".into()));
    };
    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
    let is = |names: &[&str]| names.binary_search(&name.as_str()).is_ok();
    if is(OURS) {
        return refuse(&name, "is the client's to send: see Options").map(|()| name);
    }
    if is(SUBSCRIBING) {
        return refuse(&name, "is answered by messages: use Client::subscribe").map(|()| name);
    }
    let is_reply = |arg: Arg<&[u8]>| matches!(arg, Arg::Simple(arg) if arg.eq_ignore_ascii_case(b"REPLY"));
    if name == "CLIENT" && args.next().is_some_and(is_reply) {
        return refuse("CLIENT REPLY", "would leave commands without answers").map(|()| name);
    }
    Ok(name)
}

fn refuse(name: &str, why: &str) -> Result<(), Error> {
    Err(Error::Invalid(format!("{name} {why}")))
}

/// True if a read of streams waits for entries.
fn blocks(command: &Cmd) -> bool {
    let options = command.args_iter().take_while(|arg| !is_word(arg, b"STREAMS"));
    options.skip(1).any(|arg| is_word(&arg, b"BLOCK"))
}

fn is_word(arg: &Arg<&[u8]>, word: &[u8]) -> bool {
    matches!(arg, Arg::Simple(arg) if arg.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &str) -> Cmd {
        let mut command = Cmd::new();
        for word in words.split(' ') {
            command.arg(word);
        }
        command
    }

    #[test]
    fn the_lists_are_sorted() {
        for list in [OURS, SUBSCRIBING, BINDING, WAITING] {
            assert!(list.is_sorted());
        }
    }

    #[test]
    fn what_takes_the_connection_from_the_others_is_refused() {
        let refused = [
            "subscribe a",
            "Multi",
            "blpop a 0",
            "SELECT 1",
            "client reply off",
            "XREAD BLOCK 0 STREAMS a $",
        ];
        for words in refused {
            assert!(matches!(shared(&command(words)), Err(Error::Invalid(_))), "{words}");
        }
        for words in ["GET subscribe", "CLIENT ID", "XREAD COUNT 1 STREAMS block 0", "EVAL multi 0"] {
            assert_eq!(shared(&command(words)), Ok(()), "{words}");
        }
        assert_eq!(shared(&Cmd::new()), Err(Error::Invalid("a command without a name".into())));
        assert_eq!(dedicated(&command("BLPOP a 0")), Ok(()));
        assert!(dedicated(&command("MONITOR")).is_err());
    }
}
