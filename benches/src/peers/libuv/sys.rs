//! The parts of libuv that the benches call, behind types that cannot be used wrongly.
//!
//! INVARIANT pinned: libuv keeps the address of every handle, so handles live in boxes that are neither moved nor
//! freed between `uv_*_init` and the end of their close callback. They are only reached through raw pointers.
//!
//! INVARIANT one thread: a loop and its handles are used by the thread that made them, except by `uv_async_send`.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::c_void;
use std::net::TcpListener;
use std::os::fd::IntoRawFd;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use libuv_sys2 as uv;

/// A libuv loop. What lives on it keeps it alive.
pub(crate) struct Loop {
    raw: *mut uv::uv_loop_t,
}

/// A block of timers, started and stopped by their number. Each counts when it fires.
pub(crate) struct Timers {
    lp: Rc<Loop>,
    raw: *mut uv::uv_timer_t,
    count: usize,
    fired: *mut Cell<u64>,
}

/// What another thread holds to wake the loop.
#[derive(Clone)]
pub(crate) struct Waker {
    shared: Arc<WakerShared>,
}

struct WakerShared {
    raw: *mut uv::uv_async_t,
    closed: AtomicBool,
}

impl Loop {
    /// Makes a loop.
    pub(crate) fn new() -> Rc<Loop> {
        let raw = Box::into_raw(Box::new(zeroed::<uv::uv_loop_t>()));
        // SAFETY: `raw` points to writable memory for a loop, which stays where it is until `drop` (INVARIANT pinned).
        let code = unsafe { uv::uv_loop_init(raw) };
        assert_eq!(code, 0, "uv_loop_init failed with {code}");
        Rc::new(Loop { raw })
    }

    /// The loop itself, live as long as this is.
    pub(crate) fn raw(&self) -> *mut uv::uv_loop_t {
        self.raw
    }

    /// Runs until nothing keeps the loop alive.
    pub(crate) fn run(&self) {
        // SAFETY: the loop was initialised, and no callback of ours runs it again.
        unsafe { uv::uv_run(self.raw, uv::uv_run_mode_UV_RUN_DEFAULT) };
    }

    /// Reads the clock into the loop's cached time.
    #[inline]
    pub(crate) fn update_time(&self) {
        // SAFETY: the loop was initialised.
        unsafe { uv::uv_update_time(self.raw) };
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // SAFETY: the loop was initialised. All that lived on it was closed, for it held the `Rc`.
        let code = unsafe { uv::uv_loop_close(self.raw) };
        // A loop that is still busy is leaked: its handles may be called later.
        if code == 0 {
            // SAFETY: `raw` came from a box in `new`, and libuv is done with it.
            drop(unsafe { Box::from_raw(self.raw) });
        }
    }
}

impl Timers {
    /// Makes `count` timers in one block of memory.
    pub(crate) fn new(lp: &Rc<Loop>, count: usize) -> Timers {
        let timers: Box<[uv::uv_timer_t]> = (0..count).map(|_| zeroed()).collect();
        let raw = Box::into_raw(timers).cast::<uv::uv_timer_t>();
        let fired = Box::into_raw(Box::new(Cell::new(0)));
        let timers = Timers { lp: lp.clone(), raw, count, fired };
        for index in 0..count {
            let timer = timers.at(index);
            // SAFETY: loop and timer are live memory, and the timer stays where it is (INVARIANT pinned).
            unsafe { uv::uv_timer_init(lp.raw, timer) };
            // SAFETY: the timer is ours alone; `fired` lives until after the timers were closed.
            unsafe { (*timer).data = fired.cast::<c_void>() };
        }
        timers
    }

    /// Starts timer `index`, or starts it anew.
    #[inline]
    pub(crate) fn start(&self, index: usize, delay_ms: u64) {
        let timer = self.at(index);
        // SAFETY: the timer was initialised and is not closing.
        unsafe { uv::uv_timer_start(timer, Some(count_fired), delay_ms, 0) };
    }

    /// Stops timer `index`.
    #[inline]
    pub(crate) fn stop(&self, index: usize) {
        let timer = self.at(index);
        // SAFETY: the timer was initialised.
        unsafe { uv::uv_timer_stop(timer) };
    }

