//! Thresholds and assertions: what the results of each cell were to be, and what they are.

use std::fmt;

use super::completed::is_ended;
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
    /// The number that was looked at, in the unit that `unit` names; empty where there is none, or it is infinite.
    pub value: Option<f64>,
    /// The number that it was held to, in the same unit.
    pub limit: Option<f64>,
    /// Unit of both: `s`, `bytes`, or `1`.
    pub unit: String,
    /// What came of it.
    pub outcome: Check,
    /// Why there is no number, or what part of the trials or peers it is about; empty if there is nothing to say.
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

/// A number beside a limit that it is held to: with so many decimals, and as many more as tell the two apart.
#[must_use]
pub fn apart(value: f64, limit: f64, decimals: usize) -> String {
    /// More decimals than a number of this kind has.
    const MOST: usize = 17;
    let same = |decimals: &usize| format!("{value:.decimals$}") == format!("{limit:.decimals$}");
    let decimals = if value == limit { decimals } else { (decimals..MOST).find(|n| !same(n)).unwrap_or(MOST) };
    format!("{value:.decimals$}")
}

impl CheckRow {
    /// What there is, in words: the number and what it is about, or why there is none.
    #[must_use]
    pub fn is(&self) -> String {
        if self.value.is_some() { format!("it is {}{}", self.shown(), self.about()) } else { self.why.clone() }
    }

    /// ` (judged on 2 of 3 trials)`, if the number is about a part.
    #[must_use]
    pub fn about(&self) -> String {
        if self.why.is_empty() { String::new() } else { format!(" ({})", self.why) }
    }

