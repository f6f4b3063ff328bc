//! Finds the paths that code names.

use super::token::Token;

/// A path such as `crate::driver::Event`, as it stands in a `use` or anywhere else in code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPath {
    /// Its names from left to right; a glob is `*`.
    pub segments: Vec<String>,
    /// The line of its last name, counted from 1.
    pub line: usize,
}

impl NamedPath {
    /// Whether the path begins with these names.
    pub fn starts_with(&self, names: &[&str]) -> bool {
        self.segments.len() >= names.len() && self.segments.iter().zip(names).all(|(have, want)| have == want)
    }
}

/// Finds every path with a `::` in it, with groups written out: `a::{b, c::d}` is `a::b` and `a::c::d`.
///
/// `self` inside a group is left away (`a::{self}` is `a`), as are generic arguments and calls of macros, which are
/// looked up in another way than modules are.
pub fn named_paths(tokens: &[Token<'_>]) -> Vec<NamedPath> {
    let mut reader = Reader { tokens, at: 0, found: Vec::new() };
    while reader.at < tokens.len() {
        if reader.begins_path() {
            reader.path(&[]);
        } else {
            reader.at += 1;
        }
    }
    reader.found
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    found: Vec<NamedPath>,
}

impl Reader<'_> {
    /// Whether a path of two names begins here: a name, then `::`, and not the rest of something longer.
    fn begins_path(&self) -> bool {
        let follows = self.at > 1 && self.text(self.at - 1) == "::" && ends_segment(self.text(self.at - 2));
        is_name(self.text(self.at)) && self.text(self.at + 1) == "::" && !follows
    }

    /// Reads one path below `prefix`, or a group of them, and stands behind it.
    fn path(&mut self, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        loop {
            match self.text(self.at) {
                "{" => return self.group(&segments),
                "self" if !segments.is_empty() => {}
                name if is_name(name) || name == "*" => segments.push(name.to_owned()),
                _ => break, // `::<`
            }
            self.at += 1;
            if self.text(self.at) != "::" {
                break;
            }
            self.at += 1;
        }
        if self.text(self.at) != "!" || self.text(self.at + 1) == "=" {
            self.add(segments);
        }
    }

    fn group(&mut self, prefix: &[String]) {
        self.at += 1;
        while !matches!(self.text(self.at), "}" | "") {
            if is_name(self.text(self.at)) || self.text(self.at) == "*" {
                self.path(prefix);
                self.skip_alias();
            } else {
                self.at += 1;
            }
        }
        self.at += 1;
    }

    /// Passes over `as name`, which names nothing that exists elsewhere.
    fn skip_alias(&mut self) {
        if self.text(self.at) == "as" {
            self.at += 2;
        }
    }

    fn add(&mut self, segments: Vec<String>) {
        let line = self.tokens[self.at - 1].line;
        self.found.push(NamedPath { segments, line });
    }

    /// The token at `at`; past the end, an empty text, which is neither a name nor a mark.
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text)
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn ends_segment(text: &str) -> bool {
    text == ">" || is_name(text)
}

#[cfg(test)]
mod tests {
    use super::super::{scan, tokens};
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        named_paths(&tokens(&scan(text).code)).iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn groups_are_written_out() {
        let text = "use crate::{a::B, c::{self, d::*, E as _}, f};";
        assert_eq!(paths(text), ["crate::a::B", "crate::c", "crate::c::d::*", "crate::c::E", "crate::f"]);
    }

    #[test]
    fn paths_in_the_middle_of_code_are_found() {
        assert_eq!(paths("let x: crate::a::B = ::c::d(e, f.g);"), ["crate::a::B", "c::d"]);
        assert_eq!(paths("Vec::<crate::a::B>::new()"), ["Vec", "crate::a::B"]);
        assert_eq!(paths("<T as a::B>::c()"), ["a::B"]);
    }

    #[test]
    fn macro_calls_are_left_away() {
        assert_eq!(paths("crate::log!(a::b); a::C != d"), ["a::b", "a::C"]);
    }

    #[test]
    fn comments_strings_and_single_names_are_not_paths() {
        assert!(paths("// a::b\n\"a::b\"; pub(crate) fn a() {}").is_empty());
    }

    #[test]
    fn a_path_knows_its_line() {
        let code = "use a::{\n  b,\n  c::d,\n};";
        let lines: Vec<_> = named_paths(&tokens(code)).iter().map(|path| path.line).collect();
        assert_eq!(lines, [2, 3]);
    }

    #[test]
    fn text_that_ends_early_is_read_to_its_end() {
        for text in ["a::", "a::{", "a::{b", "use a::{b as", "a::<"] {
            let _read_to_the_end = paths(text); // the answer does not matter, coming back does
        }
    }
}
