//! The examples of HTTP show what they say they show.

use examples::{http2_time, ws_echo};
use phaseloop::EventLoop;
use phaseloop::net::TcpStream;
use phaseloop_server::client::Client;
use phaseloop_server::ws::{Connector, DeflateContext, DeflateOptions, WsOptions};

#[test]
fn the_time_is_told_every_two_seconds_on_one_answer() {
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    let told = lp.block_on(async {
        let serving = http2_time::server().listen(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
        let stream = TcpStream::connect(&lp, serving.local_addr().unwrap()).await.unwrap();
        stream.write_all(b"GET /time HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let (start, mut read, mut told) = (lp.now(), String::new(), Vec::new());
        while told.len() < 3 {
            let mut buf = [0; 1024];
            let len = stream.read(&mut buf).await.unwrap();
            read.push_str(std::str::from_utf8(&buf[..len]).unwrap());
            // A line of the body: seconds and thousandths.
            let lines = read.lines().filter(|line| line.split_once('.').is_some_and(|(_, ms)| ms.len() == 3));
            told.resize(lines.count(), (lp.now() - start).as_secs());
        }
        stream.close();
        lp.sleep(http2_time::PERIOD).await;
        assert_eq!(serving.stats().connections, 0);
        assert_eq!(lp.task_count(), 2, "the test and the accepting; who told the time has noticed");
        told
    });
    assert_eq!(told.unwrap(), [0, 2, 4]);
}

#[test]
fn everything_else_is_json() {
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    let answer = lp.block_on(async {
        let serving = http2_time::server().listen(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
        let stream = TcpStream::connect(&lp, serving.local_addr().unwrap()).await.unwrap();
        stream.write_all(b"GET /a%22b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        futures::AsyncReadExt::read_to_string(&mut &stream, &mut answer).await.unwrap();
        answer
    });
    let answer = answer.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/json"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["path"], "/a%22b");
    assert_eq!(body["protocol"], "HTTP/1.1");
}

// --- ws_echo ----------------------------------------------------------------------------------------------------------

#[test]
fn the_socket_says_what_it_hears_compressed_and_not() {
    let lp = EventLoop::builder().virtual_time(true).build().unwrap();
    let heard = lp.block_on(async {
        let serving =
            ws_echo::server(DeflateContext::default()).listen(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
        let uri = format!("ws://{}/", serving.local_addr().unwrap());
        let connector = Connector::new(&Client::new(&lp), WsOptions::default());
        let mut heard = Vec::new();
        for connector in [connector.clone(), connector.deflate(DeflateOptions::default())] {
            let mut socket = connector.connect(&uri).await.unwrap();
            socket.send("hello ".repeat(1000)).await.unwrap();
            heard.push(socket.next().await.unwrap().len());
        }
        heard
    });
    assert_eq!(heard.unwrap(), [6000, 6000]);
}
