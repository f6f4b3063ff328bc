//! The timeline: each callback with its place, its line and its times. In virtual time, where a callback takes as long as it says.

use std::io::Write;
use std::os::unix::net::UnixStream as StdStream;
use std::time::Duration;

use phaseloop::net::UnixStream;
use phaseloop::observe::{Moment, What};
use phaseloop::{
    ContextKey, EventLoop, HandleKind, Idle, LoopHandle, Phase, QueueKind, RunMode, TestLoop, Timer, sleep,
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn virtual_loop() -> EventLoop {
    EventLoop::builder().virtual_time(true).build().expect("a loop can be made")
}

/// What a callback does that takes `time`.
fn takes(time: Duration) -> impl Fn(&LoopHandle) + Copy + 'static {
    move |lp| lp.advance_clock(time).expect("time is virtual")
}

fn line(moment: &Moment) -> Option<u32> {
    moment.site.filter(|site| site.file() == file!()).map(std::panic::Location::line)
}

#[test]
fn what_was_queued_has_its_line_its_wait_and_its_time() {
    let lp = virtual_loop();
    let timeline = lp.timeline(100);
    lp.set_immediate(takes(ms(2)));
    let set_in = line!() + 1;
    lp.set_immediate(|lp| {
        lp.next_tick(takes(ms(3)));
        lp.queue_microtask(takes(ms(4)));
        lp.defer(takes(ms(5)));
    });
    lp.run(RunMode::Default).unwrap();
    let seen: Vec<_> = timeline
        .moments()
        .iter()
        .map(|moment| (moment.phase.unwrap(), moment.queue, line(moment), moment.waited.unwrap(), moment.ran))
        .collect();
    let (check, pending) = (Phase::Check, Phase::Pending);
    let (callbacks, ticks, microtasks) = (QueueKind::Callbacks, QueueKind::Ticks, QueueKind::Microtasks);
    let expected = [
        (check, callbacks, Some(set_in - 2), ms(0), ms(2)),
        (check, callbacks, Some(set_in), ms(2), ms(0)),
        (check, ticks, Some(set_in + 1), ms(0), ms(3)),
        (check, microtasks, Some(set_in + 2), ms(3), ms(4)),
        (pending, callbacks, Some(set_in + 3), ms(7), ms(5)),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn tasks_handles_and_timers_name_the_line_that_made_them() {
    let lp = virtual_loop();
    let timeline = lp.timeline(100);
    let first = line!() + 1;
    let idle = Idle::new(&lp);
    let timer = Timer::new(&lp);
    lp.spawn(async { sleep(ms(7)).await });
    lp.set_timeout(ms(9), |_| {});
    lp.timer(ms(11), |_| {});
    lp.set_interval(ms(13), |lp| lp.stop());
    idle.start(|idle| idle.close()).unwrap();
    timer.start(ms(5), |_| {}).unwrap();
    lp.run(RunMode::Default).unwrap();
    let moments = timeline.take();
    let told = |what: What| moments.iter().filter(|moment| moment.what == what).map(line).collect::<Vec<_>>();
    assert_eq!(told(What::Handle(HandleKind::Idle)), [Some(first)]);
    assert_eq!(told(What::Handle(HandleKind::Timer)), [Some(first + 1)]);
    assert_eq!(told(What::Task), [Some(first + 2), Some(first + 2)]); // before and after its sleep
    // The wake of the sleep and the release of the closed handle are known by nobody's line.
    let callbacks = [None, None, Some(first + 3), Some(first + 4), Some(first + 5)];
    let mut seen = told(What::Callback);
    seen.sort_unstable();
    assert_eq!(seen, callbacks);
    let slept: Duration =
        moments.iter().filter(|moment| moment.what == What::Sleep).map(|moment| moment.ran).sum();
    assert_eq!(slept, ms(13));
    assert!(timeline.moments().is_empty());
}

#[test]
fn what_waits_for_more_than_its_turn_has_no_wait() {
    let lp = virtual_loop();
    let timeline = lp.timeline(100);
    let idle = Idle::new(&lp);
    lp.timer(ms(50), |_| {});
    lp.set_timeout(ms(60), |_| {});
    lp.set_timeout_ms(70.0, move |_| assert!(idle.close_with(|_| {})));
    lp.run(RunMode::Default).unwrap();
    let moments = timeline.moments();
    let waits: Vec<_> = moments.iter().filter(|moment| moment.site.is_some()).map(|m| m.waited).collect();
    assert_eq!(waits, [None; 4]);
}

#[test]
fn what_runs_after_a_source_panicked_is_not_named_by_it() {
    let lp = EventLoop::new().unwrap();
    let (mut writer, reader) = StdStream::pair().unwrap();
    let stream = UnixStream::from_std(&lp, reader).unwrap();
    stream.read_start(|_, _| panic!("in the callback")).unwrap();
    writer.write_all(b"x").unwrap();
    let run = std::panic::AssertUnwindSafe(|| lp.run(RunMode::Once));
    assert!(std::panic::catch_unwind(run).is_err());
    let timeline = lp.timeline(100);
    lp.defer(|_| {});
    lp.run(RunMode::NoWait).unwrap();
    assert_eq!(timeline.moments().first().map(|moment| moment.what), Some(What::Callback));
    stream.close();
}

#[test]
fn what_a_source_causes_names_the_source() {
    let lp = TestLoop::new();
    let timeline = lp.timeline(100);
    let source = lp.source(|lp| lp.tick(|_| {}));
    source.make_ready();
    lp.immediate(|_| {}); // what is scripted keeps no loop alive
    lp.turn();
    let moments = timeline.moments();
    let told: Vec<_> = moments.iter().map(|moment| (moment.phase, moment.what, moment.queue)).collect();
    let (poll, check) = (Some(Phase::Poll), Some(Phase::Check));
    let expected = [
        (poll, What::Handle(HandleKind::Scripted), QueueKind::Callbacks),
        (poll, What::Callback, QueueKind::Ticks),
        (check, What::Callback, QueueKind::Callbacks),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_stream_that_becomes_readable_names_the_line_that_made_it() {
    let lp = EventLoop::new().unwrap();
    let (mut writer, reader) = StdStream::pair().unwrap();
    let made_in = line!() + 1;
    let stream = UnixStream::from_std(&lp, reader).unwrap();
    let timeline = lp.timeline(100);
    lp.timer(ms(1), move |_| writer.write_all(b"x").unwrap());
    lp.block_on(async {
        let mut buf = [0; 1];
        futures::AsyncReadExt::read_exact(&mut { stream }, &mut buf).await.unwrap();
    })
    .unwrap();
    let moments = timeline.moments();
    let sources: Vec<_> = moments.iter().filter(|moment| matches!(moment.what, What::Handle(_))).collect();
    assert_eq!(sources.iter().map(|moment| line(moment)).collect::<Vec<_>>(), [Some(made_in)]);
    assert!(moments.iter().any(|moment| moment.what == What::Sleep));
}

#[test]
fn a_full_timeline_keeps_the_last() {
    let lp = virtual_loop();
    let timeline = lp.timeline(3);
    for n in 0..10 {
        lp.set_immediate(takes(ms(n)));
    }
    lp.run(RunMode::Default).unwrap();
    let ran: Vec<_> = timeline.moments().iter().map(|moment| moment.ran.as_millis()).collect();
    assert_eq!((ran, timeline.lost()), (vec![7, 8, 9], 7));
}

#[test]
fn contexts_and_order_are_as_without_a_timeline() {
    static REQUEST: ContextKey<u32> = ContextKey::new();
    let order = |seen: bool| {
        let lp = TestLoop::new();
        let _timeline = seen.then(|| lp.timeline(10));
        REQUEST.scope(&lp, 7, || {
            lp.tick(|lp| {
                lp.log(format!("tick {:?}", REQUEST.get(lp)));
                lp.immediate(|lp| lp.log(format!("immediate {:?}", REQUEST.get(lp))));
            });
        });
        lp.microtask(|lp| lp.log(format!("microtask {:?}", REQUEST.get(lp))));
        lp.run()
    };
    assert_eq!(order(true), ["tick Some(7)", "microtask None", "immediate Some(7)"]);
    assert_eq!(order(true), order(false));
}

#[test]
fn a_timeline_that_ends_leaves_callbacks_as_they_were() {
    let lp = virtual_loop();
    let timeline = lp.timeline(10);
    lp.set_immediate(takes(ms(1))); // carries where it was set, and nobody asks any more
    drop(timeline);
    lp.set_immediate(|_| {});
    let later = lp.timeline(10);
    lp.run(RunMode::Default).unwrap();
    let told: Vec<_> = later.moments().iter().map(|moment| (moment.ran, moment.waited.is_some())).collect();
    assert_eq!(told, [(ms(1), true), (ms(0), false)]);
}

#[test]
fn a_trace_has_a_lane_for_each_phase_and_a_line_for_each_moment() {
    let lp = virtual_loop();
    let timeline = lp.timeline(10);
    let set_in = line!() + 1;
    lp.set_immediate(takes(Duration::from_nanos(1_500_250)));
    lp.timer(ms(2), |_| {});
    lp.run(RunMode::Default).unwrap();
    let mut trace = Vec::new();
    timeline.write_trace(&mut trace).unwrap();
    let text = String::from_utf8(trace).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("\"ph\":\"X\"")).collect();
    let file = file!();
    let immediate = format!(
        "{{\"ph\":\"X\",\"pid\":1,\"tid\":6,\"ts\":0.000,\"dur\":1500.250,\"name\":\"callback timeline.rs:{set_in}\",\
         \"cat\":\"callbacks\",\"args\":{{\"turn\":1,\"site\":\"{file}:{set_in}:8\",\"waited_us\":0.000}}}},"
    );
    assert_eq!(lines[0], immediate);
    assert!(
        lines[1].starts_with(
            "{\"ph\":\"X\",\"pid\":1,\"tid\":5,\"ts\":1500.250,\"dur\":499.750,\"name\":\"sleep\""
        )
    );
    assert_eq!(lines.len(), 3);
    let lanes = ["timers", "pending", "idle", "prepare", "poll", "check", "close"];
    assert!(lanes.iter().all(|lane| text.contains(&format!("\"args\":{{\"name\":\"{lane}\"}}"))));
    let (open, close) = (text.matches(['{', '[']).count(), text.matches(['}', ']']).count());
    assert_eq!(open, close);
}

#[test]
#[should_panic(expected = "at least one moment")]
fn a_timeline_keeps_something() {
    let _timeline = virtual_loop().timeline(0);
}
