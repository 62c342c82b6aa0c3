//! Limits beyond which a trial is not to be believed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits beyond which a trial is INVALID: shares from 0 to 1, times in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Validity {
    /// How long each direction of each kind of link is tried before the gate opens; 0 for not at all.
    pub calibrate: f64,
    /// Largest deviation of a link from its rate, while it is tried and over the trial.
    pub link_rate: f64,
    /// Largest share of the host's processor time that may be in use over any five seconds.
    pub host_busy: f64,
    /// The same in soft interrupts, where the kernel shapes and forwards.
    pub host_softirq: f64,
    /// Largest share that the hypervisor may take over the transfer.
    pub host_steal: f64,
    /// Largest share of the transfer in which some process may wait for memory.
    pub memory_pressure: f64,
    /// Largest share of any five seconds in which a node may be ready to run and wait for a processor.
    #[serde(default = "run_delay")]
    pub run_delay: f64,
    /// Latest that a node may begin after the common start.
    pub start_skew: f64,
    /// Latest that a planned departure or return may come.
    pub churn_late: f64,
    /// Largest jump of the host's wall clock.
    pub clock_step: f64,
    /// Longest that a node's process may stand still.
    pub stall: f64,
}

impl Default for Validity {
    fn default() -> Self {
        Self {
            calibrate: 0.4,
            link_rate: 0.03,
            host_busy: 0.95,
            host_softirq: 0.5,
            host_steal: 0.05,
            memory_pressure: 0.05,
            run_delay: run_delay(),
            start_skew: 0.1,
            churn_late: 1.0,
            clock_step: 0.1,
            stall: 1.0,
        }
    }
}

/// The limit on waiting for a processor, also for plans that were made before there was one.
///
/// Measured on two processors with Linux 6.18, eight peers at 50 mbit that keep both half busy: 6 to 7 % with nothing beside
/// them, 15 % with one of the two processors or a quota of three quarters of one (D was 8 % longer), 57 to 92 % with smaller
/// quotas, one above the containers' own group, or as `nice` beside busy loops (D 36 to 230 % longer).
fn run_delay() -> f64 {
    0.1
}
