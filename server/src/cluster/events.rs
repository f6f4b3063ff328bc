//! Events on their way to whoever listens.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use phaseloop::LoopHandle;

use super::event::Event;
use super::primary::Primary;

type OnEvent = Rc<RefCell<dyn FnMut(&Primary, Event)>>;

/// Who is told of events: a callback, or a stream, or nobody.
#[derive(Default)]
pub(super) struct Listeners {
    callback: RefCell<Option<OnEvent>>,
    stream: RefCell<Option<Rc<RefCell<Queue>>>>,
}

struct Queue {
    events: VecDeque<Event>,
    len_max: usize,
    missed: u64,
    over: bool,
    waker: Option<Waker>,
}

impl Listeners {
    pub(super) fn set_callback(&self, on_event: impl FnMut(&Primary, Event) + 'static) {
        let old = self.callback.replace(Some(Rc::new(RefCell::new(on_event))));
        drop(old);
    }

    /// Opens the stream, in place of the one before, which ends.
    pub(super) fn open(&self, len_max: usize) -> Events {
        let queue = Queue { events: VecDeque::new(), len_max, missed: 0, over: false, waker: None };
        let queue = Rc::new(RefCell::new(queue));
        if let Some(old) = self.stream.replace(Some(Rc::clone(&queue))) {
            end(&old);
        }
        Events { queue }
    }

    /// Tells an event: to the callback in a tick of its own, so that a panic there disturbs nothing else.
    pub(super) fn tell(&self, lp: &LoopHandle, primary: &Primary, event: Event) {
        let callback = self.callback.borrow().clone();
        if let Some(callback) = callback {
            let primary = primary.clone();
            lp.next_tick(move |_| {
                // It is borrowed already if a callback turns the queues itself, which nothing here offers.
                if let Ok(mut callback) = callback.try_borrow_mut() {
                    callback(&primary, event);
                }
            });
        } else if let Some(queue) = &*self.stream.borrow() {
            push(queue, event);
        }
    }

    /// Nothing more will happen: what is held is let go, once all that was told is.
    pub(super) fn end(&self, lp: &LoopHandle) {
        if let Some(stream) = self.stream.take() {
            end(&stream);
        }
        let callback = self.callback.take();
        lp.next_tick(move |_| drop(callback)); // it may own the primary
    }
}

fn push(queue: &RefCell<Queue>, event: Event) {
    let mut queue = queue.borrow_mut();
    if queue.events.len() >= queue.len_max {
        queue.missed += 1;
        return;
    }
    queue.events.push_back(event);
    let waker = queue.waker.take();
    drop(queue);
    waker.into_iter().for_each(Waker::wake);
}

fn end(queue: &RefCell<Queue>) {
    let mut queue = queue.borrow_mut();
    queue.over = true;
    let waker = queue.waker.take();
    drop(queue);
    waker.into_iter().for_each(Waker::wake);
}

/// The events of a cluster, one after the other; it ends when no worker is left and none will come. Made by
/// [`Primary::events`].
///
/// At most [`events_waiting_max`](super::ClusterLimits::events_waiting_max) wait. Later ones are dropped, and an
/// [`Event::Missed`] says how many.
pub struct Events {
    queue: Rc<RefCell<Queue>>,
}

impl Events {
    /// The next event; `None` at the end.
    ///
    /// # Cancel safety
    /// No event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut queue = self.queue.borrow_mut();
        if let Some(event) = queue.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        match std::mem::take(&mut queue.missed) {
            0 if queue.over => Poll::Ready(None),
            0 => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            missed => Poll::Ready(Some(Event::Missed(missed))),
        }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(cx)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("waiting", &self.queue.borrow().events.len()).finish()
    }
}
