//! Thresholds and assertions: what the results of each cell were to be, and what they are.

use std::fmt;

use super::metrics::{PeerRow, TrialRow, Verdict};
use super::statistics::mean;
use crate::plan::gate::{Aggregate, Assertion, Metric, Of, Threshold, Unit};
use crate::plan::{Cell, Plan};

/// One threshold or assertion, in one cell.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckRow {
    /// The cell's id.
    pub cell: String,
    /// What it is about: a metric's name, or `assert`.
    pub metric: String,
    /// What was to hold, as the file has it.
    pub condition: String,
    /// The number that was looked at, in the unit of [`CheckRow::unit`]; empty where there is none, or it is infinite.
    pub value: Option<f64>,
    /// The number that it was held to, in the same unit.
    pub limit: Option<f64>,
    /// Unit of both: `s`, `bytes`, or `1`.
    pub unit: String,
    /// What came of it.
    pub outcome: Check,
    /// Why there is no number; empty if there is one.
    pub why: String,
    /// Line of the experiment file where it stands.
    pub line: u32,
}

/// What came of a threshold or an assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// It holds.
    Met,
    /// It does not.
    Crossed,
    /// Nothing was measured that it could be held to.
    NoData,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Met => "met",
            Self::Crossed => "crossed",
            Self::NoData => "no-data",
        })
    }
}

/// Every threshold and assertion, in each cell that it is about, in the file's order.
#[must_use]
pub fn checks(plan: &Plan, trials: &[TrialRow], peers: &[PeerRow]) -> Vec<CheckRow> {
    let thresholds = plan.gate.thresholds.iter().flat_map(|threshold| {
        let cells = plan.cells.iter().filter(|cell| threshold.means(&cell.id));
        cells.map(|cell| held_to(threshold, cell, trials, peers))
    });
    let assertions = plan.gate.assertions.iter().flat_map(|asserted| {
        plan.cells.iter().map(|cell| CheckRow { line: line(asserted.line), ..assert(asserted.what, cell, trials) })
    });
    thresholds.chain(assertions).collect()
}

