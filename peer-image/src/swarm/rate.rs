//! How fast bytes come from or go to a neighbour: a window of buckets, of one second each where links are fast.

use super::time::Timestamp;

/// Buckets kept: at a pace of 1 the 20 s over which BitTorrent ranks its neighbours (Cohen 2003).
const BUCKETS: usize = 20;

/// Bytes per second over the last up to 20 buckets.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    buckets: [u64; BUCKETS],
    /// How long a bucket is, seconds: where links are slow, blocks come more rarely than one a second.
    pace: u64,
    /// Number of the newest bucket.
    newest: u64,
    total: u64,
}

impl Rate {
    pub(super) fn new(pace: u64) -> Self {
        Self { buckets: [0; BUCKETS], pace: pace.max(1), newest: 0, total: 0 }
    }

    /// `bytes` more at `now`.
    pub(super) fn add(&mut self, now: Timestamp, bytes: u32) {
        self.advance(now);
        self.buckets[slot(self.newest)] += u64::from(bytes);
        self.total += u64::from(bytes);
    }

    /// All bytes ever.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Mean over the last so many buckets (at most 20) up to `now`, bytes per second.
    pub(super) fn over(&mut self, now: Timestamp, buckets: u64) -> u64 {
        self.advance(now);
        let buckets = buckets.clamp(1, BUCKETS as u64);
        let sum: u64 = (0..buckets.min(self.newest + 1)).map(|back| self.buckets[slot(self.newest - back)]).sum();
        sum / (buckets * self.pace)
    }

    /// The best of the last 20 buckets up to `now`, bytes per second.
    pub(super) fn peak(&mut self, now: Timestamp) -> u64 {
        self.advance(now);
        self.buckets.iter().copied().max().unwrap_or(0) / self.pace
    }

    fn advance(&mut self, now: Timestamp) {
        let bucket = now.0 / (self.pace * 1_000_000_000);
        let passed = bucket.saturating_sub(self.newest).min(BUCKETS as u64);
        for n in 0..passed {
            self.buckets[slot(bucket - n)] = 0;
        }
        self.newest = self.newest.max(bucket);
    }
}

fn slot(bucket: u64) -> usize {
    usize::try_from(bucket % BUCKETS as u64).expect("a remainder below 20")
}

/// The slowest uplink, bit/s, for which the times in this module are made: a block takes 33 ms on it. On a slower one a
/// block, and whatever waits behind it, takes longer by the same factor, the pace.
pub(super) const USUAL_RATE: u64 = 4_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_older_than_the_window_are_forgotten() {
        let mut rate = Rate::new(1);
        rate.add(Timestamp(0), 1000);
        rate.add(Timestamp(1_500_000_000), 1000);
        assert_eq!(rate.over(Timestamp(1_900_000_000), 2), 1000);
        assert_eq!(rate.over(Timestamp(19_000_000_000), 20), 100);
        assert_eq!(rate.over(Timestamp(20_500_000_000), 20), 50);
        assert_eq!(rate.over(Timestamp(90_000_000_000), 20), 0);
        assert_eq!(rate.total(), 2000);
    }
    #[test]
    fn at_a_slower_pace_a_bucket_holds_more_seconds() {
        let mut rate = Rate::new(10);
        rate.add(Timestamp(3_000_000_000), 16_000);
        rate.add(Timestamp(12_000_000_000), 16_000);
        assert_eq!(rate.over(Timestamp(19_000_000_000), 2), 1600);
        assert_eq!(rate.peak(Timestamp(19_000_000_000)), 1600);
        assert_eq!(rate.over(Timestamp(30_000_000_000), 2), 0);
    }
}
