//! A UDP server that sends back what it gets.

use std::io;
use std::net::SocketAddr;

use phaseloop::LoopHandle;
use phaseloop::net::UdpSocket;

use crate::page::Page;

/// As long as a datagram can be, so that none is truncated.
const BUFFER_LEN: usize = 65_536;

/// Echoes until the loop ends, and gives the address.
///
/// An answer that can not be sent is reported on the page; the server goes on. So is what a peer's machine sends back, that
/// nobody listens there.
///
/// # Errors
/// The system's, when it can not bind the address.
pub fn serve(lp: &LoopHandle, address: SocketAddr, page: &Page) -> io::Result<SocketAddr> {
    let socket = UdpSocket::bind(lp, address)?;
    let address = socket.local_addr()?;
    let page = page.clone();
    let serving = lp.spawn(async move {
        let mut buf = vec![0; BUFFER_LEN];
        loop {
            let echoed = match socket.recv_from(&mut buf).await {
                Ok(received) => socket.send_to(&buf[..received.len], &received.from).await,
                Err(error) => Err(error),
            };
            if let Err(error) = echoed {
                page.line(error);
                phaseloop::yield_now().await; // so that an error that stays does not hold up the loop
            }
        }
    });
    serving.detach();
    Ok(address)
}
