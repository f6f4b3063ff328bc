//! The tail of a distribution.

use std::time::Duration;

/// The figures that tell how late things are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// Half are not later.
    pub median: Duration,
    /// One in a hundred is later.
    pub p99: Duration,
    /// None is later.
    pub max: Duration,
}

impl Percentiles {
    /// Takes them of figures in any order; zero if there are none.
    pub fn of(mut figures: Vec<Duration>) -> Self {
        figures.sort_unstable();
        let at = |share: usize| {
            let rank = (figures.len() * share).div_ceil(100);
            figures.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { median: at(50), p99: at(99), max: at(100) }
    }

    /// Median, p99 and max in microseconds.
    pub fn micros(&self) -> [f64; 3] {
        [self.median, self.p99, self.max].map(|figure| figure.as_nanos() as f64 / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Percentiles;

    #[test]
    fn a_rank_is_the_first_that_covers_the_share() {
        let figures: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        let ms = Duration::from_millis;
        assert_eq!(Percentiles::of(figures), Percentiles { median: ms(100), p99: ms(198), max: ms(200) });
        assert_eq!(Percentiles::of(vec![ms(7)]), Percentiles { median: ms(7), p99: ms(7), max: ms(7) });
        assert_eq!(Percentiles::of(Vec::new()), Percentiles::default());
    }
}
