//! Values that follow asynchronous work, opt-in by key: what thread-locals are to threads.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::state::LoopHandle;
use crate::state::context::{Context, InContext};

/// A value that is in force for a call or a future, and for all that they schedule: tasks, timers, ticks, immediates,
/// and listeners of what they emit.
///
/// Nothing is paid by programs that set no value.
///
/// # Examples
/// ```
/// # use phaseloop::{ContextKey, EventLoop, RunMode};
/// static REQUEST: ContextKey<u32> = ContextKey::new();
///
/// let lp = EventLoop::new()?;
/// REQUEST.scope(&lp, 7, || {
///     lp.next_tick(|lp| assert_eq!(REQUEST.get(lp).as_deref(), Some(&7)));
/// });
/// assert!(REQUEST.get(&lp).is_none());
/// lp.run(RunMode::Default)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ContextKey<T> {
    /// Gives the key an address of its own.
    _address: u8,
    _value: PhantomData<fn() -> T>,
}

impl<T: 'static> ContextKey<T> {
    /// Makes a key. To be kept in a `static`: its address is its identity.
    pub const fn new() -> Self {
        Self { _address: 0, _value: PhantomData }
    }

    /// The value in force, if any.
    pub fn get(&'static self, lp: &LoopHandle) -> Option<Rc<T>> {
        let found = lp.state.context.borrow().as_ref().and_then(|context| context.find(self.id()))?;
        found.downcast().ok()
    }

    /// Runs `f` with `value` in force.
    pub fn scope<R>(&'static self, lp: &LoopHandle, value: T, f: impl FnOnce() -> R) -> R {
        lp.in_context(Some(self.extend(lp, value)), f)
    }

    /// Polls and drops `future` with `value` in force.
    pub fn scope_future<F: Future>(
        &'static self,
        lp: &LoopHandle,
        value: T,
        future: F,
    ) -> impl Future<Output = F::Output> + use<T, F> {
        InContext::new(lp.clone(), self.extend(lp, value), future)
    }

    fn extend(&'static self, lp: &LoopHandle, value: T) -> Context {
        let value: Rc<dyn Any> = Rc::new(value);
        Context::with(lp.captured_context(), self.id(), value)
    }

    fn id(&'static self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}

impl<T: 'static> Default for ContextKey<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for ContextKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContextKey")
    }
}

impl LoopHandle {
    /// Makes a function that runs in the context that is in force now: for listeners that are to see the context of
    /// their registration instead of that of the emit.
    pub fn bind_context<A>(&self, mut f: impl FnMut(A) + 'static) -> impl FnMut(A) + 'static {
        let (lp, context) = (self.clone(), self.captured_context());
        move |argument| lp.in_context(context.clone(), || f(argument))
    }

    /// As `bind_context`, for a callback that runs once and gets the loop: for adapters that call back later.
    pub fn bind_context_once<A>(
        &self,
        f: impl FnOnce(&Self, A) + 'static,
    ) -> impl FnOnce(&Self, A) + 'static {
        let context = self.captured_context();
        move |lp: &Self, argument| match context {
            None => f(lp, argument),
            context => lp.in_context(context, || f(lp, argument)),
        }
    }
}
