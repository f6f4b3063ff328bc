//! What the descriptors of a child are.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::process;

use super::sys;
use crate::net::pipe::PipeStream;
use crate::state::LoopHandle;

/// What one descriptor of a child is.
#[derive(Debug)]
pub struct Stdio(Kind);

#[derive(Debug)]
enum Kind {
    Inherit,
    Ignore,
    Pipe,
    PipeToChild,
    PipeFromChild,
    Duplex,
    Fd(OwnedFd),
}

impl Stdio {
    /// The descriptor of the same number in this process.
    pub fn inherit() -> Self {
        Self(Kind::Inherit)
    }

    /// `/dev/null` for 0 to 2; closed for others, which is what they are if nothing is said.
    pub fn ignore() -> Self {
        Self(Kind::Ignore)
    }

    /// A pipe that the child reads for 0, a pipe that it writes for 1 and 2, and a socket that goes both ways for others.
    /// Our end is a stream of the loop: [`Child::take_stdin`](super::Child::take_stdin) and its kin.
    pub fn pipe() -> Self {
        Self(Kind::Pipe)
    }

    /// A pipe that the child reads, whatever the number.
    pub fn pipe_to_child() -> Self {
        Self(Kind::PipeToChild)
    }

    /// A pipe that the child writes, whatever the number.
    pub fn pipe_from_child() -> Self {
        Self(Kind::PipeFromChild)
    }

    /// A socket that goes both ways, whatever the number.
    pub fn duplex() -> Self {
        Self(Kind::Duplex)
    }

    /// A duplicate of a descriptor, as it is: also of one that is given to several numbers. A child that does not expect a
    /// non-blocking descriptor, as most, should not get one.
    ///
    /// # Errors
    /// The system's, when no descriptor is left.
    pub fn fd(fd: impl AsFd) -> io::Result<Self> {
        Ok(Self(Kind::Fd(sys::duplicate_from(fd, 3)?)))
    }

    /// A stream of the loop, which goes to the child, blocking as children expect it.
    ///
    /// # Errors
    /// The stream itself if it has clones, or callbacks that the loop holds, or was closed.
    pub fn stream(stream: PipeStream) -> Result<Self, PipeStream> {
        Ok(Self(Kind::Fd(stream.into_fd()?)))
    }
}

impl From<OwnedFd> for Stdio {
    fn from(fd: OwnedFd) -> Self {
        Self(Kind::Fd(fd))
    }
}

impl From<std::fs::File> for Stdio {
    fn from(file: std::fs::File) -> Self {
        Self(Kind::Fd(file.into()))
    }
}

/// Both sides of a child's descriptors.
#[derive(Default)]
pub(super) struct Prepared {
    /// Our ends, by the child's number, and whether the child writes to it.
    pub(super) ours: BTreeMap<RawFd, (PipeStream, bool)>,
    /// What the child gets beyond 0 to 2.
    pub(super) extra: Vec<(OwnedFd, RawFd)>,
}

impl Prepared {
    /// Makes what `stdio` asks for, registers our ends, and tells std of 0 to 2.
    #[track_caller]
    pub(super) fn new(
        lp: &LoopHandle,
        stdio: BTreeMap<RawFd, Stdio>,
        command: &mut process::Command,
    ) -> io::Result<Self> {
        let mut prepared = Self::default();
        let above = stdio.keys().next_back().copied().unwrap_or(2).max(2) + 1;
        sys::check_number(above)?;
        for number in 0..=2 {
            if !stdio.contains_key(&number) {
                set_standard(command, number, process::Stdio::inherit());
            }
        }
        for (number, stdio) in stdio {
            let theirs = match stdio.0 {
                Kind::Ignore if number > 2 => continue,
                Kind::Ignore => {
                    set_standard(command, number, process::Stdio::null());
                    continue;
                }
                Kind::Inherit if number <= 2 => {
                    set_standard(command, number, process::Stdio::inherit());
                    continue;
                }
                Kind::Inherit => sys::duplicate_number(number, above)?,
                Kind::Fd(fd) => fd,
                kind => {
                    let (ours, theirs, child_writes) = ends(&kind, number)?;
                    prepared.ours.insert(number, (PipeStream::from_fd(lp, ours)?, child_writes));
                    theirs
                }
            };
            if number <= 2 {
                set_standard(command, number, theirs.into());
            } else {
                // Above all targets, so that no move in the child overwrites what another one needs.
                prepared.extra.push((sys::duplicate_from(theirs, above)?, number));
            }
        }
        Ok(prepared)
    }
}

fn set_standard(command: &mut process::Command, number: RawFd, stdio: process::Stdio) {
    match number {
        0 => command.stdin(stdio),
        1 => command.stdout(stdio),
        _ => command.stderr(stdio),
    };
}

/// Our end, the child's end, and whether the child writes to it.
fn ends(kind: &Kind, number: RawFd) -> io::Result<(OwnedFd, OwnedFd, bool)> {
    let to_child = matches!(kind, Kind::PipeToChild) || (matches!(kind, Kind::Pipe) && number == 0);
    let from_child = matches!(kind, Kind::PipeFromChild) || (matches!(kind, Kind::Pipe) && number <= 2);
    if !to_child && !from_child {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        return Ok((ours.into(), theirs.into(), true));
    }
    let (reader, writer) = io::pipe()?;
    let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
    Ok(if to_child { (writer, reader, false) } else { (reader, writer, true) })
}
