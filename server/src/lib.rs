//! What servers are made of, on phaseloop.
