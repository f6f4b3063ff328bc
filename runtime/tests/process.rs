//! Child processes: what they get, how their end is told, and how they are ended.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod again;
mod loopback;

use std::cell::Cell;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::rc::Rc;

use loopback::{Log, block_on, finish, new_loop, run};
use phaseloop::net::{ReadEvent, pipe};
use phaseloop::process::{Child, Command, ExecOptions, Stdio};
use phaseloop::signal::Signal;
use phaseloop::{EventLoop, HandleKind, LoopHandle};
use rustix::io::Errno;

fn shell(line: &str) -> Command {
    Command::shell(line)
}

/// What a command writes to its standard output.
fn text(lp: &EventLoop, command: Command) -> String {
    let output = block_on(lp, command.output(lp, ExecOptions::default())).unwrap();
    assert!(output.success(), "{:?} {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn is_zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

/// True if this process has a child that has ended and was not waited for.
fn has_zombies(pid_of_parent: u32) -> bool {
    let children = std::fs::read_to_string(format!("/proc/{pid_of_parent}/task/{pid_of_parent}/children"));
    children.is_ok_and(|pids| pids.split_whitespace().any(|pid| pid.parse().is_ok_and(is_zombie)))
}

#[test]
fn what_can_not_be_run_is_reported_at_spawn_with_path_and_cause() {
    let lp = new_loop();
    let folder = Folder::new("spawn");
    let script = folder.0.join("script");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    let error = Command::new("/no/such/program").spawn(&lp).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().starts_with("can not run \"/no/such/program\": "), "{error}");
    let error = Command::new(&script).spawn(&lp).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "not executable");
    assert!(error.to_string().contains("script"), "{error}");
    let error = Command::new("true").current_dir("/no/such/folder").spawn(&lp).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("in the folder \"/no/such/folder\""), "{error}");
    let error = Command::new("/no/such/program").current_dir("/").spawn(&lp).unwrap_err();
    assert!(!error.to_string().contains("folder"), "{error}");
    let error = Command::new("true").arg("a\0b").spawn(&lp).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = Command::new("/no/such/program").detached().stdout(Stdio::pipe()).spawn(&lp).unwrap_err();
    assert_eq!(std::io::Error::from(error).kind(), ErrorKind::NotFound, "also behind a hook");
    finish(lp);
}

#[test]
fn a_program_that_is_being_written_is_busy() {
    let lp = new_loop();
    let folder = Folder::new("busy");
    let path = folder.0.join("program");
    std::fs::copy("/bin/true", &path).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let writer = File::options().append(true).open(&path).unwrap();
    let error = Command::new(&path).spawn(&lp).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ExecutableFileBusy);
    assert_eq!(error.io_error().raw_os_error(), Some(Errno::TXTBSY.raw_os_error()));
    drop(writer);
    finish(lp);
}

#[test]
fn an_exit_is_told_with_its_code_or_its_signal() {
    let lp = new_loop();
    let child = shell("exit 7").spawn(&lp).unwrap();
    assert!(child.is_active() && child.try_status().is_none());
    assert_eq!(block_on(&lp, child.wait()).unwrap().code(), Some(7));
    assert_eq!(block_on(&lp, child.wait()).unwrap().code(), Some(7), "as often as one asks");
    assert_eq!(child.try_status().unwrap().code(), Some(7));
    let child = shell("exec sleep 1000").spawn(&lp).unwrap();
    child.kill(Signal::TERM).unwrap();
    assert_eq!(block_on(&lp, child.wait()).unwrap().signal(), Some(Signal::TERM.number()));
    let error = child.kill(Signal::TERM).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::SRCH.raw_os_error()));
    assert!(!is_zombie(child.id()), "its status was collected");
    drop(child);
    finish(lp);
}

