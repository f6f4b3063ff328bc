//! The door for other threads: a queue under a lock, and the rule that no wake is lost.
//!
//! A sender puts its message in the queue first and looks at `sleep` then; the loop announces its sleep first and looks
//! at the queue then. Whatever way the two cross, one of them sees the other.
//!
//! ```text
//! loop:    sleep = ASLEEP (1)    queue empty? (2)    wait      sleep = AWAKE (5)
//! sender:  push (3)              sleep: ASLEEP -> RUNG ? ring the alarm (4)
//! ```
//!
//! If (2) misses (3), then (3) comes after (2), so (4) comes after (1) and sees ASLEEP. Only the first sender of a sleep
//! rings: the others find RUNG.

use super::LoopHandle;
use super::handles::HandleKey;
use crate::driver::Alarm;
use crate::task::raw::{WakeInbox, WokenTask};
use crate::task::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering};

/// The loop looks at the queue by itself before it waits.
const AWAKE: usize = 0;
/// The loop waits, or is not running at all: the first sender rings.
const ASLEEP: usize = 1;
/// The alarm was rung for this sleep.
const RUNG: usize = 2;

/// A closure from another thread.
pub(crate) type Posted = Box<dyn FnOnce(&LoopHandle) + Send>;

/// What other threads can put into a loop.
pub(crate) enum Message {
    /// A task was woken.
    Woken(WokenTask<LoopHandle>),
    /// A closure was posted.
    Call(Posted),
    /// A wakeup or a port was signalled; at most one message each is under way.
    Signal(HandleKey),
    /// A `KeepAlive` was dropped.
    Release,
    /// A `LoopBound` was dropped on another thread: its value is to be dropped here. At most one for each.
    Returned(Box<dyn Send>),
    /// Nothing but a reason to turn.
    Wake,
}

/// Called, from any thread, when a loop that does not run gets work.
pub(crate) type OnPending = Arc<dyn Fn() + Send + Sync>;

/// Why a message did not get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Closed,
    Full,
}

pub(crate) struct Inbox {
    queue: Mutex<Messages>,
    /// Set while the queue holds something, so that a turn looks without taking the lock.
    filled: AtomicBool,
    /// Set while the queue holds a closure, which keeps the loop alive.
    called: AtomicBool,
    sleep: AtomicUsize,
    alarm: Mutex<Option<Arc<Alarm>>>,
    on_pending: Option<OnPending>,
    calls_max: usize,
}

#[derive(Default)]
struct Messages {
    items: Vec<Message>,
    /// How many of them are closures, the kind that nothing else bounds.
    calls: usize,
    closed: bool,
}

impl Inbox {
    pub(crate) fn new(calls_max: usize, on_pending: Option<OnPending>) -> Self {
        Self {
            queue: Mutex::new(Messages::default()),
            filled: AtomicBool::new(false),
            called: AtomicBool::new(false),
            sleep: AtomicUsize::new(ASLEEP),
            alarm: Mutex::new(None),
            on_pending,
            calls_max,
        }
    }

    /// Puts in a message of a kind that is bounded by itself, and wakes the loop if it sleeps.
    ///
    /// # Errors
    /// Gives the message back if the loop is gone.
    pub(crate) fn send(&self, message: Message) -> Result<(), Message> {
        self.push(message, |_| true, |message| message).map_err(|(_, message)| message)
    }

    /// Gives the loop a reason to turn, unless it has one: wakes coalesce with whatever waits.
    pub(crate) fn send_wake(&self) -> Result<(), Refused> {
        match self.push(Message::Wake, |messages| messages.items.is_empty(), |message| message) {
            Err((Refused::Closed, _)) => Err(Refused::Closed),
            Ok(()) | Err((Refused::Full, _)) => Ok(()),
        }
    }

    /// Puts in a closure, which is packed only if it is taken.
    ///
    /// # Errors
    /// Gives `work` back if the loop is gone or too many closures wait.
    pub(crate) fn send_call<T>(&self, work: T, pack: impl FnOnce(T) -> Posted) -> Result<(), (Refused, T)> {
        let calls_max = self.calls_max;
        let count = move |messages: &mut Messages| {
            let taken = messages.calls < calls_max;
            messages.calls += usize::from(taken);
            taken
        };
        self.push(work, count, |work| Message::Call(pack(work)))
    }

    fn push<T>(
        &self,
        item: T,
        admit: impl FnOnce(&mut Messages) -> bool,
        pack: impl FnOnce(T) -> Message,
    ) -> Result<(), (Refused, T)> {
        {
            let mut queue = self.queue.lock();
            if queue.closed {
                return Err((Refused::Closed, item));
            }
            if !admit(&mut queue) {
                return Err((Refused::Full, item));
            }
            queue.items.push(pack(item));
            // Release pairs with the Acquire of `has_messages` and `has_calls`.
            self.filled.store(true, Ordering::Release);
            self.called.store(queue.calls > 0, Ordering::Release);
        }
        self.ring();
        Ok(())
    }

    /// Wakes the loop if it sleeps.
    pub(crate) fn ring(&self) {
        let was_asleep =
            self.sleep.compare_exchange(ASLEEP, RUNG, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if was_asleep {
            if let Some(alarm) = &*self.alarm.lock() {
                alarm.ring();
            }
            if let Some(on_pending) = &self.on_pending {
                on_pending();
            }
        }
    }

    /// Announces that the loop is going to wait. False if there is something in the queue: then it must not.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.sleep.store(ASLEEP, Ordering::SeqCst);
        // The lock orders this look (2) and a sender's push (3); what precedes the one is then seen by what follows the
        // other. The flag alone would do as well, since both sides use SeqCst.
        self.is_empty()
    }

    /// Announces that the loop looks at the queue by itself again. True if the alarm was rung for this sleep.
    pub(crate) fn wake_up(&self) -> bool {
        self.sleep.swap(AWAKE, Ordering::SeqCst) == RUNG
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.lock().items.is_empty()
    }

    /// A look without the lock. What a sender pushed just now may be missed, until the next look.
    pub(crate) fn has_messages(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    /// True if a closure was posted and not yet taken. As `has_messages`, without the lock.
    pub(crate) fn has_calls(&self) -> bool {
        self.called.load(Ordering::Acquire)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.queue.lock().closed
    }

    /// Swaps all messages into `into`, which is empty: its memory serves the next ones.
    pub(crate) fn take(&self, into: &mut Vec<Message>) {
        debug_assert!(into.is_empty());
        let mut queue = self.queue.lock();
        queue.calls = 0;
        self.filled.store(false, Ordering::Relaxed); // under the lock, as every other store
        self.called.store(false, Ordering::Relaxed);
        std::mem::swap(&mut queue.items, into);
    }

    /// Refuses whatever comes from now on, and gives what is there.
    pub(crate) fn close(&self) -> Vec<Message> {
        let mut queue = self.queue.lock();
        queue.closed = true;
        std::mem::take(&mut queue.items)
    }

    /// Sets what wakes the loop's wait, before the first one and after a fork.
    pub(crate) fn set_alarm(&self, alarm: Option<Arc<Alarm>>) {
        *self.alarm.lock() = alarm;
    }
}

impl WakeInbox<LoopHandle> for Inbox {
    fn woken(&self, task: WokenTask<LoopHandle>) {
        // A loop that is gone has dropped the task's future: nobody is left to be woken.
        let _ = self.send(Message::Woken(task));
    }
}
