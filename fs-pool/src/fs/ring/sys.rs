//! The kernel's ring: calls go in, answers come out, and what a call points to lives until then.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use io_uring::types::Fd;
use io_uring::{IoUring, Probe, opcode, squeue};
use slab::Slab;

use crate::fs::metadata::{Metadata, Stamp};
use crate::fs::{OpenOptions, sys::Links};

/// What the kernel is asked to do, with all that it needs for it.
pub(super) enum Call {
    /// `may_wait` is for a worker of the kernel; without it the kernel first tries as if it were `O_NONBLOCK`.
    Open {
        path: CString,
        flags: i32,
        mode: u32,
        may_wait: bool,
    },
    Close(OwnedFd),
    Read {
        file: Arc<File>,
        buf: Vec<u8>,
        into: Room,
        offset: Option<u64>,
    },
    /// Reads, and then closes the file whatever came of it. The answer comes when both are done.
    ReadLast {
        file: File,
        buf: Vec<u8>,
        into: Room,
        offset: u64,
    },
    Write {
        file: Arc<File>,
        buf: Vec<u8>,
        from: usize,
        offset: Option<u64>,
    },
    Stat {
        path: CString,
        links: Links,
    },
    FileStat {
        file: Arc<File>,
    },
    Sync {
        file: Arc<File>,
        data_only: bool,
    },
    /// The first half of `ReadLast`; the second has the file.
    Borrowed {
        fd: RawFd,
        buf: Vec<u8>,
        into: Room,
        offset: u64,
    },
    /// Waits until there is something to read, or nobody who could write it any more.
    Readable {
        file: Arc<File>,
    },
    Nothing,
}

/// Where in a buffer's memory a read may write, also behind its length.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) start: usize,
    pub(super) len: usize,
}

/// What came of a call, and what it was given.
pub(super) enum Answer {
    Opened(io::Result<OwnedFd>),
    /// Whatever the system said: the descriptor is gone.
    Closed,
    Read {
        file: Arc<File>,
        buf: Vec<u8>,
        result: io::Result<usize>,
    },
    ReadLast {
        buf: Vec<u8>,
        result: io::Result<usize>,
    },
    Wrote {
        file: Arc<File>,
        buf: Vec<u8>,
        result: io::Result<usize>,
    },
    Stat {
        file: Option<Arc<File>>,
        result: io::Result<Metadata>,
    },
    /// Of a sync, and of a wait.
    Done {
        file: Arc<File>,
        result: io::Result<()>,
    },
    Nothing,
}

/// Names a call that is in the kernel.
#[derive(Clone, Copy)]
pub(super) struct Slot(u64);

/// A call that the kernel has. INVARIANT pinned: what it points to on the heap is neither moved nor freed until its
/// answer is there.
struct Flight {
    name: u64,
    token: u64,
    call: Call,
    /// Where the kernel writes what it knows of a file.
    statx: Option<Box<MaybeUninit<libc::statx>>>,
    /// The call that the kernel makes next, whatever comes of this one.
    next: Option<Slot>,
    /// What came of the call before it.
    before: Option<Answer>,
}

impl Slot {
    fn place(self) -> usize {
        self.0 as u32 as usize // the lower half
    }
}

/// A ring, and the calls that are in the kernel.
pub(super) struct Kernel {
    ring: IoUring,
    in_flight: Slab<Flight>,
    serial: u32,
}

impl Kernel {
    /// Makes a ring that has all that is needed here.
    pub(super) fn new(entries: u32) -> io::Result<Self> {
        let ring = setup(entries.max(LINKED))?;
        let params = ring.params();
        if !(params.is_feature_nodrop()
            && params.is_feature_submit_stable()
            && params.is_feature_rw_cur_pos())
        {
            return Err(too_old("the features of Linux 5.6"));
        }
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if let Some((name, _)) = NEEDED.iter().find(|(_, code)| !probe.is_supported(*code)) {
            return Err(too_old(name));
        }
        Ok(Self { ring, in_flight: Slab::new(), serial: 0 })
    }

