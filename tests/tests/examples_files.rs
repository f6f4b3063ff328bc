//! The examples of files and of the pool show what they say they show.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use examples::cat::{self, Ends};
use examples::copy_tree::{self, End};
use examples::gzip_file::{self, Options};
use examples::page::Page;
use examples::progress_bar::{bar, bytes};
use examples::sha_tree::{self, Summary};
use examples::threadpool::{self, Classes, Kind, Run, Span};
use examples::watch::{self, Depth};
use phaseloop::EventLoop;
use phaseloop_tests::peers::peer;
use phaseloop_tests::source::workspace_root;

// --- threadpool -------------------------------------------------------------------------------------------------------

/// So few that a hash takes microseconds in a release build: the order is what is looked at.
const ITERATIONS: u32 = 20;

#[test]
fn every_job_is_told_once_and_ends_before_it_is_told() {
    for classes in [Classes::One, Classes::Several] {
        let run = threadpool::run(&small_file(), ITERATIONS, classes).unwrap();
        let names: Vec<_> = run.spans.iter().map(Span::name).collect();
        assert_eq!((names.len(), names[0].as_str(), names[11].as_str()), (12, "hash 1", "file 6"));
        let mut order = run.order.clone();
        order.sort_unstable();
        assert_eq!(order, Vec::from_iter(0..12), "each callback runs once");
        for span in &run.spans {
            assert!(span.started <= span.ended && span.ended <= span.told && span.worker < 4, "{span:?}");
        }
    }
}

#[test]
fn hashes_leave_a_worker_free_where_they_have_a_class_of_their_own() {
    let run = threadpool::run(&small_file(), 2000, Classes::Several).unwrap();
    let hashes: Vec<_> = run.spans.iter().filter(|span| span.kind == Kind::Hash).collect();
    for one in &hashes {
        let at_once = hashes.iter().filter(|other| other.started <= one.started && one.started < other.ended);
        assert!(at_once.count() <= 3, "{:?}", run.spans);
    }
}

#[test]
fn a_small_read_comes_before_hashes_that_fill_their_class() {
    let (_, hashed) = threadpool::small_read_under_hashing(&small_file()).unwrap();
    assert_eq!(hashed, 0, "the read waited for a hash");
}

#[test]
fn the_picture_stands_alone_and_has_a_row_for_each_job() {
    let ms = Duration::from_millis;
    let span = |kind, number, started, ended| Span { kind, number, worker: 1, started, ended, told: ended };
    let spans = vec![span(Kind::Hash, 1, ms(0), ms(40)), span(Kind::File, 1, ms(40), ms(41))];
    let run = Run { spans, order: vec![0, 1] };
    let drawn = threadpool::draw("six & six", &[("<one>", run.clone()), ("several", run)]);
    for part in
        ["<title>six &amp; six</title>", "&lt;one>", "hash 1 on worker 1: began 0.00 ms", "41.0 ms, worker 1"]
    {
        assert!(drawn.contains(part), "{part} is not in {drawn}");
    }
    assert_eq!(drawn.matches("<rect class='file' x=").count(), 2);
    assert!(
        !drawn.contains("<script") && drawn.matches("http").count() == 1,
        "only the name space is an address"
    );
    assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>\n"));
}

#[test]
fn the_whole_experiment_is_written_down_and_drawn() {
    let folder = Folder::new();
    let (page, picture) = (Page::memory(), folder.path("new/picture.svg"));
    threadpool::show(&page, &small_file(), ITERATIONS, Some(&picture)).unwrap();
    let text = page.text();
    assert_eq!((text.matches("  hash ").count(), text.matches("  file ").count()), (12, 12), "{text}");
    assert!(text.contains("4 KiB read in ") && text.contains("hashes that had ended by then: 0\n"), "{text}");
    assert_eq!(fs::read_to_string(picture).unwrap().matches("<circle class='told' cx=").count(), 2 * 12 + 1);
}

// --- cat --------------------------------------------------------------------------------------------------------------

