//! What a run comes to: one value with one reason, which exit code, terminal, report, job's page, annotations and JUnit say
//! alike.

use std::fmt;

use super::checks::{Check, CheckRow};
use super::compare::{Change, ComparisonRow};
use super::metrics::{TrialOutcome, TrialRow, Verdict};
use super::summary::{Analysis, SummaryRow};

/// What a run comes to, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOutcome {
    /// In one word: decides the exit code.
    pub outcome: Outcome,
    /// In one sentence without its full stop: what decided it, with the number or the trial.
    pub reason: String,
}

/// What a run comes to, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Passed,
    /// An arm is slower than the base, or the run slower than its baseline; or fewer of its peers completed.
    Regressed,
    /// A threshold was crossed, or nothing was measured that it could be held to.
    Crossed,
    /// Nobody completed in any trial of a cell: no number follows from it.
    NothingMeasured,
    /// The user stopped it.
    Interrupted,
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
            Self::NothingMeasured => "nothing-measured",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
            Self::NotComparable => "not-comparable",
            Self::Inconclusive => "inconclusive",
        })
    }
}

impl fmt::Display for RunOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.outcome, self.reason)
    }
}

/// The worst of what there is to say of a run: first of the swarm, then of the measurement.
#[must_use]
pub fn outcome(analysis: &Analysis) -> RunOutcome {
    let found = [
        (Outcome::Interrupted, interrupted(analysis)),
        (Outcome::Regressed, compared(analysis, Change::Regressed)),
        (Outcome::Crossed, checked(analysis, Check::Crossed)),
        (Outcome::NothingMeasured, nothing_measured(analysis)),
        (Outcome::Failed, missing(analysis).or_else(|| ended(analysis, &[Verdict::Failed, Verdict::BrokenOff]))),
        (Outcome::Invalid, ended(analysis, &[Verdict::Invalid])),
        (Outcome::Crossed, checked(analysis, Check::NoData)),
        (Outcome::NotComparable, compared(analysis, Change::NoData)),
        (Outcome::Inconclusive, compared(analysis, Change::Inconclusive).filter(|_| analysis.gate.compare.strict)),
    ];
    let worst = found.into_iter().find_map(|(outcome, reason)| Some(RunOutcome { outcome, reason: reason? }));
    worst.unwrap_or_else(|| {
        let trials = last(&analysis.trials).count();
        let valid = last(&analysis.trials).filter(|row| row.verdict == Verdict::Valid).count();
        let open = compared(analysis, Change::Inconclusive).map(|open| format!(", and it is not decided: {open}"));
        let reason = format!("{valid} of {trials} trials are valid{}", open.unwrap_or_default());
        RunOutcome { outcome: Outcome::Passed, reason }
    })
}

/// The last attempt at each trial.
fn last(trials: &[TrialRow]) -> impl Iterator<Item = &TrialRow> {
    trials.iter().filter(|row| {
        !trials.iter().any(|it| it.cell == row.cell && it.repeat == row.repeat && it.attempt > row.attempt)
    })
}

/// The first of several, and how many more there are.
fn first_of(mut all: impl Iterator<Item = String>) -> Option<String> {
    let first = all.next()?;
    Some(match all.count() {
        0 => first,
        more => format!("{first} (and {more} more)"),
    })
}

fn compared(analysis: &Analysis, verdict: Change) -> Option<String> {
    let told = |row: &ComparisonRow| {
        let ratio = row.ratio.map(|ratio| format!("it takes {ratio:.3} times as long"));
        let parts = [row.populations(), ratio, Some(row.why.clone()).filter(|why| !why.is_empty())];
        let told: Vec<String> = parts.into_iter().flatten().collect();
        format!("`{}` against {}: {}", row.cell, row.base, told.join("; "))
    };
    first_of(analysis.comparisons.iter().filter(|row| row.verdict == verdict).map(told))
}

fn checked(analysis: &Analysis, outcome: Check) -> Option<String> {
    let told = |row: &CheckRow| format!("`{}`, {} {}: {}", row.cell, row.metric, row.condition, row.is());
    first_of(analysis.checks.iter().filter(|row| row.outcome == outcome).map(told))
}

/// Cells from which no number follows: they ran, and in all their trials nobody completed.
fn nothing_measured(analysis: &Analysis) -> Option<String> {
    let told = |cell: &SummaryRow| {
        let own = last(&analysis.trials).filter(|row| row.cell == cell.cell && row.verdict != Verdict::Invalid);
        let mut own = own.peekable();
        let why = own.peek()?.reason.clone();
        own.all(|row| row.outcome == TrialOutcome::NothingMeasured)
            .then(|| format!("nobody completed in any trial of `{}`, so no number follows from it: {why}", cell.cell))
    };
    first_of(analysis.summary.iter().filter_map(told))
}

/// The trials that a signal broke off, and those that it left.
fn interrupted(analysis: &Analysis) -> Option<String> {
    let broken = last(&analysis.trials).filter(|row| row.outcome == TrialOutcome::Interrupted).count();
    let (missing, planned) = not_run(analysis);
    let trials = if planned == 1 { "trial" } else { "trials" };
    let was = if broken == 1 { "was" } else { "were" };
    (broken > 0).then(|| {
        format!(
            "the user stopped the run: {broken} of {planned} {trials} {was} broken off, {missing} not begun (hint: \
             `--resume` goes on with it)"
        )
    })
}

/// Trials that were not begun, and those that are planned.
fn not_run(analysis: &Analysis) -> (u32, u32) {
    let sum = |of: fn(&SummaryRow) -> u32| analysis.summary.iter().map(of).sum();
    (sum(|row| row.not_run), sum(|row| row.planned))
}

