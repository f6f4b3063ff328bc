//! A chat over TCP, with callbacks: the first line of a guest is a name, and each further line goes to all others.
//!
//! Whoever sends a line without end, or does not read what the others say, is shown out: nobody else waits for them, and they
//! cost no more than the mark of their queue.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use phaseloop::LoopHandle;
use phaseloop::net::{ReadEvent, TcpListener, TcpStream};

use crate::lines::Lines;
use crate::page::Page;

/// Bytes of a line.
const LINE_LEN_MAX: usize = 1024;
/// Characters of a name.
const NAME_LEN_MAX: usize = 24;
/// Bytes that may wait for a guest who does not read.
const QUEUE_LEN_MAX: usize = 64 * 1024;

/// Who is there. Cheap to clone: clones are the same room.
#[derive(Clone)]
struct Room(Rc<Inner>);

struct Inner {
    guests: RefCell<BTreeMap<u64, Guest>>,
    next: Cell<u64>,
    page: Page,
}

struct Guest {
    stream: TcpStream,
    /// `None` until the first line has come.
    name: Option<String>,
}

/// Opens a room, until the listener is closed or the loop ends. What is said is on the page too.
///
/// # Errors
/// The system's, when it can not listen there.
pub fn serve(lp: &LoopHandle, address: SocketAddr, page: &Page) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(lp, address)?;
    let inner = Inner { guests: RefCell::default(), next: Cell::new(0), page: page.clone() };
    let room = Room(Rc::new(inner));
    listener.on_connection(move |_, connection| match connection {
        Ok(stream) => room.enter(stream),
        Err(error) => room.0.page.line(format!("accepting failed: {error}")),
    })?;
    Ok(listener)
}

impl Room {
    fn enter(&self, stream: TcpStream) {
        let id = self.0.next.replace(self.0.next.get() + 1);
        stream.set_write_high_water_mark(QUEUE_LEN_MAX);
        let (room, mut lines) = (self.clone(), Lines::new(LINE_LEN_MAX));
        let started = stream.read_start(move |_, event| match event {
            ReadEvent::Data(bytes) => match lines.push(bytes) {
                Ok(lines) => lines.into_iter().for_each(|line| room.hear(id, line)),
                Err(too_long) => room.show_out(id, &too_long.to_string()),
            },
            ReadEvent::End => room.leave(id),
            ReadEvent::Failed(error) => room.show_out(id, &error.to_string()),
        });
        if started.is_ok() {
            self.0.guests.borrow_mut().insert(id, Guest { stream, name: None });
            self.tell(id, "* say who you are");
        }
    }

    /// A line of a guest, who may have been shown out meanwhile.
    fn hear(&self, id: u64, line: String) {
        let mut guests = self.0.guests.borrow_mut();
        let Some(guest) = guests.get_mut(&id) else { return };
        let said = match &guest.name {
            Some(name) => format!("{name}: {line}"),
            None => {
                let name: String = line.trim().chars().take(NAME_LEN_MAX).collect();
                let said = format!("* {name} is here");
                guest.name = Some(name);
                said
            }
        };
        drop(guests);
        self.say(&said, Some(id));
    }

    /// Says it to all who have a name, but for one.
    fn say(&self, line: &str, except: Option<u64>) {
        self.0.page.line(line);
        let named =
            |(id, guest): (&u64, &Guest)| (guest.name.is_some() && Some(*id) != except).then_some(*id);
        let others: Vec<u64> = self.0.guests.borrow().iter().filter_map(named).collect();
        others.into_iter().for_each(|id| self.tell(id, line));
    }

    fn tell(&self, id: u64, line: &str) {
        let stream = self.0.guests.borrow().get(&id).map(|guest| guest.stream.clone());
        let Some(stream) = stream else { return };
        match stream.queue_write(format!("{line}\n").as_bytes()) {
            Ok(()) if stream.is_write_queue_high() => self.show_out(id, "does not listen"),
            Ok(()) => {}
            Err(error) => self.show_out(id, &error.to_string()),
        }
    }

    fn leave(&self, id: u64) {
        if let Some(guest) = self.0.guests.borrow_mut().remove(&id) {
            guest.stream.close();
            if let Some(name) = guest.name {
                // Not within this call: `say` may show others out, and each of them is told of, one after the other.
                let room = self.clone();
                guest.stream.lp().next_tick(move |_| room.say(&format!("* {name} has left"), None));
            }
        }
    }

    fn show_out(&self, id: u64, why: &str) {
        let guests = self.0.guests.borrow();
        let name = guests.get(&id).and_then(|guest| guest.name.clone());
        drop(guests);
        self.0.page.line(format!("{} is shown out: {why}", name.as_deref().unwrap_or("somebody")));
        self.leave(id);
    }
}