#[test]
fn cat_writes_files_and_its_input_in_order_and_goes_on_after_one_that_is_missing() {
    let folder = Folder::new();
    let long: Vec<u8> = (0..300_000).map(|at| (at % 251) as u8).collect();
    folder.write("long", &long);
    folder.write("input", b"typed");
    let names = ["long", "missing", "-", "long"].map(|name| match name {
        "-" => name.into(),
        name => folder.path(name).into_os_string(),
    });
    let output = folder.create("output");
    let ends = Ends { input: File::open(folder.path("input")).unwrap(), output };
    let errors = Page::memory();
    assert_eq!(cat::run(&names, ends, &errors).unwrap(), 1);
    assert_eq!(fs::read(folder.path("output")).unwrap(), [&long[..], b"typed", &long].concat());
    let missing = folder.path("missing");
    assert_eq!(errors.text(), format!("cat: open {missing:?}: No such file or directory (os error 2)\n"));
}

#[test]
fn cat_writes_on_where_its_output_is() {
    let folder = Folder::new();
    folder.write("file", b"new");
    let mut output = folder.create("output");
    io::Write::write_all(&mut output, b"old, ").unwrap();
    let ends = Ends { input: folder.create("input"), output };
    cat::run(&[folder.path("file").into()], ends, &Page::memory()).unwrap();
    assert_eq!(fs::read(folder.path("output")).unwrap(), b"old, new");
}

#[test]
fn cat_ends_when_nobody_reads() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let ends = Ends {
        input: File::open("/dev/zero").unwrap(), // without an end
        output: std::os::fd::OwnedFd::from(writer).into(),
    };
    let error = cat::run(&["-".into()], ends, &Page::memory()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

// --- copy_tree --------------------------------------------------------------------------------------------------------

#[test]
fn a_tree_is_copied_and_counted() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("from/a/b")).unwrap();
    folder.write("from/a/one", b"1");
    folder.write("from/a/b/two", &[2; 2000]);
    let page = Page::memory();
    let (from, to) = (folder.path("from"), folder.path("to"));
    let lp = EventLoop::new().unwrap();
    let end = copy_tree::run(&lp, &page, &Page::memory(), (&from, &to), futures::future::pending::<()>());
    assert!(matches!(end.unwrap(), End::Done(copied) if copied.bytes == 2001));
    assert_eq!(page.text(), "2 files, 3 folders, 0 links, 2.0 KiB\n");
    assert_eq!(fs::read(to.join("a/b/two")).unwrap(), [2; 2000]);
}

#[test]
fn a_copy_that_is_given_up_half_way_leaves_whole_files() {
    let folder = Folder::new();
    fs::create_dir(folder.path("from")).unwrap();
    for number in 0..2000 {
        folder.write(&format!("from/{number}"), b"whole");
    }
    let (page, from, to) = (Page::memory(), folder.path("from"), folder.path("to"));
    // Done once something was copied. The copy takes several jobs, and between two of them the loop looks here.
    let something_is_there = async {
        while fs::read_dir(&to).map_or(0, Iterator::count) == 0 {
            phaseloop::yield_now().await;
        }
    };
    let lp = EventLoop::new().unwrap();
    let end = copy_tree::run(&lp, &page, &Page::memory(), (&from, &to), something_is_there).unwrap();
    assert_eq!((end, page.text().as_str()), (End::Cancelled, "cancelled: what is there is whole\n"));
    let copied: Vec<_> = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!copied.is_empty() && copied.len() < 2000, "{} files", copied.len());
    assert!(copied.iter().all(|file| fs::read(file).unwrap() == b"whole"));
}

#[test]
fn what_can_not_be_copied_is_named() {
    let folder = Folder::new();
    let (from, to) = (folder.path("from"), folder.path("to"));
    let lp = EventLoop::new().unwrap();
    let never = futures::future::pending::<()>();
    let error = copy_tree::run(&lp, &Page::memory(), &Page::memory(), (&from, &to), never).unwrap_err();
    assert_eq!(error.to_string(), format!("lstat {from:?}: No such file or directory (os error 2)"));
}

// --- sha_tree ---------------------------------------------------------------------------------------------------------

