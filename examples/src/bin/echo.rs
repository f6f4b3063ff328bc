//! Placeholder until the streams stand.
fn main() {}
