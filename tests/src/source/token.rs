//! Cuts code into words and marks.

use super::scan::is_word;

/// A word (a name, a keyword, a number) or a mark, with the line it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// The word, `::`, or one character of any other mark.
    pub text: &'a str,
    /// The line, counted from 1.
    pub line: usize,
}

/// Cuts the code of a [`Scan`](super::Scan) into tokens. A raw identifier is one word, `r#` included.
pub fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while !rest.is_empty() {
            let (text, after) = rest.split_at(token_len(rest));
            found.push(Token { text, line: index + 1 });
            rest = after.trim_start();
        }
    }
    found
}

/// The length in bytes of the token that `rest` begins with; `rest` is not empty.
fn token_len(rest: &str) -> usize {
    if rest.starts_with("::") {
        return 2;
    }
    let prefix = if is_raw_identifier(rest) { 2 } else { 0 };
    let word: usize = rest[prefix..].chars().take_while(|c| is_word(*c)).map(char::len_utf8).sum();
    if word > 0 { prefix + word } else { rest.chars().next().map_or(0, char::len_utf8) }
}

fn is_raw_identifier(rest: &str) -> bool {
    rest.strip_prefix("r#").is_some_and(|name| name.starts_with(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(code: &str) -> Vec<&str> {
        tokens(code).iter().map(|token| token.text).collect()
    }

    #[test]
    fn words_and_marks_come_apart() {
        assert_eq!(
            words("crate::a::{b};x->y"),
            ["crate", "::", "a", "::", "{", "b", "}", ";", "x", "-", ">", "y"]
        );
    }

    #[test]
    fn a_raw_identifier_is_one_word() {
        assert_eq!(words("fn r#fn() é"), ["fn", "r#fn", "(", ")", "é"]);
        assert_eq!(words("r#\"\"#"), ["r", "#", "\"", "\"", "#"]);
    }

    #[test]
    fn lines_count_from_one() {
        let lines: Vec<_> = tokens("a\n\nb c").iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 3, 3]);
    }
}