#[test]
fn every_file_of_a_tree_is_hashed_in_the_order_of_names() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("b/c")).unwrap();
    for (name, text) in [("z", "abc"), ("a", ""), ("b/c/d", "abc"), ("b/a\\\nb", "abc")] {
        folder.write(name, text.as_bytes());
    }
    std::os::unix::fs::symlink("z", folder.path("link")).unwrap();
    let (page, errors) = (Page::memory(), Page::memory());
    let summary = sha_tree::run(&page, &errors, &folder.0).unwrap();
    assert_eq!(summary, Summary { files: 4, bytes: 9, failed: 0, under_way_max: summary.under_way_max });
    // The digests of nothing and of `abc` are those of FIPS 180.
    const NONE: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let root = folder.0.display();
    let lines = [
        format!("{NONE}  {root}/a"),
        format!("\\{ABC}  {root}/b/a\\\\\\nb"),
        format!("{ABC}  {root}/b/c/d"),
        format!("{ABC}  {root}/z"),
    ];
    assert_eq!(page.text().lines().collect::<Vec<_>>(), lines);
    assert_eq!(errors.text(), "");
}

#[test]
fn a_bounded_number_of_files_is_under_way() {
    let folder = Folder::new();
    for number in 0..500 {
        folder.write(&format!("{number:03}"), b"abc");
    }
    let page = Page::memory();
    let summary = sha_tree::run(&page, &Page::memory(), &folder.0).unwrap();
    assert_eq!((summary.files, summary.bytes), (500, 1500));
    let workers = default_workers();
    assert!(summary.under_way_max <= 4 * workers, "{summary:?}");
    let text = page.text();
    let names: Vec<_> = text.lines().map(|line| line.rsplit('/').next().unwrap()).collect();
    assert!(names.is_sorted() && names.len() == 500);
}

#[test]
fn sha256sum_agrees() {
    let Some(_) = peer("sha256sum") else { return };
    let folder = Folder::new();
    fs::create_dir(folder.path("tree")).unwrap();
    folder.write("tree/one", &[1; 100_000]);
    folder.write("tree/with \\ and \n", b"2");
    let page = Page::memory();
    sha_tree::run(&page, &Page::memory(), &folder.path("tree")).unwrap();
    folder.write("sums", page.text().as_bytes());
    let check = Command::new("sha256sum").arg("--check").arg(folder.path("sums")).output().unwrap();
    assert!(check.status.success(), "{check:?}");
}

#[test]
fn what_can_not_be_hashed_is_counted() {
    let folder = Folder::new();
    let (page, errors, missing) = (Page::memory(), Page::memory(), folder.path("missing"));
    let summary = sha_tree::run(&page, &errors, &missing).unwrap();
    assert_eq!((summary.failed, page.text().as_str()), (1, ""));
    assert!(errors.text().starts_with(&format!("sha_tree: stat {missing:?}: ")), "{}", errors.text());
}

// --- gzip_file --------------------------------------------------------------------------------------------------------

#[test]
fn a_file_is_compressed_and_back_and_nothing_is_replaced_unasked() {
    let folder = Folder::new();
    let (page, text) = (Page::memory(), b"again and ".repeat(10_000));
    folder.write("file", &text);
    let (pack, unpack) = (Options::default(), Options { decompress: true, ..Options::default() });
    let run = |file: &Path, options| gzip_file::run(&page, &Page::memory(), file, options);
    let packed = run(&folder.path("file"), pack).unwrap();
    assert_eq!(packed, folder.path("file.gz"));
    assert!(fs::metadata(&packed).unwrap().len() < 1000);
    assert!(page.text().contains("file.gz: 97.7 KiB -> "), "{}", page.text());
    let error = run(&packed, unpack).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    fs::remove_file(folder.path("file")).unwrap();
    assert_eq!(run(&packed, unpack).unwrap(), folder.path("file"));
    assert_eq!(fs::read(folder.path("file")).unwrap(), text);
    run(&packed, Options { force: true, ..unpack }).unwrap();
}

