//! Type erasure by hand: the two cells that hold user code on the loop's queues.
//!
//! [`Thunk`] is a boxed `FnOnce` that needs no box when the closure is three words or smaller. [`Task`] and its
//! relatives are a future, its header and its output in one allocation. Both are generic over what user code is
//! called with, so this file knows nothing of the loop.
//!
//! # Threads
//! A task belongs to the thread that made it. Only its reference count, `WOKEN_REMOTELY` and its inbox may be touched
//! from another thread; everything else is a `Cell` that the owner alone reads and writes.
//!
//! INVARIANT refs: `refs` counts the owner's side (one), each `Waker` and each entry of the inbox. The owner's side is
//! the loop's table, until the task completes, and the `JoinHandle`: the flags `TABLED` and `HELD`, so that a task which
//! is never woken from elsewhere costs no atomic operation. The cell is freed by whoever gives up the last reference, on
//! any thread.
//! INVARIANT stage: by the time the last reference goes, the stage holds nothing: a future or an output is dropped on
//! the owner's thread only. `complete` and `drop_join` keep it.
//! INVARIANT home: `home` points to the loop's inbox while `scheduler` is set. `inbox` owns it from the first clone of a
//! waker on; before that only the waker of the running poll exists, and while that runs `scheduler` is set.
//! INVARIANT queued: while `SCHEDULED` is set, the table's reference is alive, so an entry of the run queue owns none.

use std::cell::{Cell, UnsafeCell};
use std::future::Future;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit, align_of, needs_drop, size_of};
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::OnceLock;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use super::stage::Stage;
pub(crate) use super::stage::{Outcome, Payload};
use super::sync::{Arc, AtomicBool, AtomicUsize, Ordering, fence};
use super::thread::ThreadNumber;

// ---------------------------------------------------------------------------------------------------------- Thunk

/// The words a thunk has unless it says otherwise.
const WORDS: usize = 3;

/// A closure that is called once with `&Cx`, stored in place when it fits in `N` words.
pub(crate) struct Thunk<Cx: 'static, const N: usize = WORDS> {
    words: MaybeUninit<[*mut (); N]>,
    vtable: &'static ThunkVtable<Cx>,
    // The closure may be `!Send`.
    _local: PhantomData<*mut ()>,
}

struct ThunkVtable<Cx> {
    call: unsafe fn(*mut (), &Cx),
    /// `None` where there is nothing to drop.
    drop: Option<unsafe fn(*mut ())>,
}

impl<Cx: 'static> ThunkVtable<Cx> {
    /// Of a thunk that was called.
    const SPENT: &'static Self = &Self { call: call_nothing, drop: None };
}

impl<Cx: 'static, const N: usize> Thunk<Cx, N> {
    /// Stores `f`: in place if it fits, else in a box.
    #[inline]
    pub(crate) fn new<F: FnOnce(&Cx) + 'static>(f: F) -> Self {
        if size_of::<F>() <= size_of::<[*mut (); N]>() && align_of::<F>() <= align_of::<*mut ()>() {
            Self::in_place(f)
        } else {
            let boxed = Box::new(f);
            Self::in_place(move |cx: &Cx| boxed(cx))
        }
    }

    #[inline]
    fn in_place<F: FnOnce(&Cx) + 'static>(f: F) -> Self {
        const { assert!(N > 0, "a box needs a word") };
        debug_assert!(size_of::<F>() <= size_of::<[*mut (); N]>());
        let mut words = MaybeUninit::<[*mut (); N]>::uninit();
        // SAFETY: `new` checked that an `F` fits in `words`, in size and in alignment.
        unsafe { words.as_mut_ptr().cast::<F>().write(f) };
        Self {
            words,
            vtable: const { &ThunkVtable { call: call::<F, Cx>, drop: drop_of::<F>() } },
            _local: PhantomData,
        }
    }

    /// Calls the closure, which is consumed: a second call does nothing.
    ///
    /// Not by value: what the queue just stored would be moved again before its stores are done, and the processor
    /// waits for them then.
    #[inline]
    pub(crate) fn call(&mut self, cx: &Cx) {
        let vtable = std::mem::replace(&mut self.vtable, ThunkVtable::SPENT);
        let closure = self.words.as_mut_ptr().cast();
        // SAFETY: `closure` holds the `F` that `vtable` was made for, and `SPENT` keeps it from being used again.
        unsafe { (vtable.call)(closure, cx) }
    }
}