fn line(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// The last attempt at each repeat of a cell.
fn last<'a>(cell: &'a Cell, trials: &'a [TrialRow]) -> impl Iterator<Item = &'a TrialRow> {
    let own = move || trials.iter().filter(move |trial| trial.cell == cell.id);
    own().filter(move |it| !own().any(|other| other.repeat == it.repeat && other.attempt > it.attempt))
}

fn held_to(threshold: &Threshold, cell: &Cell, trials: &[TrialRow], peers: &[PeerRow]) -> CheckRow {
    let values = values(threshold, cell, trials, peers);
    let value = aggregate(&values, threshold.aggregate);
    let outcome = match value {
        None => Check::NoData,
        Some(value) if threshold.relation.holds(value, threshold.limit) => Check::Met,
        Some(_) => Check::Crossed,
    };
    let never = values.iter().filter(|value| value.is_infinite()).count();
    let why = match value {
        None => "no valid trial has such a number".to_owned(),
        Some(value) if value.is_infinite() => format!("{never} of {} never completed", values.len()),
        Some(_) => String::new(),
    };
    CheckRow {
        cell: cell.id.clone(),
        metric: threshold.metric.name().to_owned(),
        condition: threshold.text.clone(),
        value: value.filter(|value| value.is_finite()),
        limit: Some(threshold.limit),
        unit: match threshold.unit() {
            Unit::Seconds => "s",
            Unit::Bytes => "bytes",
            Unit::Share | Unit::Number => "1",
        }
        .to_owned(),
        outcome,
        why,
        line: line(threshold.line),
    }
}

/// The numbers of a cell that a threshold is about. What a trial that failed, or a peer in it, was waited for in vain
/// would have taken longer than any limit: it counts as infinite, or a swarm would be the better the more of it fails.
fn values(threshold: &Threshold, cell: &Cell, trials: &[TrialRow], peers: &[PeerRow]) -> Vec<f64> {
    let own: Vec<&TrialRow> =
        last(cell, trials).filter(|it| matches!(it.verdict, Verdict::Valid | Verdict::Failed)).collect();
    let each = |of: &dyn Fn(&TrialRow) -> Option<f64>| own.iter().filter_map(|trial| of(trial)).collect();
    let of_peers = |of: &dyn Fn(&PeerRow) -> Option<f64>, all: bool| {
        let is_in = |peer: &&PeerRow| {
            own.iter().any(|it| (&it.cell, it.repeat, it.attempt) == (&peer.cell, peer.repeat, peer.attempt))
        };
        let waited = |peer: &&PeerRow| peer.to_complete || (all && of(peer).is_some());
        peers.iter().filter(is_in).filter(waited).map(|peer| of(peer).unwrap_or(f64::INFINITY)).collect()
    };
    let fails = |trial: &TrialRow| trial.verdict == Verdict::Failed;
    match threshold.metric {
        Metric::DistributionTime => each(&|trial| match threshold.of {
            Of::Value => trial.distribution_time_s.or(fails(trial).then_some(f64::INFINITY)),
            Of::Ratio => trial.ratio.or(fails(trial).then_some(f64::INFINITY)),
            Of::PayloadRatio => trial.payload_ratio.or(fails(trial).then_some(f64::INFINITY)),
            Of::Efficiency => trial.efficiency.or(fails(trial).then_some(0.0)),
        }),
        Metric::Completion => of_peers(&|peer| peer.completed_at_s, false),
        Metric::Download => of_peers(&|peer| peer.download_s, true),
        Metric::Launch => each(&|trial| trial.launch_s),
        Metric::StartSkew => each(&|trial| trial.start_skew_max_s),
        Metric::Offload => each(&|trial| trial.offload_share),
        Metric::Duplicates => each(&|trial| trial.duplicate_share),
        Metric::Overhead => each(&|trial| trial.overhead_share),
        Metric::Fairness => each(&|trial| trial.fairness_jain),
        Metric::LostBytes => each(&|trial| Some(trial.lost_bytes as f64)),
    }
}

/// One number of many, of which some may be infinite; quantiles as [`super::statistics::quantile`] has them.
fn aggregate(values: &[f64], which: Aggregate) -> Option<f64> {
    let quantile = |share: f64| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let rank = share * sorted.len().checked_sub(1)? as f64;
        let (low, high) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
        // Between a number and what never came, or at it, are no numbers.
        Some(if low == high || rank.fract() == 0.0 { low } else { low + (high - low) * rank.fract() })
    };
    match which {
        Aggregate::Median => quantile(0.5),
        Aggregate::Percentile(percent) => quantile(percent / 100.0),
        Aggregate::Min => quantile(0.0),
        Aggregate::Max => quantile(1.0),
        Aggregate::Mean => mean(values),
    }
}

