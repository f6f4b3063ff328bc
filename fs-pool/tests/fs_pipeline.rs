//! Pipelines: between files, sockets and readers of others; the first error ends all, and nothing is left.
#![allow(clippy::unwrap_used)]

#[path = "support/by_pool.rs"]
mod front;
#[path = "support/on_loop.rs"]
mod on_loop;
mod support;
#[path = "support/world.rs"]
mod world;

use std::cell::Cell;
use std::fs as blocking;
use std::io::{self, ErrorKind};
use std::rc::Rc;

use fs_pool::fs::{PipelineEnd, ReadOptions, WriteOptions, pipeline};
use futures::AsyncReadExt;
use futures::io::{AllowStdIo, Cursor};
use on_loop::{Log, run, settle};
use phaseloop::net::{TcpListener, TcpStream};
use world::{World, descriptors, world};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// What is left of a pipeline that failed: how many files, and descriptors of the source.
fn left(world: &World) -> (usize, usize) {
    run(&world.lp);
    settle(&world.pool);
    (blocking::read_dir(&world.folder).unwrap().count(), descriptors(&world.path("from")))
}

#[test]
fn a_file_flows_into_another_through_what_changes_it() {
    let world = world();
    blocking::write(world.path("from"), pattern(1_000_000)).unwrap();
    let source = world.fs.read_stream(world.path("from"), ReadOptions::new());
    let sink = world.fs.write_stream(world.path("to"), WriteOptions::new());
    let double = |chunk: Vec<u8>| Ok(chunk.iter().flat_map(|&byte| [byte, byte]).collect());
    let nothing = |_| Ok(Vec::new());
    let flow = pipeline(source).map(double).through(|reader| reader.take(1_500_001));
    assert_eq!(world.lp.block_on(flow.run(sink)).unwrap().unwrap(), 1_500_001);
    let expected: Vec<u8> = pattern(1_000_000).into_iter().flat_map(|byte| [byte, byte]).collect();
    assert!(blocking::read(world.path("to")).unwrap() == expected[..1_500_001]);
    let source = world.fs.read_stream(world.path("from"), ReadOptions::new());
    let sink = world.fs.write_stream(world.path("to"), WriteOptions::new());
    assert_eq!(world.lp.block_on(pipeline(source).map(nothing).run(sink)).unwrap().unwrap(), 0);
    assert_eq!((left(&world), blocking::read(world.path("to")).unwrap().len()), ((2, 0), 0));
}

#[test]
fn the_first_error_of_any_part_ends_all_and_leaves_nothing() {
    let world = world();
    let (from, to) = (world.path("from"), world.path("to"));
    blocking::write(&from, pattern(1_000_000)).unwrap();
    blocking::write(&to, "old").unwrap();
    let atomic = WriteOptions::new().atomic(true);
    let source = |name: &str| world.fs.read_stream(world.path(name), ReadOptions::new());
    // The source:
    let error = world.lp.block_on(pipeline(source("gone")).run(world.fs.write_stream(&to, atomic)));
    let error = error.unwrap().unwrap_err();
    assert_eq!((error.end, error.source.kind()), (PipelineEnd::Source, ErrorKind::NotFound));
    assert!(error.to_string().starts_with("the source of the pipeline: open "), "{error}");
    assert_eq!(left(&world), (2, 0));
    // A part on the way, half-way:
    let mut pieces = 0;
    let fails = move |chunk| {
        pieces += 1;
        if pieces > 5 { Err(io::Error::other("I have had enough")) } else { Ok(chunk) }
    };
    let flow = pipeline(source("from")).map(fails).run(world.fs.write_stream(&to, atomic));
    let error = world.lp.block_on(flow).unwrap().unwrap_err();
    assert_eq!((error.end, error.source.to_string().as_str()), (PipelineEnd::Source, "I have had enough"));
    assert_eq!(left(&world), (2, 0));
    // The sink:
    let flow = pipeline(source("from")).run(world.fs.write_stream(world.path("no/to"), atomic));
    let error = world.lp.block_on(flow).unwrap().unwrap_err();
    assert_eq!((error.end, error.source.kind()), (PipelineEnd::Sink, ErrorKind::NotFound));
    let flow = pipeline(source("from")).run(world.fs.write_stream("/dev/full", WriteOptions::new()));
    let error = world.lp.block_on(flow).unwrap().unwrap_err();
    assert_eq!((error.end, error.source.kind()), (PipelineEnd::Sink, ErrorKind::StorageFull));
    assert_eq!(left(&world), (2, 0));
    assert_eq!(blocking::read(&to).unwrap(), b"old");
}

