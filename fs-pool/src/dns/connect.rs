//! Connecting by name: the lookups, the attempts and the time of one race.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use phaseloop::net::TcpStream;
use phaseloop::{JoinHandle, LoopHandle, Sleep};

use super::happy_eyeballs::{Race, Step, Timing};
use super::{ConnectError, ConnectErrorKind, Dns, DnsError, Family, Hints, LookupOptions, Query, Resolved};

/// How to connect by name.
#[derive(Clone, Copy, Debug)]
pub struct ConnectOptions {
    /// Only addresses of this family.
    pub family: Option<Family>,
    /// Wishes to the resolver.
    pub hints: Hints,
    /// The family that is tried first. The default is IPv6.
    pub preferred: Family,
    /// How long the other family, once resolved, waits for the preferred one: 50 ms. At most 2 s.
    pub resolution_delay: Duration,
    /// How long an attempt runs alone before the next begins beside it: 250 ms. From 100 ms to 2 s.
    pub attempt_delay: Duration,
    /// Gives up after this time, lookups included. The default is never, but for what the system gives up.
    pub timeout: Option<Duration>,
    /// Addresses that are tried at most: 64, each of which takes a descriptor until it fails. At least 1.
    pub attempts_max: usize,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            family: None,
            hints: Hints::default(),
            preferred: Family::V6,
            resolution_delay: Duration::from_millis(50),
            attempt_delay: Duration::from_millis(250),
            timeout: None,
            attempts_max: 64,
        }
    }
}

impl ConnectOptions {
    /// What is wrong with the settings, if anything. Source: RFC 8305, section 8.
    fn fault(&self) -> Option<String> {
        let (least, most) = (Duration::from_millis(100), Duration::from_secs(2));
        if !(least..=most).contains(&self.attempt_delay) {
            return Some(format!("an attempt delay of {:?} is not within 100 ms to 2 s", self.attempt_delay));
        }
        if self.resolution_delay > most {
            return Some(format!("a resolution delay of {:?} is above 2 s", self.resolution_delay));
        }
        (self.attempts_max == 0).then(|| "0 attempts never connect".to_owned())
    }
}

/// A connect by name that was started: await it, or say with [`on_done`](Self::on_done) what is to be called. Made by
/// [`Dns::connect`].
///
/// Happy Eyeballs, version 2 (RFC 8305): both families are looked up at the same time, as two jobs of the pool. Their
/// addresses are tried in turns, the preferred family first, each in the resolver's order. While an attempt runs, the next
/// one begins after `attempt_delay`, or as soon as the newest one has failed. The first to connect wins, and the others are
/// closed.
///
/// What is not done: answers are not kept for the next time, and a winner does not decide which family is tried first then.
///
/// # Cancel safety
/// Dropping it gives the lookups up and closes every socket.
#[must_use = "dropping it gives the connect up: await it, or call `on_done`"]
pub struct Connect {
    lp: LoopHandle,
    host: String,
    port: u16,
    race: Race,
    lookups: Vec<(Family, Query<Resolved>)>,
    attempts: Vec<Attempt>,
    failed: Vec<(SocketAddr, io::Error)>,
    unresolved: Vec<DnsError>,
    /// Settings that make no sense: the connect ends before it begins.
    fault: Option<String>,
    timer: Option<Sleep>,
}

struct Attempt {
    number: usize,
    address: SocketAddr,
    stream: Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>,
}

impl Connect {
    #[track_caller]
    pub(super) fn start(dns: &Dns, host: &str, port: u16, options: &ConnectOptions) -> Self {
        let fault = options.fault();
        let lookups = if fault.is_none() { lookups(dns, host, port, options) } else { Vec::new() };
        Self { fault, ..Self::with_lookups(dns.pool().lp(), host, port, options, lookups) }
    }

    /// A connect to what these lookups, each of another family, come to.
    fn with_lookups(
        lp: &LoopHandle,
        host: &str,
        port: u16,
        options: &ConnectOptions,
        lookups: Vec<(Family, Query<Resolved>)>,
    ) -> Self {
        let families: Vec<_> = lookups.iter().map(|(family, _)| *family).collect();
        let timing = Timing {
            resolution_delay: options.resolution_delay,
            attempt_delay: options.attempt_delay,
            deadline: options.timeout.and_then(|timeout| lp.now().checked_add(timeout)),
            attempts_max: options.attempts_max,
        };
        Self {
            race: Race::new(options.preferred, &families, timing),
            host: host.to_owned(),
            port,
            lookups,
            attempts: Vec::new(),
            failed: Vec::new(),
            unresolved: Vec::new(),
            fault: None,
            timer: None,
            lp: lp.clone(),
        }
    }

