//! The examples of sockets, files, jobs and terminals show what they say they show.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use examples::page::Page;
use examples::tail_f::{self, From};
use examples::{chat_tcp, shell, tty_keys, udp_echo};
use phaseloop::net::pipe::{self, PipeStream};
use phaseloop::net::{TcpStream, UdpSocket};
use phaseloop::{EventLoop, LoopHandle};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// A test that takes longer fails.
const LIMIT: Duration = Duration::from_secs(20);

fn new_loop() -> EventLoop {
    EventLoop::new().expect("descriptors are left")
}

fn block_on<T>(lp: &EventLoop, future: impl Future<Output = T>) -> T {
    let output = lp.block_on(lp.timeout(LIMIT, future)).expect("the loop runs");
    output.unwrap_or_else(|_| panic!("not done after {LIMIT:?}"))
}

/// Runs the loop until the page says it.
fn run_until_said(lp: &EventLoop, page: &Page, line: &str) {
    let deadline = Instant::now() + LIMIT;
    while !page.text().lines().any(|said| said == line) {
        assert!(Instant::now() < deadline, "{line:?} was not said:\n{}", page.text());
        lp.run_until(Instant::now() + Duration::from_millis(1)).expect("the driver works");
    }
}

// --- chat_tcp ---------------------------------------------------------------------------------------------------------

/// A guest who has said a name.
async fn guest(lp: &LoopHandle, listener: &phaseloop::net::TcpListener, name: &str) -> TcpStream {
    let stream =
        TcpStream::connect(lp, listener.local_addr().expect("it listens")).await.expect("it accepts");
    hears(&stream, "* say who you are\n").await;
    stream.write_all(format!("{name}\n").as_bytes()).await.expect("it reads");
    stream
}

async fn hears(stream: &TcpStream, line: &str) {
    let mut heard = vec![0; line.len()];
    stream.read_exact(&mut heard).await.expect("the room is open");
    assert_eq!(String::from_utf8_lossy(&heard), line);
}

#[test]
fn what_one_says_in_a_chat_all_others_hear() {
    let (lp, page) = (new_loop(), Page::memory());
    let listener = chat_tcp::serve(&lp, ([127, 0, 0, 1], 0).into(), &page).expect("loopback has ports");
    block_on(&lp, async {
        let ada = guest(&lp, &listener, "ada").await;
        let ben = guest(&lp, &listener, "ben").await;
        hears(&ada, "* ben is here\n").await;
        ada.write_all(b"hel").await.expect("it reads");
        ada.write_all(b"lo\nall\n").await.expect("it reads");
        hears(&ben, "ada: hello\nada: all\n").await;
        drop(ada);
        hears(&ben, "* ada has left\n").await;
        ben.write_all(&[b'x'; 2000]).await.expect("it reads");
        assert_eq!(ben.read(&mut [0; 8]).await.unwrap_or(0), 0, "a line without end is no line");
    });
    run_until_said(&lp, &page, "* ben has left");
    assert!(page.text().contains("ben is shown out: a line is longer than 1024 bytes"), "{}", page.text());
    listener.close();
    block_on(&lp, phaseloop::yield_now());
}

#[test]
fn who_does_not_listen_in_a_chat_is_shown_out_and_holds_nobody_up() {
    let (lp, page) = (new_loop(), Page::memory());
    let listener = chat_tcp::serve(&lp, ([127, 0, 0, 1], 0).into(), &page).expect("loopback has ports");
    block_on(&lp, async {
        let deaf = guest(&lp, &listener, "deaf").await;
        let loud = guest(&lp, &listener, "loud").await;
        let line = [&[b'x'; 1000][..], b"\n"].concat();
        while !page.text().contains("deaf is shown out: does not listen") {
            loud.write_all(&line).await.expect("it reads");
            phaseloop::yield_now().await;
        }
        hears(&loud, "* deaf has left\n").await;
        drop(deaf);
    });
    listener.close();
}

// --- udp_echo ---------------------------------------------------------------------------------------------------------

#[test]
fn datagrams_come_back_as_they_were_whoever_sends_them() {
    let (lp, page) = (new_loop(), Page::memory());
    let server = udp_echo::serve(&lp, ([127, 0, 0, 1], 0).into(), &page).expect("loopback has ports");
    block_on(&lp, async {
        for datagram in [&b"hello"[..], b"", &[7; 9000]] {
            let socket = UdpSocket::bind(&lp, ([127, 0, 0, 1], 0).into()).expect("loopback has ports");
            socket.send_to(datagram, &server).await.expect("it is sent");
            let mut buf = vec![0; 10_000];
            let received = socket.recv_from(&mut buf).await.expect("it comes back");
            assert_eq!((&buf[..received.len], received.from), (datagram, server));
        }
    });
    assert_eq!(page.text(), "");
}

// --- tail_f -----------------------------------------------------------------------------------------------------------

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("phaseloop-{name}-{}", std::process::id()));
    fs::create_dir(&path).expect("the folder is new");
    path
}

