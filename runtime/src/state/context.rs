//! Values that follow asynchronous work: what a callback finds is what was in force where it was scheduled.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task;

use super::{LoopHandle, LoopState};

/// The values in force: a list that shares its tail with the contexts it grew from.
#[derive(Clone)]
pub(crate) struct Context(Rc<Node>);

struct Node {
    key: usize,
    value: Rc<dyn Any>,
    outer: Option<Context>,
}

impl Drop for Node {
    fn drop(&mut self) {
        // A long chain must not be dropped by recursion.
        let mut outer = self.outer.take();
        while let Some(Context(node)) = outer {
            outer = Rc::into_inner(node).and_then(|mut node| node.outer.take());
        }
    }
}

impl Context {
    pub(crate) fn with(outer: Option<Self>, key: usize, value: Rc<dyn Any>) -> Self {
        Self(Rc::new(Node { key, value, outer }))
    }

    pub(crate) fn find(&self, key: usize) -> Option<Rc<dyn Any>> {
        let mut node = &self.0;
        while node.key != key {
            node = &node.outer.as_ref()?.0;
        }
        Some(Rc::clone(&node.value))
    }
}

/// Puts back the context that was in force.
struct Restore<'a> {
    lp: &'a LoopHandle,
    before: Option<Context>,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        self.lp.state.replace_context(self.before.take());
    }
}

impl LoopState {
    fn replace_context(&self, context: Option<Context>) -> Option<Context> {
        let before = self.context.replace(context);
        self.watching.has_context(self.context.borrow().is_some());
        before
    }
}

impl LoopHandle {
    /// The context to be kept with work that is scheduled now.
    pub(crate) fn captured_context(&self) -> Option<Context> {
        self.state.context.borrow().clone()
    }

    /// Runs `f` with `context` in force.
    pub(crate) fn in_context<R>(&self, context: Option<Context>, f: impl FnOnce() -> R) -> R {
        let before = self.state.replace_context(context);
        let _restore = Restore { lp: self, before };
        f()
    }
}

/// A future that is polled, and dropped, with a context in force.
pub(crate) struct InContext<F> {
    lp: LoopHandle,
    context: Context,
    /// Boxed, which makes it movable: the price of a context, paid by those who use one.
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> InContext<F> {
    pub(crate) fn new(lp: LoopHandle, context: Context, future: F) -> Self {
        Self { lp, context, future: Some(Box::pin(future)) }
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<F::Output> {
        let this = &mut *self;
        let future = this.future.as_mut().expect("the future is there until it is dropped");
        this.lp.in_context(Some(this.context.clone()), || future.as_mut().poll(cx))
    }
}

impl<F> Drop for InContext<F> {
    fn drop(&mut self) {
        let future = self.future.take();
        self.lp.in_context(Some(self.context.clone()), || drop(future));
    }
}
