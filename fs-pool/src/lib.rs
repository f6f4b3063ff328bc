//! The blocking pool of phaseloop, and what runs on it.
