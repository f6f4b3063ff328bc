//! Passing descriptors and asking who the peer is.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Descriptors that the kernel takes in one message. Source: Linux, `SCM_MAX_FD`.
pub(in crate::net) const DESCRIPTORS_MAX: usize = 253;

/// Room for all that one message may bring.
const CONTROL_LEN: usize = cmsg_space!(ScmRights(DESCRIPTORS_MAX));

/// Writes, and passes `descriptors` with the first byte.
pub(in crate::net) fn send(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); CONTROL_LEN];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(rustix::io::Errno::INVAL.into()); // the callers have counted them
    }
    Ok(sendmsg(fd, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

/// As `send`, with descriptors that wait in a queue.
pub(in crate::net) fn send_owned(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[OwnedFd],
) -> io::Result<usize> {
    let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    send(fd, bytes, &borrowed)
}

/// Reads, and takes the descriptors that were passed, at most `limit`. True if the system had to close some.
pub(in crate::net) fn receive(
    fd: BorrowedFd<'_>,
    buf: &mut [u8],
    limit: usize,
) -> io::Result<(usize, Vec<OwnedFd>, bool)> {
    let mut space = [MaybeUninit::uninit(); CONTROL_LEN];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(fd, &mut [IoSliceMut::new(buf)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    // Control data comes in units of eight bytes, so the buffer can not say an odd limit; what is beyond is closed here.
    let beyond = descriptors.len() > limit;
    descriptors.truncate(limit);
    Ok((received.bytes, descriptors, beyond || received.flags.contains(ReturnFlags::CTRUNC)))
}

/// Reads, and says whether that ended at a message with descriptors, which the system has closed: then more may be there. Other
/// systems than Linux are not known to say so.
#[inline]
pub(in crate::net) fn read(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<(usize, bool)> {
    let (space, no_control) = (&mut [IoSliceMut::new(buf)], &mut RecvAncillaryBuffer::default());
    let received = recvmsg(fd, space, no_control, RecvFlags::empty())?;
    Ok((received.bytes, received.flags.contains(ReturnFlags::CTRUNC) || cfg!(not(target_os = "linux"))))
}

/// The process, if it can be seen, the user and the group of the peer.
///
/// Not by rustix, whose type has no room for the process number 0 of a peer in another namespace.
pub(super) fn peer_credentials(fd: BorrowedFd<'_>) -> io::Result<(Option<u32>, u32, u32)> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    let (place, len) = (std::ptr::from_mut(&mut found), std::ptr::from_mut(&mut len));
    // SAFETY: the descriptor is open while it is borrowed, and both pointers lead to values of ours that outlive the call; the
    // system writes at most `len` bytes, which is the size of the first.
    let result =
        unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, place.cast(), len) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((u32::try_from(found.pid).ok().filter(|pid| *pid != 0), found.uid, found.gid))
}