#[test]
fn exit_comes_first_then_the_end_of_output_then_closed() {
    let (lp, log) = (new_loop(), Log::default());
    let mut child = shell("exit 3").stdout(Stdio::pipe()).spawn(&lp).unwrap();
    let stdout = child.take_stdout().unwrap();
    let lines = log.clone();
    let unread = stdout.clone();
    child.on_exit(move |lp, status| {
        lines.add(format!("exit {}", status.unwrap().code().unwrap()));
        let lines = lines.clone();
        lp.set_immediate(move |_| {
            lines.add("reading begins");
            let end = lines.clone();
            unread
                .read_start(move |_, event| {
                    if matches!(event, ReadEvent::End) {
                        end.add("end of output");
                    }
                })
                .unwrap();
        });
    });
    let lines = log.clone();
    child.on_closed(move |_| lines.add("closed"));
    drop((child, stdout));
    finish(lp);
    assert_eq!(log.lines(), ["exit 3", "reading begins", "end of output", "closed"]);
}

#[test]
fn closed_waits_for_a_descendant_that_holds_the_output() {
    let lp = new_loop();
    let mut child = shell("cat <&3 & exit 0")
        .stdout(Stdio::pipe())
        .descriptor(3, Stdio::pipe_to_child())
        .spawn(&lp)
        .unwrap();
    let (stdout, held) = (child.take_stdout().unwrap(), child.take(3).unwrap());
    let output = lp.spawn(async move { stdout.read_to_end(100).await });
    block_on(&lp, child.wait()).unwrap();
    let closed = child.closed();
    assert!(!output.is_finished(), "cat lives on");
    block_on(&lp, held.write_all(b"late")).unwrap();
    drop(held);
    assert_eq!(block_on(&lp, output).unwrap().unwrap(), b"late");
    block_on(&lp, closed).unwrap();
    drop(child);
    finish(lp);
}

#[test]
fn callbacks_are_told_of_what_has_happened_already() {
    let (lp, log) = (new_loop(), Log::default());
    let child = Command::new("true").spawn(&lp).unwrap();
    block_on(&lp, child.closed()).unwrap();
    let (exit, closed) = (log.clone(), log.clone());
    child.on_exit(move |_, status| exit.add(format!("exit {}", status.unwrap().success())));
    child.on_closed(move |_| closed.add("closed"));
    assert_eq!(log.len(), 0, "no callback runs inside the call");
    run(&lp);
    assert_eq!(log.lines(), ["exit true", "closed"]);
}

#[test]
fn descriptors_of_any_number_are_pipes_sockets_and_files() {
    let lp = new_loop();
    let folder = Folder::new("stdio");
    let mut file =
        File::options().create_new(true).read(true).write(true).open(folder.0.join("file")).unwrap();
    let line = "read a <&3; read b <&5; echo \"$a $b\" >&4; echo duplex >&5; echo file >&17; exec 17>&-; test ! -e /proc/self/fd/6";
    let mut child = Command::new("bash")
        .args(["-c", line])
        .descriptor(3, Stdio::pipe_to_child())
        .descriptor(4, Stdio::pipe_from_child())
        .descriptor(5, Stdio::duplex())
        .descriptor(6, Stdio::ignore())
        .descriptor(17, Stdio::fd(&file).unwrap())
        .spawn(&lp)
        .unwrap();
    let (to, from, both) = (child.take(3).unwrap(), child.take(4).unwrap(), child.take(5).unwrap());
    assert!(child.take(3).is_none() && child.take(17).is_none());
    block_on(&lp, async {
        to.write_all(b"one\n").await.unwrap();
        both.write_all(b"two\n").await.unwrap();
        assert_eq!(from.read_to_end(100).await.unwrap(), b"one two\n");
        assert_eq!(both.read_to_end(100).await.unwrap(), b"duplex\n");
        assert!(child.wait().await.unwrap().success());
    });
    let mut written = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut written).unwrap();
    assert_eq!(written, "file\n");
    drop((child, to, from, both));
    finish(lp);
}

#[test]
fn descriptors_that_want_each_others_numbers_are_not_mixed_up() {
    let lp = new_loop();
    let (a, b) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    let (first, second) = (OwnedFd::from(a.1), OwnedFd::from(b.1));
    // Each gets the number that the other has in this process.
    let (at_first, at_second) = (first.as_raw_fd() as u16, second.as_raw_fd() as u16);
    let line = format!("echo to-the-second >&{at_first}; echo to-the-first >&{at_second}");
    let child = Command::new("bash")
        .args(["-c", &line])
        .descriptor(at_second, Stdio::fd(&first).unwrap())
        .descriptor(at_first, Stdio::fd(&second).unwrap())
        .spawn(&lp)
        .unwrap();
    drop((first, second));
    assert!(block_on(&lp, child.wait()).unwrap().success());
    for (mut reader, expected) in [(a.0, "to-the-first\n"), (b.0, "to-the-second\n")] {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
    }
}

