//! Exit codes of the `harness` command.

use crate::analysis::outcome::Outcome;
use crate::runtime::trial::Signal;

/// How the command ended. Reports are written before the exit in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Fine = 0,
    /// A mistake of ours.
    Internal = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The experiment file is wrong; nothing was started.
    Spec = 3,
    /// The machine cannot run it: no engine, no qdisc, no space.
    Machine = 4,
    /// A trial failed, or nobody completed in any trial of a cell.
    Trial = 10,
    /// A trial is INVALID: something beside the swarm decided its time.
    Invalid = 11,
    /// A threshold was crossed, or nothing was measured that it could be held to.
    Threshold = 20,
    /// An arm is slower than the base, or a run slower than its baseline.
    Regressed = 21,
    /// There is no baseline, or none that the run can be compared with, or too few pairs.
    NotComparable = 22,
    /// A comparison decided nothing, and the file wants one that does.
    Inconclusive = 23,
    /// Stopped by SIGINT, after cleaning up.
    Interrupted = 130,
    /// Stopped by SIGTERM or SIGHUP, after cleaning up.
    Terminated = 143,
}

impl Exit {
    /// The graver of two: what was stopped before all else, then what is said of the swarm, then what is said of the
    /// measurement.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        let weight = |exit| match exit {
            Self::Fine => 0,
            Self::Inconclusive => 1,
            Self::NotComparable => 2,
            Self::Invalid => 3,
            Self::Trial => 4,
            Self::Threshold => 5,
            Self::Regressed => 6,
            Self::Usage | Self::Spec | Self::Machine => 7,
            Self::Internal => 8,
            Self::Interrupted | Self::Terminated => 9,
        };
        if weight(other) > weight(self) { other } else { self }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Signal> for Exit {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Interrupt => Self::Interrupted,
            Signal::Terminate => Self::Terminated,
        }
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Passed => Self::Fine,
            Outcome::Regressed => Self::Regressed,
            Outcome::Crossed => Self::Threshold,
            Outcome::Failed | Outcome::NothingMeasured | Outcome::Interrupted => Self::Trial,
            Outcome::Invalid => Self::Invalid,
            Outcome::NotComparable => Self::NotComparable,
            Outcome::Inconclusive => Self::Inconclusive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_that_passed_ends_with_0() {
        for (outcome, code) in [
            (Outcome::Passed, 0),
            (Outcome::Failed, 10),
            (Outcome::NothingMeasured, 10),
            (Outcome::Interrupted, 10),
            (Outcome::Invalid, 11),
            (Outcome::Crossed, 20),
            (Outcome::Regressed, 21),
            (Outcome::NotComparable, 22),
            (Outcome::Inconclusive, 23),
        ] {
            assert_eq!(Exit::from(outcome) as u8, code, "{outcome}");
        }
    }
}
