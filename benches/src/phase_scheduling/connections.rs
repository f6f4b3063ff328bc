//! Connected sockets on loopback.

use std::net::{TcpListener, TcpStream};

/// Two ends of a connection.
pub(super) fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let near = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("the backlog has room");
    let (far, _) = listener.accept().expect("a connection waits");
    for end in [&near, &far] {
        end.set_nodelay(true).expect("it is a TCP socket");
    }
    (near, far)
}
