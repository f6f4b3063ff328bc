//! An allocator that knows how much is held at the moment, by all threads.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

static HELD: AtomicIsize = AtomicIsize::new(0);
static HELD_MAX: AtomicUsize = AtomicUsize::new(0);

pub(crate) struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: passed on from the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: passed on from the caller.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        add(size);
        // SAFETY: passed on from the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn add(size: usize) {
    let held = HELD.fetch_add(size as isize, Ordering::Relaxed) + size as isize;
    HELD_MAX.fetch_max(held.max(0) as usize, Ordering::Relaxed);
}

/// Bytes that are allocated.
pub(crate) fn held() -> isize {
    HELD.load(Ordering::Relaxed)
}

/// The most bytes that were allocated at once since the last call.
pub(crate) fn take_held_max() -> usize {
    HELD_MAX.swap(held().max(0) as usize, Ordering::Relaxed)
}
