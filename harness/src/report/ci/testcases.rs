//! Test cases in JUnit's XML, which every CI shows.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::digest::beside;
use crate::analysis::checks::Check;
use crate::analysis::compare::Change;
use crate::analysis::metrics::{TrialRow, Verdict};
use crate::analysis::outcome::{Outcome, RunOutcome, outcome};
use crate::analysis::summary::{Analysis, SummaryRow};
use crate::report::Facts;

/// `junit.xml`: one suite, with a case per cell, comparison, threshold and assertion.
#[must_use]
pub fn junit(analysis: &Analysis, facts: &Facts) -> String {
    let mut report = Report::new(&analysis.name);
    let mut suite = TestSuite::new(&analysis.name);
    suite.add_property(("run", facts.run.as_str()));
    suite.add_property(("seed", analysis.seed.to_string().as_str()));
    // What is told from results that are there takes no time.
    let case = |name: String, status: TestCaseStatus| {
        let mut case = TestCase::new(name, status);
        case.set_classname(format!("harness.{}", analysis.name));
        case.set_time(Duration::ZERO);
        case
    };
    let took = |cell: &str| analysis.wall_s.get(cell).and_then(|seconds| Duration::try_from_secs_f64(*seconds).ok());
    suite.add_test_case(case("run".to_owned(), whole(analysis)));
    suite.add_test_cases(analysis.summary.iter().map(|row| {
        // The first one says what the others are likely to say, too.
        let bad = |trial: &&TrialRow| trial.cell == row.cell && trial.verdict != Verdict::Valid;
        let first = analysis.trials.iter().find(bad).map(|trial| match trial.verdict {
            Verdict::Invalid => trial.invalid.as_str(),
            Verdict::Failed | Verdict::BrokenOff | Verdict::Valid => trial.reason.as_str(),
        });
        let mut case = case(format!("{}: trials", row.cell), trials(row, first));
        case.time = took(&row.cell);
        case
    }));
    // Logs of old may not tell.
    let known: Vec<Duration> = analysis.summary.iter().filter_map(|row| took(&row.cell)).collect();
    suite.time = (!known.is_empty()).then(|| known.iter().sum());
    report.time = suite.time;
    suite.add_test_cases(analysis.comparisons.iter().map(|row| {
        let interval = row.low_ratio.zip(row.high_ratio);
        let told = format!(
            "{}{} of {} {}, ratio {},{} at most {:.3}",
            row.populations().map(|told| format!("{told}; ")).unwrap_or_default(),
            row.pairs,
            row.pairs_planned,
            row.counted(),
            row.ratio.map_or("none".to_owned(), |_| beside(row, row.ratio)),
            interval
                .map(|_| format!(" interval {} to {},", beside(row, row.low_ratio), beside(row, row.high_ratio)))
                .unwrap_or_default(),
            1.0 + row.max_worse_share
        );
        let status = match row.verdict {
            Change::Equivalent | Change::Improved => TestCaseStatus::success(),
            Change::Acknowledged => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(format!("acknowledged: {}: {told}", row.why));
                status
            }
            Change::Regressed => failed(NonSuccessKind::Failure, "regressed", told),
            Change::NoData => failed(NonSuccessKind::Error, "no-data", format!("{}: {told}", row.why)),
            Change::Inconclusive if analysis.gate.compare.strict => {
                failed(NonSuccessKind::Failure, "inconclusive", told)
            }
            Change::Inconclusive => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(format!("inconclusive: {told}"));
                status
            }
        };
        case(format!("{}: {} against {}", row.cell, row.metric, row.base), status)
    }));
    suite.add_test_cases(analysis.checks.iter().map(|row| {
        let told = format!("line {}: {}", row.line, row.is());
        let status = match row.outcome {
            Check::Met => TestCaseStatus::success(),
            Check::Crossed => failed(NonSuccessKind::Failure, "crossed", told),
            Check::NoData => failed(NonSuccessKind::Error, "no-data", told),
        };
        case(format!("{}: {} {}", row.cell, row.metric, row.condition), status)
    }));
    report.add_test_suite(suite);
    report.to_string().expect("XML of texts, from which what XML cannot hold is taken out")
}

/// What the run comes to.
fn whole(analysis: &Analysis) -> TestCaseStatus {
    let RunOutcome { outcome, reason } = outcome(analysis);
    let kind = match outcome {
        Outcome::Passed => return TestCaseStatus::success(),
        Outcome::Regressed | Outcome::Crossed | Outcome::Failed | Outcome::Inconclusive => NonSuccessKind::Failure,
        Outcome::Interrupted | Outcome::NothingMeasured | Outcome::Invalid | Outcome::NotComparable => {
            NonSuccessKind::Error
        }
    };
    failed(kind, &outcome.to_string(), reason)
}

/// Whether all trials of a cell came to something; of the first that did not, why.
fn trials(row: &SummaryRow, first: Option<&str>) -> TestCaseStatus {
    let SummaryRow { completed, planned, invalid, timeout, unfinishable, nothing_measured, failed: broken, .. } = row;
    let why = first.map(|why| format!("; the first: {why}")).unwrap_or_default();
    let told = format!(
        "{completed} of {planned} trials completed; {invalid} INVALID, {timeout} timed out, {unfinishable} unfinishable, \
         {broken} failed, {nothing_measured} in which nobody completed{why}"
    );
    match completed == planned {
        true => TestCaseStatus::success(),
        false if timeout + unfinishable + broken > 0 => failed(NonSuccessKind::Failure, "failed", told),
        false => failed(NonSuccessKind::Error, "no-data", told),
    }
}

fn failed(kind: NonSuccessKind, what: &str, told: String) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(what.to_owned());
    status.set_message(told);
    status
}
