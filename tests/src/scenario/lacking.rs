//! Which operations a profile does not have.

use super::{Await, Listen, Op, Profile, visit};
use std::cell::Cell;

impl Profile {
    /// The name of an operation in `program` that this profile does not have: a page has no files, ticks or immediates, and
    /// Node.js is recorded without posted messages.
    pub fn lacks(self, program: &[Op]) -> Option<&'static str> {
        let lacking = Cell::new(None);
        let is_lacking = |name: Option<&'static str>| {
            lacking.set(name);
            name.is_some()
        };
        if self == Profile::Browser {
            let _found = visit::any(program, &|op| is_lacking(page_lacks(op)))
                || visit::any_await(program, &|awaited| is_lacking(page_lacks_await(awaited)));
        } else {
            visit::any(program, &|op| is_lacking(matches!(op, Op::Message(_)).then_some("message")));
        }
        lacking.get()
    }
}

fn page_lacks(op: &Op) -> Option<&'static str> {
    Some(match op {
        Op::Quit => "quit",
        Op::NextTick(_) => "nextTick",
        Op::Immediate(_) => "immediate",
        Op::Refresh { .. } => "refresh",
        Op::Ref { .. } => "ref",
        Op::Unref { .. } => "unref",
        Op::Pool(_) => "pool",
        Op::Stat(_) => "stat",
        Op::ReadFile(_) => "readFile",
        Op::Send(_) => "send",
        Op::Echo(_) => "echo",
        Op::Close(_) => "close",
        Op::Listen { how: Listen { once: false, prepend: false }, .. } => "on",
        Op::Listen { how: Listen { once: true, prepend: false }, .. } => "once",
        Op::Listen { how: Listen { once: false, prepend: true }, .. } => "prepend",
        Op::Listen { how: Listen { once: true, prepend: true }, .. } => "prependOnce",
        Op::Off { .. } => "off",
        Op::OffAll { .. } => "offAll",
        Op::Emit { .. } => "emit",
        Op::SetMaxListeners { .. } => "setMaxListeners",
        Op::BeforeExit { .. } => "beforeExit",
        Op::Exit(_) => "exit",
        Op::Log { .. }
        | Op::Busy { .. }
        | Op::Throw { .. }
        | Op::Microtask(_)
        | Op::Promise { .. }
        | Op::Async { .. }
        | Op::Reject { .. }
        | Op::Catch { .. }
        | Op::Message(_)
        | Op::Timeout { .. }
        | Op::Interval { .. }
        | Op::Clear { .. } => return None,
    })
}

fn page_lacks_await(awaited: &Await) -> Option<&'static str> {
    Some(match awaited {
        Await::NextTick => "await on nextTick",
        Await::Immediate => "await on immediate",
        Await::Pool => "await on pool",
        Await::Operand(_) | Await::Rejected(_) | Await::Async(_) | Await::Sleep(_) => return None,
    })
}