fn assert(what: Assertion, cell: &Cell, trials: &[TrialRow]) -> CheckRow {
    let own: Vec<&TrialRow> = trials.iter().filter(|trial| trial.cell == cell.id).collect();
    let (bad, of): (usize, usize) = match what {
        Assertion::AllCompleted => {
            let ended: Vec<&TrialRow> = last(cell, trials).filter(|it| it.verdict != Verdict::Invalid).collect();
            (ended.iter().filter(|trial| trial.verdict != Verdict::Valid).count(), ended.len())
        }
        Assertion::AllValid => (own.iter().filter(|trial| trial.verdict == Verdict::Invalid).count(), own.len()),
    };
    let (outcome, why) = match (what, bad, of) {
        (_, _, 0) => (Check::NoData, "no trial that is not INVALID".to_owned()),
        (_, 0, _) => (Check::Met, String::new()),
        (Assertion::AllCompleted, bad, of) => (Check::Crossed, format!("{bad} of {of} trials did not complete")),
        (Assertion::AllValid, bad, of) => (Check::Crossed, format!("{bad} of {of} attempts were INVALID")),
    };
    CheckRow {
        cell: cell.id.clone(),
        metric: "assert".to_owned(),
        condition: what.to_string(),
        value: None,
        limit: None,
        unit: String::new(),
        outcome,
        why,
        line: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::{cell, plan, textbook};
    use crate::analysis::metrics::TrialOutcome;
    use crate::plan::Architecture;
    use crate::plan::gate::Relation;

    fn threshold(metric: Metric, aggregate: Aggregate, limit: f64) -> Threshold {
        let relation = Relation::AtMost;
        Threshold {
            metric,
            of: Of::Value,
            aggregate,
            relation,
            limit,
            cells: String::new(),
            text: String::new(),
            line: 7,
        }
    }

    fn held(threshold: Threshold, trials: &[TrialRow], peers: &[PeerRow]) -> CheckRow {
        let mut plan = plan(vec![cell(Architecture::P2p, 10, 3)]);
        plan.gate.thresholds.push(threshold);
        checks(&plan, trials, peers).remove(0)
    }

    #[test]
    fn the_number_stands_beside_its_limit() {
        let results = textbook();
        let row = held(threshold(Metric::DistributionTime, Aggregate::Max, 40.0), &results.trials, &results.peers);
        let most = results.summary.iter().find(|row| row.cell == "p2p-n10").unwrap().distribution_time_max_s;
        assert_eq!((row.value, row.limit, row.outcome, row.line), (most, Some(40.0), Check::Met, 7));
        let row =
            held(threshold(Metric::Completion, Aggregate::Percentile(95.0), 1.0), &results.trials, &results.peers);
        assert_eq!(row.outcome, Check::Crossed);
    }

    #[test]
    fn a_trial_that_failed_took_longer_than_any_limit() {
        let mut results = textbook();
        for trial in results.trials.iter_mut().filter(|trial| trial.cell == "p2p-n10" && trial.repeat == 2) {
            (trial.verdict, trial.outcome, trial.distribution_time_s) = (Verdict::Failed, TrialOutcome::Timeout, None);
        }
        let of = |which| held(threshold(Metric::DistributionTime, which, 1e9), &results.trials, &results.peers);
        assert_eq!(
            (of(Aggregate::Max).outcome, of(Aggregate::Max).why),
            (Check::Crossed, "1 of 3 never completed".into())
        );
        assert_eq!((of(Aggregate::Mean).outcome, of(Aggregate::Median).outcome), (Check::Crossed, Check::Met));
    }

    #[test]
    fn without_a_valid_trial_nothing_is_met() {
        let mut results = textbook();
        for trial in &mut results.trials {
            trial.verdict = Verdict::Invalid;
        }
        let row = held(threshold(Metric::DistributionTime, Aggregate::Median, 1e9), &results.trials, &results.peers);
        assert_eq!((row.outcome, row.value), (Check::NoData, None));
        let cell = cell(Architecture::P2p, 10, 3);
        assert_eq!(assert(Assertion::AllCompleted, &cell, &results.trials).outcome, Check::NoData);
        assert_eq!(assert(Assertion::AllValid, &cell, &results.trials).outcome, Check::Crossed);
        assert_eq!(assert(Assertion::AllCompleted, &cell, &[]).outcome, Check::NoData);
    }

    #[test]
    fn quantiles_beside_infinity_are_numbers_where_there_are_any() {
        let values = [3.0, f64::INFINITY, 1.0];
        assert_eq!(aggregate(&values, Aggregate::Median), Some(3.0));
        assert_eq!(aggregate(&values, Aggregate::Percentile(75.0)), Some(f64::INFINITY));
        assert_eq!(aggregate(&[f64::INFINITY; 2], Aggregate::Median), Some(f64::INFINITY));
        assert_eq!(aggregate(&[], Aggregate::Max), None);
    }
}
