//! Many datagrams in one call, with what the system says beside their bytes.

use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, addr::SocketAddrStorage, send, sendmmsg, sendto,
};

/// Datagrams that one call may bring or take. libuv's figure is 20; a power of two for a read buffer that is one too.
pub(super) const BATCH_MAX: usize = 32;

/// Control data of one datagram: a length of segments, or an error with the address of who reported it.
const CONTROL_LEN: usize = 128;

/// Control data lies at addresses that are multiples of eight.
#[repr(C, align(8))]
struct Control(MaybeUninit<[u8; CONTROL_LEN]>);

/// A datagram that came.
pub(super) struct Slot {
    /// Bytes of the datagram, also where they did not all fit.
    pub(super) full_len: usize,
    pub(super) from: Option<SocketAddrAny>,
    /// The kernel joined several datagrams of this length, the last perhaps shorter.
    pub(super) segment_len: Option<usize>,
}

/// Receives what is there, at most as many datagrams as `space` has room for `slot_len` bytes each, and tells `found` of
/// each, in their order. Gives their number.
pub(super) fn receive(
    fd: BorrowedFd<'_>,
    space: &mut [u8],
    slot_len: usize,
    wants_segments: bool,
    mut found: impl FnMut(Slot),
) -> io::Result<usize> {
    let count = space.len().checked_div(slot_len).unwrap_or(1).clamp(1, BATCH_MAX);
    if count == 1 && !wants_segments {
        receive_one(fd, space).map(found)?;
        return Ok(1);
    }
    let mut names = [const { MaybeUninit::<SocketAddrStorage>::uninit() }; BATCH_MAX];
    let mut controls = [const { Control(MaybeUninit::uninit()) }; BATCH_MAX];
    let mut buffers = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH_MAX];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH_MAX];
    let base = space.as_mut_ptr();
    for at in 0..count {
        buffers[at].iov_base = base.wrapping_add(at * slot_len).cast();
        buffers[at].iov_len = slot_len.min(space.len());
        let control = wants_segments.then_some(&mut controls[at]);
        headers[at].write(header(names[at].as_mut_ptr(), &mut buffers[at], control));
    }
    // MSG_TRUNC has the call say how long a datagram was that did not fit.
    let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    let (first, none) = (headers.as_mut_ptr().cast(), std::ptr::null_mut());
    // SAFETY: `count` headers were written above, each with pointers to a name, one buffer and perhaps control data of its own,
    // with their lengths; all of them outlive the call, and the buffers lie within `space` and do not overlap.
    let received = unsafe { libc::recvmmsg(fd.as_raw_fd(), first, count as libc::c_uint, flags as _, none) };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    for at in 0..received {
        // SAFETY: the header was written above for every index below `count`, and `received` is at most that.
        let header = unsafe { headers[at].assume_init_ref() };
        let slot = Slot {
            full_len: header.msg_len as usize,
            from: name_of(&names[at], header.msg_hdr.msg_namelen),
            segment_len: if wants_segments { segment_len(&header.msg_hdr) } else { None },
        };
        found(slot);
    }
    Ok(received)
}

/// As `receive`, for one datagram: the shortest way in.
fn receive_one(fd: BorrowedFd<'_>, space: &mut [u8]) -> io::Result<Slot> {
    let mut name = MaybeUninit::<SocketAddrStorage>::uninit();
    let mut name_len = size_of::<SocketAddrStorage>() as libc::socklen_t;
    let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    let (buffer, len, at) = (space.as_mut_ptr().cast(), space.len(), name.as_mut_ptr().cast());
    // SAFETY: buffer and name are ours, outlive the call and have the lengths that it is told.
    let received = unsafe { libc::recvfrom(fd.as_raw_fd(), buffer, len, flags, at, &raw mut name_len) };
    let full_len = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    Ok(Slot { full_len, from: name_of(&name, name_len), segment_len: None })
}

/// A header with room for a name, one buffer and perhaps control data.
fn header(
    name: *mut SocketAddrStorage,
    buffer: &mut libc::iovec,
    control: Option<&mut Control>,
) -> libc::mmsghdr {
    // SAFETY: it is a plain C struct of integers and pointers, for which zero is a value. Not written out, since some platforms
    // have padding with names.
    let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
    header.msg_hdr.msg_name = name.cast();
    header.msg_hdr.msg_namelen = size_of::<SocketAddrStorage>() as libc::socklen_t;
    header.msg_hdr.msg_iov = buffer;
    header.msg_hdr.msg_iovlen = 1;
    if let Some(control) = control {
        header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = CONTROL_LEN as _;
    }
    header
}

/// The address that the system wrote, if it wrote one.
fn name_of(name: &MaybeUninit<SocketAddrStorage>, len: libc::socklen_t) -> Option<SocketAddrAny> {
    if (len as usize) < size_of::<libc::sa_family_t>() {
        return None;
    }
    // SAFETY: the system wrote an address of `len` bytes, which is at least a family and at most the storage.
    Some(unsafe { SocketAddrAny::new(*name, len.min(size_of::<SocketAddrStorage>() as libc::socklen_t)) })
}

/// Calls `f` with level, type and data of each control message.
fn for_each_control(header: &libc::msghdr, mut f: impl FnMut(libc::c_int, libc::c_int, *const u8)) {
    // SAFETY: the system filled the header's control data and set its length.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !next.is_null() {
        // SAFETY: the pointer is not null, and leads to a whole control header within the header's control data.
        let message = unsafe { next.read_unaligned() };
        // SAFETY: as above; data follows the control header.
        let data = unsafe { libc::CMSG_DATA(next) };
        f(message.cmsg_level, message.cmsg_type, data);
        // SAFETY: `next` came from this header.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
}

