//! Arms against each other: how many times as long one takes as the base, how sure that is, and what follows.
//!
//! Repeat k of both arms is a pair: the same seed, so the same fates, one right after the other on the same machine. Of
//! each pair the logarithm of the ratio is taken, so that twice and half as long are equally far from 1, and of these the
//! mean and its interval by Student's t: what a machine adds to both arms falls out.
//!
//! A comparison may be looked at after each pair from [`PAIRS_MIN`] on and ends when it is decided. To look often and to
//! stop at what one likes to see would be wrong more often than is stated, so the probability of error, [`ERROR`], is
//! shared out over the looks: half of it to the last, the other half evenly to those before. By Bonferroni's inequality
//! all of them together miss the true ratio with at most that probability, however they depend on each other.

use std::collections::BTreeSet;
use std::fmt;

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::completed::{self, Completed};
use super::metrics::{TrialRow, Verdict};
use crate::plan::gate::{Metric, PAIRS_MIN};
use crate::plan::{Cell, Plan};

/// How often the intervals of a comparison, over all looks at it, miss the true ratio at most.
pub const ERROR: f64 = 0.05;

/// How likely a change of the smallest detectable size is found.
pub const POWER: f64 = 0.9;

/// Most pairs that it is worth to name.
const PAIRS_MAX: u32 = 10_000;

/// An arm against the base in one cell, or a run against what was before it ([`super::history`]).
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonRow {
    /// The id of the arm's cell.
    pub cell: String,
    /// What it is compared with: the base's cell, a baseline, or the last nights.
    pub base: Against,
    /// What is compared: of each trial its `distribution_time_s`, `completion_median_s` or `download_mean_s`.
    pub metric: Metric,
    /// Pairs that count: both trials valid, with a number. Against a baseline the run's valid trials, against nights their
    /// number.
    pub pairs: u32,
    /// Pairs that the plan has.
    pub pairs_planned: u32,
    /// How many times as long the arm takes: the geometric mean over the pairs.
    pub ratio: Option<f64>,
    /// Where that ratio lies, lower end: by Student's t on the logarithms.
    pub low_ratio: Option<f64>,
    /// The same, upper end.
    pub high_ratio: Option<f64>,
    /// How often such an interval holds the ratio, at this look.
    pub confidence_share: Option<f64>,
    /// Largest change for the worse that is none yet.
    pub max_worse_share: f64,
    /// What follows: of the shares that completed first, then of the times.
    pub verdict: Change,
    /// Of the peers that were to complete, the share that did, over all trials that are not INVALID.
    pub completed_share: Option<f64>,
    /// The same of what it is compared with.
    pub base_completed_share: Option<f64>,
    /// The smallest change for the worse that so many pairs with such a spread find in nine of ten cases.
    pub detectable_share: Option<f64>,
    /// Pairs after which such a ratio with such a spread would be decided; empty if it is, or if 10,000 were too few.
    pub pairs_needed: Option<u32>,
    /// What else is to be said of it: why there is no verdict, what was acknowledged.
    pub why: String,
}

/// What something is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Against {
    /// The base's cell.
    Arm(String),
    /// A baseline, by its name.
    Baseline(String),
    /// So many of the last nights.
    Nights(usize),
}

impl fmt::Display for Against {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arm(cell) => f.write_str(cell),
            Self::Baseline(name) => write!(f, "baseline `{name}`"),
            Self::Nights(count) => write!(f, "the last {count} nights"),
        }
    }
}

impl ComparisonRow {
    /// Whether it is about two arms of one run.
    #[must_use]
    pub fn is_of_arms(&self) -> bool {
        matches!(self.base, Against::Arm(_))
    }

    /// That the numbers are about different shares of the peers, if they are: it is said before anything else.
    #[must_use]
    pub fn populations(&self) -> Option<String> {
        let (own, base) = self.completed_share.zip(self.base_completed_share)?;
        let percent = |share: f64| if share == 1.0 { "100 %".to_owned() } else { format!("{:.1} %", share * 100.0) };
        let of = match self.base {
            Against::Arm(_) => "the base",
            Against::Baseline(_) => "the baseline",
            Against::Nights(_) => "those nights",
        };
        (own != base).then(|| format!("{} of the peers completed, of {of} {}", percent(own), percent(base)))
    }

