//! libuv's echo over datagrams and over Unix sockets. The invariants are those of the `sys.rs` above.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::net::UdpSocket;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;

use libuv_sys2 as uv;

use super::Loop;

/// More than any message of the questions.
const BUF_LEN: usize = 65_536;

/// Sends each datagram back, until an empty one comes.
pub(crate) fn udp_echo(socket: UdpSocket) {
    let lp = loop_with_buf();
    let udp = Box::into_raw(Box::new(MaybeUninit::<uv::uv_udp_t>::zeroed())).cast::<uv::uv_udp_t>();
    // SAFETY: both are live memory, and the handle stays where it is until it was closed.
    unsafe { uv::uv_udp_init(lp.raw(), udp) };
    // SAFETY: the handle was initialised, and nobody else owns the descriptor now.
    let code = unsafe { uv::uv_udp_open(udp, socket.into_raw_fd()) };
    assert_eq!(code, 0, "uv_udp_open failed with {code}");
    // SAFETY: the handle owns a bound socket.
    let code = unsafe { uv::uv_udp_recv_start(udp, Some(on_alloc), Some(on_datagram)) };
    assert_eq!(code, 0, "uv_udp_recv_start failed with {code}");
    lp.run();
    // SAFETY: it came from a box of this layout, and has closed, since the loop ended.
    drop(unsafe { Box::from_raw(udp.cast::<MaybeUninit<uv::uv_udp_t>>()) });
}

/// Sends back what comes, until all streams have ended.
pub(crate) fn unix_echo(streams: Vec<UnixStream>) {
    let lp = loop_with_buf();
    for stream in streams {
        let pipe = Box::into_raw(Box::new(MaybeUninit::<uv::uv_pipe_t>::zeroed())).cast::<uv::uv_pipe_t>();
        // SAFETY: both are live memory, and the handle stays where it is until it was closed.
        unsafe { uv::uv_pipe_init(lp.raw(), pipe, 0) };
        // SAFETY: the handle was initialised, and nobody else owns the descriptor now.
        let code = unsafe { uv::uv_pipe_open(pipe, stream.into_raw_fd()) };
        assert_eq!(code, 0, "uv_pipe_open failed with {code}");
        // SAFETY: the handle owns a connected socket.
        let code = unsafe { uv::uv_read_start(pipe.cast(), Some(on_alloc), Some(on_read)) };
        assert_eq!(code, 0, "uv_read_start failed with {code}");
    }
    lp.run();
}

/// A loop whose `data` is a buffer that is never freed: a process serves once.
fn loop_with_buf() -> std::rc::Rc<Loop> {
    let lp = Loop::new();
    let buf = Box::into_raw(vec![0_u8; BUF_LEN].into_boxed_slice()).cast();
    // SAFETY: the loop is live, and its `data` is for us to use.
    unsafe { (*lp.raw()).data = buf };
    lp
}

unsafe extern "C" fn on_alloc(handle: *mut uv::uv_handle_t, _suggested: usize, buf: *mut uv::uv_buf_t) {
    // SAFETY: libuv passes a live handle, which knows its loop.
    let lp = unsafe { (*handle).loop_ };
    // SAFETY: libuv passes a place to write the answer to.
    let buf = unsafe { &mut *buf };
    // SAFETY: the loop is live; `loop_with_buf` stored a buffer of that length there.
    buf.base = unsafe { (*lp).data }.cast();
    buf.len = BUF_LEN as _;
}

unsafe extern "C" fn on_datagram(
    udp: *mut uv::uv_udp_t,
    read_len: isize,
    buf: *const uv::uv_buf_t,
    from: *const uv::sockaddr,
    _flags: u32,
) {
    assert!(read_len >= 0, "receiving failed with {read_len}");
    if from.is_null() {
        return; // nothing more is there
    }
    if read_len == 0 {
        // SAFETY: the handle is open, and closed here alone.
        unsafe { uv::uv_close(udp.cast(), None) };
        return;
    }
    // SAFETY: libuv passes the buffer that `on_alloc` gave.
    let bytes = unsafe { *buf };
    let whole = uv::uv_buf_t { base: bytes.base, len: read_len as _ };
    // SAFETY: the socket is open; buffer and address live through this call.
    let sent = unsafe { uv::uv_udp_try_send(udp, &whole, 1, from) };
    assert_eq!(sent as isize, read_len, "a datagram of 64 B fits");
}

unsafe extern "C" fn on_read(stream: *mut uv::uv_stream_t, read_len: isize, buf: *const uv::uv_buf_t) {
    if read_len < 0 {
        // SAFETY: the connection is open: its end is reported once.
        unsafe { uv::uv_close(stream.cast(), Some(on_closed)) };
        return;
    }
    if read_len == 0 {
        return; // no error and no data: the read would have blocked
    }
    // SAFETY: libuv passes the buffer that `on_alloc` gave.
    let bytes = unsafe { *buf };
    let whole = uv::uv_buf_t { base: bytes.base, len: read_len as _ };
    // SAFETY: the stream is open, and the buffer lives through this call.
    let written = unsafe { uv::uv_try_write(stream, &whole, 1) };
    assert_eq!(written as isize, read_len, "one message of 64 B is in flight, and fits");
}

unsafe extern "C" fn on_closed(handle: *mut uv::uv_handle_t) {
    // SAFETY: it came from a box of this layout in `unix_echo`, and libuv is done with it.
    drop(unsafe { Box::from_raw(handle.cast::<MaybeUninit<uv::uv_pipe_t>>()) });
}
