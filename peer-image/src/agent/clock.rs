//! The machine's monotonic clock, and the trial's: the only place that reads a clock.

use std::io;
use std::time::Duration;

use rustix::thread::{ClockId as SleepClock, clock_nanosleep_absolute};
use rustix::time::{ClockId, Timespec, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::swarm::time::Timestamp;

/// `CLOCK_MONOTONIC`, ns.
#[must_use]
pub fn monotonic() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the one place where a node reads its clock")]
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.expect("the monotonic clock is not negative") * 1_000_000_000 + nanos.expect("nanoseconds are not negative")
}

/// What a monotonic clock is known by: nodes with equal names share it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// Which boot of which machine.
    pub boot_id: String,
    /// Which time namespace of it: each may have an offset of its own. Empty where the kernel has none.
    #[serde(default)]
    pub time_namespace: String,
}

/// The name of this process's clock.
///
/// # Errors
/// If `/proc` is not there.
pub fn name() -> io::Result<Name> {
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
    let time_namespace = std::fs::read_link("/proc/self/ns/time").unwrap_or_default().to_string_lossy().into_owned();
    Ok(Name { boot_id, time_namespace })
}

/// The kernel's release.
#[must_use]
pub fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The moment of the common start on this node's clock.
#[derive(Debug, Clone, Copy)]
pub struct Epoch {
    /// `CLOCK_MONOTONIC` of the start, ns.
    pub go: u64,
}

impl Epoch {
    /// Now, on the trial's clock.
    #[must_use]
    pub fn now(self) -> Timestamp {
        Timestamp(monotonic().saturating_sub(self.go))
    }

    /// How long until that moment of the trial.
    #[must_use]
    pub fn until(self, at: Timestamp) -> Duration {
        Duration::from_nanos((at - self.now()).0)
    }

    /// Waits for that moment of the trial, to the millisecond.
    pub async fn sleep_until(self, at: Timestamp) {
        tokio::time::sleep(self.until(at)).await;
    }
}

/// Waits for a moment of `CLOCK_MONOTONIC`, ns, to the millisecond.
pub async fn sleep_until(moment: u64) {
    tokio::time::sleep(Duration::from_nanos(moment.saturating_sub(monotonic()))).await;
}

/// The event loop's timer, which counts milliseconds, ends so long before an exact moment.
pub const EARLY: Duration = Duration::from_millis(3);

/// Waits for a moment of `CLOCK_MONOTONIC`, ns, as exactly as the kernel can: the event loop's timer, which counts
/// milliseconds, until `early` before it, then the thread itself.
///
/// Where many wait for one moment, each is to wake once for it: `early` is longer than all of them take to wake.
pub async fn wait_exactly(moment: u64, early: Duration) {
    let left = Duration::from_nanos(moment.saturating_sub(monotonic()));
    tokio::time::sleep(left.saturating_sub(early)).await;
    let target = Timespec {
        tv_sec: i64::try_from(moment / 1_000_000_000).expect("seconds fit"),
        tv_nsec: i64::try_from(moment % 1_000_000_000).expect("nanoseconds fit"),
    };
    // An interrupted sleep is taken up again: the moment is absolute.
    while clock_nanosleep_absolute(SleepClock::Monotonic, &target).is_err_and(|e| e == rustix::io::Errno::INTR) {}
}
