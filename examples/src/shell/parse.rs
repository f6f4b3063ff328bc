//! Reading a line: words, quotes, pipes, and whether it runs in the background.

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Each a program and its arguments, joined by pipes. Never empty.
    pub(super) commands: Vec<Vec<String>>,
    pub(super) background: bool,
}

/// Reads a line; `None` if it is empty or a comment.
///
/// Words are separated by blanks. Quotes of either kind keep blanks, and a backslash outside of single quotes keeps the next
/// character. `|` joins commands and a last `&` runs them in the background, with blanks around them or not.
pub(super) fn parse(line: &str) -> Result<Option<Line>, String> {
    let (mut commands, mut words, mut word) = (Vec::new(), Vec::new(), None::<String>);
    let mut background = false;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        if background && !c.is_whitespace() {
            return Err("`&` stands at the end of a line".to_owned());
        }
        match c {
            '#' if word.is_none() => break,
            '|' | '&' => {
                words.extend(word.take());
                if words.is_empty() {
                    return Err(format!("nothing stands before `{c}`"));
                }
                commands.push(std::mem::take(&mut words));
                background = c == '&';
            }
            '\'' | '"' => {
                let quoted = quoted(c, &mut characters)?;
                word.get_or_insert_default().push_str(&quoted);
            }
            '\\' => {
                word.get_or_insert_default().push(characters.next().ok_or("a line ends with a backslash")?)
            }
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match (words.is_empty(), commands.is_empty()) {
        (false, _) => commands.push(words),
        (true, true) => return Ok(None),
        (true, false) if background => {}
        (true, false) => return Err("nothing stands behind `|`".to_owned()),
    }
    Ok(Some(Line { commands, background }))
}

/// What stands up to the next quote.
fn quoted(quote: char, characters: &mut impl Iterator<Item = char>) -> Result<String, String> {
    let mut text = String::new();
    loop {
        match characters.next() {
            Some(c) if c == quote => return Ok(text),
            Some('\\') if quote == '"' => text.extend(characters.next()),
            Some(c) => text.push(c),
            None => return Err(format!("a `{quote}` is not closed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn commands(line: &str) -> Vec<Vec<String>> {
        parse(line).unwrap().map(|line| line.commands).unwrap_or_default()
    }

    #[test]
    fn words_quotes_and_pipes_are_read() {
        assert_eq!(commands("a  b|c"), [vec!["a", "b"], vec!["c"]]);
        assert_eq!(
            commands(r#"echo 'a | b' "c \" d"e f\ g "" # no"#),
            [["echo", "a | b", "c \" de", "f g", ""]]
        );
        assert_eq!(commands("  # only a comment"), [[""; 0]; 0]);
        let line = parse("sleep 1 | cat&").unwrap().unwrap();
        assert!(line.background && line.commands.len() == 2);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for line in ["| a", "a |", "a | | b", "&", "a & b", "'a", "\"", "a \\"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