    /// What `pairs` counts: pairs of arms, trials beside a baseline's, or nights.
    #[must_use]
    pub fn counted(&self) -> &'static str {
        match self.base {
            Against::Arm(_) => "pairs",
            Against::Baseline(_) => "trials",
            Against::Nights(_) => "nights",
        }
    }
}

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// The interval lies wholly beyond the largest change for the worse.
    Regressed,
    /// It lies wholly as far on the good side.
    Improved,
    /// It lies wholly between the two.
    Equivalent,
    /// None of these.
    Inconclusive,
    /// There are too few pairs to say anything.
    NoData,
    /// It regressed, and that is known: until a day and up to a ratio nobody is to be woken for it.
    Acknowledged,
}

impl Change {
    /// Whether more pairs would not be looked at.
    #[must_use]
    pub fn is_decided(self) -> bool {
        matches!(self, Self::Regressed | Self::Improved | Self::Equivalent)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Regressed => "regressed",
            Self::Improved => "improved",
            Self::Equivalent => "equivalent",
            Self::Inconclusive => "inconclusive",
            Self::NoData => "no-data",
            Self::Acknowledged => "acknowledged",
        })
    }
}

/// A mean of logarithms of ratios, and where it lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Values.
    pub n: u32,
    /// Their mean.
    pub mean: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The probability that it misses.
    pub error: f64,
    /// Standard deviation of the values.
    pub deviation: f64,
}

/// The two-sided quantile of Student's t: `|t| < quantile` but with probability `error`.
#[must_use]
pub fn student(error: f64, freedom: f64) -> f64 {
    let t = StudentsT::new(0.0, 1.0, freedom).expect("at least one degree of freedom");
    t.inverse_cdf(1.0 - error / 2.0)
}

/// The mean of at least two values and its interval.
fn estimate(values: &[f64], error: f64) -> Option<Estimate> {
    let n = values.len() as f64;
    if values.len() < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let half = student(error, n - 1.0) * deviation / n.sqrt();
    Some(Estimate { n: values.len() as u32, mean, low: mean - half, high: mean + half, error, deviation })
}

/// What an interval of the logarithm of a ratio says, for the largest change that is none.
#[must_use]
pub fn judge(low: f64, high: f64, max_worse: f64) -> Change {
    let margin = max_worse.ln_1p();
    if low > margin {
        Change::Regressed
    } else if high < -margin {
        Change::Improved
    } else if low >= -margin && high <= margin {
        Change::Equivalent
    } else {
        Change::Inconclusive
    }
}

/// The probability of error that the look after `n` of `planned` pairs may spend.
fn spent(n: u32, planned: u32) -> f64 {
    match planned.saturating_sub(PAIRS_MIN) {
        0 => ERROR,
        _ if n >= planned => ERROR / 2.0,
        earlier => ERROR / 2.0 / f64::from(earlier),
    }
}

/// What the logarithms of the pairs' ratios come to, in the order of the pairs: at the first look that decides, or at the
/// last.
#[must_use]
pub fn decide(logs: &[f64], planned: u32, max_worse: f64) -> (Option<Estimate>, Change) {
    let mut last = (estimate(logs, ERROR), Change::NoData);
    for n in PAIRS_MIN..=u32::try_from(logs.len()).unwrap_or(u32::MAX) {
        let Some(it) = estimate(&logs[..n as usize], spent(n, planned)) else { continue };
        last = (Some(it), judge(it.low, it.high, max_worse));
        if last.1.is_decided() {
            break;
        }
    }
    last
}

/// The smallest change for the worse that is called one with probability [`POWER`], as a share.
fn detectable(it: &Estimate, max_worse: f64) -> f64 {
    let freedom = f64::from(it.n) - 1.0;
    let quantiles = student(it.error, freedom) + student(2.0 * (1.0 - POWER), freedom);
    (max_worse.ln_1p() + quantiles * it.deviation / f64::from(it.n).sqrt()).exp_m1()
}

