//! One clock for deadlines and for the log: `CLOCK_MONOTONIC`, which is what tokio's instants count on Linux.
//!
//! Anchored once, so that a test that steers tokio's time steers the log's with it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// Farther than any trial; instants cannot be arbitrarily far away.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Instants to nanoseconds of `CLOCK_MONOTONIC` and back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    instant: Instant,
    mono: u64,
}

impl Clock {
    pub(super) fn new() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        let seconds = Duration::from_secs(now.tv_sec.try_into().unwrap_or_default());
        let mono = seconds + Duration::from_nanos(now.tv_nsec.try_into().unwrap_or_default());
        Self { instant: Instant::now(), mono: nanos(mono) }
    }

    /// Now, ns.
    pub(super) fn mono(&self) -> u64 {
        self.mono.saturating_add(nanos(self.instant.elapsed()))
    }

    /// The instant at which [`Clock::mono`] is so many ns; for one before this clock was made, that moment.
    pub(super) fn instant(&self, mono: u64) -> Instant {
        self.instant + Duration::from_nanos(mono.saturating_sub(self.mono)).min(FAR)
    }
}

/// So many seconds, within reason: the specification has checked them.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(FAR).min(FAR)
}

/// In nanoseconds: enough for 584 years.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