    /// The number that was looked at, as people read it, with as many digits as tell it from its limit; why there is none,
    /// where there is none.
    #[must_use]
    pub fn shown(&self) -> String {
        let is_share = ["offload", "duplicates", "overhead"].contains(&self.metric.as_str());
        let (unit, scale, decimals) = match self.unit.as_str() {
            "s" => (" s", 1.0, 2),
            "bytes" => (" B", 1.0, 0),
            _ if is_share => (" %", 100.0, 1),
            _ => ("", 1.0, 3),
        };
        match self.value {
            Some(value) => apart(value * scale, self.limit.unwrap_or(f64::INFINITY) * scale, decimals) + unit,
            None if self.why.is_empty() => "–".to_owned(),
            None => self.why.clone(),
        }
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
        Some(_) => part(cell, trials),
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
    let own: Vec<&TrialRow> = last(cell, trials).filter(|it| is_ended(it)).collect();
    let each = |of: &dyn Fn(&TrialRow) -> Option<f64>| own.iter().filter_map(|trial| of(trial)).collect();
    let of_peers = |of: &dyn Fn(&PeerRow) -> Option<f64>, all: bool| {
        let is_in = |peer: &&PeerRow| {
            own.iter().any(|it| (&it.cell, it.repeat, it.attempt) == (&peer.cell, peer.repeat, peer.attempt))
        };
        let waited = |peer: &&PeerRow| peer.to_complete || (all && of(peer).is_some());
        peers.iter().filter(is_in).filter(waited).map(|peer| of(peer).unwrap_or(f64::INFINITY)).collect()
    };
    // Where nobody was to complete, nobody failed to.
    let fails = |trial: &TrialRow| trial.verdict == Verdict::Failed && trial.to_complete > 0;
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

/// What part of a cell's trials a number is about, and of the peers, if it is not about all of them.
fn part(cell: &Cell, trials: &[TrialRow]) -> String {
    let all = cell.trials.len();
    let ended: Vec<&TrialRow> = last(cell, trials).filter(|trial| is_ended(trial)).collect();
    let gave_up: u32 = ended.iter().map(|trial| trial.gave_up).sum();
    let to_complete: u32 = ended.iter().map(|trial| trial.to_complete).sum();
    let parts = [
        (ended.len() < all).then(|| format!("judged on {} of {all} trials", ended.len())),
        (gave_up > 0).then(|| format!("{gave_up} of {to_complete} peers gave up")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
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
    let (outcome, why) = match what {
        Assertion::AllCompleted => all_completed(cell, trials),
        Assertion::AllValid => {
            let own: Vec<&TrialRow> = trials.iter().filter(|trial| trial.cell == cell.id).collect();
            match (own.iter().filter(|trial| trial.verdict == Verdict::Invalid).count(), own.len()) {
                (_, 0) => (Check::NoData, "no trial was run".to_owned()),
                (0, _) => (Check::Met, String::new()),
                (bad, of) => (Check::Crossed, format!("{bad} of {of} attempts were INVALID")),
            }
        }
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

/// Whether every peer completed that was to complete by the schedule, in every trial that is not INVALID.
fn all_completed(cell: &Cell, trials: &[TrialRow]) -> (Check, String) {
    let ended: Vec<&TrialRow> = last(cell, trials).filter(|it| it.verdict != Verdict::Invalid).collect();
    let sum = |of: fn(&TrialRow) -> u32| ended.iter().map(|trial| of(trial)).sum::<u32>();
    let (to_complete, completed, gave_up) = (sum(|it| it.to_complete), sum(|it| it.completed), sum(|it| it.gave_up));
    let bad =
        ended.iter().filter(|trial| trial.verdict != Verdict::Valid || trial.completed < trial.to_complete).count();
    match (ended.len(), to_complete, bad) {
        (0, ..) => (Check::NoData, "no trial that is not INVALID".to_owned()),
        (_, 0, _) => (Check::NoData, "the schedule removes every peer for good: nobody was to complete".to_owned()),
        (_, _, 0) => (Check::Met, part(cell, trials)),
        (of, ..) => {
            let patience = if gave_up > 0 { format!(", {gave_up} gave up") } else { String::new() };
            let trials = if of > 1 { format!(" in {bad} of {of} trials") } else { String::new() };
            (Check::Crossed, format!("{completed} of {to_complete} completed{patience}{trials}"))
        }
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
    fn a_number_and_its_limit_are_told_apart() {
        assert_eq!(apart(1.135_04, 1.135, 3), "1.13504");
        assert_eq!(apart(1.2, 1.135, 3), "1.200");
        assert_eq!(apart(1.135, 1.135, 3), "1.135");
        assert_eq!(apart(0.1 + 0.2, 0.3, 1), "0.30000000000000004");
        assert_eq!(apart(89.999_9, 90.0, 2), "89.9999");
        // However many digits it takes, what is shown lies on the side of the limit on which the number lies.
        for (value, limit) in [(1.134_999, 1.135), (2.000_000_1, 2.0), (99.995, 100.0), (1.144_9, 1.145)] {
            let shown: f64 = apart(value, limit, 2).parse().unwrap();
            assert_eq!((shown < limit, shown > limit), (value < limit, value > limit), "{value} {limit} {shown}");
        }
        let row = |metric: &str, unit: &str, value, limit| {
            let threshold = held(threshold(Metric::DistributionTime, Aggregate::Max, 1.0), &[], &[]);
            CheckRow { metric: metric.to_owned(), unit: unit.to_owned(), value, limit, ..threshold }.shown()
        };
        assert_eq!(row("distribution_time", "1", Some(1.135_4), Some(1.135)), "1.1354");
        assert_eq!(row("duplicates", "1", Some(0.030_04), Some(0.03)), "3.004 %");
        assert_eq!(row("launch", "s", Some(3.0), Some(4.0)), "3.00 s");
        assert_eq!(row("lost_bytes", "bytes", Some(3.0), Some(2.0)), "3 B");
        assert_eq!(row("launch", "s", None, Some(4.0)), "no valid trial has such a number");
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
    fn all_completed_means_all_that_were_to_by_the_schedule() {
        let cell = cell(Architecture::P2p, 10, 3);
        let asserted = |change: fn(&mut TrialRow)| {
            let mut results = textbook();
            results.trials.iter_mut().filter(|trial| trial.cell == cell.id && trial.repeat == 2).for_each(change);
            let row = assert(Assertion::AllCompleted, &cell, &results.trials);
            (row.outcome, row.why)
        };
        assert_eq!(asserted(|_| ()), (Check::Met, String::new()));
        let gave_up = asserted(|trial| (trial.completed, trial.gave_up) = (7, 3));
        assert_eq!(gave_up, (Check::Crossed, "27 of 30 completed, 3 gave up in 1 of 3 trials".into()));
        assert_eq!(
            asserted(|trial| trial.verdict = Verdict::Invalid),
            (Check::Met, "judged on 2 of 3 trials".to_owned())
        );
        // Over nobody nothing is met.
        let mut nobody = textbook();
        nobody.trials.iter_mut().for_each(|trial| (trial.to_complete, trial.completed) = (0, 0));
        assert_eq!(assert(Assertion::AllCompleted, &cell, &nobody.trials).outcome, Check::NoData);
    }

    #[test]
    fn a_number_of_a_part_says_of_which() {
        let mut results = textbook();
        for trial in results.trials.iter_mut().filter(|trial| trial.cell == "p2p-n10") {
            (trial.completed, trial.gave_up) = (9, 1);
            trial.verdict = if trial.repeat == 1 { Verdict::Invalid } else { Verdict::Valid };
        }
        let most = threshold(Metric::DistributionTime, Aggregate::Max, 1e9);
        let row = held(most, &results.trials, &results.peers);
        let about = "judged on 2 of 3 trials, 2 of 20 peers gave up";
        assert_eq!((row.outcome, row.why.as_str()), (Check::Met, about));
        assert!(row.is().ends_with(&format!(" s ({about})")), "{}", row.is());
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
