//! One event, and its bytes.

use std::time::Duration;

use bytes::Bytes;

/// What is told: data, and what else an event may have.
///
/// # Examples
/// ```
/// use phaseloop_server::sse::Event;
///
/// let event = Event::new("21.5\n22.0").name("celsius").id("7");
/// assert_eq!(event.encode(), "event: celsius\nid: 7\ndata: 21.5\ndata: 22.0\n\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    data: Option<String>,
    name: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
    comment: Option<String>,
}

impl Event {
    /// An event with data, of as many lines as it has. Browsers see the line ends as `\n`.
    pub fn new(data: impl Into<String>) -> Self {
        Self { data: Some(data.into()), ..Self::default() }
    }

    /// No event but a comment: it keeps a connection from looking dead, and is shown to nobody.
    pub fn comment(text: impl Into<String>) -> Self {
        Self { comment: Some(text.into()), ..Self::default() }
    }

    /// The type, `message` if there is none. Line ends are left out of it.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(one_line(name));
        self
    }

    /// What a browser says it got last when it comes back. Line ends and NUL are left out of it.
    pub fn id(mut self, id: &str) -> Self {
        self.id = Some(one_line(id));
        self
    }

    /// How long a browser waits before it comes back.
    pub fn retry(mut self, retry: Duration) -> Self {
        self.retry = Some(retry);
        self
    }

    pub(super) fn has_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The bytes of it, as the HTML standard has them, section 9.2.
    pub fn encode(&self) -> Bytes {
        let mut text = String::new();
        let mut add = |field: &str, value: &str| text.extend([field, ": ", value, "\n"]);
        lines(self.comment.as_deref()).for_each(|line| add("", line));
        if let Some(name) = &self.name {
            add("event", name);
        }
        if let Some(id) = &self.id {
            add("id", id);
        }
        if let Some(retry) = &self.retry {
            add("retry", &retry.as_millis().to_string());
        }
        lines(self.data.as_deref()).for_each(|line| add("data", line));
        text.push('\n');
        text.into()
    }
}

/// Lines as an event stream has them: behind CR, LF or both.
fn lines(text: Option<&str>) -> impl Iterator<Item = &str> {
    let mut left = text;
    std::iter::from_fn(move || {
        let text = left?;
        let Some(end) = text.find(['\r', '\n']) else { return left.take() };
        let len = if text[end..].starts_with("\r\n") { 2 } else { 1 };
        left = Some(&text[end + len..]);
        Some(&text[..end])
    })
}

fn one_line(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')).collect()
}

#[cfg(test)]
mod tests {
    use super::Event;
    use std::time::Duration;

    #[test]
    fn every_kind_of_line_end_makes_a_line() {
        assert_eq!(Event::new("a\rb\r\nc\n").encode(), "data: a\ndata: b\ndata: c\ndata: \n\n");
        assert_eq!(Event::new("").encode(), "data: \n\n");
    }

    #[test]
    fn nothing_gets_out_of_its_field() {
        let event = Event::new("x").name("a\ndata: b").id("1\r\n2\0").retry(Duration::from_millis(1500));
        assert_eq!(event.encode(), "event: adata: b\nid: 12\nretry: 1500\ndata: x\n\n");
        assert_eq!(Event::comment("a\nb").encode(), ": a\n: b\n\n");
    }
}
