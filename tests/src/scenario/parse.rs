//! From a JSON document to a [`Scenario`].

use super::cursor::{Cursor, Fields, ScenarioError};
use super::{
    AsyncCall, Await, Body, Callback, Expectation, Label, Link, LinkOn, Listen, Op, Operand, Profile,
    PromiseStart, Scenario, Step,
};
use serde_json::Value;
use std::collections::HashMap;

/// Reads a scenario. `file` is only named in errors.
///
/// # Errors
/// The first thing that is not as FORMAT.md says.
pub fn parse(file: &str, json: &str) -> Result<Scenario, ScenarioError> {
    let document: Value = serde_json::from_str(json).map_err(|error| ScenarioError {
        file: file.to_owned(),
        path: String::new(),
        problem: format!("not JSON: {error}"),
    })?;
    let mut fields = Cursor::root(file, &document).fields()?;
    let mut names = Names::default();
    let scenario = Scenario {
        name: fields.required("name")?.string()?.to_owned(),
        rule: fields.required("rule")?.string()?.to_owned(),
        about: fields.required("about")?.string()?.to_owned(),
        profiles: match fields.optional("profiles") {
            Some(at) => profiles(&at)?,
            None => Profile::ALL.to_vec(),
        },
        program: names.body(&fields.required("program")?)?,
        expect: match fields.optional("expect") {
            Some(at) => expectations(&at)?,
            None => Vec::new(),
        },
    };
    fields.finish()?;
    names.finish()?;
    Ok(scenario)
}

fn profiles(at: &Cursor<'_>) -> Result<Vec<Profile>, ScenarioError> {
    let mut found = Vec::new();
    for at in at.list()? {
        let profile = Profile::from_name(at.string()?).ok_or_else(|| at.expected("a profile"))?;
        if found.contains(&profile) {
            return Err(at.error(format!("the profile \"{profile}\" stands here twice")));
        }
        found.push(profile);
    }
    Ok(found)
}

fn expectations(at: &Cursor<'_>) -> Result<Vec<Expectation>, ScenarioError> {
    let mut groups: Vec<Expectation> = Vec::new();
    for at in at.list()? {
        let mut fields = at.fields()?;
        let profiles_at = fields.required("profiles")?;
        let profiles = profiles(&profiles_at)?;
        if let Some(twice) = profiles.iter().find(|&p| groups.iter().any(|group| group.profiles.contains(p)))
        {
            return Err(profiles_at.error(format!("the profile \"{twice}\" is in two groups")));
        }
        let trace = fields.required("trace")?;
        let trace =
            trace.list()?.iter().map(|entry| Ok(entry.string()?.to_owned())).collect::<Result<_, _>>()?;
        groups.push(Expectation { profiles, trace });
        fields.finish()?;
    }
    Ok(groups)
}

/// The labels of a program, with the places where they stand, and the ids that must be among them.
#[derive(Default)]
struct Names {
    labels: HashMap<Label, String>,
    ids: Vec<(Label, ScenarioError)>,
}

impl Names {
    /// The field `label`, which must be unique.
    fn label(&mut self, fields: &mut Fields<'_>) -> Result<Label, ScenarioError> {
        self.new_label(&fields.required("label")?)
    }

    fn optional_label(&mut self, fields: &mut Fields<'_>) -> Result<Option<Label>, ScenarioError> {
        fields.optional("label").map(|at| self.new_label(&at)).transpose()
    }

    fn new_label(&mut self, at: &Cursor<'_>) -> Result<Label, ScenarioError> {
        let label: Label = at.string()?.into();
        match self.labels.insert(label.clone(), at.path().to_owned()) {
            Some(first) => Err(at.error(format!("the label \"{label}\" is already used at {first}"))),
            None => Ok(label),
        }
    }

    fn id(&mut self, fields: &mut Fields<'_>) -> Result<Label, ScenarioError> {
        let at = fields.required("id")?;
        let id: Label = at.string()?.into();
        self.ids.push((id.clone(), at.error(format!("no operation has the label \"{id}\""))));
        Ok(id)
    }

