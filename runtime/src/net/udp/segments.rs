//! Many datagrams of one length in one call: the kernel, or the network card, cuts and joins them.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;

use super::sys;
use crate::net::datagram::DatagramSocket;
use crate::net::family::Udp;

impl DatagramSocket<Udp> {
    /// True if the kernel cuts what [`send_segments`](Self::send_segments) sends: Linux 4.18 and later.
    pub fn can_send_segments(&self) -> bool {
        self.core().base.with(sys::has_segments).is_ok()
    }

    /// Sends `bytes` as datagrams of `segment_len` bytes, the last perhaps shorter, in one call: to `addr`, or else to the peer of
    /// a connected socket. The kernel takes 64 segments and 65,507 bytes at most.
    ///
    /// # Errors
    /// `Unsupported` if the kernel, or the way to the address, can not do it: then send them one by one. `InvalidInput` if a
    /// segment does not fit into a packet or there are too many.
    ///
    /// # Cancel safety
    /// Nothing was sent if the future is dropped before it is done.
    pub async fn send_segments(
        &self,
        bytes: &[u8],
        segment_len: NonZeroU16,
        addr: Option<&SocketAddr>,
    ) -> io::Result<usize> {
        let to = addr.map(|addr| (*addr).into());
        poll_fn(|cx| self.core().poll_send_segments(cx, bytes, segment_len.get(), to.as_ref()))
            .await
            .map_err(sys::unsupported)
    }

    /// Lets the kernel join datagrams of one sender and one length: they come together, with their length in
    /// [`Received::segment_len`](crate::net::Received::segment_len). Receive into 65,535 bytes then: what does not fit is lost.
    ///
    /// # Errors
    /// `Unsupported` if the kernel can not do it: before Linux 5.0.
    pub fn set_join_segments(&self, on: bool) -> io::Result<()> {
        self.core().base.with(|fd| sys::set_join_segments(fd, on)).map_err(sys::unsupported)?;
        self.core().set_joins(on);
        Ok(())
    }
}