#[test]
fn a_file_is_followed_when_it_grows_is_cut_and_is_replaced() {
    let (lp, page, folder) = (new_loop(), Page::memory(), folder("tail"));
    let path = folder.join("log");
    fs::write(&path, "from before\n").expect("the folder can be written");
    let (file, said) = (path.clone(), page.clone());
    let task = lp.spawn(async move {
        let every = Duration::from_millis(1);
        tail_f::follow(&phaseloop::current(), &file, From::Beginning, every, &said).await
    });
    run_until_said(&lp, &page, "from before");
    let mut log = File::options().append(true).open(&path).expect("it is there");
    log.write_all(b"first\nsec").expect("it can be written");
    run_until_said(&lp, &page, "first");
    log.write_all(b"ond\n").expect("it can be written");
    run_until_said(&lp, &page, "second");
    log.set_len(0).expect("it can be cut");
    run_until_said(&lp, &page, "--- the file was cut ---");
    log.write_all(b"after the cut\n").expect("it can be written");
    run_until_said(&lp, &page, "after the cut");
    fs::rename(&path, folder.join("log.1")).expect("it can be renamed");
    log.write_all(b"late\n").expect("it can be written");
    fs::write(folder.join("log.new"), "anew\n").expect("the folder can be written");
    fs::rename(folder.join("log.new"), &path).expect("it can be renamed");
    run_until_said(&lp, &page, "anew");
    let text = page.text();
    assert_eq!(text.lines().filter(|line| *line == "second").count(), 1, "{text}");
    assert!(text.contains("late\n--- another file has its name now ---\nanew\n"), "{text}");
    task.abort();
    drop(task);
    fs::remove_dir_all(folder).expect("the folder is ours");
}

// --- shell ------------------------------------------------------------------------------------------------------------

/// What the shell says to some lines, and the status it ends with.
fn say_to_shell(lines: &str) -> (String, i32) {
    let (lp, page) = (new_loop(), Page::memory());
    let (reader, writer) = pipe::pair(&lp).expect("descriptors are left");
    let status = block_on(&lp, async {
        writer.write_all(lines.as_bytes()).await.expect("it fits into a pipe");
        drop(writer);
        shell::run(&lp, &reader, &page).await.expect("a pipe can be read")
    });
    (page.text(), status)
}

#[test]
fn a_shell_joins_commands_by_pipes_and_gives_their_status() {
    let (text, status) = say_to_shell("seq 3 | tac | tr '\\n' ' '\n# nothing\n\nsh -c 'exit 3'");
    assert_eq!((text.as_str(), status), ("3 2 1 \n", 3));
    let (text, status) = say_to_shell("yes | head -n 2\ncd /\npwd\nexit\necho not reached\n");
    assert_eq!((text.as_str(), status), ("y\ny\n/\n", 0));
}

#[test]
fn a_shell_says_what_it_can_not_do_and_goes_on() {
    let (text, status) =
        say_to_shell("no-such-program-at-all\ncd /no/such/folder\n| x\nkill 9\ncd\necho on\n");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("shell: ") && lines[0].contains("no-such-program-at-all"), "{text}");
    assert!(lines[1].starts_with("shell: /no/such/folder: "), "{text}");
    let rest =
        ["shell: nothing stands before `|`", "shell: there is no job 9", "shell: cd takes other arguments"];
    assert_eq!(lines[2..5], rest);
    assert_eq!((lines[5], status), ("on", 0));
}

#[test]
fn a_shell_runs_jobs_in_the_background_and_ends_them() {
    let (text, _) = say_to_shell("sleep 1000 | cat &\njobs\nkill 1\nwait\njobs\nsleep 1000 &\n");
    assert_eq!(
        text,
        "[1] sleep 1000 | cat &\n[1] sleep 1000 | cat &\n[1] ended with 143: sleep 1000 | cat &\n\
         [2] sleep 1000 &\n[2] ended with 143: sleep 1000 &\n"
    );
}

// --- tty_keys ---------------------------------------------------------------------------------------------------------

#[test]
fn keys_of_a_terminal_are_named_and_its_mode_comes_back() {
    let person =
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("terminals are left");
    grantpt(&person).and_then(|()| unlockpt(&person)).expect("it is ours");
    let path = ptsname(&person, Vec::new()).expect("it has a name");
    let open = || {
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).expect("it can be opened")
    };
    let (terminal, before) = (Rc::new(open()), rustix::termios::tcgetattr(open()).expect("it is a terminal"));
    let (lp, page) = (new_loop(), Page::memory());
    let stream = PipeStream::from_fd(&lp, open()).expect("it can be registered");
    let (said, used) = (page.clone(), Rc::clone(&terminal));
    let task = lp.spawn(async move { tty_keys::run(&phaseloop::current(), &*used, &stream, &said).await });
    run_until_said(&lp, &page, "0 by 0 characters; press keys, or q to end");
    rustix::io::write(&person, b"a\x1b[A").expect("it reads");
    run_until_said(&lp, &page, "Up");
    rustix::io::write(&person, b"\x03z").expect("it reads");
    block_on(&lp, task).expect("it does not panic").expect("it is a terminal");
    assert!(page.text().ends_with("a\nUp\nCtrl-C\n"), "{}", page.text());
    let after = rustix::termios::tcgetattr(&*terminal).expect("it is a terminal");
    assert_eq!(after.local_modes, before.local_modes);
}