#[test]
fn a_file_that_is_no_gzip_leaves_nothing() {
    let folder = Folder::new();
    folder.write("file.gz", b"this is no gzip");
    folder.write("file.txt", b"");
    let unpack = Options { decompress: true, ..Options::default() };
    let run = |name: &str| gzip_file::run(&Page::memory(), &Page::memory(), &folder.path(name), unpack);
    assert_eq!(run("file.gz").unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(run("file.txt").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2, "nothing was left");
}

#[test]
fn gunzip_agrees() {
    let Some(_) = peer("gunzip") else { return };
    let folder = Folder::new();
    folder.write("file", &[7; 1 << 20]);
    let packed = gzip_file::run(&Page::memory(), &Page::memory(), &folder.path("file"), Options::default());
    let gunzip = Command::new("gunzip").arg("--stdout").arg(packed.unwrap()).output().unwrap();
    assert!(gunzip.status.success() && gunzip.stdout == [7; 1 << 20], "{:?}", gunzip.status);
}

// --- watch ------------------------------------------------------------------------------------------------------------

#[test]
fn what_happens_in_a_tree_is_told_line_by_line_until_it_is_gone() {
    let (folder, page, lp) = (Folder::new(), Page::memory(), EventLoop::new().unwrap());
    let tree = folder.path("tree");
    fs::create_dir(&tree).unwrap();
    let (said, at) = (page.clone(), tree.clone());
    lp.spawn(async move {
        let has_said = async |what: &str| {
            while !said.text().contains(what) {
                phaseloop::sleep(Duration::from_millis(1)).await;
            }
        };
        has_said("watching").await;
        fs::create_dir(at.join("below")).unwrap();
        has_said("created     ").await;
        fs::write(at.join("below/a"), "text").unwrap();
        has_said("below/a").await;
        fs::rename(at.join("below/a"), at.join("b")).unwrap();
        has_said("renamed     ").await;
        fs::remove_dir_all(&at).unwrap();
    })
    .detach();
    let end = watch::run(&lp, &page, &[&tree], Depth::Tree, futures::future::pending::<()>()).unwrap();
    assert_eq!(end, watch::End::Gone);
    let text = page.text();
    let root = tree.display();
    for line in [
        format!("watching    {root}\n"),
        format!("created     {root}/below\n"),
        format!("created     {root}/below/a\n"),
        format!("renamed     {root}/below/a -> {root}/b\n"),
        format!("removed     {root}/b\n"),
        format!("gone        {root}\n"),
    ] {
        assert!(text.contains(&line), "{line} is not in {text}");
    }
}

#[test]
fn watching_ends_when_it_is_told_to_and_what_is_not_there_is_named() {
    let (folder, page, lp) = (Folder::new(), Page::memory(), EventLoop::new().unwrap());
    folder.write("file", b"");
    let paths = [folder.path("file"), folder.path("")];
    let end = watch::run(&lp, &page, &paths, Depth::Folder, async {
        fs::write(&paths[0], "text").unwrap();
        while page.text().matches("changed     ").count() < 2 {
            phaseloop::sleep(Duration::from_millis(1)).await; // told by both
        }
    });
    assert_eq!(end.unwrap(), watch::End::Cancelled);
    let missing = folder.path("missing");
    let error = watch::run(&lp, &page, &[&missing], Depth::Tree, std::future::ready(())).unwrap_err();
    assert!(error.to_string().starts_with(&format!("watch {missing:?}: No such file")), "{error}");
}

// --- what they share --------------------------------------------------------------------------------------------------

#[test]
fn a_bar_is_full_at_the_end_and_never_longer() {
    assert!(bar(0, 100).starts_with(&format!("[{}]   0 %  0 B of 100 B", ".".repeat(40))));
    assert!(bar(50, 100).starts_with(&format!("[{}{}]  50 %", "#".repeat(20), ".".repeat(20))));
    for (done, total) in [(0, 0), (100, 100), (300, 100), (u64::MAX, 1)] {
        assert!(bar(done, total).starts_with(&format!("[{}] 100 %", "#".repeat(40))));
    }
    assert_eq!(
        [0, 1023, 1024, 5 << 20, u64::MAX].map(bytes),
        ["0 B", "1023 B", "1.0 KiB", "5.0 MiB", "16777216.0 TiB"]
    );
}

/// A fresh folder, which goes at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("phaseloop-examples-{:016x}", random_number()));
        fs::create_dir(&folder).expect("the name is new");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("the folder is ours");
    }

    fn create(&self, name: &str) -> File {
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        options.open(self.path(name)).expect("the folder is ours")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Another number each time: for names.
fn random_number() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// As many as a pool has that nobody sets up.
fn default_workers() -> usize {
    fs_pool::pool::Pool::builder().build().expect("the environment is valid").workers()
}

fn small_file() -> PathBuf {
    workspace_root().join("Cargo.toml")
}
