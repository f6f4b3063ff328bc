//! Calls of the system as futures. They are awaited by jobs of the ring and by nobody else.

use std::cell::RefCell;
use std::ffi::CString;
use std::fs::File;
use std::future::Future;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::core::Core;
use super::sys::{self, Answer, Call, Known, Room};
use crate::fs::sys::Links;
use crate::fs::{Metadata, OpenOptions};

/// What a job has the kernel do. Interrupted calls are made again.
#[derive(Clone)]
pub(super) struct Calls(Rc<Core>);

/// A file in the hands of a job. If nobody else has it, dropping it has the ring close it.
pub(in crate::fs) struct RingFile {
    core: Rc<Core>,
    file: Option<Arc<File>>,
}

/// Between the job that is polled and the ring: a call on its way there, or its answer on its way back.
#[derive(Default)]
pub(super) struct Exchange(RefCell<Option<Parcel>>);

enum Parcel {
    Call(Call),
    Answer(Answer),
}

impl Exchange {
    pub(super) fn put(&self, answer: Option<Answer>) {
        self.0.replace(answer.map(Parcel::Answer));
    }

    pub(super) fn take_call(&self) -> Call {
        match self.0.take() {
            Some(Parcel::Call(call)) => call,
            _ => unreachable!("a job of the ring awaits calls of the ring and nothing else"),
        }
    }
}

impl Calls {
    pub(super) fn new(core: &Rc<Core>) -> Self {
        Self(Rc::clone(core))
    }

    pub(super) fn hold(&self, file: Arc<File>) -> RingFile {
        RingFile { core: Rc::clone(&self.0), file: Some(file) }
    }

    /// Opens a file.
    pub(super) async fn open(&self, path: &Path, options: &OpenOptions) -> io::Result<RingFile> {
        self.open_known(path, options).await.map(|(file, _)| file)
    }

    /// Opens a file, and says what is known of it.
    ///
    /// The kernel tries first whether it can be done at once, and a pipe then has nobody at its other end: the one who
    /// reads is waited for by a worker of the kernel, the one who writes by what he brings.
    pub(super) async fn open_known(
        &self,
        path: &Path,
        options: &OpenOptions,
    ) -> io::Result<(RingFile, Known)> {
        let (path, flags) = (c_path(path)?, sys::open_flags(options)?);
        let mut may_wait = false;
        let file = loop {
            let call = Call::Open { path: path.clone(), flags, mode: options.mode, may_wait };
            match self.call(call).await {
                Answer::Opened(opened) if is_interrupted(&opened) => {}
                Answer::Opened(Err(error)) if !may_wait && sys::lacks_readers(&error) => may_wait = true,
                Answer::Opened(opened) => break self.hold(Arc::new(opened?.into())),
                _ => unreachable!("each call has an answer of its own kind"),
            }
        };
        let known = sys::known(file.file())?;
        if known.is_fifo && sys::waits_for_writers(flags) {
            self.done(|| Call::Readable { file: file.shared() }).await?;
        }
        Ok((file, known))
    }

    /// Closes a file if nobody else has it. What the system says is lost, as in dropping a file of std.
    pub(super) async fn close(&self, mut file: RingFile) {
        let file = file.file.take().and_then(Arc::into_inner);
        let call = file.map_or(Call::Nothing, |file| Call::Close(file.into()));
        self.call(call).await;
    }

    /// Reads once into the room that a buffer has. The buffer grows as far as it was filled.
    pub(super) async fn read(
        &self,
        file: &RingFile,
        mut buf: Vec<u8>,
        into: Room,
        offset: Option<u64>,
    ) -> (Vec<u8>, io::Result<usize>) {
        let position = Position::of(file, offset);
        loop {
            match self.call(Call::Read { file: file.shared(), buf, into, offset }).await {
                Answer::Read { result, buf: filled, .. } if is_interrupted(&result) => buf = filled,
                Answer::Read { result, buf, .. } => {
                    position.mend(file, into.len, &result);
                    return (buf, result);
                }
                _ => unreachable!("each call has an answer of its own kind"),
            }
        }
    }

    /// Reads once at `offset`, and closes the file whatever comes of it: one way into the kernel for both.
    ///
    /// An interrupted read is not made again, for the file is closed.
    pub(super) async fn read_last(
        &self,
        mut file: RingFile,
        buf: Vec<u8>,
        into: Room,
        offset: u64,
    ) -> (Vec<u8>, io::Result<usize>) {
        let file = file.file.take().and_then(Arc::into_inner);
        let file = file.expect("a job that has opened a file has it alone");
        match self.call(Call::ReadLast { file, buf, into, offset }).await {
            Answer::ReadLast { buf, result } => (buf, result),
            _ => unreachable!("each call has an answer of its own kind"),
        }
    }

