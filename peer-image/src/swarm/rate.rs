//! How fast bytes come from or go to a neighbour: a window of one-second buckets.

use super::time::Timestamp;

/// Buckets kept: the 20 s over which BitTorrent ranks its neighbours (Cohen 2003).
const BUCKETS: usize = 20;

/// Bytes per second over the last up to 20 s.
#[derive(Debug, Clone, Default)]
pub(super) struct Rate {
    buckets: [u64; BUCKETS],
    /// Second that the newest bucket stands for.
    second: u64,
    total: u64,
}

impl Rate {
    /// `bytes` more at `now`.
    pub(super) fn add(&mut self, now: Timestamp, bytes: u32) {
        self.advance(now);
        self.buckets[slot(self.second)] += u64::from(bytes);
        self.total += u64::from(bytes);
    }

    /// All bytes ever.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Mean over the last `seconds` (at most 20) up to `now`, bytes per second.
    pub(super) fn over(&mut self, now: Timestamp, seconds: u64) -> u64 {
        self.advance(now);
        let seconds = seconds.clamp(1, BUCKETS as u64);
        let sum: u64 = (0..seconds.min(self.second + 1)).map(|back| self.buckets[slot(self.second - back)]).sum();
        sum / seconds
    }

    /// The best full second of the last 20 up to `now`, bytes per second.
    pub(super) fn peak(&mut self, now: Timestamp) -> u64 {
        self.advance(now);
        self.buckets.iter().copied().max().unwrap_or(0)
    }

    fn advance(&mut self, now: Timestamp) {
        let second = now.0 / 1_000_000_000;
        let passed = second.saturating_sub(self.second).min(BUCKETS as u64);
        for n in 0..passed {
            self.buckets[slot(second - n)] = 0;
        }
        self.second = self.second.max(second);
    }
}

fn slot(second: u64) -> usize {
    usize::try_from(second % BUCKETS as u64).expect("a remainder below 20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_older_than_the_window_are_forgotten() {
        let mut rate = Rate::default();
        rate.add(Timestamp(0), 1000);
        rate.add(Timestamp(1_500_000_000), 1000);
        assert_eq!(rate.over(Timestamp(1_900_000_000), 2), 1000);
        assert_eq!(rate.over(Timestamp(19_000_000_000), 20), 100);
        assert_eq!(rate.over(Timestamp(20_500_000_000), 20), 50);
        assert_eq!(rate.over(Timestamp(90_000_000_000), 20), 0);
        assert_eq!(rate.total(), 2000);
    }
}
