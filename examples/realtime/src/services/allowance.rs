//! How much somebody may do at once, and a second.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::time::Instant;

/// So much at once, and so much a second from then on.
#[derive(Debug)]
pub(crate) struct Allowance {
    burst: f64,
    per_s: f64,
    left: Cell<f64>,
    filled: Cell<Instant>,
}

impl Allowance {
    pub(crate) fn new(burst: u32, per_s: f64) -> Self {
        let (burst, filled) = (f64::from(burst), Cell::new(phaseloop::current().now()));
        Self { burst, per_s, left: Cell::new(burst), filled }
    }

    /// True if there was some left, of which a piece is taken.
    pub(crate) fn take(&self) -> bool {
        let now = phaseloop::current().now();
        let since = now.saturating_duration_since(self.filled.replace(now)).as_secs_f64();
        let left = (self.left.get() + since * self.per_s).min(self.burst);
        self.left.set(if left >= 1.0 { left - 1.0 } else { left });
        left >= 1.0
    }
}

/// An allowance for each address; without a limit there are none.
#[derive(Debug)]
pub(crate) struct Allowances {
    limit: Option<(f64, u32)>,
    kept: RefCell<HashMap<IpAddr, Rc<Allowance>>>,
}

/// Addresses that are remembered beside those that are connected.
const ADDRESSES_MAX: usize = 10_000;

impl Allowances {
    /// So much a second, and at once.
    pub(crate) fn new(limit: Option<(f64, u32)>) -> Self {
        Self { limit, kept: RefCell::default() }
    }

    /// The allowance of an address, which all that come from there share.
    pub(crate) fn of(&self, address: IpAddr) -> Option<Rc<Allowance>> {
        let (per_s, burst) = self.limit?;
        let mut kept = self.kept.borrow_mut();
        let address = host(address);
        if kept.len() >= ADDRESSES_MAX && !kept.contains_key(&address) {
            kept.retain(|_, allowance| Rc::strong_count(allowance) > 1);
        }
        Some(Rc::clone(kept.entry(address).or_insert_with(|| Rc::new(Allowance::new(burst, per_s)))))
    }
}

/// Of IPv6 a host has 64 bits for itself.
fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::rc::Rc;

    use phaseloop::EventLoop;

    use super::{ADDRESSES_MAX, Allowances};

    #[test]
    fn those_of_one_address_share_what_it_may_do() {
        let lp = EventLoop::new().unwrap();
        lp.block_on(async {
            let all = Allowances::new(Some((0.001, 3)));
            let of = |address: &str| all.of(address.parse().unwrap()).unwrap();
            let (one, two, other) = (of("10.0.0.1"), of("::ffff:10.0.0.1"), of("10.0.0.2"));
            assert_eq!(
                [one.take(), two.take(), one.take(), two.take(), other.take()],
                [true, true, true, false, true]
            );
            assert!(Rc::ptr_eq(&of("2001:db8::1"), &of("2001:db8::2")));
            assert!(!Rc::ptr_eq(&of("2001:db8::1"), &of("2001:db8:0:1::1")));
            assert!(Allowances::new(None).of(IpAddr::from([10, 0, 0, 1])).is_none());
        })
        .unwrap();
    }

    #[test]
    fn what_is_remembered_is_bounded_and_who_is_connected_is_not_forgotten() {
        let lp = EventLoop::new().unwrap();
        lp.block_on(async {
            let all = Allowances::new(Some((0.001, 1)));
            let connected = all.of(IpAddr::from([10, 0, 0, 1])).unwrap();
            assert!(connected.take());
            for number in 0..3 * ADDRESSES_MAX as u32 {
                all.of(IpAddr::from((0x0b00_0000 + number).to_be_bytes()));
                assert!(all.kept.borrow().len() <= ADDRESSES_MAX);
            }
            assert!(!all.of(IpAddr::from([10, 0, 0, 1])).unwrap().take());
        })
        .unwrap();
    }
}
