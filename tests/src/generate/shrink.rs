//! Making a failing scenario smaller.

use crate::scenario::{AsyncCall, Body, Callback, Link, Op, Scenario, Step};

/// Removes operations from a scenario for as long as it still `fails`.
pub fn shrink(scenario: &Scenario, mut fails: impl FnMut(&Scenario) -> bool) -> Scenario {
    let mut smallest = scenario.clone();
    let mut index = 0;
    while let Some(program) = without(&smallest.program, index) {
        let smaller = Scenario { program, ..smallest.clone() };
        if fails(&smaller) {
            smallest = smaller;
        } else {
            index += 1;
        }
    }
    smallest
}

/// The body without its operation of that number, counted from the outside in; none if there are not so many.
fn without(body: &Body, index: usize) -> Option<Body> {
    let mut remover = Remover { before: Some(index) };
    let body = remover.body(body);
    remover.before.is_none().then_some(body)
}

/// Copies a program without one operation.
struct Remover {
    /// Operations to keep until the one to remove; none once it is removed.
    before: Option<usize>,
}

impl Remover {
    fn body(&mut self, body: &Body) -> Body {
        body.iter().filter_map(|op| self.op(op)).collect()
    }

    fn op(&mut self, op: &Op) -> Option<Op> {
        self.before = match self.before {
            Some(0) => {
                self.before = None;
                return None;
            }
            before => before.map(|before| before - 1),
        };
        let mut copy = op.clone();
        match &mut copy {
            Op::NextTick(callback)
            | Op::Microtask(callback)
            | Op::Immediate(callback)
            | Op::Message(callback)
            | Op::Pool(callback)
            | Op::Stat(callback)
            | Op::ReadFile(callback)
            | Op::Send(callback)
            | Op::Echo(callback)
            | Op::Close(callback)
            | Op::Exit(callback)
            | Op::Catch { callback, .. }
            | Op::Timeout { callback, .. }
            | Op::Interval { callback, .. }
            | Op::Listen { callback, .. }
            | Op::BeforeExit { callback, .. } => self.callback(callback),
            Op::Promise { then, .. } => self.links(then),
            Op::Async { call, then } => {
                self.call(call);
                self.links(then);
            }
            _ => {}
        }
        Some(copy)
    }

    fn callback(&mut self, callback: &mut Callback) {
        callback.body = self.body(&callback.body);
    }

    fn links(&mut self, links: &mut [Link]) {
        links.iter_mut().for_each(|link| self.callback(&mut link.callback));
    }

    fn call(&mut self, call: &mut AsyncCall) {
        let keep = |step: &Step| match step {
            Step::Op(op) => self.op(op).map(Step::Op),
            other => Some(other.clone()),
        };
        call.steps = call.steps.iter().filter_map(keep).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::shrink;
    use crate::model::trace;
    use crate::scenario::{Profile, parse};

    #[test]
    fn only_what_fails_is_left() {
        let json = r#"{ "name": "n", "rule": "r", "about": "a", "program": [
            { "op": "log", "label": "a" },
            { "op": "immediate", "label": "b", "do": [{ "op": "log", "label": "c" }, { "op": "quit" }] },
            { "op": "log", "label": "d" }] }"#;
        let scenario = parse("n", json).expect("it is a scenario");
        let small = shrink(&scenario, |smaller| trace(smaller, Profile::Node26).contains(&"c".to_owned()));
        assert_eq!(trace(&small, Profile::Node26), ["b", "c"]);
    }
}