    /// A descriptor that becomes readable when there are answers.
    pub(super) fn descriptor(&self) -> io::Result<OwnedFd> {
        // SAFETY: the ring has its descriptor open as long as `self` is borrowed.
        let fd = unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) };
        fd.try_clone_to_owned()
    }

    /// How many calls the kernel has.
    pub(super) fn len(&self) -> usize {
        self.in_flight.len()
    }

    /// Puts a call in line; the kernel sees it with the next `submit`. If there is no room that is made by a submit.
    ///
    /// # Errors
    /// The call, if that submit failed.
    pub(super) fn push(&mut self, token: u64, call: Call) -> Result<Slot, Box<(Call, io::Error)>> {
        if let Err(error) = self.make_room() {
            return Err(Box::new((call, error)));
        }
        let Call::ReadLast { file, buf, into, offset } = call else { return Ok(self.put(token, call)) };
        let read = Call::Borrowed { fd: file.as_raw_fd(), buf, into, offset };
        // Nothing is submitted in between, so the kernel sees both together.
        let (read, close) = (self.put(token, read), self.put(token, Call::Close(file.into())));
        if let Some(flight) = self.in_flight.get_mut(read.place()) {
            flight.next = Some(close);
        }
        Ok(read)
    }

    /// Puts a call in line, for which there is room.
    fn put(&mut self, token: u64, call: Call) -> Slot {
        let is_stat = matches!(call, Call::Stat { .. } | Call::FileStat { .. });
        let statx = is_stat.then(|| Box::new(MaybeUninit::uninit()));
        let place = self.in_flight.vacant_entry();
        self.serial = self.serial.wrapping_add(1) % SERIAL_MAX;
        let name = u64::from(self.serial) << 32 | place.key() as u64;
        let flight = place.insert(Flight { name, token, call, statx, next: None, before: None });
        let entry = flight.entry().user_data(name);
        // SAFETY: all that the entry points to is owned by the flight, which stays until the answer (INVARIANT pinned).
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.expect("room was made before");
        Slot(name)
    }

    /// Asks for a call to be given up. It has an answer all the same.
    pub(super) fn cancel(&mut self, slot: Slot) -> io::Result<()> {
        let flight = self.in_flight.get(slot.place()).filter(|flight| flight.name == slot.0);
        // A descriptor is closed in any case.
        if flight.is_none_or(|flight| matches!(flight.call, Call::Close(_))) {
            return Ok(());
        }
        self.make_room()?;
        let entry = opcode::AsyncCancel::new(slot.0).build().user_data(CANCEL);
        // SAFETY: the entry points to nothing.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.expect("room was made above");
        Ok(())
    }

    /// Hands what is in line to the kernel. What needs no waiting is done inside.
    pub(super) fn submit(&mut self) -> io::Result<()> {
        loop {
            let queue = self.ring.submission();
            if queue.is_empty() && !queue.cq_overflow() {
                return Ok(());
            }
            let was_empty = queue.is_empty();
            drop(queue);
            match self.ring.submit() {
                Ok(0) if !was_empty => return Err(io::ErrorKind::WouldBlock.into()),
                Ok(_) if was_empty => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// True if there are answers.
    pub(super) fn has_answers(&mut self) -> bool {
        !self.ring.completion().is_empty()
    }

    /// The next answer, and the token of its call.
    pub(super) fn reap(&mut self) -> Option<(u64, Answer)> {
        loop {
            let done = self.ring.completion().next()?;
            if done.user_data() == CANCEL {
                continue;
            }
            let mut flight = self.in_flight.remove(Slot(done.user_data()).place());
            let (token, next, before) = (flight.token, flight.next, flight.before.take());
            let answer = flight.answer(done.result());
            match next.and_then(|next| self.in_flight.get_mut(next.place())) {
                Some(next) => next.before = Some(answer),
                None => return Some((token, before.unwrap_or(answer))),
            }
        }
    }

    fn make_room(&mut self) -> io::Result<()> {
        let queue = self.ring.submission();
        let has_room = queue.capacity() - queue.len() >= LINKED as usize;
        drop(queue);
        if has_room { Ok(()) } else { self.submit() }
    }

    /// Gives up what is in the kernel, and waits until it has let go of all memory.
    fn drain(&mut self) -> io::Result<()> {
        let slots: Vec<_> = self.in_flight.iter().map(|(_, flight)| Slot(flight.name)).collect();
        for slot in slots {
            self.cancel(slot)?;
        }
        while !self.in_flight.is_empty() {
            match self.ring.submit_and_wait(1) {
                Ok(_) => while self.reap().is_some() {},
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        if self.drain().is_err() {
            // The kernel may still write there: what it has is lost rather than used by two.
            std::mem::forget(std::mem::take(&mut self.in_flight));
        }
    }
}

impl Flight {
    fn entry(&mut self) -> squeue::Entry {
        match &mut self.call {
            Call::Open { path, flags, mode, may_wait } => {
                let open = opcode::OpenAt::new(Fd(libc::AT_FDCWD), path.as_ptr());
                let entry = open.flags(*flags).mode(*mode).build();
                if *may_wait { entry.flags(squeue::Flags::ASYNC) } else { entry }
            }
            Call::Close(fd) => opcode::Close::new(Fd(fd.as_raw_fd())).build(),
            Call::Read { file, buf, into: Room { start, len }, offset } => {
                assert!(*start <= buf.len() && *len <= buf.capacity() - *start, "a read stays in its buffer");
                let at = buf.as_mut_ptr().wrapping_add(*start);
                let fd = Fd(file.as_raw_fd());
                opcode::Read::new(fd, at, at_once(*len)).offset(offset.unwrap_or(POSITION)).build()
            }
            Call::Borrowed { fd, buf, into: Room { start, len }, offset } => {
                assert!(*start <= buf.len() && *len <= buf.capacity() - *start, "a read stays in its buffer");
                let at = buf.as_mut_ptr().wrapping_add(*start);
                let read = opcode::Read::new(Fd(*fd), at, at_once(*len)).offset(*offset);
                read.build().flags(squeue::Flags::IO_HARDLINK)
            }
            Call::ReadLast { .. } => unreachable!("it was taken apart"),
            Call::Write { file, buf, from, offset } => {
                let rest = &buf[*from..];
                let fd = Fd(file.as_raw_fd());
                let write = opcode::Write::new(fd, rest.as_ptr(), at_once(rest.len()));
                write.offset(offset.unwrap_or(POSITION)).build()
            }
            Call::Stat { path, links } => {
                let flags = if *links == Links::Follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
                stat(Fd(libc::AT_FDCWD), path.as_ptr(), &mut self.statx, flags)
            }
            Call::FileStat { file } => {
                stat(Fd(file.as_raw_fd()), c"".as_ptr(), &mut self.statx, libc::AT_EMPTY_PATH)
            }
            Call::Sync { file, data_only } => {
                let sync = opcode::Fsync::new(Fd(file.as_raw_fd()));
                let data = io_uring::types::FsyncFlags::DATASYNC;
                if *data_only { sync.flags(data).build() } else { sync.build() }
            }
            Call::Readable { file } => {
                opcode::PollAdd::new(Fd(file.as_raw_fd()), libc::POLLIN as u32).build()
            }
            Call::Nothing => opcode::Nop::new().build(),
        }
    }

    /// Reads the kernel's answer: a count or a descriptor, or the negative number of an error.
    fn answer(self, result: i32) -> Answer {
        let result = u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result));
        let len = |result: io::Result<u32>| result.map(|len| len as usize);
        match self.call {
            Call::Open { .. } => Answer::Opened(result.map(|fd| {
                // SAFETY: the kernel has just made this descriptor for this call, so nobody else has it.
                unsafe { OwnedFd::from_raw_fd(fd as i32) }
            })),
            Call::Close(fd) => {
                let was_cancelled = |error: &io::Error| error.raw_os_error() == Some(libc::ECANCELED);
                if result.as_ref().is_err_and(was_cancelled) {
                    drop(fd); // it was not begun
                } else {
                    std::mem::forget(fd); // it is gone, with an error too. Source: close(2)
                }
                Answer::Closed
            }
            Call::Read { file, buf, into, offset: _ } => {
                let (buf, result) = filled(buf, into, len(result));
                Answer::Read { file, buf, result }
            }
            Call::Borrowed { buf, into, .. } => {
                let (buf, result) = filled(buf, into, len(result));
                Answer::ReadLast { buf, result }
            }
            Call::ReadLast { .. } => unreachable!("it was taken apart"),
            Call::Write { file, buf, .. } => Answer::Wrote { file, buf, result: len(result) },
            Call::Stat { .. } => Answer::Stat { file: None, result: result.map(|_| metadata(self.statx)) },
            Call::FileStat { file } => {
                Answer::Stat { file: Some(file), result: result.map(|_| metadata(self.statx)) }
            }
            Call::Sync { file, .. } | Call::Readable { file } => {
                Answer::Done { file, result: result.map(drop) }
            }
            Call::Nothing => Answer::Nothing,
        }
    }
}

impl Call {
    /// The answer to a call that the kernel did not take.
    pub(super) fn refused(self, error: io::Error) -> Answer {
        match self {
            Self::Open { .. } => Answer::Opened(Err(error)),
            Self::Close(fd) => {
                drop(fd);
                Answer::Closed
            }
            Self::Read { file, buf, .. } => Answer::Read { file, buf, result: Err(error) },
            Self::ReadLast { buf, .. } | Self::Borrowed { buf, .. } => {
                Answer::ReadLast { buf, result: Err(error) }
            }
            Self::Write { file, buf, .. } => Answer::Wrote { file, buf, result: Err(error) },
            Self::Stat { .. } => Answer::Stat { file: None, result: Err(error) },
            Self::FileStat { file } => Answer::Stat { file: Some(file), result: Err(error) },
            Self::Sync { file, .. } | Self::Readable { file } => Answer::Done { file, result: Err(error) },
            Self::Nothing => Answer::Nothing,
        }
    }
}

/// A ring of one thread, which asks for what there is whenever it has waited, so nobody need interrupt it.
fn setup(entries: u32) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_clamp();
    let plain = builder.clone();
    match builder.setup_single_issuer().setup_coop_taskrun().build(entries) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => plain.build(entries), // before Linux 6.0
        made => made,
    }
}

