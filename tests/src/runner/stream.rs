//! The stream of `send`: a connected TCP pair whose reading end reads all the time.

use phaseloop::LoopHandle;
use phaseloop::net::{ReadEvent, TcpStream};
use phaseloop::request::Request;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net;
use std::rc::Rc;

/// Both ends of a connection.
pub(super) struct Stream {
    lp: LoopHandle,
    writer: TcpStream,
    /// The socket of the reading end once more, to see what has arrived.
    arrived: net::TcpStream,
    sent: Sent,
}

/// The bytes under way: what reading each does, and what keeps the loop alive meanwhile.
type Sent = Rc<RefCell<VecDeque<(Request, OnRead)>>>;
type OnRead = Box<dyn FnOnce(&LoopHandle)>;

impl Stream {
    pub(super) fn connect(lp: &LoopHandle) -> io::Result<Self> {
        let listener = net::TcpListener::bind("127.0.0.1:0")?;
        let writer = net::TcpStream::connect(listener.local_addr()?)?;
        writer.set_nodelay(true)?;
        let (reader, _) = listener.accept()?;
        let arrived = reader.try_clone()?;
        let (writer, reader) = (TcpStream::from_std(lp, writer)?, TcpStream::from_std(lp, reader)?);
        let sent = Sent::default();
        let read = Rc::clone(&sent);
        reader.read_start(move |reader, event| {
            let ReadEvent::Data(bytes) = event else { panic!("the stream of `send` broke: {event:?}") };
            for _ in bytes {
                let (request, on_read) = read.borrow_mut().pop_front().expect("each byte was sent");
                drop(request);
                on_read(reader.lp());
            }
        })?;
        reader.unref(); // the requests keep the loop alive
        Ok(Self { lp: lp.clone(), writer, arrived, sent })
    }

    /// Writes a byte, and returns when it has arrived: what a real kernel may take a moment for, `busy` in virtual time
    /// would not wait for.
    pub(super) fn send(&self, on_read: impl FnOnce(&LoopHandle) + 'static) {
        self.sent.borrow_mut().push_back((self.lp.begin_request(), Box::new(on_read)));
        let written = self.writer.try_write(b".").expect("there is room for one byte");
        assert_eq!(written, 1);
        while self.arrived.peek(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            std::thread::yield_now();
        }
    }
}