    /// Has `on_done` called with the result, in the pending phase: never inside this call. Aborting the task that this
    /// gives, also before the call, gives the connect up.
    pub fn on_done(
        self,
        on_done: impl FnOnce(&LoopHandle, Result<TcpStream, ConnectError>) + 'static,
    ) -> JoinHandle<()> {
        let lp = self.lp.clone();
        let on_done = lp.bind_context_once(on_done);
        lp.clone().spawn(async move {
            let result = self.await;
            lp.defer(move |lp| on_done(lp, result));
        })
    }

    fn poll_lookups(&mut self, cx: &mut Context<'_>) {
        let mut at = 0;
        while let Some((family, query)) = self.lookups.get_mut(at) {
            let (family, answer) = (*family, Pin::new(query).poll(cx));
            let addresses = match answer {
                Poll::Pending => {
                    at += 1;
                    continue;
                }
                Poll::Ready(Ok(found)) => found.addresses,
                Poll::Ready(Err(error)) => {
                    self.unresolved.push(error);
                    Vec::new()
                }
            };
            drop(self.lookups.remove(at));
            self.race.resolved(family, addresses, self.lp.now());
        }
    }

    /// Gives the first stream that is connected.
    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> Option<TcpStream> {
        let mut at = 0;
        while let Some(attempt) = self.attempts.get_mut(at) {
            match attempt.stream.as_mut().poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(Ok(stream)) => return Some(stream),
                Poll::Ready(Err(error)) => {
                    let attempt = self.attempts.remove(at);
                    self.race.failed(attempt.number);
                    self.failed.push((attempt.address, error));
                }
            }
        }
        None
    }

    fn begin(&mut self, number: usize, address: SocketAddr) {
        let stream = Box::pin(TcpStream::connect(&self.lp, address));
        self.attempts.push(Attempt { number, address, stream });
    }

    fn error(&mut self, kind: ConnectErrorKind) -> ConnectError {
        ConnectError {
            host: std::mem::take(&mut self.host).into_boxed_str(),
            port: self.port,
            kind,
            failed: std::mem::take(&mut self.failed),
            unanswered: self.attempts.drain(..).map(|attempt| attempt.address).collect(),
            unresolved: std::mem::take(&mut self.unresolved),
        }
    }
}

/// Starts the lookups: of each family that is wanted, or of none where the host is an address.
#[track_caller]
fn lookups(dns: &Dns, host: &str, port: u16, options: &ConnectOptions) -> Vec<(Family, Query<Resolved>)> {
    let lookup = LookupOptions { hints: options.hints, port, ..LookupOptions::default() };
    if let Ok(address) = host.parse::<std::net::IpAddr>() {
        let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
        return vec![(family, dns.lookup(host, &lookup))];
    }
    let wanted = match options.family {
        Some(family) => vec![family],
        None => vec![options.preferred, options.preferred.other()],
    };
    let mut lookups = Vec::with_capacity(wanted.len());
    for family in wanted {
        lookups.push((family, dns.lookup(host, &LookupOptions { family: Some(family), ..lookup })));
    }
    lookups
}

impl Future for Connect {
    type Output = Result<TcpStream, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(fault) = this.fault.take() {
            return Poll::Ready(Err(this.error(ConnectErrorKind::Settings(fault))));
        }
        loop {
            this.poll_lookups(cx);
            if let Some(stream) = this.poll_attempts(cx) {
                this.attempts.clear();
                this.lookups.clear();
                return Poll::Ready(Ok(stream));
            }
            match this.race.step(this.lp.now()) {
                Step::Attempt(number, address) => this.begin(number, address),
                Step::Exhausted => return Poll::Ready(Err(this.error(ConnectErrorKind::Failed))),
                Step::TimedOut => return Poll::Ready(Err(this.error(ConnectErrorKind::TimedOut))),
                Step::Wait(None) => {
                    this.timer = None;
                    return Poll::Pending;
                }
                Step::Wait(Some(until)) => {
                    if this.timer.as_ref().is_none_or(|timer| timer.deadline() != until) {
                        this.timer = Some(this.lp.sleep_until(until));
                    }
                    let timer = this.timer.as_mut().expect("it was set a line above");
                    if Pin::new(timer).poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    this.timer = None;
                }
            }
        }
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("attempts", &self.attempts.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::panic::Location;
    use std::time::Instant;

    use phaseloop::EventLoop;
    use socket2::{Domain, Socket, Type};

    use super::super::query::Asked;
    use super::*;
    use crate::pool::Pool;
    use crate::request::LoopPool;

    /// A loop in virtual time, and what its names resolve to.
    struct World {
        lp: EventLoop,
        pool: LoopPool,
        start: Instant,
    }

    fn world() -> World {
        let lp = EventLoop::builder().virtual_time(true).build().expect("there are descriptors");
        let pool = Pool::builder().workers(1).env(|_| None).build().expect("the settings are valid");
        let (pool, start) = (LoopPool::new(&lp, &pool), lp.now());
        World { lp, pool, start }
    }

    impl World {
        fn answer(&self, addresses: &[SocketAddr]) -> Query<Resolved> {
            let (pool, site) = (self.pool.clone(), Location::caller());
            let asked = Asked { pool, operation: "lookup", subject: "host".into(), timeout: None, site };
            Query::known(asked, Ok(Resolved { addresses: addresses.to_vec(), canonical_name: None }))
        }

        fn connect(
            &self,
            v6: &[SocketAddr],
            v4: &[SocketAddr],
            options: &ConnectOptions,
        ) -> Result<TcpStream, ConnectError> {
            let lookups = vec![(Family::V6, self.answer(v6)), (Family::V4, self.answer(v4))];
            let connect = Connect::with_lookups(&self.lp, "host", 80, options, lookups);
            self.lp.block_on(connect).expect("the loop does not fail")
        }

        fn passed(&self) -> Duration {
            self.lp.now() - self.start
        }
    }

    fn listener(address: &str) -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((address, 0)).expect("the loopback device is there");
        let address = listener.local_addr().expect("it is bound");
        (listener, address)
    }

