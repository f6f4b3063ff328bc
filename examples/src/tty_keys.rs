//! A terminal in raw mode: each key is named as it is pressed, and the window's size whenever it changes.

use std::io;
use std::os::fd::AsFd;

use phaseloop::LoopHandle;
use phaseloop::net::pipe::PipeStream;
use phaseloop::tty::{RawMode, on_resize, window_size};

use crate::page::Page;

/// Reads keys of `terminal` by `stream` until `q`, Ctrl-C, Ctrl-D, or its end. The mode that was there before comes back then,
/// and also when the future is dropped.
///
/// # Errors
/// `ENOTTY` for what is no terminal, and what reading says.
pub async fn run(lp: &LoopHandle, terminal: impl AsFd, stream: &PipeStream, page: &Page) -> io::Result<()> {
    let size = window_size(&terminal)?;
    let _raw = RawMode::enter(&terminal)?;
    page.line(format!("{} by {} characters; press keys, or q to end", size.columns, size.rows));
    let resized = page.clone();
    let watcher = on_resize(lp, &terminal, move |_, size| {
        resized.line(format!("now {} by {}", size.columns, size.rows));
    })?;
    let ended = name_keys(stream, page).await;
    watcher.close();
    ended
}

async fn name_keys(stream: &PipeStream, page: &Page) -> io::Result<()> {
    let mut buf = [0; 256];
    loop {
        let len = stream.read(&mut buf).await?;
        for key in keys(&buf[..len]) {
            page.line(&key);
            if matches!(key.as_str(), "q" | "Ctrl-C" | "Ctrl-D") {
                return Ok(());
            }
        }
        if len == 0 {
            return Ok(());
        }
    }
}

/// The names of keys in what a terminal sends at once. Source: ECMA-48 for sequences, xterm for their meaning.
pub fn keys(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut rest = text.as_ref();
    let mut keys = Vec::new();
    while let Some(first) = rest.chars().next() {
        let len = if first == '\x1b' { sequence_len(rest) } else { first.len_utf8() };
        let (key, behind) = rest.split_at(len);
        keys.push(name(key, first));
        rest = behind;
    }
    keys
}

/// The length of the sequence that begins here; a lone Escape is one byte.
fn sequence_len(text: &str) -> usize {
    let is_final = |c: char| ('\x40'..='\x7e').contains(&c);
    match text.as_bytes().get(1) {
        Some(b'[') => text[2..].find(is_final).map_or(text.len(), |at| at + 3),
        Some(b'O') => text[2..].chars().next().map_or(2, |last| 2 + last.len_utf8()),
        _ => 1,
    }
}

fn name(key: &str, first: char) -> String {
    let named = match key {
        "\x1b[A" | "\x1bOA" => "Up",
        "\x1b[B" | "\x1bOB" => "Down",
        "\x1b[C" | "\x1bOC" => "Right",
        "\x1b[D" | "\x1bOD" => "Left",
        "\x1b[H" | "\x1bOH" => "Home",
        "\x1b[F" | "\x1bOF" => "End",
        "\x1b[2~" => "Insert",
        "\x1b[3~" => "Delete",
        "\x1b[5~" => "Page up",
        "\x1b[6~" => "Page down",
        "\x1b" => "Escape",
        "\r" | "\n" => "Enter",
        "\t" => "Tab",
        "\x7f" | "\x08" => "Backspace",
        " " => "Space",
        _ => "",
    };
    match first {
        _ if !named.is_empty() => named.to_owned(),
        '\x1b' => format!("sequence {:?}", &key[1..]),
        '\x01'..='\x1a' => format!("Ctrl-{}", (first as u8 + b'@') as char),
        _ if first.is_control() => format!("code {}", u32::from(first)),
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::keys;

    #[test]
    fn keys_that_come_together_are_told_apart() {
        assert_eq!(keys(b"a\x1b[A\x03\x1b[5~ \r"), ["a", "Up", "Ctrl-C", "Page up", "Space", "Enter"]);
        assert_eq!(keys("é\x1bOH\x1b".as_bytes()), ["é", "Home", "Escape"]);
        assert_eq!(keys(b"\x1b[1;5C\x1b["), ["sequence \"[1;5C\"", "sequence \"[\""]);
        assert_eq!(keys("\x1bOé".as_bytes()), ["sequence \"Oé\""]);
    }
}
