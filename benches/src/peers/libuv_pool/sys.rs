//! The calls into libuv's pool.
//!
//! INVARIANT pinned: libuv keeps the address of a request until its callback has run, so requests live in boxes that are
//! neither moved nor freed before the loop has ended.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

use libuv_sys2 as uv;

use crate::peers::libuv::Loop;

/// Says how many threads the pool is to have. Counts only before the process uses it first.
fn set_threads(threads: usize) {
    let value = CString::new(threads.to_string()).expect("digits hold no zero byte");
    // SAFETY: both are strings that end, and this process has one thread yet.
    let code = unsafe { uv::uv_os_setenv(c"UV_THREADPOOL_SIZE".as_ptr(), value.as_ptr()) };
    assert_eq!(code, 0, "uv_os_setenv failed with {code}");
}

// --- jobs -------------------------------------------------------------------------------------------------------------

struct Jobs {
    lp: *mut uv::uv_loop_t,
    left: u64,
    done: u64,
}

/// Has `threads` threads do `count` empty jobs, `window` of them under way at a time. Gives how many were answered on the loop.
pub(crate) fn jobs(threads: usize, window: u64, count: u64) -> u64 {
    set_threads(threads);
    let lp = Loop::new();
    let window = window.min(count);
    let state = Box::into_raw(Box::new(Jobs { lp: lp.raw(), left: count - window, done: 0 }));
    let requests: Vec<*mut uv::uv_work_t> = (0..window)
        .map(|_| {
            // SAFETY: all zeros are a valid value of a plain C struct that is filled by its first use.
            let mut request: uv::uv_work_t = unsafe { std::mem::zeroed() };
            request.data = state.cast();
            Box::into_raw(Box::new(request))
        })
        .collect();
    requests.iter().for_each(|request| queue(lp.raw(), *request));
    lp.run();
    for request in requests {
        // SAFETY: it came from a box above, and the loop ran until no request was left.
        drop(unsafe { Box::from_raw(request) });
    }
    // SAFETY: it came from a box above, and its users are gone.
    unsafe { Box::from_raw(state) }.done
}

fn queue(lp: *mut uv::uv_loop_t, request: *mut uv::uv_work_t) {
    // SAFETY: the loop is live, and the request is not under way (INVARIANT pinned).
    let code = unsafe { uv::uv_queue_work(lp, request, Some(work), Some(after_work)) };
    assert_eq!(code, 0, "uv_queue_work failed with {code}");
}

unsafe extern "C" fn work(_: *mut uv::uv_work_t) {}

unsafe extern "C" fn after_work(request: *mut uv::uv_work_t, _status: i32) {
    // SAFETY: libuv passes the request that was queued.
    let state = unsafe { (*request).data }.cast::<Jobs>();
    // SAFETY: `jobs` stored it there; only callbacks of this thread use it, one at a time.
    let state = unsafe { &mut *state };
    state.done += 1;
    if state.left > 0 {
        state.left -= 1;
        queue(state.lp, request);
    }
}

// --- files ------------------------------------------------------------------------------------------------------------

/// What the slots share.
struct Files {
    lp: *mut uv::uv_loop_t,
    paths: Vec<CString>,
    next: usize,
    /// Bytes that were read.
    bytes: u64,
    /// Where the next chunk begins, and where there are no more: for the chunks of one file.
    chunks: Option<(i64, i64)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Read,
    Close,
}

/// One request: first of all, so that a pointer to it is a pointer to the slot.
#[repr(C)]
struct Slot {
    request: uv::uv_fs_t,
    files: *mut Files,
    stage: Stage,
    file: i32,
    buf: Vec<u8>,
}

/// Opens, reads and closes each file, `window` of them at a time, into buffers of `len`. Gives how many bytes were read.
pub(crate) fn read_files(threads: usize, window: usize, paths: &[PathBuf], len: usize) -> u64 {
    let paths = paths.iter().map(|path| c_path(path)).collect();
    run(threads, window, Files { lp: ptr::null_mut(), paths, next: 0, bytes: 0, chunks: None }, len)
}

