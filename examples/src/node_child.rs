//! A parent on the loop with a Node program as its child: questions, answers, and a listening socket that is handed over.

use std::io;

use phaseloop::EventLoop;
use phaseloop::ipc::{Attachment, Channel, ChannelLimits, Framing, Message};
use phaseloop::net::{TcpListener, TcpStream};
use phaseloop::process::{Command, Stdio};
use serde_json::{Value, json};

use crate::page::Page;

/// The child: it adds up numbers, and greets who connects to a server that it is given.
const CHILD: &str = "
process.on('message', (message, server) => {
  if (server) {
    server.on('connection', (socket) => { socket.end(`hello from node, ${message.greet}`); server.close(); });
    return process.send({ serving: true });
  }
  process.send({ sum: message.add.reduce((a, b) => a + b, 0) });
});
";

/// Runs the exchange.
///
/// # Errors
/// The system's, when there is no Node or no descriptor, and what the child does wrong.
pub fn run(page: &Page) -> io::Result<()> {
    let lp = EventLoop::new()?;
    let command = Command::new("node").args(["-e", CHILD]).stdin(Stdio::ignore()).kill_on_drop();
    let (child, channel) = command.spawn_with_channel(&lp, Framing::NODE, ChannelLimits::default())?;
    lp.block_on(async {
        page.headline("Messages both ways", true);
        for numbers in [vec![1, 2, 3], vec![20, 22]] {
            channel.send_json(&json!({ "add": numbers }))?;
            page.line(format_args!("  {numbers:?} -> {}", next(&channel).await?));
        }

        page.headline("A listener for the child", false);
        let listener = TcpListener::bind(&lp, "127.0.0.1:0".parse().expect("an address"))?;
        let address = listener.local_addr()?;
        let message = Message::json(&json!({ "greet": "phaseloop" }))?;
        channel.send(message.attach(Attachment::listener(&listener)?))?;
        drop(listener); // the child has a descriptor of its own
        page.line(format_args!("  handed over -> {}", next(&channel).await?));
        page.line(format_args!("  a client reads: {}", read_all(&lp, address).await?));

        page.headline("The end", false);
        channel.disconnect(); // nothing keeps the child's loop alive any more
        page.line(format_args!("  the child ends with {}", child.wait().await?));
        Ok(())
    })?
}

async fn next(channel: &Channel) -> io::Result<Value> {
    let message = channel.recv().await.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(message.map_err(io::Error::from)?.parse()?)
}

async fn read_all(lp: &EventLoop, address: std::net::SocketAddr) -> io::Result<String> {
    let stream = TcpStream::connect(lp, address).await?;
    let (mut text, mut buf) = (Vec::new(), [0; 256]);
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            len => text.extend_from_slice(&buf[..len]),
        }
    }
}
