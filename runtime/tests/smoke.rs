//! Smoke.
use phaseloop::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
#[test]
fn smoke() {
    let lp = EventLoop::new().unwrap();
    let log = Rc::new(RefCell::new(Vec::new()));
    let l = |s: &'static str| {
        let log = log.clone();
        move |_: &LoopHandle| log.borrow_mut().push(s)
    };
    lp.set_timeout(Duration::from_millis(1), l("timeout"));
    lp.set_immediate(l("immediate"));
    lp.queue_microtask(l("micro"));
    lp.next_tick(l("tick"));
    let log2 = log.clone();
    lp.spawn(async move {
        log2.borrow_mut().push("task");
        yield_now().await;
        sleep(Duration::from_millis(3)).await;
        log2.borrow_mut().push("slept");
    });
    std::thread::sleep(Duration::from_millis(5));
    lp.run(RunMode::Default).unwrap();
    assert_eq!(*log.borrow(), ["tick", "micro", "task", "timeout", "immediate", "slept"]);
    assert_eq!(lp.block_on(async { spawn(async { 7 }).await.unwrap() }).unwrap(), 7);
    lp.close().unwrap();
}
#[test]
fn remote() {
    let lp = EventLoop::new().unwrap();
    let w = Wakeup::new(&lp, |w| w.close());
    let s = w.sender();
    let t = std::thread::spawn(move || s.send());
    lp.run(RunMode::Default).unwrap();
    t.join().unwrap().unwrap();
}
