//! The server of the pages: `GET /N` is the page of the scenario with that number, `POST /N` brings its trace and is answered with
//! the number of the next page. It speaks as much HTTP as that takes.

use crate::scenario::Scenario;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// A server that runs until it is dropped.
pub(super) struct Server {
    address: SocketAddr,
    traces: Receiver<Trace>,
    stop: Arc<AtomicBool>,
}

/// The number of a scenario, and its trace as JSON.
type Trace = (usize, String);

/// A request: its method, the number in its path, and its body.
struct Request {
    is_post: bool,
    number: usize,
    body: String,
}

impl Server {
    pub(super) fn start(scenarios: &[Scenario]) -> io::Result<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let pages: Vec<String> =
            scenarios.iter().enumerate().map(|(number, scenario)| page(number, scenario)).collect();
        let (sender, traces) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stops = Arc::clone(&stop);
        thread::spawn(move || accept(&listener, pages.into(), &sender, &stops));
        Ok(Server { address, traces, stop })
    }

    /// Where the first page is.
    pub(super) fn url(&self) -> String {
        format!("http://{}/0", self.address)
    }

    pub(super) fn next_trace(&self, patience: Duration) -> Option<Trace> {
        self.traces.recv_timeout(patience).ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SeqCst: set before the connection that makes the server look.
        self.stop.store(true, Ordering::SeqCst);
        // Refused if the server has ended by itself.
        let _ = TcpStream::connect(self.address);
    }
}

/// A browser opens connections on which it says nothing, so each has a thread.
fn accept(listener: &TcpListener, pages: Arc<[String]>, traces: &Sender<Trace>, stop: &AtomicBool) {
    for stream in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let (pages, traces) = (Arc::clone(&pages), traces.clone());
        if let Ok(stream) = stream {
            // A connection that fails shows as a trace that does not come.
            thread::spawn(move || serve(&stream, &pages, &traces));
        }
    }
}

fn serve(stream: &TcpStream, pages: &[String], traces: &Sender<Trace>) -> io::Result<()> {
    let request = read_request(&mut BufReader::new(stream))?;
    let Some(page) = pages.get(request.number) else { return respond(stream, "404 Not Found", "") };
    if !request.is_post {
        return respond(stream, "200 OK", page);
    }
    let next = request.number + 1;
    let next = if next < pages.len() { next.to_string() } else { String::new() };
    respond(stream, "200 OK", &next)?;
    // Nobody waits any more if the run was given up.
    let _ = traces.send((request.number, request.body));
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Request> {
    let line = read_line(reader)?;
    let mut words = line.split(' ');
    let is_post = words.next() == Some("POST");
    let path = words.next().unwrap_or_default();
    // What is no number is no page.
    let number = path.trim_start_matches('/').parse().unwrap_or(usize::MAX);
    let mut length = 0;
    loop {
        let line = read_line(reader)?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
        }
    }
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body)?;
    Ok(Request { is_post, number, body })
}

/// A line without its end.
fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.take(LINE_LEN_MAX).read_line(&mut line)?;
    if !line.ends_with('\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn respond(mut stream: &TcpStream, status: &str, body: &str) -> io::Result<()> {
    let head = "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\nConnection: close";
    write!(stream, "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A page that needs nothing else. Its icon is given, so that the browser asks for none.
fn page(number: usize, scenario: &Scenario) -> String {
    let json = scenario.to_json().replace('<', "\\u003c");
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <script>const NUMBER = {number}; const PROGRAM = ({json}).program;</script>\n<script>\n{RUN}</script>\n"
    )
}

const RUN: &str = include_str!("../../conformance/chromium/run.js");

/// Longer lines are not of a browser's making.
const LINE_LEN_MAX: u64 = 64 * 1024;
