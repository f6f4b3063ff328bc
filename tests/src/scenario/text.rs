//! JSON as people write it: what fits on a line stands on one, fields keep their order.

use serde_json::Value;

/// A document to be written.
pub(super) enum Text {
    /// A string, a number.
    Atom(String),
    List(Vec<Text>),
    Object(Vec<(&'static str, Text)>),
}

impl Text {
    pub(super) fn string(text: &str) -> Text {
        Text::Atom(Value::from(text).to_string())
    }

    /// A number, without a fraction where there is none.
    pub(super) fn number(number: f64) -> Text {
        let whole = number.fract() == 0.0 && number.abs() < 1e15;
        Text::Atom(if whole { format!("{number:.0}") } else { Value::from(number).to_string() })
    }

    pub(super) fn strings<'a>(strings: impl IntoIterator<Item = &'a str>) -> Text {
        Text::List(strings.into_iter().map(Text::string).collect())
    }

    /// The document as lines of up to [`WIDTH`] characters where that is possible.
    pub(super) fn to_lines(&self) -> String {
        let mut out = String::new();
        self.write(0, 0, &mut out);
        out.push('\n');
        out
    }

    /// Writes at `indent`, with `taken` characters already on the line beyond the indent.
    fn write(&self, indent: usize, taken: usize, out: &mut String) {
        let line = self.on_one_line();
        if indent + taken + line.chars().count() < WIDTH {
            return out.push_str(&line);
        }
        match self {
            Text::Atom(_) => out.push_str(&line),
            Text::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    start_line(index, indent + STEP, out);
                    item.write(indent + STEP, 0, out);
                }
                end(']', indent, out);
            }
            Text::Object(fields) => {
                out.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    start_line(index, indent + STEP, out);
                    let head = format!("\"{name}\": ");
                    out.push_str(&head);
                    value.write(indent + STEP, head.len(), out);
                }
                end('}', indent, out);
            }
        }
    }

    fn on_one_line(&self) -> String {
        match self {
            Text::Atom(atom) => atom.clone(),
            Text::List(items) => {
                format!("[{}]", items.iter().map(Text::on_one_line).collect::<Vec<_>>().join(", "))
            }
            Text::Object(fields) => {
                let field = |(name, value): &(&str, Text)| format!("\"{name}\": {}", value.on_one_line());
                format!("{{ {} }}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn start_line(index: usize, indent: usize, out: &mut String) {
    out.push_str(if index == 0 { "\n" } else { ",\n" });
    out.extend(std::iter::repeat_n(' ', indent));
}

fn end(bracket: char, indent: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
    out.push(bracket);
}

/// Characters in a line, as in the sources.
const WIDTH: usize = 110;

/// Characters that one level is indented by.
const STEP: usize = 2;
