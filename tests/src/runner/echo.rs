//! The operation `echo`: a TCP round trip on the loopback interface.

use phaseloop::LoopHandle;
use phaseloop::net::{ReadEvent, TcpListener, TcpStream};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

/// What has to be closed when the byte is back.
#[derive(Default)]
struct Sockets {
    listener: Option<TcpListener>,
    server: Option<TcpStream>,
}

/// Listens, connects, writes a byte and reads it back; then closes the three sockets and calls `on_echo`, in the client's
/// read callback.
pub(super) fn start(lp: &LoopHandle, on_echo: impl FnOnce(&LoopHandle) + 'static) -> io::Result<()> {
    let request = lp.begin_request(); // virtual time waits for it
    let sockets = Rc::new(RefCell::new(Sockets::default()));
    let listener = TcpListener::bind(lp, "127.0.0.1:0".parse().map_err(io::Error::other)?)?;
    let address = listener.local_addr()?;
    let accepted = Rc::clone(&sockets);
    listener.on_connection(move |_, connection| {
        let stream = connection.expect("a connection on the loopback interface is accepted");
        stream.read_start(answer).expect("the stream is open");
        accepted.borrow_mut().server = Some(stream);
    })?;
    sockets.borrow_mut().listener = Some(listener);
    TcpStream::connect_with(lp, address, move |_, client| {
        let client = client.expect("a connection on the loopback interface is made");
        let mut done = Some((request, on_echo));
        let on_read = move |client: &TcpStream, event: ReadEvent<'_>| {
            let (ReadEvent::Data(_), Some((request, on_echo))) = (event, done.take()) else { return };
            close_all(&sockets, client);
            drop(request);
            on_echo(client.lp());
        };
        client.read_start(on_read).expect("the stream is open");
        client.queue_write(b".").expect("there is room for one byte");
    });
    Ok(())
}

fn answer(stream: &TcpStream, event: ReadEvent<'_>) {
    if let ReadEvent::Data(bytes) = event {
        stream.queue_write(bytes).expect("there is room for one byte");
    }
}

fn close_all(sockets: &RefCell<Sockets>, client: &TcpStream) {
    let Sockets { listener, server } = sockets.take();
    if let Some(listener) = listener {
        listener.close();
    }
    if let Some(server) = server {
        server.close();
    }
    client.close();
}
