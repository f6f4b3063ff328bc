//! A scenario as people read it: as JavaScript, with what each label comes from.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

use phaseloop_tests::scenario::{
    AsyncCall, Await, Body, Callback, Link, LinkOn, Listen, Op, Operand, PromiseStart, Scenario, Step, parse,
};

use super::cause::{Cause, Kind};
use crate::command_line::Refusal;

/// The script of the article, for whoever names no file.
const ARTICLE: &str = include_str!("article.json");

/// A scenario, its text, and where its labels come from.
#[derive(Clone, Debug)]
pub struct Script {
    /// A headline.
    pub title: String,
    /// What it does, in a sentence.
    pub about: String,
    /// What runs.
    pub program: Body,
    /// The same as JavaScript.
    pub lines: Vec<Line>,
    causes: HashMap<String, Cause>,
}

/// A line of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How deep it stands.
    pub depth: usize,
    /// The code, without the indent.
    pub code: String,
    /// The label that it is about, if it is about one.
    pub label: Option<String>,
}

impl Script {
    /// The article's script.
    pub fn article() -> Self {
        let scenario = parse("article.json", ARTICLE).expect("it is tested");
        Self { title: "The ordering script of every tutorial".to_owned(), ..Self::of(scenario) }
    }

    /// The scenario of a file.
    ///
    /// # Errors
    /// A [`Refusal`] if the file can not be read or holds no scenario.
    pub fn load(file: &OsStr) -> io::Result<Self> {
        let name = Path::new(file).display().to_string();
        let json = std::fs::read_to_string(file)
            .map_err(|error| Refusal::error(format!("{name}: cannot be read: {error}")))?;
        parse(&name, &json).map(Self::of).map_err(|error| Refusal::error(error.to_string()))
    }

    fn of(scenario: Scenario) -> Self {
        let mut writer = Writer::default();
        writer.body(&scenario.program, None);
        let Writer { lines, causes, .. } = writer;
        Self { title: scenario.name, about: scenario.about, program: scenario.program, lines, causes }
    }

    /// What an entry of a trace comes from.
    pub fn cause(&self, entry: &str) -> Cause {
        let known = self.causes.get(entry).cloned();
        known.unwrap_or_else(|| Cause { kind: Kind::of_prefix(entry), parent: None })
    }
}

/// Writes a program, line by line.
#[derive(Default)]
struct Writer {
    lines: Vec<Line>,
    depth: usize,
    causes: HashMap<String, Cause>,
}

/// The label of the callback whose body is written; none in the main program.
type Parent<'a> = Option<&'a str>;

impl Writer {
    fn line(&mut self, code: impl Into<String>, label: Option<&str>) {
        let label = label.map(str::to_owned);
        self.lines.push(Line { depth: self.depth, code: code.into(), label });
    }

    fn knows(&mut self, label: &str, kind: Kind, parent: Parent<'_>) {
        self.causes.insert(label.to_owned(), Cause { kind, parent: parent.map(str::to_owned) });
    }

    fn body(&mut self, body: &[Op], parent: Parent<'_>) {
        for op in body {
            self.op(op, parent);
        }
    }