/// Gives a buffer the length that a read has brought it to.
fn filled(mut buf: Vec<u8>, into: Room, result: io::Result<usize>) -> (Vec<u8>, io::Result<usize>) {
    if let Ok(read) = result {
        let end = into.start + read;
        assert!(read <= into.len, "the kernel wrote behind the buffer");
        if end > buf.len() {
            // SAFETY: `start` was within the length, and the kernel has filled what lies between; the room was within the
            // capacity.
            unsafe { buf.set_len(end) };
        }
    }
    (buf, result)
}

/// Whether opening with these flags waits for somebody who writes, if it is a pipe that is opened.
pub(super) fn waits_for_writers(flags: i32) -> bool {
    flags & libc::O_ACCMODE == libc::O_RDONLY && flags & (libc::O_NONBLOCK | libc::O_PATH) == 0
}

/// Whether an opening that may not wait failed because there is nobody who reads a pipe. Source: fifo(7).
pub(super) fn lacks_readers(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENXIO)
}

/// Flags of open(2), by std's rules. Source: std, `OpenOptions::open`.
pub(super) fn open_flags(options: &OpenOptions) -> io::Result<i32> {
    let access = match (options.read, options.write, options.append) {
        (true, false, false) => libc::O_RDONLY,
        (false, true, false) => libc::O_WRONLY,
        (true, true, false) => libc::O_RDWR,
        (false, _, true) => libc::O_WRONLY | libc::O_APPEND,
        (true, _, true) => libc::O_RDWR | libc::O_APPEND,
        (false, false, false) => return refusal(options),
    };
    let makes = options.create || options.create_new;
    if (!options.write && !options.append && (makes || options.truncate))
        || (options.append && options.truncate && !options.create_new)
    {
        return refusal(options);
    }
    let creation = match (options.create, options.truncate, options.create_new) {
        (_, _, true) => libc::O_CREAT | libc::O_EXCL,
        (create, truncate, false) => {
            (if create { libc::O_CREAT } else { 0 }) | (if truncate { libc::O_TRUNC } else { 0 })
        }
    };
    Ok(libc::O_CLOEXEC | access | creation | (options.custom_flags & !libc::O_ACCMODE))
}

