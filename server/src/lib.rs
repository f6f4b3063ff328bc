//! What servers are made of, on phaseloop.

#![forbid(unsafe_code)]
