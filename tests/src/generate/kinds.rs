//! Which operations a program is made of.

use crate::random::Random;

/// Operations that are chosen by chance; `throw`, `ref`, `unref`, `echo`, `beforeExit` and `exit` are placed
/// by hand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Log,
    Busy,
    NextTick,
    Microtask,
    Promise,
    Async,
    Reject,
    Catch,
    Immediate,
    Timeout,
    Interval,
    Clear,
    Refresh,
    Pool,
    Stat,
    ReadFile,
    Send,
    Close,
    Listen,
    Off,
    OffAll,
    Emit,
    SetMaxListeners,
    Quit,
}

/// What a program is mostly about, so that combinations of one area are common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Theme {
    Everything,
    Phases,
    Timers,
    Promises,
    Errors,
    Emitters,
}

impl Theme {
    pub(super) const ALL: [Theme; 6] =
        [Theme::Everything, Theme::Phases, Theme::Timers, Theme::Promises, Theme::Errors, Theme::Emitters];

    pub(super) fn pick(self, random: &mut Random) -> Kind {
        let favourites = self.favourites();
        let pool = if random.below(3) == 0 { EVERY } else { favourites };
        pool[random.below(pool.len() as u64) as usize]
    }

    /// Whether a body ends with a throw.
    pub(super) fn throws(self, random: &mut Random) -> bool {
        random.below(if self == Theme::Errors { 4 } else { 30 }) == 0
    }

    fn favourites(self) -> &'static [Kind] {
        match self {
            Theme::Everything => EVERY,
            Theme::Phases | Theme::Errors => &[
                Kind::NextTick,
                Kind::Microtask,
                Kind::Immediate,
                Kind::Immediate,
                Kind::Timeout,
                Kind::Timeout,
                Kind::Pool,
                Kind::Close,
                Kind::ReadFile,
            ],
            Theme::Timers => &[
                Kind::Timeout,
                Kind::Timeout,
                Kind::Timeout,
                Kind::Interval,
                Kind::Busy,
                Kind::Clear,
                Kind::Refresh,
                Kind::NextTick,
                Kind::Immediate,
            ],
            Theme::Promises => &[
                Kind::Promise,
                Kind::Promise,
                Kind::Async,
                Kind::Async,
                Kind::NextTick,
                Kind::Microtask,
                Kind::Reject,
                Kind::Catch,
            ],
            Theme::Emitters => &[
                Kind::Listen,
                Kind::Listen,
                Kind::Listen,
                Kind::Emit,
                Kind::Emit,
                Kind::Off,
                Kind::OffAll,
                Kind::SetMaxListeners,
                Kind::NextTick,
            ],
        }
    }
}

const EVERY: &[Kind] = &[
    Kind::Log,
    Kind::Busy,
    Kind::NextTick,
    Kind::Microtask,
    Kind::Promise,
    Kind::Async,
    Kind::Reject,
    Kind::Catch,
    Kind::Immediate,
    Kind::Timeout,
    Kind::Interval,
    Kind::Clear,
    Kind::Refresh,
    Kind::Pool,
    Kind::Stat,
    Kind::ReadFile,
    Kind::Send,
    Kind::Close,
    Kind::Listen,
    Kind::Off,
    Kind::OffAll,
    Kind::Emit,
    Kind::SetMaxListeners,
    Kind::Quit,
];
