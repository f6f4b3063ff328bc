//! The Autobahn cases, played by kosoku against our WebSocket server and our client.
//!
//! Groups 1 to 7 and 10 are whole. Of the limits (9) and of compression (12, 13) there is what is quick without optimisation:
//! each kind of text, each offer, with and without fragments. The example `ws_echo` says how to play all of them.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::path::Path;

use examples::ws_echo;
use phaseloop::EventLoop;
use phaseloop::net::pipe::PipeStream;
use phaseloop::process::{Command, Stdio};
use phaseloop_server::client::Client;
use phaseloop_server::ws::DeflateContext;
use phaseloop_tests::peers::python_program;

/// All but compression, which depends on the context.
const PLAIN: &[&str] =
    &["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.1.1", "9.2.1", "9.7.1", "9.8.1", "10.*"];

/// Compression: five texts, seven offers. The last number chooses the length and the fragments.
const PACKED: &[&str] = &[
    "12.1.1", "12.1.11", "12.2.3", "12.3.4", "12.4.5", "12.5.2", "13.1.1", "13.2.4", "13.3.11", "13.4.3",
    "13.5.4", "13.6.2", "13.7.5",
];

/// Bytes of kosoku's words that are kept for the message of a failure.
const SAID_MAX: usize = 64 * 1024;

#[test]
fn our_server_passes() {
    let Some(kosoku) = python_program("kosoku") else { return };
    server_passes(&kosoku, &[PLAIN, PACKED].concat(), DeflateContext::Message);
    server_passes(&kosoku, PACKED, DeflateContext::Connection);
}

#[test]
fn our_client_passes() {
    let Some(kosoku) = python_program("kosoku") else { return };
    client_passes(&kosoku, &[PLAIN, PACKED].concat(), DeflateContext::Message);
    // In 13.2, 13.5 and 13.6 the server compresses only for clients that offer to do without a context.
    let with_context: Vec<_> =
        PACKED.iter().copied().filter(|case| !["13.2", "13.5", "13.6"].contains(&&case[..4])).collect();
    client_passes(&kosoku, &with_context, DeflateContext::Connection);
}

fn server_passes(kosoku: &Path, cases: &[&str], context: DeflateContext) {
    let lp = EventLoop::new().unwrap();
    let reports = reports(&format!("server-{context:?}"));
    let (said, passed) = lp
        .block_on(async {
            let serving = ws_echo::server(context).listen(&lp, "127.0.0.1:0".parse().unwrap()).unwrap();
            let uri = format!("ws://{}", serving.local_addr().unwrap());
            let mut playing = play(kosoku, "fuzzingclient", &uri, cases, &reports).spawn(&lp).unwrap();
            let said = playing.take_stderr().unwrap().read_to_end(SAID_MAX).await.unwrap();
            (said, playing.wait().await.unwrap().success())
        })
        .unwrap();
    assert!(passed, "{context:?}: {}", String::from_utf8_lossy(&said));
    check(&reports, cases);
}

fn client_passes(kosoku: &Path, cases: &[&str], context: DeflateContext) {
    let lp = EventLoop::new().unwrap();
    let reports = reports(&format!("client-{context:?}"));
    let (played, said, passed) = lp
        .block_on(async {
            let mut serving =
                play(kosoku, "fuzzingserver", "127.0.0.1:0", cases, &reports).spawn(&lp).unwrap();
            let stderr = serving.take_stderr().unwrap();
            let uri = listening(&stderr).await;
            let played = ws_echo::be_tested(&Client::new(&lp), &uri, context).await.unwrap();
            let said = stderr.read_to_end(SAID_MAX).await.unwrap();
            (played, said, serving.wait().await.unwrap().success())
        })
        .unwrap();
    assert!(passed, "{context:?}: {}", String::from_utf8_lossy(&said));
    assert!(played as usize >= cases.len(), "{played} cases");
    check(&reports, cases);
}

fn play(kosoku: &Path, mode: &str, at: &str, cases: &[&str], reports: &Path) -> Command {
    let included = cases.iter().flat_map(|case| ["-i", case]);
    let command = Command::new(kosoku).args(["-m", mode, at]).args(included).arg("-o").arg(reports);
    command.stdout(Stdio::ignore()).stderr(Stdio::pipe()).kill_on_drop()
}

/// Where the server says that it listens: `fuzzingserver listening on ws://...`.
async fn listening(stderr: &PipeStream) -> String {
    let mut said = Vec::new();
    while !said.ends_with(b"\n") {
        let mut byte = [0];
        assert_eq!(stderr.read(&mut byte).await.unwrap(), 1, "{}", String::from_utf8_lossy(&said));
        said.push(byte[0]);
    }
    let said = String::from_utf8(said).unwrap();
    said.trim().rsplit_once(' ').unwrap_or_else(|| panic!("{said}")).1.to_owned()
}

/// An empty folder.
fn reports(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("autobahn").join(name);
    let _ = std::fs::remove_dir_all(&folder); // the first run finds none
    folder
}

/// Each case was played, and none left out as not implemented, which kosoku takes for a pass.
fn check(reports: &Path, cases: &[&str]) {
    let index = std::fs::read_to_string(reports.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    let (_, results) = index.as_object().unwrap().iter().next().unwrap();
    let results = results.as_object().unwrap();
    for case in cases {
        let group = case.strip_suffix('*').unwrap_or(case);
        assert!(results.keys().any(|id| id.starts_with(group)), "{case} was not played");
    }
    let lacking: Vec<_> = results
        .iter()
        .filter(|(_, result)| result["behavior"] == "UNIMPLEMENTED")
        .map(|(id, _)| id)
        .collect();
    assert!(lacking.is_empty(), "not implemented: {lacking:?}");
}