    /// Whether timer `index` is started.
    pub(crate) fn is_active(&self, index: usize) -> bool {
        let timer = self.at(index);
        // SAFETY: the timer was initialised, and every handle begins as a `uv_handle_t`.
        unsafe { uv::uv_is_active(timer.cast()) != 0 }
    }

    /// How many timers have fired.
    pub(crate) fn fired(&self) -> u64 {
        // SAFETY: `fired` came from a box in `new` and lives as long as `self`; it is a cell, so sharing it is sound.
        unsafe { &*self.fired }.get()
    }

    #[inline]
    fn at(&self, index: usize) -> *mut uv::uv_timer_t {
        assert!(index < self.count, "no timer {index} of {}", self.count);
        // SAFETY: `index` lies within the block.
        unsafe { self.raw.add(index) }
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        for index in 0..self.count {
            let timer = self.at(index);
            // SAFETY: the timer was initialised and is closed only here.
            unsafe { uv::uv_close(timer.cast(), None) };
        }
        self.lp.run();
        // SAFETY: the run above ended, so every timer has closed and nothing refers to the counter.
        drop(unsafe { Box::from_raw(self.fired) });
        let block = ptr::slice_from_raw_parts_mut(self.raw, self.count);
        // SAFETY: the block came from a boxed slice of this length, and libuv is done with it.
        drop(unsafe { Box::from_raw(block) });
    }
}

unsafe extern "C" fn count_fired(timer: *mut uv::uv_timer_t) {
    // SAFETY: libuv passes the timer that fired.
    let fired = unsafe { (*timer).data }.cast::<Cell<u64>>();
    // SAFETY: `Timers::new` stored a counter there, which outlives the timer.
    let fired = unsafe { &*fired };
    fired.set(fired.get() + 1);
}

/// Runs `turns` turns of the loop with an idle handle, which does not let the poll phase block.
/// Returns how many callbacks ran.
pub(crate) fn turn_by_idle(lp: &Loop, turns: u64) -> u64 {
    struct Progress {
        ran: u64,
        turns: u64,
    }

    unsafe extern "C" fn on_idle(idle: *mut uv::uv_idle_t) {
        // SAFETY: libuv passes the handle that is due.
        let progress = unsafe { (*idle).data }.cast::<Progress>();
        // SAFETY: `data` was set below, and nothing else holds the progress while the loop runs.
        let progress = unsafe { &mut *progress };
        progress.ran += 1;
        if progress.ran == progress.turns {
            // SAFETY: the handle was initialised and is closed once.
            unsafe { uv::uv_close(idle.cast(), None) };
        }
    }

    let progress = Box::into_raw(Box::new(Progress { ran: 0, turns }));
    let idle = Box::into_raw(Box::new(zeroed::<uv::uv_idle_t>()));
    // SAFETY: both are live memory, and the handle stays where it is (INVARIANT pinned).
    unsafe { uv::uv_idle_init(lp.raw, idle) };
    // SAFETY: the handle is ours alone.
    unsafe { (*idle).data = progress.cast() };
    // SAFETY: the handle was initialised.
    unsafe { uv::uv_idle_start(idle, Some(on_idle)) };
    lp.run();
    // SAFETY: the loop ran until the handle had closed; libuv is done with it.
    drop(unsafe { Box::from_raw(idle) });
    // SAFETY: the progress came from a box above, and its only user has closed.
    unsafe { Box::from_raw(progress) }.ran
}

impl Waker {
    /// Wakes the loop, from any thread. Does nothing once the handle was closed.
    pub(crate) fn wake(&self) {
        // Pairs with the store in `run_with_waker`, which is made after the last wake was answered.
        if !self.shared.closed.load(Ordering::Acquire) {
            // SAFETY: the handle is open, and `uv_async_send` may be called from any thread.
            unsafe { uv::uv_async_send(self.shared.raw) };
        }
    }
}

// SAFETY: the one call made through the pointer, `uv_async_send`, may be made from any thread.
unsafe impl Send for WakerShared {}
// SAFETY: as above; libuv guards the handle's pending flag with atomics.
unsafe impl Sync for WakerShared {}