    fn op(&mut self, op: &Op, parent: Parent<'_>) {
        match op {
            Op::Log { label } => {
                self.knows(label, Kind::Log, parent);
                self.line(format!("log({});", quoted(label)), Some(label));
            }
            Op::Busy { ms } => self.line(format!("block({ms});"), None),
            Op::Throw { label } => self.line(format!("throw {};", quoted(label)), None),
            Op::Quit => self.line("process.exit();", None),
            Op::NextTick(callback) => self.call("process.nextTick(", callback, ");", Kind::Tick, parent),
            Op::Microtask(callback) => self.call("queueMicrotask(", callback, ");", Kind::Microtask, parent),
            Op::Promise { start, then } => self.promise(start, then, parent),
            Op::Async { call, then } => {
                self.async_call("", call, parent);
                self.links(then, parent);
            }
            Op::Reject { label } => self.line(format!("reject({});", quoted(label)), Some(label)),
            Op::Catch { id, callback } => {
                self.call(&format!("rejected({}).catch(", quoted(id)), callback, ");", Kind::Link, parent);
            }
            Op::Immediate(callback) => self.call("setImmediate(", callback, ");", Kind::Immediate, parent),
            Op::Message(callback) => self.call("postMessage(", callback, ");", Kind::Message, parent),
            Op::Timeout { ms, callback } => {
                self.call("setTimeout(", callback, &format!(", {ms});"), Kind::Timeout, parent);
            }
            Op::Interval { ms, times, callback } => {
                let end = format!(", {ms}); // {times} times");
                self.call("setInterval(", callback, &end, Kind::Interval, parent);
            }
            Op::Clear { id } => self.line(format!("clear({});", quoted(id)), None),
            Op::Refresh { id } => self.line(format!("refresh({});", quoted(id)), None),
            Op::Ref { id } => self.line(format!("ref({});", quoted(id)), None),
            Op::Unref { id } => self.line(format!("unref({});", quoted(id)), None),
            Op::Pool(callback) => self.call("pool(", callback, ");", Kind::Pool, parent),
            Op::Stat(callback) => self.call("fs.stat(file, ", callback, ");", Kind::Pool, parent),
            Op::ReadFile(callback) => self.call("fs.readFile(file, ", callback, ");", Kind::ReadFile, parent),
            Op::Send(callback) => self.call("send(", callback, ");", Kind::Stream, parent),
            Op::Echo(callback) => self.call("echo(", callback, ");", Kind::Stream, parent),
            Op::Close(callback) => self.call("socket.destroy(", callback, ");", Kind::Close, parent),
            Op::Listen { .. }
            | Op::Off { .. }
            | Op::OffAll { .. }
            | Op::Emit { .. }
            | Op::SetMaxListeners { .. } => {
                self.on_emitter(op, parent);
            }
            Op::BeforeExit { callback, .. } => {
                self.call("process.on('beforeExit', ", callback, ");", Kind::BeforeExit, parent);
            }
            Op::Exit(callback) => self.call("process.on('exit', ", callback, ");", Kind::Exit, parent),
        }
    }

    fn on_emitter(&mut self, op: &Op, parent: Parent<'_>) {
        match op {
            Op::Listen { how, emitter, event, callback } => {
                let start = format!("emitter({}).{}({}, ", quoted(emitter), method(*how), quoted(event));
                self.call(&start, callback, ");", Kind::Listener, parent);
            }
            Op::Off { id } => self.line(format!("off({});", quoted(id)), None),
            Op::OffAll { emitter, event } => {
                let code = format!("emitter({}).removeAllListeners({});", quoted(emitter), quoted(event));
                self.line(code, None);
            }
            Op::Emit { emitter, event, .. } => {
                self.line(format!("emitter({}).emit({});", quoted(emitter), quoted(event)), None);
            }
            Op::SetMaxListeners { emitter, n } => {
                self.line(format!("emitter({}).setMaxListeners({n});", quoted(emitter)), None);
            }
            _ => {}
        }
    }

    /// A call that takes a callback: on one line if that does nothing but record its label.
    fn call(&mut self, start: &str, callback: &Callback, end: &str, kind: Kind, parent: Parent<'_>) {
        self.call_and_return(start, callback, None, end, kind, parent);
    }

    fn call_and_return(
        &mut self,
        start: &str,
        callback: &Callback,
        returns: Option<String>,
        end: &str,
        kind: Kind,
        parent: Parent<'_>,
    ) {
        let Callback { label, body } = callback;
        self.knows(label, kind, parent);
        let log = format!("log({})", quoted(label));
        if body.is_empty() && returns.is_none() {
            return self.line(format!("{start}() => {log}{end}"), Some(label));
        }
        self.line(format!("{start}() => {{"), Some(label));
        self.depth += 1;
        self.line(format!("{log};"), Some(label));
        self.body(body, Some(label));
        if let Some(value) = returns {
            self.line(format!("return {value};"), Some(label));
        }
        self.depth -= 1;
        self.line(format!("}}{end}"), Some(label));
    }

    fn promise(&mut self, start: &PromiseStart, then: &[Link], parent: Parent<'_>) {
        let start = match start {
            PromiseStart::Value => "Promise.resolve()".to_owned(),
            PromiseStart::Promise => "new Promise((resolve) => resolve(Promise.resolve()))".to_owned(),
            PromiseStart::Thenable(label) => {
                self.knows(label, Kind::Thenable, parent);
                format!("Promise.resolve(thenable({}))", quoted(label))
            }
        };
        match then {
            // The usual one fits on a line.
            [link] if matches!(link.returns, Operand::Value) => {
                let start = format!("{start}.{}(", link_method(link.on));
                self.call(&start, &link.callback, ");", Kind::Link, parent);
            }
            _ => {
                self.line(start, None);
                self.links(then, parent);
            }
        }
    }

