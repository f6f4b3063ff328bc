//! Files as streams: order of events, back-pressure, ranges, errors, and what is left when they are dropped.
#![allow(clippy::unwrap_used)]

#[path = "support/by_pool.rs"]
mod front;
#[path = "support/on_loop.rs"]
mod on_loop;
mod support;
#[path = "support/world.rs"]
mod world;

use std::cell::{Cell, RefCell};
use std::fs as blocking;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use fs_pool::fs::{File, ReadOptions, ReadStream, StreamError, WriteControl, WriteOptions, WriteStream};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use on_loop::{Log, run, settle};
use phaseloop::RunMode;
use world::{World, descriptors, world};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// Has all events of a stream written down.
fn log_read(stream: &ReadStream, log: &Log) {
    let tell = |line: &'static str| {
        let log = log.clone();
        move |_: &_| log.add(line)
    };
    stream.on_open(tell("open"));
    stream.on_ready(tell("ready"));
    stream.on_end(tell("end"));
    stream.on_close(tell("close"));
    let (data, failed) = (log.clone(), log.clone());
    stream.on_data(move |_, chunk| data.add(format!("data {}", chunk.len())));
    stream.on_error(move |_, error| failed.add(format!("error {:?}", error.kind())));
}

fn log_write(stream: &WriteStream, log: &Log) {
    let tell = |line: &'static str| {
        let log = log.clone();
        move |_: &_| log.add(line)
    };
    stream.on_open(tell("open"));
    stream.on_ready(tell("ready"));
    stream.on_drain(tell("drain"));
    stream.on_finish(tell("finish"));
    stream.on_close(tell("close"));
    let failed = log.clone();
    stream.on_error(move |_, error| failed.add(format!("error {:?}", error.kind())));
}

/// Ends one job and runs the turn that hears of it.
fn turn(world: &World) {
    settle(&world.pool);
    world.lp.run(RunMode::NoWait).unwrap();
}

// --- reading ----------------------------------------------------------------------------------------------------------

#[test]
fn events_of_reading_come_in_nodes_order() {
    let world = world();
    let (path, log) = (world.path("file"), Log::default());
    blocking::write(&path, pattern(150_000)).unwrap();
    log_read(&world.fs.read_stream(&path, ReadOptions::new()), &log);
    assert!(log.take().is_empty());
    run(&world.lp);
    assert_eq!(log.take(), ["open", "ready", "data 65536", "data 65536", "data 18928", "end", "close"]);
    assert_eq!(descriptors(&path), 0);
    blocking::write(&path, "").unwrap();
    log_read(&world.fs.read_stream(&path, ReadOptions::new()), &log);
    run(&world.lp);
    assert_eq!(log.take(), ["open", "ready", "end", "close"]);
    log_read(&world.fs.read_stream(world.path("gone"), ReadOptions::new()), &log);
    run(&world.lp);
    assert_eq!(log.take(), ["error NotFound", "close"]);
    log_read(&world.fs.read_stream(&world.folder, ReadOptions::new()), &log);
    run(&world.lp);
    assert_eq!(log.take(), ["open", "ready", "error IsADirectory", "close"]);
    assert_eq!(descriptors(&world.folder), 0);
}

#[test]
fn each_chunk_is_a_job_and_has_a_checkpoint_of_its_own() {
    let world = world();
    let (path, log) = (world.path("file"), Log::default());
    blocking::write(&path, pattern(30)).unwrap();
    let stream = world.fs.read_stream(&path, ReadOptions::new().high_water_mark(10));
    let (data, tick) = (log.clone(), log.clone());
    stream.on_data(move |control, chunk| {
        data.add(format!("data {}", chunk.len()));
        let tick = tick.clone();
        control.lp().next_tick(move |_| tick.add("tick"));
    });
    drop(stream);
    run(&world.lp);
    assert_eq!(log.take(), ["data 10", "tick", "data 10", "tick", "data 10", "tick"]);
    // Open, three chunks, the end, close; and the folder of the test.
    assert_eq!(world.jobs(), 6 + 1);
}