/// Runs the loop with a handle that other threads can wake. `on_wake` runs after each wake and answers whether to
/// go on; `begin` gets the waker first. The handle is leaked, since a waker may be held by another thread.
pub(crate) fn run_with_waker<F: FnMut() -> bool>(lp: &Loop, on_wake: F, begin: impl FnOnce(Waker)) {
    struct State<F> {
        on_wake: F,
        shared: Arc<WakerShared>,
    }

    unsafe extern "C" fn on_async<F: FnMut() -> bool>(handle: *mut uv::uv_async_t) {
        // SAFETY: libuv passes the handle that was woken.
        let state = unsafe { (*handle).data }.cast::<State<F>>();
        // SAFETY: `data` was set below, and nothing else holds the state while the loop runs.
        let state = unsafe { &mut *state };
        if !(state.on_wake)() {
            state.shared.closed.store(true, Ordering::Release);
            // SAFETY: the handle was initialised and is closed once, for a closed handle is not called.
            unsafe { uv::uv_close(handle.cast(), None) };
        }
    }

    let raw = Box::into_raw(Box::new(zeroed::<uv::uv_async_t>()));
    let shared = Arc::new(WakerShared { raw, closed: AtomicBool::new(false) });
    let state = Box::into_raw(Box::new(State { on_wake, shared: shared.clone() }));
    // SAFETY: both are live memory; the handle stays where it is for ever (INVARIANT pinned).
    unsafe { uv::uv_async_init(lp.raw, raw, Some(on_async::<F>)) };
    // SAFETY: no thread knows the handle yet.
    unsafe { (*raw).data = state.cast() };
    begin(Waker { shared });
    lp.run();
    // SAFETY: the state came from a box above, and its only user has closed.
    drop(unsafe { Box::from_raw(state) });
}

/// One connection: the handle first, so that a pointer to it is a pointer to the connection.
#[repr(C)]
struct Connection {
    tcp: uv::uv_tcp_t,
}

/// A write that could not be done at once: the request first, then the bytes it owns.
#[repr(C)]
struct Write {
    request: uv::uv_write_t,
    rest: Vec<u8>,
}

/// What the server's callbacks share: the one buffer that all connections read into.
struct Server {
    buf: *mut u8,
    buf_len: usize,
}

/// Serves echo on `listener` for ever: one read buffer for all, direct write first, a request only for the rest.
pub(crate) fn echo(listener: TcpListener, buf_len: usize) -> ! {
    const BACKLOG: i32 = 4096;
    let lp = Loop::new();
    let buf = Box::into_raw(vec![0u8; buf_len].into_boxed_slice()).cast::<u8>();
    let server = Box::into_raw(Box::new(Server { buf, buf_len }));
    // SAFETY: the loop is live, and its `data` is for us to use.
    unsafe { (*lp.raw).data = server.cast() };
    let tcp = new_tcp(lp.raw);
    let fd = listener.into_raw_fd();
    // SAFETY: the handle was initialised, and the descriptor is a listener's that nobody else owns now.
    let code = unsafe { uv::uv_tcp_open(tcp, fd) };
    assert_eq!(code, 0, "uv_tcp_open failed with {code}");
    // SAFETY: the handle owns a bound socket.
    let code = unsafe { uv::uv_listen(tcp.cast(), BACKLOG, Some(on_connection)) };
    assert_eq!(code, 0, "uv_listen failed with {code}");
    lp.run();
    unreachable!("a listener keeps its loop alive");
}

unsafe extern "C" fn on_connection(listener: *mut uv::uv_stream_t, status: i32) {
    assert_eq!(status, 0, "accept failed with {status}");
    // SAFETY: libuv passes the listening handle, which knows its loop.
    let lp = unsafe { (*listener).loop_ };
    let tcp = new_tcp(lp);
    // SAFETY: the listener has a connection ready, and `tcp` was initialised on the same loop.
    let code = unsafe { uv::uv_accept(listener, tcp.cast()) };
    assert_eq!(code, 0, "uv_accept failed with {code}");
    // SAFETY: the handle owns a connected socket.
    unsafe { uv::uv_tcp_nodelay(tcp, 1) };
    // SAFETY: as above; the connection lives until its close callback.
    unsafe { uv::uv_read_start(tcp.cast(), Some(on_alloc), Some(on_read)) };
}

