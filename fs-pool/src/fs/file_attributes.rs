//! What an open file is, apart from its bytes: length, permissions, owner, times; and bringing it to the device.

use std::os::unix::fs::{PermissionsExt, fchown};

use super::error::cancelled;
use super::whole::retry;
use super::{File, Metadata, Operation, SetTime, sys};

impl File {
    /// Has the system bring contents and metadata to the device.
    #[track_caller]
    pub fn sync_all(&self) -> Operation<()> {
        if let Some(ring) = self.ring() {
            return self.call_ring("sync_all", ring.sync(self.shared(), false));
        }
        self.call("sync_all", |file| file.sync_all())
    }

    /// Has the system bring the contents to the device, and of the metadata only what is needed to find them.
    #[track_caller]
    pub fn sync_data(&self) -> Operation<()> {
        if let Some(ring) = self.ring() {
            return self.call_ring("sync_data", ring.sync(self.shared(), true));
        }
        self.call("sync_data", |file| file.sync_data())
    }

    /// Cuts the file to `len` bytes, or fills it up with zeros. The position stays.
    #[track_caller]
    pub fn truncate(&self, len: u64) -> Operation<()> {
        self.call("truncate", move |file| file.set_len(len))
    }

    /// What is known of the file.
    #[track_caller]
    pub fn stat(&self) -> Operation<Metadata> {
        if let Some(ring) = self.ring() {
            return self.call_ring("stat", ring.file_stat(self.shared()));
        }
        self.call("stat", |file| file.metadata().map(Metadata::from))
    }

    /// Sets the permission bits.
    #[track_caller]
    pub fn chmod(&self, mode: u32) -> Operation<()> {
        self.call("chmod", move |file| file.set_permissions(std::fs::Permissions::from_mode(mode)))
    }

    /// Sets the owner and the group; `None` leaves one as it is.
    #[track_caller]
    pub fn chown(&self, user: Option<u32>, group: Option<u32>) -> Operation<()> {
        self.call("chown", move |file| fchown(&*file, user, group))
    }

    /// Sets the times of the last access and of the last change.
    #[track_caller]
    pub fn utimes(&self, accessed: impl Into<SetTime>, modified: impl Into<SetTime>) -> Operation<()> {
        let (accessed, modified) = (accessed.into(), modified.into());
        self.call("utimes", move |file| sys::futimes(&file, accessed, modified))
    }

    /// Has the system write `len` bytes at `offset` of this file to the position of another, or fewer at the end of this
    /// one. Gives how many. This file's position stays. Source: sendfile(2).
    ///
    /// # Cancel safety
    /// If the operation is dropped while its job runs, the job ends after the piece of 1 MiB that is under way.
    #[track_caller]
    pub fn sendfile(&self, to: &Self, offset: u64, len: u64) -> Operation<u64> {
        let target = to.shared();
        self.call_long("sendfile", Some(to), move |file, cx| {
            let (mut offset, mut left) = (offset, len);
            while left > 0 {
                cancelled(cx)?;
                let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(SEND_LEN_MAX);
                match retry(|| sys::sendfile(&file, &mut offset, &target, wanted))? {
                    0 => break,
                    sent => left -= sent as u64,
                }
            }
            Ok(len - left)
        })
    }
}

/// Bytes that are sent between two looks at whether somebody still wants it: 1 MiB, below a millisecond from memory.
const SEND_LEN_MAX: usize = 1 << 20;
