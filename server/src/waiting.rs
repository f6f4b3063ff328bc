//! Who waits for something to change.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

/// The futures that wait for one thing. Each has one place, which is given back when it is dropped: in a loop of `select`s that
/// some other branch wins, what waits would pile up.
#[derive(Default)]
pub(crate) struct Waiting {
    /// In the order in which they came, which is that of their numbers.
    wakers: RefCell<Vec<(u64, Waker)>>,
    next: Cell<u64>,
}

impl Waiting {
    /// Waits until there is what `find` looks for: at once, and whenever all are woken.
    pub(crate) async fn until<T>(&self, mut find: impl FnMut() -> Option<T>) -> T {
        let mut place = Place { waiting: self, number: None };
        poll_fn(|cx| match find() {
            Some(found) => Poll::Ready(found),
            None => {
                place.note(cx);
                Poll::Pending
            }
        })
        .await
    }

    /// Wakes all who wait.
    pub(crate) fn wake(&self) {
        let wakers = self.wakers.take();
        wakers.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// Of one future, among those who wait.
struct Place<'a> {
    waiting: &'a Waiting,
    /// Since it waited first. Those who were woken are not among them any more.
    number: Option<u64>,
}

impl Place<'_> {
    fn note(&mut self, cx: &Context<'_>) {
        let mut wakers = self.waiting.wakers.borrow_mut();
        if let Some(at) = find(&wakers, self.number) {
            if !wakers[at].1.will_wake(cx.waker()) {
                let old = std::mem::replace(&mut wakers[at].1, cx.waker().clone());
                drop(wakers); // what is dropped may be anybody's
                drop(old);
            }
            return;
        }
        let number = self.waiting.next.get();
        self.waiting.next.set(number + 1);
        self.number = Some(number);
        wakers.push((number, cx.waker().clone()));
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut wakers = self.waiting.wakers.borrow_mut();
        let own = find(&wakers, self.number).map(|at| wakers.remove(at));
        drop(wakers);
        drop(own);
    }
}

fn find(wakers: &[(u64, Waker)], number: Option<u64>) -> Option<usize> {
    wakers.binary_search_by_key(&number?, |(number, _)| *number).ok()
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("len", &self.wakers.borrow().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use super::Waiting;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_ready(future: Pin<&mut impl Future>, count: &Arc<Count>) -> bool {
        future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(count)))).is_ready()
    }

    #[test]
    fn who_is_dropped_is_forgotten_and_who_waits_is_woken() {
        let (waiting, found, count) = (Waiting::default(), Cell::new(false), Arc::new(Count::default()));
        let wait = || waiting.until(|| found.get().then_some(()));
        let mut first = Box::pin(wait());
        let mut last = pin!(wait());
        assert!(!is_ready(first.as_mut(), &count));
        for _ in 0..3 {
            let mut dropped = Box::pin(wait());
            assert!(!is_ready(dropped.as_mut(), &count) && !is_ready(dropped.as_mut(), &count));
        }
        assert!(!is_ready(last.as_mut(), &count));
        assert_eq!(waiting.wakers.borrow().len(), 2);
        waiting.wake();
        assert_eq!((count.0.load(Ordering::Relaxed), waiting.wakers.borrow().len()), (2, 0));
        // It was for nothing.
        assert!(!is_ready(last.as_mut(), &count));
        drop(first);
        found.set(true);
        waiting.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 3);
        assert!(is_ready(last.as_mut(), &count));
    }

    #[test]
    fn one_that_is_polled_by_another_task_is_woken_there() {
        let (waiting, counts) = (Waiting::default(), [0; 2].map(|_| Arc::new(Count::default())));
        let mut future = pin!(waiting.until(|| None::<()>));
        assert!(!is_ready(future.as_mut(), &counts[0]) && !is_ready(future.as_mut(), &counts[1]));
        waiting.wake();
        assert_eq!(counts.map(|count| count.0.load(Ordering::Relaxed)), [0, 1]);
    }
}
