//! What the client brings along.

use std::process::Command;

#[test]
fn the_client_brings_no_tokio() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none"])
        .args(["--package", "phaseloop-server", "--no-default-features", "--features", "redis"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(tree.lines().any(|line| line.starts_with("redis v")), "{tree}");
    assert!(!tree.contains("tokio"), "{tree}");
}
