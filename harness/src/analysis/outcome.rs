//! What a run comes to, in one word.

use std::fmt;

use super::checks::Check;
use super::compare::Change;
use super::metrics::{TrialRow, Verdict};
use super::summary::Analysis;

/// What a run comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Passed,
    /// An arm is slower than the base, or the run slower than its baseline.
    Regressed,
    /// A threshold was crossed, or nothing was measured that it could be held to.
    Crossed,
    /// A trial failed, or is missing.
    Failed,
    /// A trial is INVALID.
    Invalid,
    /// There was too little to compare.
    NotComparable,
    /// A comparison decided nothing, and the file wants one that does.
    Inconclusive,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Regressed => "regressed",
            Self::Crossed => "crossed",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
            Self::NotComparable => "not-comparable",
            Self::Inconclusive => "inconclusive",
        })
    }
}

/// The worst of what there is to say of a run: first of the swarm, then of the measurement.
#[must_use]
pub fn outcome(analysis: &Analysis) -> Outcome {
    let compared = |change| analysis.comparisons.iter().any(|row| row.verdict == change);
    let ends = |verdict| last(&analysis.trials).any(|row| row.verdict == verdict);
    let checked = |outcome| analysis.checks.iter().any(|row| row.outcome == outcome);
    // What is written while a run goes on is what is left of it after a kill.
    let is_cut_off = analysis.summary.iter().any(|row| row.not_run > 0);
    let found = [
        (compared(Change::Regressed), Outcome::Regressed),
        (checked(Check::Crossed), Outcome::Crossed),
        (ends(Verdict::Failed) || ends(Verdict::BrokenOff) || is_cut_off, Outcome::Failed),
        (ends(Verdict::Invalid), Outcome::Invalid),
        (checked(Check::NoData), Outcome::Crossed),
        (compared(Change::NoData), Outcome::NotComparable),
        (analysis.gate.compare.strict && compared(Change::Inconclusive), Outcome::Inconclusive),
    ];
    found.into_iter().find(|(is, _)| *is).map_or(Outcome::Passed, |(_, outcome)| outcome)
}

/// The last attempt at each trial.
fn last(trials: &[TrialRow]) -> impl Iterator<Item = &TrialRow> {
    trials.iter().filter(|row| {
        !trials.iter().any(|it| it.cell == row.cell && it.repeat == row.repeat && it.attempt > row.attempt)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::{compared, textbook};

    #[test]
    fn what_is_said_of_the_swarm_comes_before_what_is_said_of_the_measurement() {
        let mut run = textbook();
        assert_eq!(outcome(&run), Outcome::Passed);
        run.summary[0].not_run = 1;
        assert_eq!(outcome(&run), Outcome::Failed);
        run.summary[0].not_run = 0;
        run.trials[0].verdict = Verdict::Invalid;
        assert_eq!(outcome(&run), Outcome::Invalid);
        run.trials[1].verdict = Verdict::Failed;
        assert_eq!(outcome(&run), Outcome::Failed);
        // A later attempt takes the place of an earlier one.
        let again = TrialRow { attempt: 2, verdict: Verdict::Valid, ..run.trials[1].clone() };
        run.trials.push(again);
        assert_eq!(outcome(&run), Outcome::Invalid);
    }

    #[test]
    fn nothing_is_green_that_was_not_measured() {
        let mut run = compared();
        assert_eq!(outcome(&run), Outcome::Regressed);
        run.comparisons[0].verdict = Change::NoData;
        assert_eq!(outcome(&run), Outcome::Crossed);
        for row in &mut run.checks {
            row.outcome = Check::Met;
        }
        assert_eq!(outcome(&run), Outcome::NotComparable);
        run.comparisons[0].verdict = Change::Inconclusive;
        assert_eq!(outcome(&run), Outcome::Passed);
        run.gate.compare.strict = true;
        assert_eq!(outcome(&run), Outcome::Inconclusive);
        run.checks[0].outcome = Check::NoData;
        assert_eq!(outcome(&run), Outcome::Crossed);
    }
}