unsafe extern "C" fn on_alloc(handle: *mut uv::uv_handle_t, _suggested: usize, buf: *mut uv::uv_buf_t) {
    let server = server_of(handle);
    // SAFETY: libuv passes a place to write the answer to.
    let buf = unsafe { &mut *buf };
    buf.base = server.buf.cast();
    buf.len = server.buf_len as _;
}

unsafe extern "C" fn on_read(stream: *mut uv::uv_stream_t, read_len: isize, buf: *const uv::uv_buf_t) {
    if read_len < 0 {
        // SAFETY: the connection is open: reading stops with its close, and an error is reported once.
        unsafe { uv::uv_close(stream.cast(), Some(on_closed)) };
        return;
    }
    let read_len = read_len as usize;
    if read_len == 0 {
        return; // no error and no data: the read would have blocked
    }
    // SAFETY: libuv passes the buffer that `on_alloc` gave.
    let bytes = unsafe { *buf };
    let whole = uv::uv_buf_t { base: bytes.base, len: read_len as _ };
    // SAFETY: the stream is open, and the buffer lives through this call.
    let written = unsafe { uv::uv_try_write(stream, &whole, 1) };
    let written = usize::try_from(written).unwrap_or(0); // would block, or an error that the request below reports
    if written < read_len {
        // SAFETY: libuv read `read_len` bytes into the buffer.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.base.cast::<u8>(), read_len) };
        write_rest(stream, bytes[written..].to_vec());
    }
}

fn write_rest(stream: *mut uv::uv_stream_t, mut rest: Vec<u8>) {
    let buf = uv::uv_buf_t { base: rest.as_mut_ptr().cast(), len: rest.len() as _ };
    let write = Box::into_raw(Box::new(Write { request: zeroed(), rest }));
    // SAFETY: the request and the bytes it owns live until `on_written`. The request is the first field.
    let code = unsafe { uv::uv_write(write.cast(), stream, &buf, 1, Some(on_written)) };
    assert_eq!(code, 0, "uv_write failed with {code}");
}

unsafe extern "C" fn on_written(request: *mut uv::uv_write_t, _status: i32) {
    // SAFETY: the request is the first field of the box that `write_rest` made.
    let write = unsafe { Box::from_raw(request.cast::<Write>()) };
    drop(write.rest);
}

unsafe extern "C" fn on_closed(handle: *mut uv::uv_handle_t) {
    // SAFETY: the handle is the first field of the box that `new_tcp` made.
    drop(unsafe { Box::from_raw(handle.cast::<Connection>()) });
}

fn new_tcp(lp: *mut uv::uv_loop_t) -> *mut uv::uv_tcp_t {
    let tcp = Box::into_raw(Box::new(Connection { tcp: zeroed() })).cast::<uv::uv_tcp_t>();
    // SAFETY: the loop is live, and the handle stays where it is until `on_closed` (INVARIANT pinned).
    unsafe { uv::uv_tcp_init(lp, tcp) };
    tcp
}

fn server_of<'a>(handle: *mut uv::uv_handle_t) -> &'a Server {
    // SAFETY: libuv passes a live handle, which knows its loop.
    let lp = unsafe { (*handle).loop_ };
    // SAFETY: the loop is live; `echo` stored the server there.
    let server = unsafe { (*lp).data }.cast::<Server>();
    // SAFETY: the server is never freed and never changed.
    unsafe { &*server }
}

/// The C way to make a struct that an `init` function will fill.
fn zeroed<T: CStruct>() -> T {
    // SAFETY: `CStruct` is only implemented below, for plain C structs in which all zeros are a valid value.
    unsafe { std::mem::zeroed() }
}

trait CStruct {}
impl CStruct for uv::uv_loop_t {}
impl CStruct for uv::uv_timer_t {}
impl CStruct for uv::uv_idle_t {}
impl CStruct for uv::uv_async_t {}
impl CStruct for uv::uv_tcp_t {}
impl CStruct for uv::uv_write_t {}
