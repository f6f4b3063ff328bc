//! Alone in its process, since it looks at all threads: tokio on the loop brings none but those of its blocking work.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use phaseloop::EventLoop;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The threads of this process, by number and name.
fn threads() -> io::Result<BTreeSet<(String, String)>> {
    fs::read_dir("/proc/self/task")?
        .map(|entry| {
            let path = entry?.path();
            let number = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok((number, fs::read_to_string(path.join("comm"))?.trim().to_owned()))
        })
        .collect()
}

#[test]
#[cfg(target_os = "linux")]
fn tokio_brings_no_thread_but_for_blocking_work() {
    let before = threads().unwrap();
    let lp = EventLoop::builder().with_tokio().unwrap().build().unwrap();
    lp.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let echo = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buf = [0; 4];
            stream.read_exact(&mut buf).await.unwrap();
            stream.write_all(&buf).await.unwrap();
        });
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        stream.write_all(b"ping").await.unwrap();
        let mut buf = [0; 4];
        stream.read_exact(&mut buf).await.unwrap();
        echo.await.unwrap();
        assert_eq!(threads().unwrap(), before);

        let mut names: Vec<String> = tokio::task::spawn_blocking(threads)
            .await
            .unwrap()
            .unwrap()
            .difference(&before)
            .map(|(_, name)| name.clone())
            .collect();
        names.dedup();
        assert_eq!(names, ["tokio-rt-worker"]); // the name that tokio gives them
    })
    .unwrap();
}