#[test]
fn a_paused_stream_reads_ahead_up_to_the_mark_and_no_further() {
    let world = world();
    let path = world.path("file");
    blocking::write(&path, pattern(1000)).unwrap();
    let (seen, control) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(None)));
    let stream = world.fs.read_stream(&path, ReadOptions::new().high_water_mark(100));
    let (into, out) = (Rc::clone(&seen), Rc::clone(&control));
    stream.on_data(move |control, chunk| {
        into.borrow_mut().extend(chunk);
        control.pause();
        out.replace(Some(control.clone()));
    });
    drop(stream);
    run(&world.lp); // it does not keep the loop alive
    assert_eq!(seen.borrow().len(), 100);
    let mut pauses = 1;
    while let Some(control) = control.take() {
        assert!(control.is_paused());
        assert_eq!(control.bytes_read(), (100 * pauses as u64 + 100).min(1000), "one chunk waits");
        pauses += 1;
        control.resume();
        run(&world.lp);
    }
    assert_eq!(pauses, 11);
    assert!(*seen.borrow() == pattern(1000));
    assert_eq!(descriptors(&path), 0);
}

#[test]
fn a_range_is_read_and_nothing_else() {
    let world = world();
    let path = world.path("file");
    blocking::write(&path, "0123456789").unwrap();
    let read = |options: ReadOptions| {
        let stream = world.fs.read_stream(&path, options.high_water_mark(3));
        let chunks = world.lp.block_on(stream.map(Result::unwrap).collect::<Vec<_>>()).unwrap();
        assert!(chunks.iter().all(|chunk| (1..=3).contains(&chunk.len())));
        String::from_utf8(chunks.concat()).unwrap()
    };
    assert_eq!(read(ReadOptions::new().range(2..7)), "23456");
    assert_eq!(read(ReadOptions::new().range(2..=7)), "234567");
    assert_eq!(read(ReadOptions::new().range(8..)), "89");
    assert_eq!(read(ReadOptions::new().range(..4)), "0123");
    assert_eq!(read(ReadOptions::new().range(..)), "0123456789");
    assert_eq!(read(ReadOptions::new().range(5..5)), "");
    assert_eq!(read(ReadOptions::new().range(20..30)), "");
    assert_eq!(read(ReadOptions::new().range(u64::MAX..)), "");
}

#[test]
fn an_open_file_is_streamed_from_where_it_is_and_given_back() {
    let world = world();
    let path = world.path("file");
    blocking::write(&path, "0123456789").unwrap();
    let file = world.ok(world.fs.open(&path));
    world.ok(file.read(4));
    let mut stream = file.into_read_stream(ReadOptions::new().auto_close(false));
    assert_eq!(world.lp.block_on(stream.next_chunk()).unwrap().unwrap().unwrap(), b"456789");
    assert!(world.lp.block_on(stream.next_chunk()).unwrap().is_none());
    let file = stream.into_file().unwrap();
    assert_eq!(world.ok(file.read_at(2, 1)), b"12");
    world.ok(file.close());
    let log = Log::default();
    log_read(&world.ok(world.fs.open(&path)).into_read_stream(ReadOptions::new()), &log);
    run(&world.lp);
    assert_eq!(log.take(), ["data 10", "end", "close"]);
    assert_eq!(descriptors(&path), 0);
}

#[test]
fn a_file_that_was_opened_elsewhere_is_written_as_a_stream_from_where_it_is() {
    let world = world();
    let path = world.path("file");
    blocking::write(&path, "0123456789").unwrap();
    let mut theirs = blocking::OpenOptions::new().write(true).open(&path).unwrap();
    std::io::Write::write_all(&mut theirs, b"ab").unwrap();
    let file = File::from_std(&world.fs, theirs.try_clone().unwrap(), "theirs");
    assert_eq!(file.path().to_str(), Some("theirs"));
    let mut stream = file.into_write_stream();
    world.lp.block_on(stream.write_chunk("cd")).unwrap().unwrap();
    world.lp.block_on(stream.finish()).unwrap().unwrap();
    assert_eq!((blocking::read(&path).unwrap(), stream.bytes_written()), (b"abcd456789".to_vec(), 2));
    assert_eq!(descriptors(&path), 1, "the stream's was closed, and theirs is open");
    let error = world.fails(File::from_std(&world.fs, theirs, "theirs").read(1));
    assert!(error.to_string().starts_with("read \"theirs\": "), "{error}");
}