    /// A port at which nobody listens: it was one's a moment ago.
    fn refused(address: &str) -> SocketAddr {
        listener(address).1
    }

    /// An address that never answers: its listener's queue is full, so that Linux drops what asks to connect.
    struct Silent {
        address: SocketAddr,
        _listener: Socket,
        _queued: Vec<Socket>,
    }

    fn silent() -> Silent {
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are descriptors");
        let listener = socket();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port is free");
        listener.listen(0).expect("it is bound");
        let address = listener.local_addr().expect("it is bound").as_socket().expect("it is IPv4");
        let queued = (0..4).map(|_| {
            let client = socket();
            client.set_nonblocking(true).expect("it is a socket");
            // In progress, or dropped: either fills the queue.
            let _ = client.connect(&address.into());
            client
        });
        let _queued = queued.collect();
        Silent { address, _listener: listener, _queued }
    }

    #[test]
    fn a_refused_first_address_hands_over_to_the_second_at_once() {
        let world = world();
        let (_listener, address) = listener("127.0.0.1");
        let stream = world
            .connect(&[refused("::1")], &[address], &ConnectOptions::default())
            .expect("the second address listens");
        assert_eq!(stream.peer_addr().expect("it is connected"), address);
        assert_eq!(world.passed(), Duration::ZERO, "no delay passed");
    }

    #[test]
    fn ipv6_is_tried_first_unless_ipv4_is_preferred() {
        for (preferred, expected) in [(Family::V6, 0), (Family::V4, 1)] {
            let world = world();
            let ends = [listener("::1"), listener("127.0.0.1")];
            let options = ConnectOptions { preferred, ..Default::default() };
            let stream = world.connect(&[ends[0].1], &[ends[1].1], &options).expect("both listen");
            assert_eq!(stream.peer_addr().expect("it is connected"), ends[expected].1);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_silent_address_is_overtaken_after_the_attempt_delay_and_closed() {
        for delay_ms in [250, 100, 2000] {
            let world = world();
            let (silent, (_listener, address)) = (silent(), listener("127.0.0.1"));
            let attempt_delay = Duration::from_millis(delay_ms);
            let options = ConnectOptions { attempt_delay, ..Default::default() };
            let stream =
                world.connect(&[], &[silent.address, address], &options).expect("the second listens");
            assert_eq!(stream.peer_addr().expect("it is connected"), address);
            assert_eq!(world.passed(), attempt_delay);
            drop(stream);
            assert!(world.lp.why_alive().is_empty(), "the loser is closed: {:?}", world.lp.why_alive());
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_timeout_names_what_failed_and_what_has_not_answered() {
        let world = world();
        let (silent, refused) = (silent(), refused("127.0.0.1"));
        let options = ConnectOptions { timeout: Some(Duration::from_secs(3)), ..Default::default() };
        let error = world.connect(&[], &[refused, silent.address], &options).expect_err("nobody answers");
        assert_eq!(world.passed(), Duration::from_secs(3));
        assert!(matches!(error.kind, ConnectErrorKind::TimedOut));
        assert_eq!(error.unanswered, [silent.address]);
        assert_eq!(error.failed[0].0, refused);
        let text = error.to_string();
        assert!(text.contains(&format!("{}: no answer yet", silent.address)), "{text}");
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn when_every_address_fails_the_error_names_each() {
        let world = world();
        let (first, second) = (refused("::1"), refused("127.0.0.1"));
        let error = world.connect(&[first], &[second], &ConnectOptions::default()).expect_err("both refuse");
        let failed: Vec<_> = error.failed.iter().map(|(address, error)| (*address, error.kind())).collect();
        assert_eq!(
            failed,
            [(first, io::ErrorKind::ConnectionRefused), (second, io::ErrorKind::ConnectionRefused)]
        );
        let text = error.to_string();
        assert!(text.starts_with("connect to \"host\" port 80: every address failed: "), "{text}");
        assert!(text.contains(&first.to_string()) && text.contains(&second.to_string()), "{text}");
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::ConnectionRefused);
    }
}