#[test]
fn an_exec_that_fails_is_reported_whatever_numbers_the_child_gets() {
    let lp = new_loop();
    // One of them is the number that std's own pipe would have got.
    for number in 3..64 {
        let command = Command::new("/no/such/program").descriptor(number, Stdio::duplex());
        assert_eq!(command.spawn(&lp).unwrap_err().kind(), ErrorKind::NotFound, "descriptor {number}");
    }
    finish(lp);
}

#[test]
fn output_and_errors_may_share_a_file_be_swapped_or_ignored() {
    let lp = new_loop();
    let folder = Folder::new("shared");
    let path = folder.0.join("log");
    let file = File::create(&path).unwrap();
    let both =
        shell("echo out; echo err >&2; echo out").stdout(Stdio::fd(&file).unwrap()).stderr(file.into());
    assert!(block_on(&lp, both.spawn(&lp).unwrap().wait()).unwrap().success());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "out\nerr\nout\n");
    let (out, err) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    let swapped = shell("echo out; echo err >&2")
        .stdout(OwnedFd::from(err.1).into())
        .stderr(OwnedFd::from(out.1).into())
        .stdin(Stdio::ignore());
    assert!(block_on(&lp, swapped.spawn(&lp).unwrap().wait()).unwrap().success());
    for (mut reader, expected) in [(out.0, "err\n"), (err.0, "out\n")] {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
    }
    let quiet = shell("cat; echo out; echo err >&2")
        .stdin(Stdio::ignore())
        .stdout(Stdio::ignore())
        .stderr(Stdio::ignore());
    assert!(block_on(&lp, quiet.spawn(&lp).unwrap().wait()).unwrap().success());
    finish(lp);
}

#[test]
fn a_stream_of_the_loop_can_be_given_away() {
    let lp = new_loop();
    let (reader, writer) = pipe::pair(&lp).unwrap();
    let kept = writer.clone();
    let writer = Stdio::stream(writer).unwrap_err();
    drop(kept);
    let child = shell("echo given").stdout(Stdio::stream(writer).unwrap()).spawn(&lp).unwrap();
    assert_eq!(block_on(&lp, reader.read_to_end(100)).unwrap(), b"given\n");
    block_on(&lp, child.wait()).unwrap();
}

#[test]
fn environment_folder_and_name_are_as_asked() {
    let lp = new_loop();
    assert_eq!(text(&lp, Command::new("/usr/bin/env").env_clear()), "");
    assert_eq!(text(&lp, Command::new("/usr/bin/env").env_clear().env("A", "1")), "A=1\n");
    let path = std::env::var("PATH").unwrap();
    assert_eq!(text(&lp, shell("printf %s \"$PATH\"")), path, "kept unless something else is said");
    assert_eq!(text(&lp, shell("printf %s \"${HOME-none}\"").env_remove("HOME")), "none");
    assert_eq!(text(&lp, Command::new("/bin/sh").arg0("another").args(["-c", "echo $0"])), "another\n");
    let folder = Folder::new("cwd");
    // A link and no script of ours: what was just written can still be open in a child of another test, and is busy then.
    std::os::unix::fs::symlink("/bin/pwd", folder.0.join("program")).unwrap();
    let here = folder.0.canonicalize().unwrap();
    let pwd = Command::new("./program").arg0("pwd").current_dir(&folder.0);
    assert_eq!(text(&lp, pwd), format!("{}\n", here.display()));
    finish(lp);
}

#[test]
fn a_user_is_refused_without_the_right_and_taken_with_it() {
    let lp = new_loop();
    if rustix::process::geteuid().is_root() {
        assert_eq!(text(&lp, shell("id -u; id -g").uid(65534).gid(65534)), "65534\n65534\n");
        again::succeed("unprivileged");
    } else {
        refuse_users();
    }
}

