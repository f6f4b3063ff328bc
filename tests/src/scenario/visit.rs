//! Looking at every operation of a program.

use super::{AsyncCall, Await, Op, Step};

/// True if `found` is true of any operation, however deep it stands.
pub fn any(body: &[Op], found: &dyn Fn(&Op) -> bool) -> bool {
    body.iter().any(|op| found(op) || any_inside(op, found))
}

fn any_inside(op: &Op, found: &dyn Fn(&Op) -> bool) -> bool {
    match op {
        Op::NextTick(callback)
        | Op::Microtask(callback)
        | Op::Catch { callback, .. }
        | Op::Immediate(callback)
        | Op::Message(callback)
        | Op::Timeout { callback, .. }
        | Op::Interval { callback, .. }
        | Op::Pool(callback)
        | Op::Stat(callback)
        | Op::ReadFile(callback)
        | Op::Send(callback)
        | Op::Echo(callback)
        | Op::Close(callback)
        | Op::Listen { callback, .. }
        | Op::BeforeExit { callback, .. }
        | Op::Exit(callback) => any(&callback.body, found),
        Op::Promise { then, .. } => then.iter().any(|link| any(&link.callback.body, found)),
        Op::Async { call, then } => {
            any_step(call, found) || then.iter().any(|link| any(&link.callback.body, found))
        }
        Op::Log { .. }
        | Op::Busy { .. }
        | Op::Throw { .. }
        | Op::Quit
        | Op::Reject { .. }
        | Op::Clear { .. }
        | Op::Refresh { .. }
        | Op::Ref { .. }
        | Op::Unref { .. }
        | Op::Off { .. }
        | Op::OffAll { .. }
        | Op::Emit { .. }
        | Op::SetMaxListeners { .. } => false,
    }
}

/// True if `found` is true of anything that is awaited, however deep it stands.
pub fn any_await(body: &[Op], found: &dyn Fn(&Await) -> bool) -> bool {
    any(body, &|op| matches!(op, Op::Async { call, .. } if any_await_of(call, found)))
}

fn any_await_of(call: &AsyncCall, found: &dyn Fn(&Await) -> bool) -> bool {
    call.steps.iter().any(|step| match step {
        Step::Await(awaited) => {
            found(awaited) || matches!(awaited, Await::Async(call) if any_await_of(call, found))
        }
        Step::Op(_) | Step::Return(_) => false,
    })
}

fn any_step(call: &AsyncCall, found: &dyn Fn(&Op) -> bool) -> bool {
    call.steps.iter().any(|step| match step {
        Step::Op(op) => found(op) || any_inside(op, found),
        Step::Await(Await::Async(call)) => any_step(call, found),
        Step::Await(_) | Step::Return(_) => false,
    })
}
