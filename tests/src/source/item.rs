//! Finds functions and inline modules.

use std::ops::RangeInclusive;

use super::token::Token;

/// A function with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name, without its type or module.
    pub name: String,
    /// The line of its `fn`, counted from 1.
    pub line: usize,
    /// How many lines it takes from its `fn` to its closing brace, both included.
    pub line_count: usize,
    /// Whether the whole body is one `match` in which no arm has a block of several lines: such a table is read line by
    /// line, however long it is.
    pub is_flat_match: bool,
}

/// A module that is written inside a file: `mod name { ... }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// Its lines, counted from 1, braces included.
    pub lines: RangeInclusive<usize>,
}

impl Module {
    /// Whether the name is that of a module of tests: `tests`, or something that ends in `_tests`.
    pub fn holds_tests(&self) -> bool {
        self.name == "tests" || self.name.ends_with("_tests")
    }
}

/// Finds every function that has a body, also inside others, in the order of their `fn`.
pub fn functions(tokens: &[Token<'_>]) -> Vec<Function> {
    named_after("fn", tokens).filter_map(|at| function(tokens, at)).collect()
}

/// Finds every inline module, also inside others, in the order of their `mod`.
pub fn modules(tokens: &[Token<'_>]) -> Vec<Module> {
    named_after("mod", tokens).filter_map(|at| module(tokens, at)).collect()
}

/// The places where `keyword` is followed by a name.
fn named_after<'a>(keyword: &'a str, tokens: &'a [Token<'_>]) -> impl Iterator<Item = usize> + 'a {
    let is_name = |text: &str| text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    (0..tokens.len().saturating_sub(1))
        .filter(move |at| tokens[*at].text == keyword && is_name(tokens[*at + 1].text))
}

fn function(tokens: &[Token<'_>], at: usize) -> Option<Function> {
    let open = body_start(tokens, at)?;
    let close = matching_brace(tokens, open)?;
    Some(Function {
        name: tokens[at + 1].text.to_owned(),
        line: tokens[at].line,
        line_count: tokens[close].line - tokens[at].line + 1,
        is_flat_match: is_flat_match(&tokens[open + 1..close]),
    })
}

fn module(tokens: &[Token<'_>], at: usize) -> Option<Module> {
    let open = at + 2;
    if tokens.get(open)?.text != "{" {
        return None;
    }
    let close = matching_brace(tokens, open)?;
    Some(Module { name: tokens[at + 1].text.to_owned(), lines: tokens[at].line..=tokens[close].line })
}

/// The brace that opens the body of the function at `at`; none for a mere signature.
fn body_start(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let mut depth = 0; // of parentheses and brackets, where `[u8; 4]` has a semicolon that ends nothing
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.text {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "{" if depth == 0 => return Some(index),
            ";" | "}" if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

fn matching_brace(tokens: &[Token<'_>], open: usize) -> Option<usize> {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(index);
        }
    }
    None
}

/// Whether `body`, the tokens between a function's braces, is one `match` without blocks of several lines.
fn is_flat_match(body: &[Token<'_>]) -> bool {
    if body.first().is_none_or(|token| token.text != "match") {
        return false;
    }
    let Some(open) = body.iter().position(|token| token.text == "{") else { return false };
    let arms = &body[open + 1..body.len().saturating_sub(1)];
    matching_brace(body, open) == Some(body.len() - 1) && braces_close_on_their_line(arms)
}

fn braces_close_on_their_line(tokens: &[Token<'_>]) -> bool {
    let opens = (0..tokens.len()).filter(|at| tokens[*at].text == "{");
    opens
        .into_iter()
        .all(|at| matching_brace(tokens, at).is_some_and(|end| tokens[end].line == tokens[at].line))
}

#[cfg(test)]
mod tests {
    use super::super::{scan, tokens};
    use super::*;

    fn found(text: &str) -> Vec<Function> {
        functions(&tokens(&scan(text).code))
    }

    fn lengths(text: &str) -> Vec<(String, usize, usize)> {
        found(text).into_iter().map(|f| (f.name, f.line, f.line_count)).collect()
    }

    fn entry(name: &str, line: usize, line_count: usize) -> (String, usize, usize) {
        (name.to_owned(), line, line_count)
    }

    #[test]
    fn a_function_reaches_from_its_fn_to_its_brace() {
        let text = "/// fn no() {\npub fn a() -> [u8; 2]\nwhere\n{\n  \"}\";\n}\nfn b() {}\n";
        assert_eq!(lengths(text), [entry("a", 2, 5), entry("b", 7, 1)]);
    }

    #[test]
    fn functions_inside_functions_and_impls_are_found() {
        let text = "impl X {\n fn a(&self) {\n  fn b() {\n  }\n }\n}\n";
        assert_eq!(lengths(text), [entry("a", 2, 4), entry("b", 3, 2)]);
    }

    #[test]
    fn signatures_and_function_types_are_not_functions() {
        assert!(found("trait T { fn a(&self, x: [u8; 4]) -> u8; }").is_empty());
        assert!(found("type F = unsafe extern \"C\" fn(*mut u8);").is_empty());
    }

    #[test]
    fn a_match_of_one_line_arms_is_flat() {
        let flat = "fn a(x: X) -> u8 {\n match x {\n  X::A { b } => b,\n  X::C => 1,\n }\n}";
        assert!(found(flat)[0].is_flat_match);
        let deep = "fn a(x: X) -> u8 {\n match x {\n  X::A => {\n  1 }\n }\n}";
        assert!(!found(deep)[0].is_flat_match);
        let more = "fn a(x: X) -> u8 {\n match x { _ => 1 };\n 2\n}";
        assert!(!found(more)[0].is_flat_match);
        assert!(!found("fn a() {}")[0].is_flat_match);
    }

    #[test]
    fn inline_modules_have_lines_and_declared_ones_do_not() {
        let code = "mod a;\nmod b {\n mod tests {\n }\n}\n";
        let found = modules(&tokens(code));
        assert_eq!(found[0], Module { name: "b".to_owned(), lines: 2..=5 });
        assert_eq!(found[1].lines, 3..=4);
        assert!(found[1].holds_tests() && !found[0].holds_tests());
    }

    #[test]
    fn text_that_ends_early_is_no_function() {
        for text in ["fn", "fn a", "fn a(", "fn a() {", "mod", "mod a", "mod a {"] {
            assert!(found(text).is_empty(), "{text}");
            assert!(modules(&tokens(text)).is_empty(), "{text}");
        }
    }
}
