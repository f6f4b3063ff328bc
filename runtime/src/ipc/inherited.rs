//! The two ends of a child's channel: made where it is spawned, found where it runs.

use std::env;
use std::io;
use std::os::fd::RawFd;

use super::channel::{Channel, ChannelLimits};
use super::protocol::Framing;
use super::sys;
use crate::net::UnixStream;
use crate::process::{Child, Command, SpawnError, Stdio};
use crate::state::LoopHandle;

impl Command {
    /// Spawns it with a channel, as Node's `fork` does: on descriptor 3, or the first above that is not used, whose number it
    /// finds in its environment.
    ///
    /// A Node program has the channel as `process.send` and the event `message`; a phaseloop program takes it by
    /// [`from_env`].
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    #[track_caller]
    pub fn spawn_with_channel(
        self,
        lp: &LoopHandle,
        framing: Framing,
        limits: ChannelLimits,
    ) -> Result<(Child, Channel), SpawnError> {
        let number = self.free_number();
        let program = self.program().to_owned();
        let ends = std::os::unix::net::UnixStream::pair()
            .and_then(|(ours, theirs)| Ok((UnixStream::from_std(lp, ours)?, theirs)));
        let (ours, theirs) = ends.map_err(|error| SpawnError::of(program, error))?;
        let command = self
            .descriptor(number, Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .env(framing.fd_variable, number.to_string())
            .envs(framing.variables.iter().copied());
        let child = command.spawn(lp)?;
        Ok((child, Channel::new(ours, framing, limits)))
    }
}

/// Takes the channel that this process was spawned with: by [`Command::spawn_with_channel`], or, for
/// [`Framing::NODE`], by Node's `fork`. `None` if it was spawned without one.
///
/// The variables stay in the environment, where a library can not remove them safely; [`Command`] does not hand them on.
///
/// # Errors
/// `InvalidData` if the environment says what can not be: another serialization than `json`, or a number under which no inherited
/// socket stands. The channel can be taken once; a second time that is the error.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, ipc::{self, ChannelLimits, Framing}};
/// let lp = EventLoop::new()?;
/// let channel = ipc::from_env(&lp, Framing::OWN, ChannelLimits::default())?;
/// assert!(channel.is_none(), "nobody spawned this with a channel");
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn from_env(lp: &LoopHandle, framing: Framing, limits: ChannelLimits) -> io::Result<Option<Channel>> {
    let Some(number) = env::var_os(framing.fd_variable) else { return Ok(None) };
    for (name, value) in framing.variables {
        // Node leaves it out for its default, which is this value.
        if let Some(found) = env::var_os(name).filter(|found| found.as_os_str() != *value) {
            return Err(unusable(format!("{name} is {found:?}, and only {value:?} is spoken here")));
        }
    }
    let parsed = number.to_str().and_then(|number| number.parse::<RawFd>().ok());
    let fd = parsed
        .ok_or_else(|| unusable(format!("{} is {number:?}, which is no number", framing.fd_variable)))?;
    let fd = sys::take_inherited(fd).map_err(|error| {
        unusable(format!("{} is {fd}, which is no inherited descriptor: {error}", framing.fd_variable))
    })?;
    let stream = UnixStream::from_fd(lp, fd)?;
    Ok(Some(Channel::new(stream, framing, limits)))
}

fn unusable(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}