#[test]
fn bytes_are_read_through_futures_io_in_pieces_of_any_size() {
    let world = world();
    let path = world.path("file");
    blocking::write(&path, pattern(100_000)).unwrap();
    world
        .lp
        .block_on(async {
            let mut stream = world.fs.read_stream(&path, ReadOptions::new().high_water_mark(1000));
            let mut head = [0; 1501];
            stream.read_exact(&mut head).await.unwrap();
            let chunk = stream.next_chunk().await.unwrap().unwrap();
            assert_eq!(chunk.len(), 499, "the rest of the second chunk");
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            assert!([&head[..], &chunk, &rest].concat() == pattern(100_000));
            assert_eq!(stream.read(&mut head).await.unwrap(), 0);
        })
        .unwrap();
    let mut stream = world.fs.read_stream(world.path("gone"), ReadOptions::new());
    let error = world.lp.block_on(stream.read(&mut [0])).unwrap().unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound && error.to_string().contains("gone"), "{error}");
    assert_eq!(world.lp.block_on(stream.read(&mut [0])).unwrap().unwrap(), 0, "an error is told once");
}

#[test]
fn a_stream_that_is_dropped_or_destroyed_closes_its_file() {
    let world = world();
    let path = world.path("file");
    blocking::write(&path, pattern(1_000_000)).unwrap();
    for turns in 0..5 {
        let (log, stream) = (Log::default(), world.fs.read_stream(&path, ReadOptions::new()));
        log_read(&stream, &log);
        (0..turns).for_each(|_| turn(&world));
        stream.destroy();
        stream.destroy();
        let before = log.take();
        run(&world.lp);
        assert_eq!(log.take(), ["close"], "after {before:?}");
        let mut stream = world.fs.read_stream(&path, ReadOptions::new());
        if turns > 1 {
            world.lp.block_on(stream.next_chunk()).unwrap();
        }
        (0..turns).for_each(|_| turn(&world));
        drop(stream);
        run(&world.lp);
        settle(&world.pool);
        assert_eq!((descriptors(&path), world.lp.request_count()), (0, 0));
    }
}

#[test]
fn a_file_that_grows_while_it_is_streamed_is_read_to_its_new_end() {
    let world = world();
    let path = world.path("file");
    blocking::write(&path, pattern(10)).unwrap();
    let (len, grown) = (Rc::new(Cell::new(0)), Cell::new(false));
    let (sum, to) = (Rc::clone(&len), path.clone());
    world.fs.read_stream(&path, ReadOptions::new()).on_data(move |_, chunk| {
        sum.set(sum.get() + chunk.len());
        if !grown.replace(true) {
            blocking::write(&to, pattern(25)).unwrap();
        }
    });
    run(&world.lp);
    assert!(len.get() == 25 || len.get() == 10, "the next read may have been on its way: {}", len.get());
}

// --- writing ----------------------------------------------------------------------------------------------------------

