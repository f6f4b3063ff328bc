//! What programs are made of. FORMAT.md says what each operation does.

use std::sync::Arc;

/// What is recorded in a trace, and the name by which later operations find an object.
pub type Label = Arc<str>;

/// Operations that are executed in order, each one completely before the next.
pub type Body = Arc<[Op]>;

/// Calling it means: record the label, then execute the body.
#[derive(Clone, Debug, PartialEq)]
pub struct Callback {
    /// Recorded at each call.
    pub label: Label,
    /// Executed at each call.
    pub body: Body,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names and fields are those of FORMAT.md, which describes them")]
pub enum Op {
    Log { label: Label },
    Busy { ms: f64 },
    Throw { label: Label },
    Quit,
    NextTick(Callback),
    Microtask(Callback),
    Promise { start: PromiseStart, then: Vec<Link> },
    Async { call: AsyncCall, then: Vec<Link> },
    Reject { label: Label },
    Catch { id: Label, callback: Callback },
    Immediate(Callback),
    Message(Callback),
    Timeout { ms: f64, callback: Callback },
    Interval { ms: f64, times: u32, callback: Callback },
    Clear { id: Label },
    Refresh { id: Label },
    Ref { id: Label },
    Unref { id: Label },
    Pool(Callback),
    Stat(Callback),
    ReadFile(Callback),
    Send(Callback),
    Echo(Callback),
    Close(Callback),
    Listen { how: Listen, emitter: Label, event: Label, callback: Callback },
    Off { id: Label },
    OffAll { emitter: Label, event: Label },
    Emit { emitter: Label, event: Label, label: Option<Label> },
    SetMaxListeners { emitter: Label, n: u32 },
    BeforeExit { times: u32, callback: Callback },
    Exit(Callback),
}

/// How a listener is added: `on`, `once`, `prepend` or `prependOnce`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// It is removed before its first call.
    pub once: bool,
    /// It goes to the front.
    pub prepend: bool,
}

/// What the chain of a `promise` starts from (`from`).
#[derive(Clone, Debug, PartialEq)]
pub enum PromiseStart {
    /// A fulfilled promise.
    Value,
    /// A promise that was resolved with a fulfilled promise.
    Promise,
    /// A promise that was resolved with a thenable, which records the label.
    Thenable(Label),
}

/// A link of a promise chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// What its callback records and executes.
    pub callback: Callback,
    /// When the callback is called.
    pub on: LinkOn,
    /// What the callback returns. A thenable is labelled `<label>.then`.
    pub returns: Operand,
}

/// Which outcome a link waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkOn {
    /// `then(callback)`.
    Fulfilled,
    /// `then(undefined, callback)`.
    Rejected,
    /// `finally(callback)`.
    Finally,
}

/// A value that a link or an async function returns.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// Nothing.
    Value,
    /// A fulfilled promise.
    Promise,
    /// An object with a `then` that records the label and resolves at once.
    Thenable(Option<Label>),
}

/// The call of an async function.
#[derive(Clone, Debug, PartialEq)]
pub struct AsyncCall {
    /// Recorded when it is called.
    pub label: Label,
    /// Executed at once, up to the first await.
    pub steps: Arc<[Step]>,
}

/// One step of an async function.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// An operation, as in any body.
    Op(Op),
    /// Waits for an operand.
    Await(Await),
    /// Ends the function.
    Return(Operand),
}

/// What an `await` waits for (`on`).
#[derive(Clone, Debug, PartialEq)]
pub enum Await {
    /// Nothing, a fulfilled promise, or a thenable.
    Operand(Operand),
    /// A promise rejected with the label.
    Rejected(Label),
    /// The promise of another async function, called now.
    Async(AsyncCall),
    /// A promise that a tick fulfils.
    NextTick,
    /// A promise that an immediate fulfils.
    Immediate,
    /// A promise that a pool job fulfils.
    Pool,
    /// A promise that a timer of so many milliseconds fulfils.
    Sleep(f64),
}
