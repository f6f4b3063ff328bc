//! What came and was not taken yet.

use std::collections::VecDeque;

use super::message::Message;

/// Messages that wait for a receiver at most, whatever their size.
const MESSAGES_MAX: usize = 256;

/// Messages in the order they came. The first has a place of its own: a connection on which one is taken before the next comes
/// never owns memory for more.
#[derive(Default)]
pub(crate) struct Inbox {
    first: Option<Message>,
    others: VecDeque<Message>,
    len: usize,
}

impl Inbox {
    pub(crate) fn push(&mut self, message: Message) {
        self.len += message.len();
        match self.first {
            None => self.first = Some(message),
            Some(_) => self.others.push_back(message),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let message = self.first.take()?;
        self.len -= message.len();
        self.first = self.others.pop_front();
        if self.first.is_none() && self.others.capacity() > 0 {
            self.others = VecDeque::new(); // a silent connection owns none
        }
        Some(message)
    }

    /// True if there are more than `len_max` bytes in it, or very many messages.
    pub(crate) fn is_full(&self, len_max: usize) -> bool {
        self.len > len_max || self.others.len() + 1 >= MESSAGES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::{Inbox, MESSAGES_MAX};

    #[test]
    fn messages_are_taken_as_they_came() {
        let mut inbox = Inbox::default();
        assert!(inbox.pop().is_none());
        for round in 0..3 {
            for number in 0..10u8 {
                inbox.push(vec![number; 10].into());
                assert!(inbox.is_full(0), "{round}");
            }
            assert!(!inbox.is_full(100) && inbox.is_full(99));
            for number in 0..10u8 {
                assert_eq!(inbox.pop(), Some(vec![number; 10].into()));
            }
            assert!(inbox.pop().is_none() && !inbox.is_full(0));
            assert_eq!(inbox.others.capacity(), 0);
        }
    }

    #[test]
    fn many_empty_messages_fill_it_too() {
        let mut inbox = Inbox::default();
        for _ in 1..MESSAGES_MAX {
            inbox.push("".into());
        }
        assert!(!inbox.is_full(0));
        inbox.push("".into());
        assert!(inbox.is_full(0));
    }
}