#[test]
fn events_of_writing_come_in_nodes_order() {
    let world = world();
    let (path, log) = (world.path("file"), Log::default());
    let stream = world.fs.write_stream(&path, WriteOptions::new());
    log_write(&stream, &log);
    assert_eq!(stream.queue_write("hello, "), Ok(true));
    assert_eq!(stream.queue_write("world"), Ok(true));
    stream.end();
    assert_eq!(stream.queue_write("late"), Err(StreamError::Closed(b"late".to_vec())));
    drop(stream);
    run(&world.lp);
    assert_eq!(log.take(), ["open", "ready", "finish", "close"]);
    assert_eq!(blocking::read(&path).unwrap(), b"hello, world");
    log_write(&world.fs.write_stream(world.path("gone/file"), WriteOptions::new()), &log);
    run(&world.lp);
    assert_eq!(log.take(), ["close"], "it was dropped, so it was destroyed, and nobody cares for the error");
    let kept = world.fs.write_stream(world.path("gone/file"), WriteOptions::new());
    log_write(&kept, &log);
    run(&world.lp);
    assert_eq!(log.take(), ["error NotFound", "close"]);
    assert!(matches!(kept.queue_write("x"), Err(StreamError::Closed(_))));
}

#[test]
fn a_writer_is_told_to_pause_and_when_to_go_on() {
    let world = world();
    let path = world.path("file");
    let control = world.fs.write_stream(&path, WriteOptions::new()).into_control();
    let (drains, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let left = Cell::new(100);
    let (count, high) = (Rc::clone(&drains), Rc::clone(&most));
    let pour = move |control: &WriteControl| {
        while left.get() > 0 {
            left.set(left.get() - 1);
            let has_room = control.queue_write(vec![7; 10_000]).unwrap();
            high.set(high.get().max(control.queued()));
            if !has_room {
                return;
            }
        }
        control.end();
    };
    pour(&control);
    control.on_drain(move |control| {
        count.set(count.get() + 1);
        pour(control);
    });
    drop(control);
    run(&world.lp);
    assert_eq!((drains.get(), most.get()), (14, 70_000), "7 writes reach the mark");
    assert!(blocking::read(&path).unwrap() == vec![7; 1_000_000]);
    assert_eq!(descriptors(&path), 0);
}

#[test]
fn a_queue_that_is_full_gives_the_bytes_back() {
    let world = world();
    let stream = world.fs.write_stream(world.path("file"), WriteOptions::new());
    assert_eq!(stream.queue_write(vec![0; WriteControl::QUEUE_LEN_MAX]), Ok(false));
    assert_eq!(stream.queue_write("x"), Err(StreamError::Full(b"x".to_vec())));
    stream.end();
    drop(stream);
    run(&world.lp);
    assert_eq!(blocking::metadata(world.path("file")).unwrap().len(), WriteControl::QUEUE_LEN_MAX as u64);
}

#[test]
fn what_is_queued_meanwhile_is_written_by_one_job() {
    let world = world();
    let stream = world.fs.write_stream(world.path("file"), WriteOptions::new());
    let before = world.jobs();
    for number in 0..3000_u32 {
        stream.queue_write(number.to_le_bytes()).unwrap();
    }
    stream.end();
    drop(stream);
    run(&world.lp);
    assert_eq!(world.jobs() - before, 2, "the write and the closing");
    let expected: Vec<u8> = (0..3000_u32).flat_map(u32::to_le_bytes).collect();
    assert!(blocking::read(world.path("file")).unwrap() == expected);
}

#[test]
fn bytes_are_written_through_futures_io_with_back_pressure() {
    let world = world();
    let path = world.path("file");
    let written = world.lp.block_on(async {
        let mut stream = world.fs.write_stream(&path, WriteOptions::new().sync(true));
        stream.write_all(&pattern(300_000)).await.unwrap();
        assert!(stream.queued() <= WriteControl::HIGH_WATER_MARK);
        stream.flush().await.unwrap();
        assert_eq!((stream.queued(), stream.bytes_written()), (0, 300_000));
        stream.write_chunk(pattern(200_000)).await.unwrap(); // as a whole, since there was room
        stream.write_chunk("end").await.unwrap();
        stream.close().await.unwrap();
        assert_eq!(stream.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        stream.bytes_written()
    });
    assert_eq!(written.unwrap(), 500_003);
    assert!(blocking::read(&path).unwrap() == [pattern(300_000), pattern(200_000), b"end".to_vec()].concat());
    let mut stream = world.fs.write_stream(world.path("gone/file"), WriteOptions::new());
    let error = world.lp.block_on(stream.finish()).unwrap().unwrap_err();
    assert_eq!((error.operation, error.path), ("open", world.path("gone/file")));
}

#[test]
fn a_stream_appends_or_writes_over_as_its_options_say() {
    let world = world();
    let path = world.path("file");
    blocking::write(&path, "old text").unwrap();
    let write = |options: WriteOptions, text: &'static str| {
        world.lp.block_on(async {
            let mut stream = world.fs.write_stream(&path, options);
            stream.write_chunk(text).await?;
            stream.finish().await
        })
    };
    write(WriteOptions::new().append(), ", more").unwrap().unwrap();
    write(WriteOptions::new().keep(), "OLD").unwrap().unwrap();
    assert_eq!(blocking::read(&path).unwrap(), b"OLD text, more");
    let error = write(WriteOptions::new().exclusive(), "x").unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

#[test]
fn an_atomic_stream_is_seen_when_it_is_whole_and_not_before() {
    let world = world();
    let path = world.path("file");
    blocking::write(&path, "old").unwrap();
    let count = || blocking::read_dir(&world.folder).unwrap().count();
    let atomic = WriteOptions::new().atomic(true);
    for turns in 0..5 {
        let stream = world.fs.write_stream(&path, atomic);
        stream.queue_write("half").unwrap();
        (0..turns).for_each(|_| turn(&world));
        drop(stream);
        run(&world.lp);
        assert_eq!((count(), blocking::read(&path).unwrap()), (1, b"old".to_vec()), "after {turns} turns");
    }
    let control = world.fs.write_stream(&path, atomic).into_control();
    control.queue_write("half").unwrap();
    run(&world.lp);
    assert_eq!(count(), 2);
    drop(control); // nobody is left to end it
    run(&world.lp);
    assert_eq!(count(), 1);
    let mut stream = world.fs.write_stream(&path, atomic);
    world.lp.block_on(stream.write_chunk("whole")).unwrap().unwrap();
    world.lp.block_on(stream.flush()).unwrap().unwrap();
    assert_eq!(blocking::read(&path).unwrap(), b"old");
    world.lp.block_on(stream.finish()).unwrap().unwrap();
    assert_eq!((count(), blocking::read(&path).unwrap()), (1, b"whole".to_vec()));
}

#[test]
fn streams_that_outlive_their_loop_are_told_so() {
    let world = world();
    let path = world.path("file");
    blocking::write(&path, "x").unwrap();
    let other = phaseloop::EventLoop::new().unwrap();
    let pool = fs_pool::request::LoopPool::new(&other, &world.pool);
    let fs = fs_pool::fs::Fs::new(&pool);
    let (mut read, mut write) =
        (fs.read_stream(&path, ReadOptions::new()), fs.write_stream(world.path("new"), WriteOptions::new()));
    drop(other);
    assert!(matches!(world.lp.block_on(read.next_chunk()).unwrap(), None | Some(Err(_))));
    assert!(world.lp.block_on(write.write_chunk("x")).unwrap().is_err());
    assert!(world.lp.block_on(write.finish()).unwrap().is_err());
    drop((read, write));
    settle(&world.pool);
    assert_eq!(descriptors(&path), 0);
}

#[test]
fn a_stream_paused_for_a_while_goes_on_from_a_timer() {
    let world = world();
    let (path, log) = (world.path("file"), Log::default());
    blocking::write(&path, pattern(20)).unwrap();
    let stream = world.fs.read_stream(&path, ReadOptions::new().high_water_mark(10));
    log_read(&stream, &log);
    let data = log.clone();
    stream.on_data(move |control, chunk| {
        data.add(format!("data {}", chunk.len()));
        control.pause();
        let (later, log) = (control.clone(), data.clone());
        control.lp().timer(Duration::from_millis(1), move |_| {
            log.add("timer");
            later.resume();
        });
    });
    drop(stream);
    run(&world.lp);
    assert_eq!(log.take(), ["open", "ready", "data 10", "timer", "data 10", "timer", "end", "close"]);
}