impl<Cx, const N: usize> Drop for Thunk<Cx, N> {
    fn drop(&mut self) {
        if let Some(drop) = self.vtable.drop {
            // SAFETY: the words hold the `F` that `vtable` was made for: a thunk that was called is `SPENT`.
            unsafe { drop(self.words.as_mut_ptr().cast()) }
        }
    }
}

const fn drop_of<F>() -> Option<unsafe fn(*mut ())> {
    if needs_drop::<F>() { Some(drop_in_place::<F>) } else { None }
}

unsafe fn call_nothing<Cx>(_closure: *mut (), _cx: &Cx) {}

/// # Safety
/// `closure` points to an `F` that is not used afterwards.
unsafe fn call<F: FnOnce(&Cx), Cx>(closure: *mut (), cx: &Cx) {
    // SAFETY: the caller gives the `F` away.
    let f = unsafe { closure.cast::<F>().read() };
    f(cx);
}

/// # Safety
/// `closure` points to an `F` that is not used afterwards.
unsafe fn drop_in_place<F>(closure: *mut ()) {
    // SAFETY: the caller gives the `F` away.
    unsafe { closure.cast::<F>().drop_in_place() }
}

// ----------------------------------------------------------------------------------------------------------- Task

/// What a task needs of the loop that runs it. All of it is called on the loop's thread.
pub(crate) trait Scheduler: Clone + 'static {
    /// Queues a task that was woken, to be run at the next checkpoint.
    fn ready(&self, task: ReadyTask<Self>);
    /// Queues a task that woke itself while it ran.
    fn yielded(&self, task: ReadyTask<Self>);
    /// Forgets a task that has completed: `key` is free again.
    fn finished(&self, key: usize, ended: Ended);
    /// Counts the task among what keeps the loop alive, or no longer.
    fn set_referenced(&self, referenced: bool);
    /// Where a waker on another thread leaves the task.
    fn inbox(&self) -> &Arc<Self::Inbox>;

    /// The loop's door for other threads. It is the same for as long as the scheduler is there.
    type Inbox: WakeInbox<Self> + 'static;
}

/// How a task ended, as the loop is told.
pub(crate) enum Ended {
    /// With an output, or cancelled, or with a panic that its join handle is going to report.
    Reported { referenced: bool },
    /// With a panic that nobody waits for.
    Unhandled { referenced: bool, payload: Payload },
}

/// The way into the loop for wakers on other threads.
pub(crate) trait WakeInbox<S: Scheduler>: Send + Sync {
    /// Takes a woken task and sees to it that the loop looks.
    fn woken(&self, task: WokenTask<S>);
}

const SCHEDULED: u16 = 1; // in a queue of the loop; excludes RUNNING
const RUNNING: u16 = 2; // being polled; excludes SCHEDULED
const NOTIFIED: u16 = 4; // woken while RUNNING: queue it again after the poll
const COMPLETE: u16 = 8; // output stored or taken, or the task cancelled; nothing runs any more
const CANCELLED: u16 = 16; // abort was asked for; the next run drops the future
const JOINED: u16 = 32; // somebody may take the outcome
const REFERENCED: u16 = 64; // counted among what keeps the loop alive
const TABLED: u16 = 128; // the loop's table has the task; cleared when it completes
const HELD: u16 = 256; // a `RawJoin` exists; set with JOINED, cleared after it

struct Header<S: Scheduler> {
    vtable: &'static TaskVtable<S>,
    refs: AtomicUsize,
    owner: ThreadNumber,
    woken_remotely: AtomicBool,
    state: Cell<u16>,
    key: Cell<usize>,
    scheduler: Cell<Option<S>>,
    home: NonNull<S::Inbox>,
    inbox: OnceLock<Arc<S::Inbox>>,
    join_waker: Cell<Option<Waker>>,
    site: &'static Location<'static>,
}

