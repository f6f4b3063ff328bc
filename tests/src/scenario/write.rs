//! From a [`Scenario`] to a JSON document.

use super::text::Text;
use super::{
    AsyncCall, Await, Callback, Expectation, Link, LinkOn, Listen, Op, Operand, Profile, PromiseStart,
    Scenario, Step,
};

impl Scenario {
    /// The scenario as a JSON document that [`parse`](super::parse) reads back.
    pub fn to_json(&self) -> String {
        let mut fields = vec![
            ("name", Text::string(&self.name)),
            ("rule", Text::string(&self.rule)),
            ("about", Text::string(&self.about)),
        ];
        if self.profiles != Profile::ALL {
            fields.push(("profiles", profiles(&self.profiles)));
        }
        fields.push(("program", body(&self.program)));
        if !self.expect.is_empty() {
            fields.push(("expect", Text::List(self.expect.iter().map(expectation).collect())));
        }
        Text::Object(fields).to_lines()
    }
}

fn profiles(profiles: &[Profile]) -> Text {
    Text::strings(profiles.iter().map(|profile| profile.name()))
}

fn expectation(group: &Expectation) -> Text {
    let trace = Text::strings(group.trace.iter().map(String::as_str));
    Text::Object(vec![("profiles", profiles(&group.profiles)), ("trace", trace)])
}

fn body(ops: &[Op]) -> Text {
    Text::List(ops.iter().map(op).collect())
}