fn refuse_users() {
    let lp = EventLoop::new().unwrap();
    for command in [Command::new("true").uid(0), Command::new("true").gid(0)] {
        let error = command.spawn(&lp).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    }
    finish(lp);
}

/// Gives the right away on this thread, from which children inherit.
fn be_unprivileged() {
    sys::become_nobody();
    refuse_users();
}

#[test]
fn a_detached_child_leads_a_session_and_a_group_of_its_own() {
    let lp = new_loop();
    let session = |command: Command| {
        let mut child = command.stdout(Stdio::pipe()).spawn(&lp).unwrap();
        let stdout = child.take_stdout().unwrap();
        let text = String::from_utf8(block_on(&lp, stdout.read_to_end(4096)).unwrap()).unwrap();
        let fields: Vec<u32> =
            text.rsplit_once(") ").unwrap().1.split(' ').filter_map(|f| f.parse().ok()).collect();
        (child.id(), fields[1], fields[2]) // group and session
    };
    let cat = || Command::new("cat").arg("/proc/self/stat");
    let (id, group, session_id) = session(cat().detached());
    assert_eq!((group, session_id), (id, id));
    let (id, group, session_id) = session(cat().process_group());
    assert_eq!(group, id);
    assert_ne!(session_id, id);
    let (id, group, _) = session(cat());
    assert_ne!(group, id);
}