    /// Writes once what a buffer has behind `from`.
    pub(super) async fn write(
        &self,
        file: &RingFile,
        mut buf: Vec<u8>,
        from: usize,
        offset: Option<u64>,
    ) -> (Vec<u8>, io::Result<usize>) {
        let position = Position::of(file, offset);
        loop {
            match self.call(Call::Write { file: file.shared(), buf, from, offset }).await {
                Answer::Wrote { result, buf: same, .. } if is_interrupted(&result) => buf = same,
                Answer::Wrote { result, buf, .. } => {
                    position.mend(file, buf.len() - from, &result);
                    return (buf, result);
                }
                _ => unreachable!("each call has an answer of its own kind"),
            }
        }
    }

    /// Writes all that a buffer has behind `from`, and gives it back.
    pub(super) async fn write_all(
        &self,
        file: &RingFile,
        mut buf: Vec<u8>,
        offset: Option<u64>,
    ) -> io::Result<()> {
        let mut from = 0;
        while from < buf.len() {
            let written;
            (buf, written) = self.write(file, buf, from, offset.map(|offset| offset + from as u64)).await;
            match written? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                len => from += len,
            }
        }
        Ok(())
    }

    pub(super) async fn stat(&self, path: &Path, links: Links) -> io::Result<Metadata> {
        let path = c_path(path)?;
        loop {
            match self.call(Call::Stat { path: path.clone(), links }).await {
                Answer::Stat { result, .. } if is_interrupted(&result) => {}
                Answer::Stat { result, .. } => return result,
                _ => unreachable!("each call has an answer of its own kind"),
            }
        }
    }

    pub(super) async fn file_stat(&self, file: &RingFile) -> io::Result<Metadata> {
        match self.call(Call::FileStat { file: file.shared() }).await {
            Answer::Stat { result, .. } => result,
            _ => unreachable!("each call has an answer of its own kind"),
        }
    }

    pub(super) async fn sync(&self, file: &RingFile, data_only: bool) -> io::Result<()> {
        self.done(|| Call::Sync { file: file.shared(), data_only }).await
    }

    async fn done(&self, call: impl Fn() -> Call) -> io::Result<()> {
        loop {
            match self.call(call()).await {
                Answer::Done { result, .. } if is_interrupted(&result) => {}
                Answer::Done { result, .. } => return result,
                _ => unreachable!("each call has an answer of its own kind"),
            }
        }
    }

    fn call(&self, call: Call) -> CallFuture<'_> {
        CallFuture { core: &self.0, call: Some(call) }
    }
}

struct CallFuture<'a> {
    core: &'a Core,
    /// Not here once it is on its way.
    call: Option<Call>,
}

// A call may be moved until it is in the kernel, and is then not here.
impl Unpin for CallFuture<'_> {}

impl Future for CallFuture<'_> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Answer> {
        let exchange = &self.core.exchange.0;
        if let Some(call) = self.call.take() {
            exchange.replace(Some(Parcel::Call(call)));
            return Poll::Pending;
        }
        match exchange.take() {
            Some(Parcel::Answer(answer)) => Poll::Ready(answer),
            _ => unreachable!("a job is polled again when its answer is there"),
        }
    }
}

/// Where a file stood before a call that moves its position, if it has one.
///
/// The kernel makes the rest of a short transfer itself, and if that fails it tells how much was transferred and forgets to
/// move the position: whoever goes on from there would write over what he has just written. Source: Linux 6.18,
/// `kiocb_done`.
struct Position(Option<u64>);

impl Position {
    fn of(file: &RingFile, offset: Option<u64>) -> Self {
        // A pipe has none.
        Self(offset.map_or_else(|| file.file().as_ref().stream_position().ok(), |_| None))
    }

    fn mend(self, file: &RingFile, wanted: usize, result: &io::Result<usize>) {
        let (Some(before), Ok(done)) = (self.0, result) else { return };
        if (1..wanted).contains(done) && file.file().as_ref().stream_position().is_ok_and(|now| now == before)
        {
            // It can not fail: the file has a position.
            let _ = file.file().as_ref().seek(SeekFrom::Start(before + *done as u64));
        }
    }
}

impl RingFile {
    pub(super) fn shared(&self) -> Arc<File> {
        Arc::clone(self.file())
    }

    pub(super) fn file(&self) -> &Arc<File> {
        self.file.as_ref().expect("it is taken only where the `RingFile` ends")
    }

    /// Gives the file to somebody who sees to its end.
    pub(in crate::fs) fn into_shared(mut self) -> Arc<File> {
        self.file.take().expect("it is taken only where the `RingFile` ends")
    }
}

impl Drop for RingFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.core.let_go(file);
        }
    }
}

/// A path as the system takes it; std's error if it has a zero in it.
fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|error| match std::fs::metadata(path) {
        Err(refused) => refused, // std does not ask the system
        Ok(_) => error.into(),
    })
}

fn is_interrupted<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted)
}
