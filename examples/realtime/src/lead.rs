//! The primary of several workers: it listens, starts them, and replaces those that die.

use std::io;
use std::num::NonZeroUsize;

use phaseloop::LoopHandle;
use phaseloop::process::Command;
use phaseloop_server::cluster::{EndReport, Event, Options, Policy, Setup, Workers};

use crate::config::{Config, DEV_CERT, DEV_KEY, Tls};
use crate::log::Log;
use crate::service::{LISTENER, StartError, dev_certificate, token_secret};
use crate::stores::PostOffice;

/// Bytes of letters that wait for a worker: some seconds of a busy chat. Who misses more is told so, and asks the database.
const LETTERS_LEN_MAX: usize = 1024 * 1024;

/// Runs workers, each of them this program once more, until SIGTERM or SIGINT; SIGHUP replaces them one by one. `on_listening` is told
/// where a browser finds them.
///
/// # Errors
/// The address can not be listened on, or there is no secret that workers could share.
pub async fn lead(
    lp: &LoopHandle,
    config: &Config,
    log: Log,
    on_listening: impl FnOnce(&str),
) -> Result<EndReport, StartError> {
    let secret = token_secret(config)?;
    let program = std::env::current_exe().map_err(StartError::Cluster)?;
    let mut options = Options::default();
    options.workers = NonZeroUsize::new(config.workers as usize).unwrap_or(NonZeroUsize::MIN);
    options.policy = Policy::RoundRobin;
    options.grace = config.shutdown_grace;
    options.limits.send_queue_len_max = LETTERS_LEN_MAX;
    // One for all: a browser that was told to trust it meets another worker with the next connection.
    let dev = if config.tls == Tls::Dev { Some(dev_certificate()?) } else { None };
    let workers = Workers::processes(move |_| {
        let command = Command::new(&program).env("TOKEN_SECRET", secret.reveal());
        match &dev {
            Some(dev) => command.env(DEV_CERT, dev.pem()).env(DEV_KEY, dev.key_pem()),
            None => command,
        }
    });
    let listening = |error: io::Error| StartError::Listen(config.address, error);
    let setup = Setup::new(options).listen(LISTENER, config.address);
    let primary = setup.start(lp, workers).map_err(listening)?;
    let post_office = PostOffice::default();
    primary.on_event(move |primary, event| {
        post_office.pass_on(primary, &event);
        tell(&log, &event);
    });
    on_listening(&config.url(primary.local_addr(LISTENER).map_err(listening)?));
    primary.run_until_ended().await.map_err(StartError::Cluster)
}

fn tell(log: &Log, event: &Event) {
    match event {
        Event::Message { .. } | Event::Online { .. } | Event::Listening { .. } => {}
        Event::Started { worker, slot, pid } => {
            let pid = pid.unwrap_or_default();
            log.info("worker_started", &[("worker", &worker.number()), ("slot", slot), ("pid", &pid)]);
        }
        Event::Ready { worker } => log.info("worker_ready", &[("worker", &worker.number())]),
        other => log.warn("workers", &[("what", &format!("{other:?}"))]),
    }
}