#[test]
fn a_pipeline_that_is_dropped_anywhere_leaves_nothing() {
    let world = world();
    blocking::write(world.path("from"), pattern(1_000_000)).unwrap();
    for turns in 0..12 {
        let source = world.fs.read_stream(world.path("from"), ReadOptions::new());
        let sink = world.fs.write_stream(world.path("to"), WriteOptions::new().atomic(true));
        let task = world.lp.spawn(pipeline(source).run(sink));
        for _ in 0..turns {
            settle(&world.pool);
            world.lp.run(phaseloop::RunMode::NoWait).unwrap();
        }
        assert!(!task.is_finished());
        task.abort();
        drop(task);
        assert_eq!(left(&world), (1, 0), "after {turns} turns");
    }
}

#[test]
fn a_callback_hears_of_the_end() {
    let world = world();
    blocking::write(world.path("from"), pattern(100_000)).unwrap();
    let log = Log::default();
    for name in ["from", "gone"] {
        let source = world.fs.read_stream(world.path(name), ReadOptions::new());
        let sink = world.fs.write_stream(world.path("to"), WriteOptions::new());
        let log = log.clone();
        pipeline(source).start(&world.lp, sink, move |_, result| match result {
            Ok(len) => log.add(format!("{len} bytes")),
            Err(error) => log.add(format!("{:?}", error.source.kind())),
        });
        run(&world.lp);
    }
    assert_eq!(log.take(), ["100000 bytes", "NotFound"]);
}

#[test]
fn files_flow_through_sockets_and_readers_of_others() {
    let world = world();
    let bytes = pattern(3_000_000);
    blocking::write(world.path("from"), &bytes).unwrap();
    let received = world.lp.block_on(async {
        let listener = TcpListener::bind(&world.lp, "127.0.0.1:0".parse().unwrap()).unwrap();
        let client = TcpStream::connect(&world.lp, listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let source = world.fs.read_stream(world.path("from"), ReadOptions::new());
        let sending = world.lp.spawn(pipeline(source).run(client));
        let sink = world.fs.write_stream(world.path("to"), WriteOptions::new().atomic(true));
        let received = pipeline(server).run(sink).await.unwrap();
        assert_eq!(sending.await.unwrap().unwrap(), 3_000_000);
        received
    });
    assert_eq!(received.unwrap(), 3_000_000);
    assert!(blocking::read(world.path("to")).unwrap() == bytes);
    let source = Cursor::new(bytes.clone());
    let sink = AllowStdIo::new(Vec::new());
    assert_eq!(world.lp.block_on(pipeline(source).run(sink)).unwrap().unwrap(), 3_000_000);
}

#[test]
fn a_pipeline_that_never_waits_lets_others_run() {
    let world = world();
    let turns = Rc::new(Cell::new(0));
    fn count(lp: &phaseloop::LoopHandle, turns: Rc<Cell<u32>>) {
        turns.set(turns.get() + 1);
        if turns.get() < 10_000 {
            lp.set_immediate(move |lp| count(lp, turns));
        }
    }
    count(&world.lp, Rc::clone(&turns));
    let flow = pipeline(Cursor::new(pattern(20_000_000))).run(futures::io::sink());
    assert_eq!(world.lp.block_on(flow).unwrap().unwrap(), 20_000_000);
    assert!((19..10_000).contains(&turns.get()), "{}", turns.get());
}
