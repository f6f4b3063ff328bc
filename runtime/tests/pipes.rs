//! Pipes, FIFOs, socket pairs and standard streams, by kind of descriptor.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod again;
mod loopback;

use std::cell::RefCell;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::rc::Rc;

use futures::{AsyncReadExt, AsyncWriteExt};
use loopback::{Dropped, Log, block_on, finish, is_cancelled, loop_with, new_loop, pattern, run};
use phaseloop::net::ReadEvent;
use phaseloop::net::pipe::{self, PipeStream};
use phaseloop::{ContextKey, EventLoop, Limits, LoopHandle};
use rustix::io::Errno;

const LONG: usize = 1_000_000; // more than a pipe holds

/// Collects what a stream gives, with callbacks, and logs how it ended.
fn collect(stream: &PipeStream, log: &Log) -> Rc<RefCell<Vec<u8>>> {
    let bytes = Rc::new(RefCell::new(Vec::new()));
    let (got, log) = (Rc::clone(&bytes), log.clone());
    stream
        .read_start(move |stream, event| match event {
            ReadEvent::Data(data) => got.borrow_mut().extend_from_slice(data),
            ReadEvent::End => {
                log.add("end");
                stream.close();
            }
            ReadEvent::Failed(error) => log.add(error.to_string()),
        })
        .unwrap();
    bytes
}

