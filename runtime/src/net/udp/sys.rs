//! Options of UDP sockets that the crates we use have no name for.

use std::io;
use std::mem::size_of;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::{SocketAddrAny, addr::SocketAddrStorage, sockopt};

/// To begin or to end to receive from a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceChange {
    Join,
    Leave,
}

fn set<T>(fd: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    let (place, len) = (std::ptr::from_ref(value).cast(), size_of::<T>() as libc::socklen_t);
    // SAFETY: the descriptor is open while it is borrowed; the system reads `len` bytes of a value that outlives the call.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, place, len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has the system keep errors of datagrams that did not arrive.
pub(super) fn set_recverr(fd: BorrowedFd<'_>, v6: bool, on: bool) -> io::Result<()> {
    if v6 {
        // For what goes to IPv4 through the same socket too, where it may.
        let _ = set(fd, libc::SOL_IP, libc::IP_RECVERR, &libc::c_int::from(on));
        return set(fd, libc::SOL_IPV6, libc::IPV6_RECVERR, &libc::c_int::from(on));
    }
    set(fd, libc::SOL_IP, libc::IP_RECVERR, &libc::c_int::from(on))
}

/// An error if the kernel knows nothing of cutting datagrams.
pub(super) fn has_segments(fd: BorrowedFd<'_>) -> io::Result<()> {
    // Zero is the default: to cut nothing that does not say so itself.
    set(fd, libc::SOL_UDP, libc::UDP_SEGMENT, &(0 as libc::c_int))
}

pub(super) fn set_join_segments(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set(fd, libc::SOL_UDP, libc::UDP_GRO, &libc::c_int::from(on))
}

/// Says plainly what the codes mean by which a kernel, or a device, says that it can not cut or join.
pub(super) fn unsupported(error: io::Error) -> io::Error {
    let codes = [Errno::NOPROTOOPT, Errno::OPNOTSUPP, Errno::IO];
    match error.raw_os_error().is_some_and(|code| codes.iter().any(|errno| errno.raw_os_error() == code)) {
        true => io::Error::new(io::ErrorKind::Unsupported, error),
        false => error,
    }
}

pub(super) fn set_multicast_index_v4(fd: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    let any = std::net::Ipv4Addr::UNSPECIFIED;
    Ok(sockopt::set_ip_multicast_if_with_ifindex(fd, &any, &any, index)?)
}

/// Begins or ends to receive what `source` sends to `group`. Both are of one family; an interface of 0 is the default one.
pub(super) fn change_source(
    fd: BorrowedFd<'_>,
    source: SocketAddr,
    group: SocketAddr,
    interface: u32,
    change: SourceChange,
) -> io::Result<()> {
    let level = if group.is_ipv4() { libc::SOL_IP } else { libc::SOL_IPV6 };
    let name = match change {
        SourceChange::Join => libc::MCAST_JOIN_SOURCE_GROUP,
        SourceChange::Leave => libc::MCAST_LEAVE_SOURCE_GROUP,
    };
    let request = libc::group_source_req {
        gsr_interface: interface,
        gsr_group: storage(group),
        gsr_source: storage(source),
    };
    set(fd, level, name, &request)
}

fn storage(address: SocketAddr) -> libc::sockaddr_storage {
    let address = SocketAddrAny::from(address);
    let mut storage = SocketAddrStorage::zeroed();
    let (from, to) = (address.as_ptr().cast::<u8>(), (&raw mut storage).cast::<u8>());
    // SAFETY: an address is at most as long as the storage, its first `addr_len` bytes are written, and the two do not overlap.
    unsafe { from.copy_to_nonoverlapping(to, address.addr_len() as usize) };
    let storage = (&raw const storage).cast::<libc::sockaddr_storage>();
    // SAFETY: both types are the system's `sockaddr_storage`, of one size, and all of it is written.
    unsafe { storage.read_unaligned() }
}