/// What is written while a run goes on is what is left of it after a kill.
fn missing(analysis: &Analysis) -> Option<String> {
    let (missing, planned) = not_run(analysis);
    let cut: Option<String> = ended(analysis, &[Verdict::Failed]).map(|why| format!("; {why}"));
    (missing > 0).then(|| {
        let cut = cut.unwrap_or_default();
        format!(
            "the run did not come to its end: {missing} of {planned} trials are missing{cut} (hint: `--resume` goes on)"
        )
    })
}

/// Trials that ended in one of these ways: how many, and of the first why.
fn ended(analysis: &Analysis, verdicts: &[Verdict]) -> Option<String> {
    let all = last(&analysis.trials).count();
    let mut those = last(&analysis.trials).filter(|row| verdicts.contains(&row.verdict)).peekable();
    let first = those.peek().copied()?;
    let why = if first.verdict == Verdict::Invalid { &first.invalid } else { &first.reason };
    let count = those.count();
    let what = match (first.verdict == Verdict::Invalid, count) {
        (true, 1) => "is INVALID",
        (true, _) => "are INVALID",
        (false, _) => "did not complete",
    };
    Some(format!("{count} of {all} trials {what}, the first `{}`, repeat {}: {why}", first.cell, first.repeat))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::{compared, textbook};

    #[test]
    fn what_is_said_of_the_swarm_comes_before_what_is_said_of_the_measurement() {
        let mut run = textbook();
        assert_eq!(outcome(&run).outcome, Outcome::Passed);
        run.summary[0].not_run = 1;
        assert_eq!(outcome(&run).outcome, Outcome::Failed);
        run.summary[0].not_run = 0;
        run.trials[0].verdict = Verdict::Invalid;
        assert_eq!(outcome(&run).outcome, Outcome::Invalid);
        run.trials[1].verdict = Verdict::Failed;
        assert_eq!(outcome(&run).outcome, Outcome::Failed);
        // A later attempt takes the place of an earlier one.
        let again = TrialRow { attempt: 2, verdict: Verdict::Valid, ..run.trials[1].clone() };
        run.trials.push(again);
        assert_eq!(outcome(&run).outcome, Outcome::Invalid);
    }

    #[test]
    fn nothing_is_green_that_was_not_measured() {
        let mut run = compared();
        assert_eq!(outcome(&run).outcome, Outcome::Regressed);
        run.comparisons[0].verdict = Change::NoData;
        assert_eq!(outcome(&run).outcome, Outcome::Crossed);
        for row in &mut run.checks {
            row.outcome = Check::Met;
        }
        assert_eq!(outcome(&run).outcome, Outcome::NotComparable);
        run.comparisons[0].verdict = Change::Inconclusive;
        assert_eq!(outcome(&run).outcome, Outcome::Passed);
        run.gate.compare.strict = true;
        assert_eq!(outcome(&run).outcome, Outcome::Inconclusive);
        run.checks[0].outcome = Check::NoData;
        assert_eq!(outcome(&run).outcome, Outcome::Crossed);
    }

    #[test]
    fn what_the_user_stopped_is_not_called_failed() {
        let mut run = textbook();
        (run.trials[0].verdict, run.trials[0].outcome) = (Verdict::BrokenOff, TrialOutcome::Interrupted);
        run.summary[0].not_run = 3;
        let told = "interrupted: the user stopped the run: 1 of 24 trials was broken off, 3 not begun (hint: `--resume` \
                    goes on with it)";
        assert_eq!(outcome(&run).to_string(), told);
    }

    #[test]
    fn a_comparison_that_is_open_is_said_to_be() {
        let mut run = compared();
        run.comparisons[0].verdict = Change::Inconclusive;
        for row in &mut run.checks {
            row.outcome = Check::Met;
        }
        let RunOutcome { outcome, reason } = outcome(&run);
        assert!(
            outcome == Outcome::Passed && reason.contains("trials are valid, and it is not decided: `"),
            "{reason}"
        );
    }

    #[test]
    fn every_outcome_has_its_reason() {
        let mut run = textbook();
        assert_eq!(outcome(&run).reason, "24 of 24 trials are valid");
        (run.trials[0].verdict, run.trials[0].invalid) = (Verdict::Invalid, "the host was busy".to_owned());
        let invalid = "1 of 24 trials is INVALID, the first `client-server-n5`, repeat 1: the host was busy";
        assert_eq!(outcome(&run).to_string(), format!("invalid: {invalid}"));
        for trial in run.trials.iter_mut().filter(|trial| trial.cell == "p2p-n5") {
            (trial.verdict, trial.outcome) = (Verdict::Failed, TrialOutcome::NothingMeasured);
            trial.reason = "all 5 peers that were to complete gave up".to_owned();
        }
        let nobody = "nobody completed in any trial of `p2p-n5`, so no number follows from it: \
                      all 5 peers that were to complete gave up";
        assert_eq!(outcome(&run).to_string(), format!("nothing-measured: {nobody}"));
        // Where one trial measured something, the others failed.
        run.trials.iter_mut().find(|trial| trial.cell == "p2p-n5").unwrap().verdict = Verdict::Valid;
        run.trials.iter_mut().find(|trial| trial.cell == "p2p-n5").unwrap().outcome = TrialOutcome::Completed;
        assert_eq!(outcome(&run).outcome, Outcome::Failed);
        run.summary[0].not_run = 2;
        assert!(outcome(&run).reason.starts_with("the run did not come to its end: 2 of 24 trials are missing; "));
        let compared = outcome(&compared()).reason;
        assert!(compared.contains("it takes 1.1") && compared.contains("`p2p-n10-arm-head`"), "{compared}");
    }
}