/// After how many pairs a ratio like this one would be decided.
fn needed(it: &Estimate, max_worse: f64) -> Option<u32> {
    let margin = max_worse.ln_1p();
    let distance = (it.mean - margin).abs().min((it.mean + margin).abs());
    let is_enough = |n: &u32| {
        let n = f64::from(*n);
        student(ERROR / 2.0, n - 1.0) * it.deviation / n.sqrt() < distance
    };
    // The half width falls with n, so the first that is enough can be searched for by halving.
    let (mut low, mut high) = (it.n.max(PAIRS_MIN), PAIRS_MAX);
    if !is_enough(&high) {
        return None;
    }
    while low < high {
        let middle = low.midpoint(high);
        if is_enough(&middle) { high = middle } else { low = middle + 1 }
    }
    Some(low)
}

/// The number of a trial that is compared, if the trial counts.
#[must_use]
pub fn compared(trial: &TrialRow, metric: Metric) -> Option<f64> {
    let number = match metric {
        Metric::Completion => trial.completion_median_s,
        Metric::Download => trial.download_mean_s,
        _ => trial.distribution_time_s,
    };
    number.filter(|number| trial.verdict == Verdict::Valid && trial.distribution_time_s.is_some() && *number > 0.0)
}

/// The pairs of two cells that count: the repeat, and the numbers of base and arm.
fn pairs(base: &Cell, arm: &Cell, trials: &[TrialRow], metric: Metric) -> Vec<(f64, f64)> {
    let of = |cell: &Cell, repeat: u32| {
        let own = trials.iter().filter(|trial| trial.cell == cell.id && trial.repeat == repeat);
        own.filter_map(|trial| compared(trial, metric)).next_back()
    };
    let both = |trial: &crate::plan::Trial| of(base, trial.repeat).zip(of(arm, trial.repeat));
    base.trials.iter().filter_map(both).collect()
}

/// Every arm against the base, cell by cell.
#[must_use]
pub fn comparisons(plan: &Plan, trials: &[TrialRow]) -> Vec<ComparisonRow> {
    let of_one = |base: &Cell, arm: &Cell| {
        let compare = &plan.gate.compare;
        let pairs = pairs(base, arm, trials, compare.metric);
        let logs: Vec<f64> = pairs.iter().map(|(base, arm)| (arm / base).ln()).collect();
        let planned = u32::try_from(base.trials.len()).unwrap_or(u32::MAX);
        let (estimate, verdict) = decide(&logs, planned, compare.max_worse);
        // Of one pair there is a ratio and no interval.
        let mean = estimate.map(|it| it.mean).or_else(|| logs.first().copied());
        let told = estimate.filter(|_| verdict != Change::NoData);
        let mut row = ComparisonRow {
            cell: arm.id.clone(),
            base: Against::Arm(base.id.clone()),
            metric: compare.metric,
            pairs: told.map_or(u32::try_from(logs.len()).unwrap_or(u32::MAX), |it| it.n),
            pairs_planned: planned,
            ratio: mean.map(f64::exp),
            low_ratio: told.map(|it| it.low.exp()),
            high_ratio: told.map(|it| it.high.exp()),
            confidence_share: told.map(|it| 1.0 - it.error),
            max_worse_share: compare.max_worse,
            verdict,
            completed_share: None,
            base_completed_share: None,
            detectable_share: told.map(|it| detectable(&it, compare.max_worse)),
            pairs_needed: told
                .filter(|_| verdict == Change::Inconclusive)
                .and_then(|it| needed(&it, compare.max_worse)),
            why: match verdict {
                Change::NoData => format!("fewer than {PAIRS_MIN} pairs in which both trials are valid"),
                _ => String::new(),
            },
        };
        let completed = |cell: &Cell| Completed::of(trials.iter().filter(|trial| trial.cell == cell.id));
        completed::lay_over(&mut row, completed(base), completed(arm));
        row
    };
    plan.contests().flat_map(|(base, arms)| arms.into_iter().map(move |arm| of_one(base, arm))).collect()
}