#[test]
fn a_group_is_ended_together() {
    let lp = new_loop();
    let mut child =
        shell("sleep 1000 & echo up; wait").process_group().stdout(Stdio::pipe()).spawn(&lp).unwrap();
    let stdout = child.take_stdout().unwrap();
    block_on(&lp, async {
        stdout.read_exact(&mut [0; 3]).await.unwrap();
        child.kill_group(Signal::TERM).unwrap();
        assert_eq!(stdout.read_to_end(10).await.unwrap(), b"", "nobody holds the output any more");
        assert_eq!(child.closed().await.unwrap().signal(), Some(15));
    });
    assert!(child.kill_group(Signal::TERM).is_err());
    let other = shell("exec sleep 1000").kill_on_drop().spawn(&lp).unwrap();
    assert_eq!(other.kill_group(Signal::TERM).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn signals_for_real_time_are_sent_though_they_have_no_name() {
    let lp = new_loop();
    type Send = fn(&Child) -> std::io::Result<()>;
    let ways: [Send; 3] = [
        |child| child.kill(Signal::from_number(40).unwrap()),
        |child| child.kill_group(Signal::from_number(40).unwrap()),
        |child| child.kill_tree(Signal::from_number(40).unwrap()).map(drop),
    ];
    for send in ways {
        let child = Command::new("sleep").arg("100").process_group().kill_on_drop().spawn(&lp).unwrap();
        send(&child).unwrap();
        assert_eq!(block_on(&lp, child.wait()).unwrap().signal(), Some(40));
    }
}

#[test]
fn a_tree_is_ended_to_its_leaves() {
    let lp = new_loop();
    let line = "(setsid sleep 1000 & (sleep 1000 & echo up; wait) & wait) & wait";
    let mut child = shell(line).stdout(Stdio::pipe()).spawn(&lp).unwrap();
    let stdout = child.take_stdout().unwrap();
    block_on(&lp, async {
        stdout.read_exact(&mut [0; 3]).await.unwrap();
        let told = child.kill_tree(Signal::KILL).unwrap();
        assert!(told >= 4, "{told}");
        assert_eq!(stdout.read_to_end(10).await.unwrap(), b"", "nobody holds the output any more");
        assert_eq!(child.closed().await.unwrap().signal(), Some(9));
    });
    assert!(child.kill_tree(Signal::KILL).is_err());
}

#[test]
fn a_tree_goes_on_after_a_signal_that_does_not_end_it() {
    let lp = new_loop();
    let mut child = shell("trap 'echo caught; exit 5' USR1; echo up; while :; do read x; done")
        .stdin(Stdio::pipe())
        .stdout(Stdio::pipe())
        .spawn(&lp)
        .unwrap();
    let (_stdin, stdout) = (child.take_stdin().unwrap(), child.take_stdout().unwrap());
    block_on(&lp, async {
        stdout.read_exact(&mut [0; 3]).await.unwrap();
        assert_eq!(child.kill_tree(Signal::USR1).unwrap(), 1);
        assert_eq!(stdout.read_to_end(100).await.unwrap(), b"caught\n");
        assert_eq!(child.wait().await.unwrap().code(), Some(5));
    });
}

#[test]
fn dropping_a_child_kills_it_by_choice_only() {
    let lp = new_loop();
    let mut child = shell("exec sleep 1000").stdout(Stdio::pipe()).kill_on_drop().spawn(&lp).unwrap();
    let stdout = child.take_stdout().unwrap();
    let clone = child.clone();
    drop(child);
    assert!(clone.is_active());
    drop(clone);
    assert_eq!(block_on(&lp, stdout.read_to_end(1)).unwrap(), b"");
    drop(stdout);
    run(&lp); // until its status was collected
    let mut child =
        shell("read line; echo still here").stdin(Stdio::pipe()).stdout(Stdio::pipe()).spawn(&lp).unwrap();
    let (stdin, stdout) = (child.take_stdin().unwrap(), child.take_stdout().unwrap());
    drop(child);
    block_on(&lp, stdin.write_all(b"\n")).unwrap();
    assert_eq!(block_on(&lp, stdout.read_to_end(100)).unwrap(), b"still here\n");
    drop((stdin, stdout));
    finish(lp);
}

#[test]
fn a_child_holds_the_loop_unless_it_is_unreferenced() {
    let lp = new_loop();
    let mut child = shell("read line").stdin(Stdio::pipe()).spawn(&lp).unwrap();
    let stdin = child.take_stdin().unwrap();
    assert!(lp.is_alive());
    let mut kinds = Vec::new();
    lp.walk(|info| kinds.push(info.kind));
    assert!(kinds.contains(&HandleKind::Process));
    child.unref();
    run(&lp);
    child.ref_();
    drop(stdin);
    run(&lp);
    assert_eq!(child.try_status().unwrap().code(), Some(1));
    let log = Log::default();
    let lines = log.clone();
    let sleeper = shell("exec sleep 1000").kill_on_drop().spawn(&lp).unwrap();
    sleeper.on_exit(|_, _| unreachable!("it was let go"));
    assert!(sleeper.close_with(move |_| lines.add("closed")));
    assert!(!sleeper.close_with(|_| {}));
    run(&lp);
    assert_eq!(log.lines(), ["closed"]);
    assert_eq!(block_on(&lp, sleeper.wait()).unwrap_err().kind(), ErrorKind::NotConnected);
}

#[test]
fn a_storm_of_children_is_told_one_by_one() {
    const CHILDREN: usize = 500;
    let lp = new_loop();
    let told = Rc::new(Cell::new(0));
    for number in 0..CHILDREN {
        let code = (number % 200) as i32;
        let child = shell(&format!("exit {code}")).spawn(&lp).unwrap();
        let told = Rc::clone(&told);
        child.on_exit(move |_, status| {
            assert_eq!(status.unwrap().code(), Some(code));
            told.set(told.get() + 1);
        });
    }
    let outcome = lp.run(phaseloop::RunMode::Default).unwrap();
    assert_eq!((outcome, told.get()), (phaseloop::Outcome::Finished, CHILDREN));
    lp.close().unwrap();
}

#[test]
fn without_descriptors_left_spawning_fails_whole() {
    again::succeed("exhausted");
}

/// Takes all descriptors but some, and spawns with each number left: it succeeds whole or leaves nothing behind.
fn spawn_without_descriptors() {
    let lp: EventLoop = EventLoop::new().unwrap();
    let limit = rustix::process::Rlimit { current: Some(64), maximum: Some(64) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    block_on(&lp, Command::new("true").spawn(&lp).unwrap().wait()).unwrap(); // the loop's own descriptors exist
    let mut filler = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        filler.push(file);
    }
    let (mut failed, mut spawned) = (0, 0);
    while spawned < 3 {
        let command =
            Command::new("true").stdin(Stdio::pipe()).stdout(Stdio::pipe()).descriptor(3, Stdio::duplex());
        match command.spawn(&lp) {
            Ok(child) => {
                assert!(block_on(&lp, child.wait()).unwrap().success());
                spawned += 1;
            }
            Err(error) => {
                assert_eq!(error.io_error().raw_os_error(), Some(Errno::MFILE.raw_os_error()), "{error}");
                failed += 1;
            }
        }
        assert!(!has_zombies(std::process::id()));
        let mut handles = 0;
        lp.walk(|_| handles += 1);
        assert_eq!(handles, 0);
        drop(filler.pop());
    }
    assert!(failed >= 5, "{failed}");
}

#[test]
fn a_loop_that_is_gone_spawns_nothing() {
    let lp = new_loop();
    let handle: LoopHandle = (*lp).clone();
    let child = shell("exec sleep 1000").kill_on_drop().spawn(&lp).unwrap();
    drop(lp);
    assert!(Command::new("true").spawn(&handle).is_err());
    let other = new_loop();
    assert_eq!(block_on(&other, child.wait()).unwrap_err().kind(), ErrorKind::NotConnected);
}

/// A fresh folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("phaseloop-process-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_parent_whose_standard_streams_are_closed_spawns_as_any_other() {
    again::succeed("closed");
}

/// The descriptors 0 to 2 are free, so whatever is opened next gets their numbers: the loop's own, pipes, and what std needs.
fn spawn_without_standard_streams() {
    let kept = sys::put_standard_streams_away();
    let results = std::panic::catch_unwind(|| {
        // With a new loop each time, which leaves most of the numbers to the pipe by which std hears of a failed exec.
        for (number, filled) in (0..3).flat_map(|number| (0..4).map(move |filled| (number, filled))) {
            let _fillers: Vec<_> = (0..filled).map(|_| File::open("/dev/null").unwrap()).collect();
            let file = Stdio::fd(File::open("/dev/null").unwrap()).unwrap();
            let command = Command::new("/no/such/program").detached().descriptor(number, file);
            let result = command.spawn(&new_loop());
            assert!(result.is_err(), "{number} with {filled} descriptors open: {result:?}");
        }
        let lp = new_loop();
        assert_eq!(text(&lp, shell("echo out; echo err >&2")), "out\n");
        assert_eq!(text(&lp, shell("echo in a session").detached()), "in a session\n");
        let swapped = shell("echo to 5 >&5").descriptor(5, Stdio::pipe());
        let mut child = swapped.stdout(Stdio::ignore()).spawn(&lp).unwrap();
        let five = child.take(5).unwrap();
        assert_eq!(block_on(&lp, five.read_to_end(100)).unwrap(), b"to 5\n");
        assert!(block_on(&lp, child.wait()).unwrap().success());
        for command in [Command::new("/no/such/program"), Command::new("/no/such/program").detached()] {
            let command = command.stdin(Stdio::pipe()).stdout(Stdio::pipe()).stderr(Stdio::pipe());
            assert_eq!(command.spawn(&lp).unwrap_err().io_error().kind(), ErrorKind::NotFound);
        }
        for number in 0..3 {
            for stdio in [Stdio::ignore(), Stdio::pipe(), Stdio::inherit()] {
                let command = Command::new("/no/such/program").detached().descriptor(number, stdio);
                assert_eq!(command.spawn(&lp).unwrap_err().io_error().kind(), ErrorKind::NotFound);
            }
        }
        // What the child inherits as 0 to 2 is closed there too: ours have a flag that closes them.
        let status = block_on(&lp, shell("[ ! -e /proc/self/fd/0 ]").spawn(&lp).unwrap().wait()).unwrap();
        assert!(status.success());
        drop((five, child));
        finish(lp);
    });
    kept.put_back(); // for the harness, which reports
    results.unwrap();
}

/// Not a test of its own: the children of the tests above start here.
#[test]
fn in_a_child() {
    match again::role().as_deref() {
        Some("unprivileged") => be_unprivileged(),
        Some("exhausted") => spawn_without_descriptors(),
        Some("closed") => spawn_without_standard_streams(),
        Some(role) => panic!("no role {role}"),
        None => {}
    }
    std::io::stdout().flush().unwrap();
}

#[path = "process/sys.rs"]
mod sys;