    fn links(&mut self, links: &[Link], parent: Parent<'_>) {
        self.depth += 1;
        for (index, link) in links.iter().enumerate() {
            let end = if index + 1 == links.len() { ");" } else { ")" };
            let returns = match &link.returns {
                Operand::Value => None,
                Operand::Promise => Some("Promise.resolve()".to_owned()),
                Operand::Thenable(_) => {
                    let label = format!("{}.then", link.callback.label);
                    self.knows(&label, Kind::Thenable, Some(&link.callback.label));
                    Some(format!("thenable({})", quoted(&label)))
                }
            };
            let start = format!(".{}(", link_method(link.on));
            self.call_and_return(&start, &link.callback, returns, end, Kind::Link, parent);
        }
        self.depth -= 1;
    }

    fn async_call(&mut self, prefix: &str, call: &AsyncCall, parent: Parent<'_>) {
        let label = &*call.label;
        self.knows(label, Kind::AsyncCall, parent);
        self.line(format!("{prefix}(async () => {{"), Some(label));
        self.depth += 1;
        self.line(format!("log({});", quoted(label)), Some(label));
        for step in &*call.steps {
            match step {
                Step::Op(op) => self.op(op, Some(label)),
                Step::Return(operand) => {
                    let value = self.operand(operand, label);
                    self.line(format!("return {value};"), None);
                }
                Step::Await(Await::Async(inner)) => self.async_call("await ", inner, Some(label)),
                Step::Await(awaited) => {
                    let value = self.awaited(awaited, label);
                    self.line(format!("await {value};"), None);
                }
            }
        }
        self.depth -= 1;
        self.line("})();", Some(label));
    }

    fn awaited(&mut self, awaited: &Await, parent: &str) -> String {
        match awaited {
            Await::Operand(operand) => self.operand(operand, parent),
            Await::Rejected(label) => format!("Promise.reject({})", quoted(label)),
            Await::Async(_) => String::new(), // has lines of its own
            Await::NextTick => "tick()".to_owned(),
            Await::Immediate => "immediate()".to_owned(),
            Await::Pool => "pool()".to_owned(),
            Await::Sleep(ms) => format!("sleep({ms})"),
        }
    }

    fn operand(&mut self, operand: &Operand, parent: &str) -> String {
        match operand {
            Operand::Value => "undefined".to_owned(),
            Operand::Promise => "Promise.resolve()".to_owned(),
            Operand::Thenable(Some(label)) => {
                self.knows(label, Kind::Thenable, Some(parent));
                format!("thenable({})", quoted(label))
            }
            Operand::Thenable(None) => "thenable()".to_owned(),
        }
    }
}

fn method(how: Listen) -> &'static str {
    match (how.once, how.prepend) {
        (false, false) => "on",
        (true, false) => "once",
        (false, true) => "prependListener",
        (true, true) => "prependOnceListener",
    }
}

fn link_method(on: LinkOn) -> &'static str {
    match on {
        LinkOn::Fulfilled => "then",
        LinkOn::Rejected => "catch",
        LinkOn::Finally => "finally",
    }
}

/// A string of JavaScript.
fn quoted(text: &str) -> String {
    let escaped: String =
        text.chars().flat_map(|c| c.escape_debug().filter(move |e| c != '"' || *e != '\\')).collect();
    format!("'{escaped}'")
}

#[cfg(test)]
mod tests {
    use super::{Kind, Script, quoted};

    #[test]
    fn the_article_reads_as_its_javascript() {
        let script = Script::article();
        let code: Vec<_> =
            script.lines.iter().map(|line| format!("{}{}", "  ".repeat(line.depth), line.code)).collect();
        for line in [
            "log('main begins');",
            "setTimeout(() => {",
            "  Promise.resolve().then(() => log('timeout 1 > promise'));",
            "}, 0);",
            "fs.readFile(file, () => {",
            "block(30);",
        ] {
            assert!(code.iter().any(|known| known == line), "{line} is not in {code:#?}");
        }
        assert_eq!(script.cause("file > tick").parent.as_deref(), Some("file"));
        assert_eq!(script.cause("file > tick").kind, Kind::Tick);
        assert_eq!(script.cause("uncaught:x").kind, Kind::Uncaught);
    }

    #[test]
    fn strings_are_quoted() {
        assert_eq!(quoted("it's \"x\"\n\\"), r#"'it\'s "x"\n\\'"#);
    }
}