/// The fields of an operation, in the order of FORMAT.md.
struct Fields(Vec<(&'static str, Text)>);

impl Fields {
    fn of(op: &'static str) -> Fields {
        Fields(vec![("op", Text::string(op))])
    }

    fn string(mut self, name: &'static str, value: &str) -> Fields {
        self.0.push((name, Text::string(value)));
        self
    }

    fn number(mut self, name: &'static str, value: f64) -> Fields {
        self.0.push((name, Text::number(value)));
        self
    }

    fn optional_label(self, label: Option<&str>) -> Fields {
        match label {
            Some(label) => self.string("label", label),
            None => self,
        }
    }

    fn body(mut self, ops: &[Op]) -> Fields {
        if !ops.is_empty() {
            self.0.push(("do", body(ops)));
        }
        self
    }

    fn callback(self, callback: &Callback) -> Fields {
        self.string("label", &callback.label).body(&callback.body)
    }

    fn call(mut self, call: &AsyncCall) -> Fields {
        self = self.string("label", &call.label);
        self.0.push(("steps", Text::List(call.steps.iter().map(step).collect())));
        self
    }

    fn then(mut self, links: &[Link]) -> Fields {
        self.0.push(("then", Text::List(links.iter().map(link).collect())));
        self
    }

    fn operand(self, field: &'static str, operand: &Operand) -> Fields {
        match operand {
            Operand::Value => self.string(field, "value"),
            Operand::Promise => self.string(field, "promise"),
            Operand::Thenable(label) => self.string(field, "thenable").optional_label(label.as_deref()),
        }
    }

    fn done(self) -> Text {
        Text::Object(self.0)
    }
}

fn op(op: &Op) -> Text {
    let fields = match op {
        Op::Log { label } => Fields::of("log").string("label", label),
        Op::Busy { ms } => Fields::of("busy").number("ms", *ms),
        Op::Throw { label } => Fields::of("throw").string("label", label),
        Op::Quit => Fields::of("quit"),
        Op::NextTick(callback) => Fields::of("nextTick").callback(callback),
        Op::Microtask(callback) => Fields::of("microtask").callback(callback),
        Op::Promise { start, then } => promise(start).then(then),
        Op::Async { call, then } if then.is_empty() => Fields::of("async").call(call),
        Op::Async { call, then } => Fields::of("async").call(call).then(then),
        Op::Reject { label } => Fields::of("reject").string("label", label),
        Op::Catch { id, callback } => Fields::of("catch").string("id", id).callback(callback),
        Op::Immediate(callback) => Fields::of("immediate").callback(callback),
        Op::Message(callback) => Fields::of("message").callback(callback),
        Op::Timeout { ms, callback } => {
            Fields::of("timeout").string("label", &callback.label).number("ms", *ms).body(&callback.body)
        }
        Op::Interval { ms, times, callback } => Fields::of("interval")
            .string("label", &callback.label)
            .number("ms", *ms)
            .number("times", f64::from(*times))
            .body(&callback.body),
        Op::Clear { id } => Fields::of("clear").string("id", id),
        Op::Refresh { id } => Fields::of("refresh").string("id", id),
        Op::Ref { id } => Fields::of("ref").string("id", id),
        Op::Unref { id } => Fields::of("unref").string("id", id),
        Op::Pool(callback) => Fields::of("pool").callback(callback),
        Op::Stat(callback) => Fields::of("stat").callback(callback),
        Op::ReadFile(callback) => Fields::of("readFile").callback(callback),
        Op::Send(callback) => Fields::of("send").callback(callback),
        Op::Echo(callback) => Fields::of("echo").callback(callback),
        Op::Close(callback) => Fields::of("close").callback(callback),
        Op::Listen { how, emitter, event, callback } => {
            Fields::of(listen(*how)).string("emitter", emitter).string("event", event).callback(callback)
        }
        Op::Off { id } => Fields::of("off").string("id", id),
        Op::OffAll { emitter, event } => {
            Fields::of("offAll").string("emitter", emitter).string("event", event)
        }
        Op::Emit { emitter, event, label } => Fields::of("emit")
            .string("emitter", emitter)
            .string("event", event)
            .optional_label(label.as_deref()),
        Op::SetMaxListeners { emitter, n } => {
            Fields::of("setMaxListeners").string("emitter", emitter).number("n", f64::from(*n))
        }
        Op::BeforeExit { times, callback } => Fields::of("beforeExit")
            .string("label", &callback.label)
            .number("times", f64::from(*times))
            .body(&callback.body),
        Op::Exit(callback) => Fields::of("exit").callback(callback),
    };
    fields.done()
}

fn listen(how: Listen) -> &'static str {
    match (how.prepend, how.once) {
        (false, false) => "on",
        (false, true) => "once",
        (true, false) => "prepend",
        (true, true) => "prependOnce",
    }
}

fn promise(start: &PromiseStart) -> Fields {
    match start {
        PromiseStart::Value => Fields::of("promise"),
        PromiseStart::Promise => Fields::of("promise").string("from", "promise"),
        PromiseStart::Thenable(label) => {
            Fields::of("promise").string("from", "thenable").string("label", label)
        }
    }
}

fn link(link: &Link) -> Text {
    let mut fields = Fields(Vec::new()).string("label", &link.callback.label);
    fields = match link.on {
        LinkOn::Fulfilled => fields,
        LinkOn::Rejected => fields.string("on", "rejected"),
        LinkOn::Finally => fields.string("on", "finally"),
    };
    fields = match link.returns {
        Operand::Value => fields,
        Operand::Promise => fields.string("returns", "promise"),
        Operand::Thenable(_) => fields.string("returns", "thenable"),
    };
    fields.body(&link.callback.body).done()
}

fn step(step: &Step) -> Text {
    let awaits = |on| Fields::of("await").string("on", on);
    let fields = match step {
        Step::Op(operation) => return op(operation),
        Step::Return(operand) => Fields::of("return").operand("what", operand),
        Step::Await(Await::Operand(operand)) => Fields::of("await").operand("on", operand),
        Step::Await(Await::Rejected(label)) => awaits("rejected").string("label", label),
        Step::Await(Await::Async(call)) => awaits("async").call(call),
        Step::Await(Await::NextTick) => awaits("nextTick"),
        Step::Await(Await::Immediate) => awaits("immediate"),
        Step::Await(Await::Pool) => awaits("pool"),
        Step::Await(Await::Sleep(ms)) => awaits("sleep").number("ms", *ms),
    };
    fields.done()
}