struct TaskVtable<S: Scheduler> {
    /// Polls the future; true if it is done and the stage holds the outcome.
    poll: unsafe fn(NonNull<Header<S>>, &mut Context<'_>) -> bool,
    /// Replaces whatever the stage holds by a cancelled outcome.
    cancel: unsafe fn(NonNull<Header<S>>),
    /// Drops whatever the stage holds; a panic payload that nobody took is given back.
    clear: unsafe fn(NonNull<Header<S>>) -> Option<Payload>,
    /// Moves the outcome to `*mut Option<Outcome<T>>`.
    take: unsafe fn(NonNull<Header<S>>, *mut ()),
    free: unsafe fn(NonNull<Header<S>>),
}

/// The whole task. `repr(C)` puts the header first, so that a pointer to one is a pointer to the other.
#[repr(C)]
struct TaskCell<S: Scheduler, F: Future> {
    header: Header<S>,
    stage: UnsafeCell<Stage<F>>,
}

/// Makes a task that is neither queued nor in a table yet.
pub(crate) fn new_task<S: Scheduler, F: Future + 'static>(
    scheduler: &S,
    future: F,
    site: &'static Location<'static>,
) -> (Task<S>, RawJoin<S, F::Output>) {
    // As `Arc` hands it out: a pointer made from a reference could not lead back to the count.
    let home = Arc::as_ptr(scheduler.inbox()).cast_mut();
    let header = Header {
        vtable: const {
            &TaskVtable {
                poll: poll_stage::<S, F>,
                cancel: cancel_stage::<S, F>,
                clear: clear_stage::<S, F>,
                take: take_outcome::<S, F>,
                free: free_cell::<S, F>,
            }
        },
        refs: AtomicUsize::new(1), // the owner's side
        owner: ThreadNumber::current(),
        woken_remotely: AtomicBool::new(false),
        state: Cell::new(JOINED | REFERENCED | TABLED | HELD),
        key: Cell::new(usize::MAX),
        scheduler: Cell::new(Some(scheduler.clone())),
        home: NonNull::new(home).expect("an `Arc` points to something"),
        inbox: OnceLock::new(),
        join_waker: Cell::new(None),
        site,
    };
    let mut cell = Box::<TaskCell<S, F>>::new_uninit();
    let place = cell.as_mut_ptr();
    // SAFETY: the field is within the cell that was just allocated.
    unsafe { place.cast::<Header<S>>().write(header) }; // it is the first field
    // SAFETY: as above.
    let stage = unsafe { &raw mut (*place).stage }.cast::<MaybeUninit<Stage<F>>>(); // an `UnsafeCell` is as what it holds
    // SAFETY: as above, and nobody else can reach it yet.
    Stage::begin(unsafe { &mut *stage }, future);
    // SAFETY: both fields are initialized.
    let cell = unsafe { cell.assume_init() };
    let header = NonNull::from(Box::leak(cell)).cast::<Header<S>>();
    (Task(header), RawJoin { header, _output: PhantomData })
}

/// The reference that the loop's table holds until the task completes.
pub(crate) struct Task<S: Scheduler>(NonNull<Header<S>>);

impl<S: Scheduler> Task<S> {
    /// Tells the task where the table keeps it, and gives the entry of its first run.
    pub(crate) fn start(&self, key: usize) -> ReadyTask<S> {
        let header = header_of(&self.0);
        header.key.set(key);
        header.state.update(|state| state | SCHEDULED);
        ReadyTask(self.0)
    }

    /// Drops the future at once; the join handle will say cancelled.
    pub(crate) fn shut_down(&self) {
        header_of(&self.0).state.update(|state| state | CANCELLED);
        cancel(self.0);
    }

    /// The line that spawned the task.
    pub(crate) fn site(&self) -> &'static Location<'static> {
        header_of(&self.0).site
    }

    pub(crate) fn is_referenced(&self) -> bool {
        header_of(&self.0).has(REFERENCED)
    }
}

impl<S: Scheduler> Drop for Task<S> {
    fn drop(&mut self) {
        release_owner(self.0, TABLED);
    }
}

/// An entry of a run queue. It owns no reference (INVARIANT queued).
pub(crate) struct ReadyTask<S: Scheduler>(NonNull<Header<S>>);

