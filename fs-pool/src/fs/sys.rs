//! What the standard library does not have.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::Access;

/// Asks whether the real user may do this. Source: access(2).
pub(super) fn access(path: &Path, access: Access) -> io::Result<()> {
    let mut wanted = rustix::fs::Access::EXISTS;
    wanted.set(rustix::fs::Access::EXEC_OK, access.has(Access::EXECUTE));
    wanted.set(rustix::fs::Access::WRITE_OK, access.has(Access::WRITE));
    wanted.set(rustix::fs::Access::READ_OK, access.has(Access::READ));
    Ok(rustix::fs::access(path, wanted)?)
}

/// Sets both times, to the nanosecond where the file system has them. Source: utimensat(2).
pub(super) fn utimes(path: &Path, accessed: SystemTime, modified: SystemTime) -> io::Result<()> {
    let times = Timestamps { last_access: timespec(accessed)?, last_modification: timespec(modified)? };
    Ok(utimensat(CWD, path, &times, AtFlags::empty())?)
}

/// A time before 1970 has negative seconds, and nanoseconds that count forward from them.
fn timespec(time: SystemTime) -> io::Result<Timespec> {
    let too_far = |_| io::Error::new(io::ErrorKind::InvalidInput, "the time is out of the system's range");
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => {
            let tv_sec = i64::try_from(since.as_secs()).map_err(too_far)?;
            Ok(Timespec { tv_sec, tv_nsec: since.subsec_nanos().into() })
        }
        Err(before) => {
            let before = before.duration();
            let up = before.subsec_nanos() > 0;
            let whole = before.as_secs() + u64::from(up);
            let rest = Duration::from_secs(whole) - before;
            let tv_sec = -i64::try_from(whole).map_err(too_far)?;
            Ok(Timespec { tv_sec, tv_nsec: rest.subsec_nanos().into() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_1970_counts_forward_from_the_second_below() {
        let spec = timespec(UNIX_EPOCH - Duration::from_millis(1_250)).expect("it is in range");
        assert_eq!((spec.tv_sec, spec.tv_nsec), (-2, 750_000_000));
        let spec = timespec(UNIX_EPOCH - Duration::from_secs(3)).expect("it is in range");
        assert_eq!((spec.tv_sec, spec.tv_nsec), (-3, 0));
    }
}
