//! Questions that many ask at once, answered once for all of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;

use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, Shared};

type Answer<T> = Shared<LocalBoxFuture<'static, T>>;

/// Of each question one is under way. Who asks meanwhile waits for the next, with all others who do: an answer that was begun before
/// somebody asked may not know yet what that one knows.
pub(crate) struct Gather<K, T> {
    questions: RefCell<HashMap<K, Question<T>>>,
}

struct Question<T> {
    under_way: Answer<T>,
    next: Option<Answer<T>>,
}

impl<K: Clone + Eq + Hash + 'static, T: Clone + 'static> Gather<K, T> {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self { questions: RefCell::default() })
    }

    /// An answer that `work` finds, or the same of somebody else, which begins after this call in either case.
    pub(crate) fn ask(self: &Rc<Self>, key: K, work: impl Future<Output = T> + 'static) -> Answer<T> {
        let mut questions = self.questions.borrow_mut();
        let Some(question) = questions.get_mut(&key) else {
            let under_way = self.answer(key.clone(), None, work);
            questions.insert(key, Question { under_way: under_way.clone(), next: None });
            return under_way;
        };
        let before = question.under_way.clone();
        question.next.get_or_insert_with(|| self.answer(key, Some(before), work)).clone()
    }

    fn answer(
        self: &Rc<Self>,
        key: K,
        before: Option<Answer<T>>,
        work: impl Future<Output = T> + 'static,
    ) -> Answer<T> {
        let all = Rc::clone(self);
        let answering = async move {
            if let Some(before) = before {
                before.await;
                all.begin_next(&key);
            }
            let answer = work.await;
            all.end(&key);
            answer
        };
        answering.boxed_local().shared()
    }

    fn begin_next(&self, key: &K) {
        if let Some(question) = self.questions.borrow_mut().get_mut(key)
            && let Some(next) = question.next.take()
        {
            question.under_way = next;
        }
    }

    fn end(&self, key: &K) {
        let mut questions = self.questions.borrow_mut();
        if questions.get(key).is_some_and(|question| question.next.is_none()) {
            questions.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use futures::future::join_all;
    use phaseloop::EventLoop;

    use super::Gather;

    #[test]
    fn those_who_ask_at_once_share_an_answer_that_begins_after_they_asked() {
        let lp = EventLoop::new().unwrap();
        lp.block_on(async {
            let (all, began) = (Gather::new(), Rc::new(Cell::new(0)));
            let ask = |key| {
                let began = Rc::clone(&began);
                all.ask(key, async move {
                    began.set(began.get() + 1);
                    phaseloop::yield_now().await;
                    began.get()
                })
            };
            // The first one runs alone, all who come while it does share the second.
            let first = phaseloop::spawn(ask("a room"));
            phaseloop::yield_now().await;
            assert_eq!(began.get(), 1);
            let later = join_all((0..100).map(|_| ask("a room"))).await;
            assert_eq!((first.await.unwrap(), later), (1, vec![2; 100]));
            assert!(all.questions.borrow().is_empty());
            assert_eq!(
                join_all([ask("a room"), ask("another")]).await,
                [4, 4],
                "rooms do not wait for one another"
            );
            assert!(all.questions.borrow().is_empty());
        })
        .unwrap();
    }
}