impl<S: Scheduler> ReadyTask<S> {
    /// The line that spawned the task.
    pub(crate) fn site(&self) -> &'static Location<'static> {
        header_of(&self.0).site
    }

    pub(crate) fn is_referenced(&self) -> bool {
        header_of(&self.0).has(REFERENCED)
    }

    /// Polls the task once. A panic of the future becomes the task's outcome and does not leave this function.
    #[inline]
    pub(crate) fn run(self) {
        let header = header_of(&self.0);
        if header.has(CANCELLED) {
            return cancel(self.0);
        }
        header.state.update(|state| (state & !SCHEDULED) | RUNNING);
        // SAFETY: the vtable belongs to this task, and the pointer stays valid while the waker is used: the table's
        // reference cannot go before `complete`. `ManuallyDrop` makes the waker borrow that reference.
        let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw_waker(self.0)) });
        // SAFETY: the task is not complete, so its stage holds the future, and RUNNING keeps everyone else out.
        let done = unsafe { (header.vtable.poll)(self.0, &mut Context::from_waker(&waker)) };
        if done {
            return complete(self.0);
        }
        let notified = header.has(NOTIFIED);
        header.state.update(|state| state & !(RUNNING | NOTIFIED));
        if header.has(CANCELLED) {
            schedule(self.0);
        } else if notified {
            header.state.update(|state| state | SCHEDULED);
            with_scheduler(header, |scheduler| scheduler.yielded(ReadyTask(self.0)));
        }
    }
}

/// The join handle's reference. It is `!Send`, like the output it may take.
pub(crate) struct RawJoin<S: Scheduler, T> {
    header: NonNull<Header<S>>,
    _output: PhantomData<(*mut (), T)>,
}

impl<S: Scheduler, T> RawJoin<S, T> {
    /// Takes the outcome if the task is complete, else notes whom to wake.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Outcome<T>> {
        let header = header_of(&self.header);
        if !header.has(COMPLETE) {
            let waker = match header.join_waker.take() {
                Some(known) if known.will_wake(cx.waker()) => known,
                _ => cx.waker().clone(),
            };
            header.join_waker.set(Some(waker));
            return Poll::Pending;
        }
        Poll::Ready(self.take().expect("a join handle is not polled after it gave its outcome"))
    }

    /// Takes the outcome, once, if the task is complete.
    pub(crate) fn take(&self) -> Option<Outcome<T>> {
        let mut outcome: Option<Outcome<T>> = None;
        if self.is_complete() {
            let header = header_of(&self.header);
            // SAFETY: the task is complete, so its stage is not being polled, and `T` is its output: `new_task` ties
            // the two together. `outcome` is an `Option<Outcome<T>>`, as `take` asks.
            unsafe { (header.vtable.take)(self.header, (&raw mut outcome).cast()) };
        }
        outcome
    }

    pub(crate) fn is_complete(&self) -> bool {
        header_of(&self.header).has(COMPLETE)
    }

    /// Asks for the future to be dropped, in the microtask queue.
    pub(crate) fn abort(&self) {
        let header = header_of(&self.header);
        if !header.has(COMPLETE | CANCELLED) {
            header.state.update(|state| state | CANCELLED);
            schedule(self.header);
        }
    }

    /// Lets the task keep the loop alive, or not.
    pub(crate) fn set_referenced(&self, referenced: bool) {
        let header = header_of(&self.header);
        if header.has(COMPLETE) || header.has(REFERENCED) == referenced {
            return;
        }
        header.state.update(|state| state ^ REFERENCED);
        with_scheduler(header, |scheduler| scheduler.set_referenced(referenced));
    }

    pub(crate) fn is_referenced(&self) -> bool {
        header_of(&self.header).has(REFERENCED)
    }

    /// A panic that nobody is going to see, if the task has ended with one.
    pub(crate) fn abandon(&self) -> Option<Payload> {
        let header = header_of(&self.header);
        header.state.update(|state| state & !JOINED);
        // Dropped last: a foreign waker may panic, and the stage must be clear by then.
        let _joiner = header.join_waker.take();
        if !header.has(COMPLETE) {
            return None;
        }
        // SAFETY: the task is complete, so its stage is not being polled; this is the owner's thread.
        unsafe { (header.vtable.clear)(self.header) }
    }
}