#[test]
fn a_long_write_goes_through_a_pipe_in_order() {
    let (lp, log) = (new_loop(), Log::default());
    let (reader, writer) = pipe::pair(&lp).unwrap();
    let bytes = collect(&reader, &log);
    let lines = log.clone();
    writer
        .queue_write_with(&pattern(LONG), move |_, result| lines.add(format!("written {}", result.is_ok())))
        .unwrap();
    let lines = log.clone();
    writer.queue_write_with(b"last", move |_, result| lines.add(format!("last {}", result.is_ok()))).unwrap();
    assert!(writer.write_queue_len() > 0);
    assert_eq!(writer.try_write(b"x").unwrap_err().kind(), ErrorKind::WouldBlock);
    let lines = log.clone();
    writer.shutdown_with(move |_, result| lines.add(format!("shut down {}", result.is_ok()))).unwrap();
    assert_eq!(writer.queue_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    drop((reader, writer));
    finish(lp);
    assert_eq!(bytes.borrow().len(), LONG + 4);
    assert!(bytes.borrow()[..LONG] == pattern(LONG)[..] && bytes.borrow().ends_with(b"last"));
    assert_eq!(log.lines(), ["written true", "last true", "shut down true", "end"]);
}

#[test]
fn tasks_pump_a_pipe_both_ends() {
    let lp = new_loop();
    let (mut reader, mut writer) = pipe::pair(&lp).unwrap();
    let write = lp.spawn(async move {
        AsyncWriteExt::write_all(&mut writer, &pattern(LONG)).await?;
        AsyncWriteExt::close(&mut writer).await
    });
    let mut bytes = Vec::new();
    block_on(&lp, AsyncReadExt::read_to_end(&mut reader, &mut bytes)).unwrap();
    block_on(&lp, write).unwrap().unwrap();
    assert!(bytes == pattern(LONG));
    drop(reader);
    finish(lp);
}

#[test]
fn a_socket_pair_goes_both_ways_and_half_closes() {
    let lp = new_loop();
    let (a, b) = pipe::socketpair(&lp).unwrap();
    let text = block_on(&lp, async {
        a.write_all(b"question").await.unwrap();
        a.shutdown().await.unwrap();
        assert!(a.shutdown().await.is_err());
        assert_eq!(a.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let question = b.read_to_end(100).await.unwrap();
        b.write_all(&question).await.unwrap();
        drop(b);
        a.read_to_end(100).await.unwrap()
    });
    assert_eq!(text, b"question");
    drop(a);
    finish(lp);
}

#[test]
fn more_than_was_allowed_is_refused() {
    let lp = new_loop();
    let (reader, writer) = pipe::pair(&lp).unwrap();
    block_on(&lp, writer.write_all(&[0; 100])).unwrap();
    let error = block_on(&lp, reader.read_to_end(99)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    let limits = Limits { write_queue_len_max: 10, ..Limits::default() };
    let small = loop_with(limits);
    let (_reader, writer) = pipe::pair(&small).unwrap();
    let never = writer.queue_write(&[0; 11]).unwrap_err();
    assert!(never.kind() == ErrorKind::InvalidInput && never.to_string().contains("11"), "{never}");
    writer.queue_write(&[0; 10]).unwrap();
}

#[test]
fn a_write_that_nobody_reads_fails_and_says_so_to_its_callback() {
    let (lp, log) = (new_loop(), Log::default());
    let (reader, writer) = pipe::pair(&lp).unwrap();
    let lines = log.clone();
    writer
        .queue_write_with(&pattern(LONG), move |_, result| {
            lines.add(format!("{:?}", result.unwrap_err().kind()))
        })
        .unwrap();
    drop(reader);
    run(&lp);
    assert_eq!(log.lines(), ["BrokenPipe"]);
    assert_eq!(writer.queue_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    writer.close();
    drop(writer);
    finish(lp);
}

#[test]
fn closing_cancels_what_is_queued_and_calls_close_last() {
    let (lp, log) = (new_loop(), Log::default());
    let (_reader, writer) = pipe::pair(&lp).unwrap();
    let lines = log.clone();
    writer
        .queue_write_with(&pattern(LONG), move |_, result| {
            lines.add(format!("cancelled {}", is_cancelled(&result.unwrap_err())))
        })
        .unwrap();
    let lines = log.clone();
    assert!(writer.close_with(move |_| lines.add("closed")));
    assert!(!writer.close_with(|_| {}) && writer.is_closed());
    assert_eq!(log.len(), 0, "no callback runs inside the call");
    run(&lp);
    assert_eq!(log.lines(), ["cancelled true", "closed"]);
}

#[test]
fn reading_stops_at_once_and_may_go_on() {
    let (lp, log) = (new_loop(), Log::default());
    let (reader, writer) = pipe::pair(&lp).unwrap();
    let lines = log.clone();
    reader
        .read_start(move |reader, _| {
            lines.add("first");
            reader.read_stop();
        })
        .unwrap();
    writer.queue_write(b"one").unwrap();
    run(&lp);
    assert!(!lp.is_alive(), "a stopped reader does not hold the loop");
    writer.queue_write(b"two").unwrap();
    let bytes = collect(&reader, &log);
    drop(writer);
    run(&lp);
    assert_eq!(*bytes.borrow(), b"two");
    assert_eq!(log.lines(), ["first", "end"]);
}

#[test]
fn an_unreferenced_reader_does_not_hold_the_loop() {
    let lp = new_loop();
    let (reader, writer) = pipe::pair(&lp).unwrap();
    let (guard, drops) = Dropped::new();
    reader.read_start(move |_, _| guard.keep()).unwrap();
    assert!(lp.is_alive());
    reader.unref();
    run(&lp);
    drop((reader, writer, lp));
    assert_eq!(drops.get(), 1, "the callback goes with the loop");
}

#[test]
fn a_fifo_waits_for_its_writer_and_ends_with_it() {
    let (lp, log) = (new_loop(), Log::default());
    let folder = Folder::new("fifo");
    let path = folder.0.join("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let error = pipe::open_fifo_writer(&lp, &path).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::NXIO.raw_os_error()), "nobody reads it yet");
    let reader = pipe::open_fifo_reader(&lp, &path).unwrap();
    let bytes = collect(&reader, &log);
    lp.run(phaseloop::RunMode::NoWait).unwrap();
    assert_eq!(log.len(), 0, "without a writer there is no end either");
    let writer = pipe::open_fifo_writer(&lp, &path).unwrap();
    writer.queue_write(b"through the file system").unwrap();
    drop((reader, writer));
    run(&lp);
    assert_eq!(*bytes.borrow(), b"through the file system");
    let plain = folder.0.join("plain");
    std::fs::write(&plain, "").unwrap();
    assert_eq!(pipe::open_fifo_reader(&lp, &plain).unwrap_err().kind(), ErrorKind::InvalidInput);
    finish(lp);
}

#[test]
fn a_shared_descriptor_keeps_its_flags() {
    let (lp, log) = (new_loop(), Log::default());
    let (read_end, mut write_end) = std::io::pipe().unwrap();
    let (socket, mut peer) = UnixStream::pair().unwrap();
    let streams =
        [PipeStream::from_shared(&lp, &read_end).unwrap(), PipeStream::from_shared(&lp, &socket).unwrap()];
    let bytes = streams.each_ref().map(|stream| collect(stream, &log));
    lp.run(phaseloop::RunMode::NoWait).unwrap();
    write_end.write_all(b"pipe").unwrap();
    peer.write_all(b"socket").unwrap();
    drop((write_end, peer));
    run(&lp);
    assert_eq!(*bytes[0].borrow(), b"pipe");
    assert_eq!(*bytes[1].borrow(), b"socket");
    for flags in [rustix::fs::fcntl_getfl(&read_end), rustix::fs::fcntl_getfl(&socket)] {
        assert!(!flags.unwrap().contains(rustix::fs::OFlags::NONBLOCK));
    }
}

#[test]
fn a_shared_pipe_that_is_full_does_not_block_the_loop() {
    let (lp, log) = (new_loop(), Log::default());
    let (read_end, write_end) = std::io::pipe().unwrap();
    let writer = PipeStream::from_shared(&lp, &write_end).unwrap();
    drop(write_end);
    writer.queue_write(&pattern(LONG)).unwrap(); // would hang here
    assert!(writer.write_queue_len() > 0);
    let reader = PipeStream::from_fd(&lp, read_end.into()).unwrap();
    let bytes = collect(&reader, &log);
    drop((writer, reader));
    run(&lp);
    assert!(*bytes.borrow() == pattern(LONG));
}

#[test]
fn a_file_is_read_to_its_end_and_written() {
    let (lp, log) = (new_loop(), Log::default());
    let folder = Folder::new("file");
    let mut file =
        File::options().create_new(true).read(true).write(true).open(folder.0.join("file")).unwrap();
    let writer = PipeStream::from_shared(&lp, &file).unwrap();
    block_on(&lp, writer.write_all(&pattern(LONG))).unwrap();
    file.rewind().unwrap();
    let reader = PipeStream::from_fd(&lp, file.into()).unwrap();
    let bytes = collect(&reader, &log);
    drop((reader, writer));
    finish(lp);
    assert!(*bytes.borrow() == pattern(LONG));
    assert_eq!(log.lines(), ["end"]);
}

#[test]
fn nothing_comes_from_the_null_device() {
    let lp = new_loop();
    let null = PipeStream::from_fd(&lp, File::open("/dev/null").unwrap().into()).unwrap();
    assert_eq!(block_on(&lp, null.read_to_end(1)).unwrap(), b"");
    assert!(null.into_fd().is_ok());
    finish(lp);
}

#[test]
fn a_descriptor_that_is_given_back_blocks_again() {
    let lp = new_loop();
    let (reader, writer) = pipe::pair(&lp).unwrap();
    let kept = reader.clone();
    let reader = reader.into_fd().unwrap_err();
    drop(kept);
    let mut reader = File::from(reader.into_fd().unwrap());
    block_on(&lp, writer.write_all(b"x")).unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "x");
    finish(lp);
}

/// Runs the child that copies its standard input to its standard output, with what `stdin` is.
fn copies(stdin: impl Into<Stdio>, feed: impl FnOnce(&mut std::process::Child)) -> Vec<u8> {
    let mut child =
        again::command("copy").stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    feed(&mut child);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The test harness of the child writes its own lines around.
    let begin = output.stdout.windows(5).position(|five| five == b"begin").unwrap() + 5;
    let end = output.stdout.windows(3).rposition(|three| three == b"end").unwrap();
    output.stdout[begin..end].to_vec()
}

#[test]
fn standard_input_is_read_whatever_it_is() {
    let text = pattern(200_000).into_iter().map(|byte| b'A' + byte % 26).collect::<Vec<u8>>();
    // Fed from threads: nobody reads the child's output meanwhile.
    let feed = |mut to: Box<dyn Write + Send>| {
        let text = text.clone();
        std::thread::spawn(move || to.write_all(&text))
    };
    let mut feeder = None;
    let piped = copies(Stdio::piped(), |child| feeder = Some(feed(Box::new(child.stdin.take().unwrap()))));
    assert!(piped == text);
    feeder.unwrap().join().unwrap().unwrap();
    let (socket, peer) = UnixStream::pair().unwrap();
    let feeder = feed(Box::new(peer));
    assert!(copies(std::os::fd::OwnedFd::from(socket), |_| {}) == text);
    feeder.join().unwrap().unwrap();
    let folder = Folder::new("stdin");
    let path = folder.0.join("text");
    std::fs::write(&path, &text).unwrap();
    assert!(copies(File::open(&path).unwrap(), |_| {}) == text);
    assert_eq!(copies(Stdio::null(), |_| {}), b"");
}

fn copy_standard_streams() {
    let lp = EventLoop::new().unwrap();
    let copied = lp.block_on(async {
        let lp: LoopHandle = phaseloop::current();
        let (stdin, stdout) = (pipe::stdin(&lp)?, pipe::stdout(&lp)?);
        stdout.write_all(b"begin").await?;
        let mut buf = [0; 1000];
        loop {
            match stdin.read(&mut buf).await? {
                0 => break,
                len => stdout.write_all(&buf[..len]).await?,
            }
        }
        stdout.write_all(b"end").await
    });
    copied.unwrap().unwrap();
}

/// A fresh folder that is removed in the end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("phaseloop-pipes-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

static WHO: ContextKey<u8> = ContextKey::new();

#[test]
fn callbacks_have_the_context_of_their_registration() {
    let (lp, log) = (new_loop(), Log::default());
    let (reader, writer) = pipe::pair(&lp).unwrap();
    let note = |what: &'static str| {
        let log = log.clone();
        move |stream: &PipeStream| log.add(format!("{what} {:?}", WHO.get(stream.lp()).as_deref()))
    };
    WHO.scope(&lp, 7, || {
        let (read, written, ended) = (note("read"), note("written"), note("ended"));
        reader.read_start(move |stream, _| read(stream)).unwrap();
        writer.queue_write_with(b"x", move |stream, _| written(stream)).unwrap();
        writer.shutdown_with(move |stream, _| ended(stream)).unwrap();
    });
    run(&lp);
    assert_eq!(log.lines(), ["written Some(7)", "ended Some(7)", "read Some(7)", "read Some(7)"]);
    drop((reader, writer));
    finish(lp);
}

#[test]
fn short_writes_that_wait_are_bounded_in_number() {
    let lp = loop_with(Limits { queued_writes_max: 3, ..Limits::default() });
    let (_reader, writer) = pipe::pair(&lp).unwrap();
    writer.queue_write(&pattern(LONG)).unwrap();
    writer.queue_write(b"").unwrap();
    writer.queue_write(b"x").unwrap();
    let refused = writer.queue_write(b"").unwrap_err();
    assert!(refused.kind() == ErrorKind::WouldBlock && refused.to_string().contains('3'), "{refused}");
}

/// Not a test of its own: the children of the tests above start here.
#[test]
fn in_a_child() {
    match again::role().as_deref() {
        Some("copy") => copy_standard_streams(),
        Some(role) => panic!("no role {role}"),
        None => {}
    }
}