    fn finish(self) -> Result<(), ScenarioError> {
        match self.ids.into_iter().find(|(id, _)| !self.labels.contains_key(id)) {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    fn body(&mut self, at: &Cursor<'_>) -> Result<Body, ScenarioError> {
        at.list()?.iter().map(|at| self.op(at)).collect()
    }

    /// The fields `label` and, perhaps, `do`.
    fn callback(&mut self, fields: &mut Fields<'_>) -> Result<Callback, ScenarioError> {
        let label = self.label(fields)?;
        let body = match fields.optional("do") {
            Some(at) => self.body(&at)?,
            None => Body::from([]),
        };
        Ok(Callback { label, body })
    }

    fn op(&mut self, at: &Cursor<'_>) -> Result<Op, ScenarioError> {
        let mut fields = at.fields()?;
        let kind = fields.required("op")?;
        let op = self.op_of_kind(&kind, &mut fields)?;
        fields.finish()?;
        Ok(op)
    }

    fn op_of_kind(&mut self, kind: &Cursor<'_>, fields: &mut Fields<'_>) -> Result<Op, ScenarioError> {
        Ok(match kind.string()? {
            "log" => Op::Log { label: self.label(fields)? },
            "busy" => Op::Busy { ms: busy_time(fields)? },
            "throw" => Op::Throw { label: self.label(fields)? },
            "quit" => Op::Quit,
            "nextTick" => Op::NextTick(self.callback(fields)?),
            "microtask" => Op::Microtask(self.callback(fields)?),
            "promise" => self.promise(fields)?,
            "async" => {
                Op::Async { call: self.async_call(fields)?, then: self.links(fields.optional("then"))? }
            }
            "reject" => Op::Reject { label: self.label(fields)? },
            "catch" => Op::Catch { id: self.id(fields)?, callback: self.callback(fields)? },
            "immediate" => Op::Immediate(self.callback(fields)?),
            "message" => Op::Message(self.callback(fields)?),
            "timeout" => Op::Timeout { ms: number(fields)?, callback: self.callback(fields)? },
            "interval" => Op::Interval {
                ms: number(fields)?,
                times: fields.required("times")?.count(1)?,
                callback: self.callback(fields)?,
            },
            "clear" => Op::Clear { id: self.id(fields)? },
            "refresh" => Op::Refresh { id: self.id(fields)? },
            "ref" => Op::Ref { id: self.id(fields)? },
            "unref" => Op::Unref { id: self.id(fields)? },
            "pool" => Op::Pool(self.callback(fields)?),
            "stat" => Op::Stat(self.callback(fields)?),
            "readFile" => Op::ReadFile(self.callback(fields)?),
            "send" => Op::Send(self.callback(fields)?),
            "echo" => Op::Echo(self.callback(fields)?),
            "close" => Op::Close(self.callback(fields)?),
            "on" => self.listen(fields, Listen { once: false, prepend: false })?,
            "once" => self.listen(fields, Listen { once: true, prepend: false })?,
            "prepend" => self.listen(fields, Listen { once: false, prepend: true })?,
            "prependOnce" => self.listen(fields, Listen { once: true, prepend: true })?,
            "off" => Op::Off { id: self.id(fields)? },
            "offAll" => Op::OffAll { emitter: name(fields, "emitter")?, event: name(fields, "event")? },
            "emit" => Op::Emit {
                emitter: name(fields, "emitter")?,
                event: name(fields, "event")?,
                label: self.optional_label(fields)?,
            },
            "setMaxListeners" => {
                Op::SetMaxListeners { emitter: name(fields, "emitter")?, n: fields.required("n")?.count(0)? }
            }
            "beforeExit" => Op::BeforeExit {
                times: fields.optional("times").map_or(Ok(1), |at| at.count(0))?,
                callback: self.callback(fields)?,
            },
            "exit" => Op::Exit(self.callback(fields)?),
            _ => return Err(kind.expected("an operation")),
        })
    }

    fn listen(&mut self, fields: &mut Fields<'_>, how: Listen) -> Result<Op, ScenarioError> {
        let (emitter, event) = (name(fields, "emitter")?, name(fields, "event")?);
        Ok(Op::Listen { how, emitter, event, callback: self.callback(fields)? })
    }

    fn promise(&mut self, fields: &mut Fields<'_>) -> Result<Op, ScenarioError> {
        let start = match fields.optional("from") {
            None => self.unlabelled(PromiseStart::Value, fields)?,
            Some(at) => match at.string()? {
                "value" => self.unlabelled(PromiseStart::Value, fields)?,
                "promise" => self.unlabelled(PromiseStart::Promise, fields)?,
                "thenable" => PromiseStart::Thenable(self.label(fields)?),
                _ => return Err(at.expected("\"value\", \"promise\" or \"thenable\"")),
            },
        };
        Ok(Op::Promise { start, then: self.links(Some(fields.required("then")?))? })
    }

    /// A start that may have a label, which nothing records.
    fn unlabelled(
        &mut self,
        start: PromiseStart,
        fields: &mut Fields<'_>,
    ) -> Result<PromiseStart, ScenarioError> {
        self.optional_label(fields)?;
        Ok(start)
    }

    fn links(&mut self, at: Option<Cursor<'_>>) -> Result<Vec<Link>, ScenarioError> {
        let Some(at) = at else { return Ok(Vec::new()) };
        at.list()?.iter().map(|at| self.link(at)).collect()
    }

    fn link(&mut self, at: &Cursor<'_>) -> Result<Link, ScenarioError> {
        let mut fields = at.fields()?;
        let callback = self.callback(&mut fields)?;
        let on = match fields.optional("on") {
            None => LinkOn::Fulfilled,
            Some(at) => match at.string()? {
                "fulfilled" => LinkOn::Fulfilled,
                "rejected" => LinkOn::Rejected,
                "finally" => LinkOn::Finally,
                _ => return Err(at.expected("\"fulfilled\", \"rejected\" or \"finally\"")),
            },
        };
        let returns = match fields.optional("returns") {
            None => Operand::Value,
            Some(at) => match at.string()? {
                "promise" => Operand::Promise,
                "thenable" => Operand::Thenable(Some(format!("{}.then", callback.label).into())),
                _ => return Err(at.expected("\"promise\" or \"thenable\"")),
            },
        };
        fields.finish()?;
        Ok(Link { callback, on, returns })
    }

    /// The fields `label` and `steps`.
    fn async_call(&mut self, fields: &mut Fields<'_>) -> Result<AsyncCall, ScenarioError> {
        let label = self.label(fields)?;
        let steps = fields.required("steps")?;
        Ok(AsyncCall {
            label,
            steps: steps.list()?.iter().map(|at| self.step(at)).collect::<Result<_, _>>()?,
        })
    }

    fn step(&mut self, at: &Cursor<'_>) -> Result<Step, ScenarioError> {
        let mut fields = at.fields()?;
        let kind = fields.required("op")?;
        let step = match kind.string()? {
            "await" => Step::Await(self.awaited(&mut fields)?),
            "return" => {
                let what = fields.required("what")?;
                Step::Return(self.operand(&what, &mut fields)?)
            }
            _ => Step::Op(self.op_of_kind(&kind, &mut fields)?),
        };
        fields.finish()?;
        Ok(step)
    }

    fn awaited(&mut self, fields: &mut Fields<'_>) -> Result<Await, ScenarioError> {
        let on = fields.required("on")?;
        Ok(match on.string()? {
            "rejected" => Await::Rejected(self.label(fields)?),
            "async" => Await::Async(self.async_call(fields)?),
            "nextTick" => Await::NextTick,
            "immediate" => Await::Immediate,
            "pool" => Await::Pool,
            "sleep" => Await::Sleep(number(fields)?),
            _ => Await::Operand(self.operand(&on, fields)?),
        })
    }

    fn operand(&mut self, kind: &Cursor<'_>, fields: &mut Fields<'_>) -> Result<Operand, ScenarioError> {
        Ok(match kind.string()? {
            "value" => Operand::Value,
            "promise" => Operand::Promise,
            "thenable" => Operand::Thenable(self.optional_label(fields)?),
            _ => return Err(kind.expected("what an await or a return may name")),
        })
    }
}

fn number(fields: &mut Fields<'_>) -> Result<f64, ScenarioError> {
    fields.required("ms")?.number()
}

/// A length of time that can be spent, unlike a delay, of which Node makes something else if it is too long.
fn busy_time(fields: &mut Fields<'_>) -> Result<f64, ScenarioError> {
    let at = fields.required("ms")?;
    let ms = at.number()?;
    if ms > BUSY_MS_MAX { Err(at.expected(&format!("at most {BUSY_MS_MAX} ms"))) } else { Ok(ms) }
}

/// The longest delay there is.
const BUSY_MS_MAX: f64 = 2_147_483_647.0;

fn name(fields: &mut Fields<'_>, field: &'static str) -> Result<Label, ScenarioError> {
    Ok(fields.required(field)?.string()?.into())
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn problem(program: &str) -> String {
        let json = format!(r#"{{ "name": "n", "rule": "r", "about": "a", "program": {program} }}"#);
        parse("n.json", &json).expect_err("the program is wrong").to_string()
    }

    #[test]
    fn an_error_names_file_place_and_value() {
        let nested = r#"[{ "op": "immediate", "label": "i", "do": [{ "op": "busy", "ms": "long" }] }]"#;
        assert_eq!(problem(nested), "n.json: program[0].do[0].ms: expected a number, found \"long\"");
    }

    #[test]
    fn nothing_is_busy_for_ever() {
        assert_eq!(
            problem(r#"[{ "op": "busy", "ms": 1e300 }]"#),
            "n.json: program[0].ms: expected at most 2147483647 ms, found 1e+300"
        );
    }

    #[test]
    fn what_is_unknown_is_refused() {
        assert_eq!(
            problem(r#"[{ "op": "sleep" }]"#),
            "n.json: program[0].op: expected an operation, found \"sleep\""
        );
        assert_eq!(
            problem(r#"[{ "op": "quit", "now": 1 }]"#),
            "n.json: program[0]: unknown field \"now\": 1"
        );
        assert_eq!(problem(r#"[{ "op": "log" }]"#), "n.json: program[0]: the field \"label\" is missing");
        let from = r#"[{ "op": "promise", "from": "x", "then": [] }]"#;
        assert_eq!(
            problem(from),
            "n.json: program[0].from: expected \"value\", \"promise\" or \"thenable\", found \"x\""
        );
    }

    #[test]
    fn labels_are_unique_and_ids_exist() {
        let twice = r#"[{ "op": "log", "label": "x" }, { "op": "nextTick", "label": "x" }]"#;
        assert_eq!(
            problem(twice),
            "n.json: program[1].label: the label \"x\" is already used at program[0].label"
        );
        assert_eq!(
            problem(r#"[{ "op": "clear", "id": "x" }]"#),
            "n.json: program[0].id: no operation has the label \"x\""
        );
    }

    #[test]
    fn profiles_are_known_and_stand_in_one_group() {
        let document = |profiles: &str| {
            let json = format!(
                r#"{{ "name": "n", "rule": "r", "about": "a", "program": [],
                      "expect": [{{ "profiles": {profiles}, "trace": [] }}] }}"#
            );
            parse("n.json", &json).map_err(|error| error.to_string())
        };
        assert!(document(r#"["node10"]"#).is_ok());
        assert_eq!(
            document(r#"["node11"]"#),
            Err("n.json: expect[0].profiles[0]: expected a profile, found \"node11\"".to_owned())
        );
        assert!(document(r#"["node10", "node10"]"#).is_err());
    }

    #[test]
    fn durations_may_be_any_number() {
        let json = r#"{ "name": "n", "rule": "r", "about": "a", "program": [
            { "op": "timeout", "label": "a", "ms": -1 }, { "op": "timeout", "label": "b", "ms": 2.5 },
            { "op": "timeout", "label": "c", "ms": 1e300 }] }"#;
        assert_eq!(parse("n.json", json).expect("it is a scenario").program.len(), 3);
    }
}