/// What std says of options that contradict each other; it does so before it asks the system.
fn refusal(options: &OpenOptions) -> io::Result<i32> {
    match options.open("") {
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// What the system knows of an open file without asking a device or a server.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// 0 if it has none.
    pub(super) len: u64,
    /// A pipe has been opened that may have nobody yet who writes.
    pub(super) is_fifo: bool,
}

pub(super) fn known(file: &File) -> io::Result<Known> {
    use rustix::fs::{AtFlags, FileType, StatxFlags, statx};
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let known = statx(file, c"", flags, StatxFlags::TYPE | StatxFlags::SIZE)?;
    let kind = FileType::from_raw_mode(known.stx_mode.into());
    let len = if kind == FileType::RegularFile { known.stx_size } else { 0 };
    Ok(Known { len, is_fifo: kind == FileType::Fifo })
}

fn stat(
    fd: Fd,
    path: *const libc::c_char,
    into: &mut Option<Box<MaybeUninit<libc::statx>>>,
    flags: i32,
) -> squeue::Entry {
    let into = into.as_mut().expect("it was made with the flight");
    opcode::Statx::new(fd, path, into.as_mut_ptr().cast())
        .flags(flags)
        .mask(libc::STATX_BASIC_STATS | libc::STATX_BTIME)
        .build()
}

fn metadata(statx: Option<Box<MaybeUninit<libc::statx>>>) -> Metadata {
    let statx = statx.expect("it was made with the flight");
    // SAFETY: the call has succeeded, so the kernel has filled it; and all bytes are valid for its fields, which are numbers.
    let it = unsafe { statx.assume_init() };
    let stamp = |at: libc::statx_timestamp| Stamp { seconds: at.tv_sec, nanos: at.tv_nsec };
    Metadata {
        mode: it.stx_mode.into(),
        dev: libc::makedev(it.stx_dev_major, it.stx_dev_minor),
        ino: it.stx_ino,
        nlink: it.stx_nlink.into(),
        uid: it.stx_uid,
        gid: it.stx_gid,
        rdev: libc::makedev(it.stx_rdev_major, it.stx_rdev_minor),
        len: it.stx_size,
        blksize: it.stx_blksize.into(),
        blocks: it.stx_blocks,
        accessed: stamp(it.stx_atime),
        modified: stamp(it.stx_mtime),
        changed: stamp(it.stx_ctime),
        created: (it.stx_mask & libc::STATX_BTIME != 0).then(|| stamp(it.stx_btime)),
    }
}

/// The system reads and writes no more at a time. Source: read(2).
fn at_once(len: usize) -> u32 {
    len.min(0x7fff_f000) as u32
}

fn too_old(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("this kernel's io_uring has not {what}"))
}

/// Places that the longest chain of calls takes.
const LINKED: u32 = 2;

/// The name of all requests to give up a call.
const CANCEL: u64 = u64::MAX;

/// Serial numbers stay below this, so that no call's name is `CANCEL`.
const SERIAL_MAX: u32 = u32::MAX;

/// Stands for the file's own position. Source: io_uring_enter(2), `IORING_FEAT_RW_CUR_POS`.
const POSITION: u64 = u64::MAX;

const NEEDED: [(&str, u8); 9] = [
    ("OPENAT", opcode::OpenAt::CODE),
    ("CLOSE", opcode::Close::CODE),
    ("READ", opcode::Read::CODE),
    ("WRITE", opcode::Write::CODE),
    ("STATX", opcode::Statx::CODE),
    ("FSYNC", opcode::Fsync::CODE),
    ("POLL_ADD", opcode::PollAdd::CODE),
    ("NOP", opcode::Nop::CODE),
    ("ASYNC_CANCEL", opcode::AsyncCancel::CODE),
];