impl<S: Scheduler, T> Drop for RawJoin<S, T> {
    fn drop(&mut self) {
        release_owner(self.header, HELD);
    }
}

/// A task that a waker on another thread sent home; it owns a reference.
pub(crate) struct WokenTask<S: Scheduler>(NonNull<Header<S>>);

// SAFETY: on another thread than the owner's a `WokenTask` can only be moved and dropped, and dropping it touches the
// reference count alone (INVARIANT refs, INVARIANT stage). `schedule` is called by the loop's thread, which owns the task.
unsafe impl<S: Scheduler> Send for WokenTask<S> {}

impl<S: Scheduler> WokenTask<S> {
    /// Queues the task on its loop. Only for the loop's thread.
    pub(crate) fn schedule(self) {
        let header = header_of(&self.0);
        assert_eq!(header.owner, ThreadNumber::current(), "a task is scheduled on its loop's thread");
        // Acquire pairs with the Release of `wake_remotely`: what the waker's thread did before is seen by the task.
        header.woken_remotely.swap(false, Ordering::AcqRel);
        schedule(self.0);
    }
}

impl<S: Scheduler> Drop for WokenTask<S> {
    fn drop(&mut self) {
        release(self.0);
    }
}

impl<S: Scheduler> Header<S> {
    fn has(&self, flags: u16) -> bool {
        self.state.get() & flags != 0
    }

    /// The loop's door, owned from now on.
    fn inbox(&self) -> &Arc<S::Inbox> {
        self.inbox.get_or_init(|| {
            let home = self.home.as_ptr().cast_const();
            // SAFETY: nobody cloned a waker yet, so the task is being polled and its loop is there (INVARIANT home).
            unsafe { Arc::increment_strong_count(home) };
            // SAFETY: this is the count that was just added.
            unsafe { Arc::from_raw(home) }
        })
    }
}

fn header_of<S: Scheduler>(task: &NonNull<Header<S>>) -> &Header<S> {
    // SAFETY: every holder of the pointer owns a reference or leans on one (INVARIANT refs, INVARIANT queued), so the
    // cell is alive while `task` is borrowed.
    unsafe { task.as_ref() }
}

/// Lends the scheduler to `f`.
fn with_scheduler<S: Scheduler>(header: &Header<S>, f: impl FnOnce(&S)) {
    let Some(scheduler) = header.scheduler.take() else { return };
    f(&scheduler);
    header.scheduler.set(Some(scheduler));
}

fn schedule<S: Scheduler>(task: NonNull<Header<S>>) {
    let header = header_of(&task);
    if header.has(COMPLETE | SCHEDULED) {
        return;
    }
    if header.has(RUNNING) {
        header.state.update(|state| state | NOTIFIED);
        return;
    }
    header.state.update(|state| state | SCHEDULED);
    with_scheduler(header, |scheduler| scheduler.ready(ReadyTask(task)));
}

/// Drops the future unless it has ended, and completes the task.
fn cancel<S: Scheduler>(task: NonNull<Header<S>>) {
    let header = header_of(&task);
    if header.has(COMPLETE | RUNNING) {
        return;
    }
    // A future that is dropped may wake or abort its own task: RUNNING makes that harmless.
    header.state.update(|state| (state & !SCHEDULED) | RUNNING);
    // SAFETY: the task is neither complete nor polled, so the stage holds the future and nobody borrows it.
    unsafe { (header.vtable.cancel)(task) };
    complete(task);
}

/// Ends the task: its outcome is in the stage. Wakes the joiner, or drops the outcome where there is none.
fn complete<S: Scheduler>(task: NonNull<Header<S>>) {
    let header = header_of(&task);
    let referenced = header.has(REFERENCED);
    header.state.update(|state| (state & !(SCHEDULED | RUNNING | NOTIFIED)) | COMPLETE);
    let mut ended = Ended::Reported { referenced };
    let mut joiner = None;
    if header.has(JOINED) {
        joiner = header.join_waker.take();
    } else {
        // SAFETY: the task is complete, so nobody polls its stage; this is the owner's thread.
        let unseen = unsafe { (header.vtable.clear)(task) };
        if let Some(payload) = unseen {
            ended = Ended::Unhandled { referenced, payload };
        }
    }
    // `finished` drops the table's reference, which may be the one that keeps the cell.
    if let Some(scheduler) = header.scheduler.take() {
        scheduler.finished(header.key.get(), ended);
    }
    // Last: a foreign waker may panic, and by now the task owns nothing that is bound to this thread.
    joiner.into_iter().for_each(Waker::wake);
}

