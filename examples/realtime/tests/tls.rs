//! The service with TLS: HTTP/2 and HTTP/1.1 on one port.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod shop;

use phaseloop::process::{Command, ExecOptions};
use phaseloop_tests::peers::peer;
use shop::test;

#[test]
fn curl_speaks_both_versions_over_tls() {
    test(async |world| {
        let Some(curl) = peer("curl") else { return };
        let shop = world.open(&[("TLS", "dev")]).await;
        let url = format!("{}api/health", shop.service.url().unwrap());
        assert!(url.starts_with("https://"), "{url}");
        for (version, wanted) in [("--http2", "2 200"), ("--http1.1", "1.1 200")] {
            // Nobody signed the certificate but itself.
            let arguments = [
                "--silent",
                "--insecure",
                version,
                "--output",
                "/dev/null",
                "--write-out",
                "%{http_version} %{http_code}",
                &url,
            ];
            let command = Command::new(&curl).args(arguments);
            let output = command.output(&world.lp, ExecOptions::default()).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), wanted);
        }
    });
}
