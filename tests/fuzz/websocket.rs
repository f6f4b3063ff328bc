#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| phaseloop_server::fuzzing::websocket(data));
