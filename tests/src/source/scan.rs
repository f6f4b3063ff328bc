//! Tells code from comments and literals.

/// A source text taken apart: both parts have the lines of the original, with blanks for what is not theirs.
///
/// The insides of strings and characters are in neither part; their quotes count as code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The code, without comments and without what stands between quotes.
    pub code: String,
    /// The comments, with their slashes.
    pub comments: String,
}

/// Takes a Rust source text apart.
///
/// Knows line and nested block comments, plain, byte, C and raw strings, characters, lifetimes and raw identifiers. A
/// literal or comment that is never closed reaches to the end of the text.
///
/// # Examples
/// ```
/// let parts = phaseloop_tests::source::scan("a(\"//\"); // why");
/// assert_eq!(parts.code.trim_end(), "a(\"  \");");
/// assert_eq!(parts.comments.trim_start(), "// why");
/// ```
pub fn scan(text: &str) -> Scan {
    let mut scanner = Scanner::new(text);
    while let Some(c) = scanner.peek(0) {
        match c {
            '/' if scanner.peek(1) == Some('/') => scanner.line_comment(),
            '/' if scanner.peek(1) == Some('*') => scanner.block_comment(),
            '"' => scanner.string(),
            '\'' => scanner.quote(),
            c if is_word(c) => scanner.word(),
            _ => scanner.take(Part::Code),
        }
    }
    scanner.found
}

/// Whether a character may be part of a name or a number.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Code,
    Comment,
    Literal,
}

struct Scanner {
    chars: Vec<char>,
    at: usize,
    found: Scan,
}

impl Scanner {
    fn new(text: &str) -> Self {
        let found = Scan { code: String::new(), comments: String::new() };
        Self { chars: text.chars().collect(), at: 0, found }
    }

    /// Passes over one character, as belonging to `part`. At the end of the text this does nothing.
    fn take(&mut self, part: Part) {
        let Some(c) = self.peek(0) else { return };
        self.at += 1;
        let shown = |owner| if c == '\n' || part == owner { c } else { ' ' };
        self.found.code.push(shown(Part::Code));
        self.found.comments.push(shown(Part::Comment));
    }

    fn take_many(&mut self, count: usize, part: Part) {
        for _ in 0..count {
            self.take(part);
        }
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.take(Part::Comment);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while let Some(c) = self.peek(0) {
            match (c, self.peek(1)) {
                ('/', Some('*')) => depth += 1,
                ('*', Some('/')) => depth -= 1,
                _ => {
                    self.take(Part::Comment);
                    continue;
                }
            }
            self.take_many(2, Part::Comment);
            if depth == 0 {
                return;
            }
        }
    }

    /// A string with escapes; the reader stands on its opening quote.
    fn string(&mut self) {
        self.take(Part::Code);
        self.literal_until('"');
    }

    /// A character, or the first mark of a lifetime or label.
    fn quote(&mut self) {
        let is_char = self.peek(1) == Some('\\') || self.peek(2) == Some('\'');
        self.take(Part::Code);
        if is_char {
            self.literal_until('\'');
        }
    }

    /// The inside of a literal with escapes, and its closing quote.
    fn literal_until(&mut self, close: char) {
        while let Some(c) = self.peek(0) {
            if c == close {
                return self.take(Part::Code);
            }
            self.take_many(if c == '\\' { 2 } else { 1 }, Part::Literal);
        }
    }

    /// A name or number, and the raw string that it may be the prefix of.
    fn word(&mut self) {
        let start = self.at;
        while self.peek(0).is_some_and(is_word) {
            self.take(Part::Code);
        }
        if matches!(self.chars[start..self.at], ['r'] | ['b' | 'c', 'r']) {
            self.raw_string();
        }
    }

    /// A raw string without its prefix; nothing, if none begins here (`r#name` is a raw identifier).
    fn raw_string(&mut self) {
        let hashes = self.chars[self.at..].iter().take_while(|c| **c == '#').count();
        if self.peek(hashes) != Some('"') {
            return;
        }
        self.take_many(hashes + 1, Part::Code);
        while self.at < self.chars.len() {
            if self.closes_raw_string(hashes) {
                return self.take_many(hashes + 1, Part::Code);
            }
            self.take(Part::Literal);
        }
    }

    fn closes_raw_string(&self, hashes: usize) -> bool {
        self.peek(0) == Some('"') && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#'))
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code of `text` with runs of blanks made one.
    fn code(text: &str) -> String {
        scan(text).code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_are_not_code() {
        assert_eq!(code("a // b\nc /* d /* e */ f */ g"), "a c g");
        assert_eq!(scan("a // b").comments, "  // b");
    }

    #[test]
    fn what_looks_like_a_comment_in_a_string_is_a_string() {
        assert_eq!(code(r#"x("//", "/*"); y"#), r#"x(" ", " "); y"#);
        assert_eq!(scan(r#"x("// TODO")"#).comments.trim(), "");
    }

    #[test]
    fn escapes_do_not_end_a_literal() {
        assert_eq!(code(r#"x("a\"{\\"); y('\'', '"', '{', '\u{7b}')"#), r#"x(" "); y(' ', ' ', ' ', ' ')"#);
    }

    #[test]
    fn a_lifetime_is_not_a_character() {
        assert_eq!(code("fn f<'a, 'b>(x: &'a str) { 'o: loop { break 'o; } }").matches('{').count(), 2);
        assert_eq!(code("x::<'a>('b')"), "x::<'a>(' ')");
    }

    #[test]
    fn raw_strings_end_at_their_own_hashes() {
        assert_eq!(code("x(r#\"a\"{b\"#, br\"\\\", r##\"\"#\"##); y"), "x(r#\" \"#, br\" \", r##\" \"##); y");
        assert_eq!(code("b\"}\" c\"}\" b'}'"), "b\" \" c\" \" b' '");
    }

    #[test]
    fn raw_identifiers_and_names_that_end_in_r_are_names() {
        assert_eq!(code("r#fn(bar, r)"), "r#fn(bar, r)");
        assert_eq!(code("for_r(\"}\")"), "for_r(\" \")");
    }

    #[test]
    fn lines_stay_where_they_were() {
        let text = "a\n\"b\nc\"\n/* d\n */ é\n'é' e";
        for part in [scan(text).code, scan(text).comments] {
            assert_eq!(part.lines().count(), text.lines().count());
        }
        assert_eq!(scan(text).code.lines().nth(4).map(str::trim), Some("é"));
    }

    #[test]
    fn what_is_never_closed_reaches_to_the_end() {
        for text in ["a \"b", "a /* b", "a r#\"b\"", "a '\\b", "a \"\\"] {
            assert!(code(text).starts_with('a'), "{text}");
            assert!(!code(text)[1..].contains(['b', '\\']), "{text}");
        }
    }
}