/// The ids of the cells of which no trial more is needed: all arms of theirs are decided.
#[must_use]
pub fn decided<'a>(plan: &'a Plan, rows: &[ComparisonRow]) -> BTreeSet<&'a str> {
    let is = |arm: &&Cell| rows.iter().any(|row| row.cell == arm.id && row.verdict.is_decided());
    plan.contests()
        .filter(|(_, arms)| arms.iter().all(is))
        .flat_map(|(base, arms)| std::iter::once(base).chain(arms))
        .map(|cell| cell.id.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_t_agree_with_the_tables() {
        // Two-sided 5 % and 2.5 %; R: qt(0.975, 6), qt(0.9875, 5).
        for (error, freedom, expected) in [(0.05, 6.0, 2.446_912), (0.025, 5.0, 3.163_381), (0.05, 5.0, 2.570_582)] {
            assert!((student(error, freedom) - expected).abs() < 1e-5, "{}", student(error, freedom));
        }
    }

    #[test]
    fn the_interval_is_that_of_a_paired_t_test() {
        // Student's own sleep data (Biometrika 6, 1908), the differences between two drugs: mean 1.58, and by R's
        // t.test(paired = TRUE) the 95 % interval [0.7001142, 2.4598858].
        let differences = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];
        let it = estimate(&differences, 0.05).unwrap();
        assert!((it.mean - 1.58).abs() < 1e-12);
        assert!((it.low - 0.700_114_2).abs() < 1e-6 && (it.high - 2.459_885_8).abs() < 1e-6, "{it:?}");
    }

    #[test]
    fn what_is_invalid_or_failed_is_compared_with_nothing() {
        let trial = crate::analysis::fixture::textbook().trials.remove(0);
        for metric in [Metric::DistributionTime, Metric::Completion, Metric::Download] {
            assert!(compared(&trial, metric).is_some(), "{metric}");
            for verdict in [Verdict::Invalid, Verdict::Failed, Verdict::BrokenOff] {
                assert_eq!(compared(&TrialRow { verdict, ..trial.clone() }, metric), None, "{metric}, {verdict}");
            }
        }
    }

    #[test]
    fn a_verdict_is_where_the_interval_lies() {
        let of = |low: f64, high: f64| judge(low.ln(), high.ln(), 0.05);
        assert_eq!(of(1.06, 1.2), Change::Regressed);
        assert_eq!(of(0.8, 0.94), Change::Improved);
        assert_eq!(of(0.96, 1.04), Change::Equivalent);
        assert_eq!(of(1.02, 1.08), Change::Inconclusive);
        assert_eq!(of(0.93, 0.99), Change::Inconclusive);
        assert_eq!(of(0.9, 1.1), Change::Inconclusive);
    }

    #[test]
    fn it_ends_at_the_first_look_that_decides_and_never_before_six_pairs() {
        let logs = [0.100, 0.101, 0.102, 0.100, 0.099, 0.101, 0.0, 0.0];
        assert_eq!(decide(&logs[..5], 8, 0.05).1, Change::NoData);
        let (it, verdict) = decide(&logs, 8, 0.05);
        assert_eq!((it.unwrap().n, verdict), (6, Change::Regressed));
        assert_eq!(decide(&[], 8, 0.05), (None, Change::NoData));
        // Equal values have no spread, and that is no reason to divide by nothing.
        assert_eq!(decide(&[0.0; 6], 7, 0.05).1, Change::Equivalent);
    }

    #[test]
    fn the_looks_together_spend_no_more_than_the_stated_error() {
        for planned in PAIRS_MIN..50 {
            let all: f64 = (PAIRS_MIN..=planned).map(|n| spent(n, planned)).sum();
            assert!(all <= ERROR + 1e-12, "{planned}: {all}");
        }
        assert_eq!((spent(6, 7), spent(7, 7), spent(6, 6)), (0.025, 0.025, 0.05));
    }

    #[test]
    fn more_pairs_would_decide_what_these_cannot() {
        let (it, verdict) = decide(&[0.02, 0.08, -0.03, 0.05, 0.01, 0.09, -0.02], 7, 0.05);
        assert_eq!(verdict, Change::Inconclusive);
        let n = needed(&it.unwrap(), 0.05).unwrap();
        assert!((30..300).contains(&n), "{n}");
        // What lies on the margin is never decided.
        let on_it = Estimate { mean: 0.05_f64.ln_1p(), ..it.unwrap() };
        assert_eq!(needed(&on_it, 0.05), None);
    }
}