fn segment_len(header: &libc::msghdr) -> Option<usize> {
    let mut found = None;
    for_each_control(header, |level, kind, data| {
        if (level, kind) == (libc::SOL_UDP, libc::UDP_GRO) {
            // SAFETY: the kernel writes an int as the data of this message.
            let len = unsafe { data.cast::<libc::c_int>().read_unaligned() };
            found = usize::try_from(len).ok();
        }
    });
    found
}

/// Sends one datagram. Without an address it goes to the peer of a connected socket.
#[inline]
pub(super) fn send_one(fd: BorrowedFd<'_>, bytes: &[u8], to: Option<&SocketAddrAny>) -> io::Result<usize> {
    let flags = SendFlags::NOSIGNAL;
    Ok(match to {
        None => send(fd, bytes, flags)?,
        Some(to) => sendto(fd, bytes, flags, to)?,
    })
}

/// True if the socket's own buffer has room; of one that is connected, the peer's too.
pub(super) fn is_writable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|count| count > 0)
}

/// Sends as many datagrams as the system takes, and gives their number. An error is about the first.
pub(super) fn send_many<'a>(
    fd: BorrowedFd<'_>,
    datagrams: impl Iterator<Item = (&'a [u8], Option<&'a SocketAddrAny>)>,
) -> io::Result<usize> {
    let (slices, names): (Vec<_>, Vec<_>) =
        datagrams.take(BATCH_MAX).map(|(bytes, to)| ([IoSlice::new(bytes)], to)).unzip();
    let mut controls: Vec<_> = slices.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let parts = slices.iter().zip(&names).zip(&mut controls);
    let mut headers: Vec<_> = parts
        .map(|((slice, to), control)| match to {
            None => MMsgHdr::new(slice, control),
            Some(to) => MMsgHdr::new_with_addr(to, slice, control),
        })
        .collect();
    Ok(sendmmsg(fd, &mut headers, SendFlags::NOSIGNAL)?)
}

/// Sends bytes that the kernel cuts into datagrams of `segment_len`.
pub(super) fn send_segments(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    segment_len: u16,
    to: Option<&SocketAddrAny>,
) -> io::Result<usize> {
    let name = to.map_or(std::ptr::null_mut(), |to| to.as_ptr().cast_mut());
    let mut buffer = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = Control(MaybeUninit::zeroed());
    let mut header = header(name, &mut buffer, Some(&mut control));
    header.msg_hdr.msg_namelen = to.map_or(0, SocketAddrAny::addr_len);
    // SAFETY: it only computes the room that a message of two bytes takes.
    let room = unsafe { libc::CMSG_SPACE(size_of::<u16>() as libc::c_uint) };
    header.msg_hdr.msg_controllen = room as _;
    // SAFETY: the header's control data has room for one message.
    let first = unsafe { libc::CMSG_FIRSTHDR(&raw const header.msg_hdr) };
    // SAFETY: it only computes a length.
    let len = unsafe { libc::CMSG_LEN(size_of::<u16>() as libc::c_uint) };
    let message =
        libc::cmsghdr { cmsg_len: len as _, cmsg_level: libc::SOL_UDP, cmsg_type: libc::UDP_SEGMENT };
    // SAFETY: `first` leads into `control`, which is aligned and large enough for a control header.
    unsafe { first.write(message) };
    // SAFETY: as above; the data follows the control header.
    let data = unsafe { libc::CMSG_DATA(first) };
    // SAFETY: there is room for two bytes behind the control header, as was computed above.
    unsafe { data.cast::<u16>().write_unaligned(segment_len) };
    // SAFETY: name, buffer and control data are ours, outlive the call and have the lengths that the header says; the system
    // only reads them.
    let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const header.msg_hdr, libc::MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// What the system noted about a datagram that was sent.
pub(super) struct Noted {
    pub(super) code: i32,
    /// Where it was sent to.
    pub(super) to: Option<SocketAddrAny>,
    /// The network said so. What this system said itself was the answer to the call that sent.
    pub(super) by_network: bool,
}

/// An error that a datagram met. `None` if none is there.
pub(super) fn take_undelivered(fd: BorrowedFd<'_>) -> io::Result<Option<Noted>> {
    let mut name = MaybeUninit::<SocketAddrStorage>::uninit();
    let mut buffer = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
    let mut control = Control(MaybeUninit::uninit());
    let mut header = header(name.as_mut_ptr(), &mut buffer, Some(&mut control)).msg_hdr;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: name and control data are ours, outlive the call and have the lengths that the header says; the buffer is empty.
    let received = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags) };
    if received < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
    }
    let (mut code, mut by_network) = (0, true);
    for_each_control(&header, |level, kind, data| {
        if matches!((level, kind), (libc::SOL_IP, libc::IP_RECVERR) | (libc::SOL_IPV6, libc::IPV6_RECVERR)) {
            // SAFETY: the kernel writes this struct as the data of these messages.
            let error = unsafe { data.cast::<libc::sock_extended_err>().read_unaligned() };
            code = error.ee_errno as i32;
            by_network = error.ee_origin != libc::SO_EE_ORIGIN_LOCAL;
        }
    });
    Ok(Some(Noted { code, to: name_of(&name, header.msg_namelen), by_network }))
}