/// Reads a file of `file_len` bytes in chunks of `len`, one after the other. Gives how many bytes were read.
pub(crate) fn read_chunks(threads: usize, path: &Path, file_len: u64, len: usize) -> u64 {
    let chunks = Some((0, file_len as i64));
    let files = Files { lp: ptr::null_mut(), paths: vec![c_path(path)], next: 0, bytes: 0, chunks };
    run(threads, 1, files, len)
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("a path holds no zero byte")
}

fn run(threads: usize, window: usize, files: Files, len: usize) -> u64 {
    set_threads(threads);
    let lp = Loop::new();
    let window = window.min(files.paths.len());
    let files = Box::into_raw(Box::new(Files { lp: lp.raw(), ..files }));
    let slots: Vec<*mut Slot> = (0..window)
        .map(|_| {
            // SAFETY: all zeros are a valid value of a plain C struct that is filled by its first use.
            let request: uv::uv_fs_t = unsafe { std::mem::zeroed() };
            Box::into_raw(Box::new(Slot { request, files, stage: Stage::Open, file: -1, buf: vec![0; len] }))
        })
        .collect();
    slots.iter().for_each(|slot| open_next(*slot));
    lp.run();
    for slot in slots {
        // SAFETY: it came from a box above, and the loop ran until no request was left.
        drop(unsafe { Box::from_raw(slot) });
    }
    // SAFETY: it came from a box above, and its users are gone.
    unsafe { Box::from_raw(files) }.bytes
}

/// Opens the next file, if there is one.
fn open_next(slot: *mut Slot) {
    let (this, files) = parts(slot);
    let Some(path) = files.paths.get(files.next) else { return };
    files.next += 1;
    this.stage = Stage::Open;
    let (lp, path): (_, *const c_char) = (files.lp, path.as_ptr());
    // SAFETY: the loop is live, the request is not under way (INVARIANT pinned), and libuv copies the path.
    let code = unsafe { uv::uv_fs_open(lp, slot.cast(), path, 0, 0, Some(on_done)) };
    assert_eq!(code, 0, "uv_fs_open failed with {code}");
}

fn read(slot: *mut Slot) {
    let (this, files) = parts(slot);
    this.stage = Stage::Read;
    let offset = files.chunks.map_or(0, |(offset, _)| offset);
    let buf = uv::uv_buf_t { base: this.buf.as_mut_ptr().cast(), len: this.buf.len() as _ };
    // SAFETY: as in `open_next`; the buffer belongs to the slot, which stays until the callback.
    let code = unsafe { uv::uv_fs_read(files.lp, slot.cast(), this.file, &buf, 1, offset, Some(on_done)) };
    assert_eq!(code, 0, "uv_fs_read failed with {code}");
}

fn close(slot: *mut Slot) {
    let (this, files) = parts(slot);
    this.stage = Stage::Close;
    // SAFETY: as in `open_next`.
    let code = unsafe { uv::uv_fs_close(files.lp, slot.cast(), this.file, Some(on_done)) };
    assert_eq!(code, 0, "uv_fs_close failed with {code}");
}

unsafe extern "C" fn on_done(request: *mut uv::uv_fs_t) {
    // SAFETY: libuv passes the request that is done.
    let result = unsafe { (*request).result };
    // SAFETY: as above; it may be used again afterwards.
    unsafe { uv::uv_fs_req_cleanup(request) };
    assert!(result >= 0, "a file operation failed with {result}");
    let slot = request.cast::<Slot>();
    let (this, files) = parts(slot);
    match this.stage {
        Stage::Open => {
            this.file = result as i32;
            read(slot);
        }
        Stage::Read => {
            files.bytes += result as u64;
            match &mut files.chunks {
                Some((offset, end)) if *offset + (result as i64) < *end => {
                    *offset += result as i64;
                    read(slot);
                }
                _ => close(slot),
            }
        }
        Stage::Close => open_next(slot),
    }
}

fn parts<'a>(slot: *mut Slot) -> (&'a mut Slot, &'a mut Files) {
    // SAFETY: slots live until the loop has ended, and a callback holds one at a time.
    let slot = unsafe { &mut *slot };
    // SAFETY: as above; they are shared by callbacks of one thread, one at a time.
    let files = unsafe { &mut *slot.files };
    (slot, files)
}
