//! Shares: a class never holds more workers than it may, and leaves the others alone.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fs_pool::pool::{BuildError, Class, ClassSpec, Job, Share};
use support::{Blocker, builder, collect, pool};

#[test]
fn a_class_full_of_blocked_jobs_does_not_stop_another() {
    let pool = pool(4);
    let mut submitter = pool.submitter(|| {});
    let blockers: Vec<_> = (0..100).map(|_| Blocker::new(Class::DNS)).collect();
    let mut ends = Vec::new();
    for (end, job) in blockers {
        submitter.stage(job.token(1)).unwrap();
        ends.push(end);
    }
    submitter.flush().unwrap();
    for _ in 0..1_000 {
        submitter.stage(Job::new(Class::FS, |_| ())).unwrap();
    }
    let files = collect(&mut submitter, 1_000);
    assert!(files.iter().all(|it| it.class() == Class::FS));
    let dns = pool.snapshot().class(Class::DNS).clone();
    assert_eq!((dns.running, dns.queued), (2, 98));
    drop(ends);
    collect(&mut submitter, 100);
}

/// Runs many short jobs of a class and returns how many ran at once, at most.
fn most_at_once(submitter: &mut fs_pool::pool::Submitter, class: Class) -> usize {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..2_000 {
        let (now, most) = (now.clone(), most.clone());
        let job = Job::new(class, move |_| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
        });
        submitter.stage(job).unwrap();
    }
    collect(submitter, 2_000);
    most.load(Ordering::SeqCst)
}

#[test]
fn a_class_never_holds_more_than_its_share_also_after_a_resize() {
    let pool = pool(4);
    let mut submitter = pool.submitter(|| {});
    assert!(most_at_once(&mut submitter, Class::DNS) <= 2);
    pool.resize(2).unwrap();
    most_at_once(&mut submitter, Class::DNS); // jobs of the old share may be under way here
    assert_eq!(most_at_once(&mut submitter, Class::DNS), 1);
}

#[test]
fn a_class_uses_all_of_its_share_when_it_has_the_work() {
    let pool =
        builder().workers(4).class(ClassSpec::new("thumbnails").share(Share::AllBut(1))).build().unwrap();
    let class = pool.class("thumbnails").unwrap();
    let mut submitter = pool.submitter(|| {});
    let blockers: Vec<_> = (0..3).map(|_| Blocker::start(&mut submitter, class)).collect();
    let (last, job) = Blocker::new(class);
    submitter.submit(job).unwrap();
    let _free = Blocker::start(&mut submitter, Class::USER);
    assert_eq!(pool.snapshot().class(class).queued, 1);
    drop(blockers);
    last.wait_started();
}

#[test]
fn classes_are_found_by_name_and_built_in_ones_keep_their_place() {
    let pool =
        builder().class(ClassSpec::new("mine")).class(ClassSpec::new("cpu").weight(9)).build().unwrap();
    let find = |name| pool.class(name);
    assert_eq!([find("fs"), find("dns")], [Some(Class::FS), Some(Class::DNS)]);
    assert_eq!([find("cpu"), find("user")], [Some(Class::CPU), Some(Class::USER)]);
    assert_eq!(find("mine").map(Class::index), Some(4));
    assert_eq!(find("yours"), None);
}

#[test]
fn classes_with_settings_out_of_range_are_refused_with_the_value() {
    let fault = |spec| builder().class(spec).build().unwrap_err().to_string();
    assert_eq!(fault(ClassSpec::new("a").weight(0)), "class a: weight 0 is not within 1 to 1000");
    assert_eq!(fault(ClassSpec::new("a").queue_len_max(0)), "class a: a queue of 0 jobs takes none");
    let many = (0..61).fold(builder(), |builder, n| builder.class(ClassSpec::new(format!("c{n}"))));
    assert_eq!(many.build().unwrap_err(), BuildError::Classes { count: 65 });
}

#[test]
#[should_panic(expected = "submit a job of a class that this pool has")]
fn a_class_of_another_pool_is_misuse() {
    let other = builder().class(ClassSpec::new("mine")).build().unwrap();
    let job = Job::new(other.class("mine").unwrap(), |_| ());
    let _ = pool(1).submitter(|| {}).submit(job);
}