/// Gives up one half of the owner's side, and the reference with the second.
fn release_owner<S: Scheduler>(task: NonNull<Header<S>>, half: u16) {
    let header = header_of(&task);
    header.state.update(|state| state & !half);
    if !header.has(TABLED | HELD) {
        release(task);
    }
}

/// Gives up one reference; frees the cell with the last.
fn release<S: Scheduler>(task: NonNull<Header<S>>) {
    let header = header_of(&task);
    // The last owner needs no atomic subtraction. Acquire pairs with the Release below.
    let last = header.refs.load(Ordering::Acquire) == 1 || header.refs.fetch_sub(1, Ordering::Release) == 1;
    if last {
        // Pairs with the Release of every other subtraction: their use of the cell happened before it is freed.
        fence(Ordering::Acquire);
        let free = header.vtable.free;
        // SAFETY: no reference is left, so nobody else can reach the cell (INVARIANT refs).
        unsafe { free(task) };
    }
}

// ------------------------------------------------------------------------------------------------- borrowed future

type FuturePointer<'a> = *mut (dyn Future<Output = ()> + 'a);

/// A future that stands for one that borrows, and ends with it.
pub(crate) struct BorrowedFuture {
    future: Rc<Cell<Option<FuturePointer<'static>>>>,
}

/// Runs `body` with a `'static` stand-in for `future`. Once this returns or unwinds, the stand-in stays pending.
pub(crate) fn with_borrowed<R>(
    future: Pin<&mut (dyn Future<Output = ()> + '_)>,
    body: impl FnOnce(BorrowedFuture) -> R,
) -> R {
    struct TakeBack(Rc<Cell<Option<FuturePointer<'static>>>>);
    impl Drop for TakeBack {
        fn drop(&mut self) {
            self.0.set(None);
        }
    }
    // SAFETY: the pinned future is not moved through this pointer: `poll` pins it again.
    let pointer: FuturePointer<'_> = unsafe { future.get_unchecked_mut() };
    // SAFETY: only the lifetime changes. `TakeBack` removes the pointer before this function returns or unwinds, and
    // `future` stays mutably borrowed until then, so it is never followed too late nor beside another borrow.
    let pointer: FuturePointer<'static> = unsafe { std::mem::transmute(pointer) };
    let slot = TakeBack(Rc::new(Cell::new(Some(pointer))));
    body(BorrowedFuture { future: Rc::clone(&slot.0) })
}

impl Future for BorrowedFuture {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Taken while it is polled, so that a nested poll can not borrow it a second time.
        let Some(pointer) = self.future.take() else { return Poll::Pending };
        // SAFETY: the pointer is in the slot only while `with_borrowed` runs, below this very call on the same stack.
        let future = unsafe { &mut *pointer };
        // SAFETY: the future was pinned when `with_borrowed` was called and has not been moved.
        let polled = unsafe { Pin::new_unchecked(future) }.poll(cx);
        if polled.is_pending() {
            self.future.set(Some(pointer));
        }
        polled
    }
}

// ------------------------------------------------------------------------------------------- functions of a vtable

/// # Safety
/// `task` points to a `TaskCell<S, F>` whose stage nobody else borrows; this is the owner's thread.
unsafe fn stage_of<'a, S: Scheduler, F: Future>(task: NonNull<Header<S>>) -> Pin<&'a mut Stage<F>> {
    let cell = task.cast::<TaskCell<S, F>>();
    // SAFETY: the caller vouches for the type, and that the cell is alive.
    let stage = unsafe { &raw const (*cell.as_ptr()).stage };
    // SAFETY: the caller vouches that this is the only borrow of the stage.
    let stage = unsafe { &mut *UnsafeCell::raw_get(stage) };
    // SAFETY: the stage lives in a heap cell that is never moved.
    unsafe { Pin::new_unchecked(stage) }
}

/// # Safety
/// As `stage_of`.
unsafe fn poll_stage<S: Scheduler, F: Future>(task: NonNull<Header<S>>, cx: &mut Context<'_>) -> bool {
    // SAFETY: passed on from the caller.
    unsafe { stage_of::<S, F>(task) }.poll(cx)
}

/// # Safety
/// As `stage_of`.
unsafe fn cancel_stage<S: Scheduler, F: Future>(task: NonNull<Header<S>>) {
    // SAFETY: passed on from the caller.
    unsafe { stage_of::<S, F>(task) }.cancel();
}

/// # Safety
/// As `stage_of`.
unsafe fn clear_stage<S: Scheduler, F: Future>(task: NonNull<Header<S>>) -> Option<Payload> {
    // SAFETY: passed on from the caller.
    unsafe { stage_of::<S, F>(task) }.clear()
}

/// # Safety
/// As `stage_of`; `slot` points to an `Option<Outcome<F::Output>>`.
unsafe fn take_outcome<S: Scheduler, F: Future>(task: NonNull<Header<S>>, slot: *mut ()) {
    // SAFETY: passed on from the caller.
    if let Some(outcome) = unsafe { stage_of::<S, F>(task) }.take() {
        // SAFETY: the caller vouches for the type of `slot`.
        unsafe { slot.cast::<Option<Outcome<F::Output>>>().write(Some(outcome)) };
    }
}

/// # Safety
/// `task` points to a `TaskCell<S, F>` that nobody else can reach.
unsafe fn free_cell<S: Scheduler, F: Future>(task: NonNull<Header<S>>) {
    // SAFETY: the cell came from a `Box` in `new_task`, and the caller owns it alone.
    drop(unsafe { Box::from_raw(task.cast::<TaskCell<S, F>>().as_ptr()) });
}

// ---------------------------------------------------------------------------------------------------------- wakers

fn raw_waker<S: Scheduler>(task: NonNull<Header<S>>) -> RawWaker {
    RawWaker::new(
        task.as_ptr().cast_const().cast(),
        const { &RawWakerVTable::new(waker_clone::<S>, waker_wake::<S>, waker_wake_by_ref::<S>, waker_drop::<S>) },
    )
}

fn waker_task<S: Scheduler>(data: *const ()) -> NonNull<Header<S>> {
    NonNull::new(data.cast_mut().cast()).expect("a waker's pointer is never null")
}

unsafe fn waker_clone<S: Scheduler>(data: *const ()) -> RawWaker {
    let task = waker_task::<S>(data);
    header_of(&task).inbox();
    // Relaxed: whoever clones holds a reference, so the count cannot be zero.
    let before = header_of(&task).refs.fetch_add(1, Ordering::Relaxed);
    assert!(before < usize::MAX / 2, "more wakers of one task than memory can hold");
    raw_waker(task)
}

unsafe fn waker_wake<S: Scheduler>(data: *const ()) {
    let task = waker_task::<S>(data);
    if header_of(&task).owner == ThreadNumber::current() {
        schedule(task);
        release(task);
    } else {
        wake_remotely(WokenTask(task));
    }
}

unsafe fn waker_wake_by_ref<S: Scheduler>(data: *const ()) {
    let task = waker_task::<S>(data);
    let header = header_of(&task);
    if header.owner == ThreadNumber::current() {
        schedule(task);
    } else {
        header.inbox();
        // Relaxed: as in `waker_clone`.
        header.refs.fetch_add(1, Ordering::Relaxed);
        wake_remotely(WokenTask(task));
    }
}

unsafe fn waker_drop<S: Scheduler>(data: *const ()) {
    release(waker_task::<S>(data));
}

/// Sends the task home, unless it is on its way already.
fn wake_remotely<S: Scheduler>(task: WokenTask<S>) {
    let header = header_of(&task.0);
    // Release pairs with the Acquire of `WokenTask::schedule`. A second waker that finds the flag set may leave: the
    // task is polled after the first one's entry is taken, and sees what happened before this swap.
    if !header.woken_remotely.swap(true, Ordering::AcqRel) {
        let inbox = Arc::clone(header.inbox());
        inbox.woken(task);
    }
}
