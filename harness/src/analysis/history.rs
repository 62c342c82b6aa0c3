//! A run beside what was measured before it: the promoted baseline, and the nights since.
//!
//! **The baseline** is compared trial by trial: the ratio of the geometric means, with an interval by Welch's t on the
//! logarithms. Trials of one night share that night's machine, so the spread within a night says too little: the variance
//! from night to night is added, twice, once for each side, as far as the nights tell it (`Nights::variance`).
//!
//! **The last nights** say what tonight was to be expected to be, on the logarithms of their medians, from [`NIGHTS_MIN`] nights
//! of the present level on ([`super::changes`]): at most median + t·s·√(1 + 1/m) with a robust s, and t at [`PREDICTED`],
//! one-sided; and where that is more, the slowest night and `BEYOND`·s. So nights of two kinds, each fifth a tenth slower,
//! say, are known by both.
//!
//! **A single night is no kind of night** (`Nights`): of the nights the most distant one, of twenty two, and so on, is left
//! out of both, else one night of ten times the time would blind the gate for weeks. Unless tonight is like it: what came
//! twice may come again.
//!
//! Only what agrees is compared: experiment, plan, runtime, congestion control and machine ([`Identity`]).

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::changes;
use super::compare::{Against, Change, ComparisonRow, POWER, judge, student};
use super::completed::{self, Completed};
use super::statistics::{mean, median, robust_deviation};
use super::summary::Analysis;
use crate::plan::gate::{Compare, Metric};

/// Version of baselines, histories and promotions; readers refuse a newer one.
pub const VERSION: u32 = 1;

/// How often the interval of a ratio to the baseline misses it.
const ERROR: f64 = 0.05;
/// The share of nights that the prediction holds for.
pub const PREDICTED: f64 = 0.99;
/// Fewest nights that predict anything.
pub const NIGHTS_MIN: usize = 5;
/// Nights that predict, the last ones: of a kind that is each fifth night some are among them.
const NIGHTS_MAX: usize = 30;
/// Of so many nights one more may be of no kind.
const NIGHTS_PER_STRANGER: usize = 20;
/// Robust standard deviations by which a night may be slower than the slowest of its kind, or differ from it and be like it.
const BEYOND: f64 = 2.0;

/// What must agree for two runs to be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// The experiment's name.
    pub experiment: String,
    /// SHA-256 over everything that decides its trials: settings of all cells, and the seed; 16 hexadecimal digits.
    pub plan: String,
    /// `docker`, `netns`, or both.
    pub runtime: String,
    /// TCP congestion control.
    pub congestion: String,
    /// Label of the machine.
    pub machine: String,
}

impl Identity {
    /// What differs, in words: `machine: a, then b`.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let parts = |it: &Self| {
            [
                ("experiment", it.experiment.clone()),
                ("plan", it.plan.clone()),
                ("runtime", it.runtime.clone()),
                ("congestion control", it.congestion.clone()),
                ("machine", it.machine.clone()),
            ]
        };
        let both = parts(self).into_iter().zip(parts(other));
        both.filter(|(a, b)| a.1 != b.1).map(|(a, b)| format!("{}: `{}`, here `{}`", a.0, a.1, b.1)).collect()
    }
}

/// A run's raw values: by cell and metric, one for each valid trial, seconds.
pub type Values = BTreeMap<String, BTreeMap<Metric, Vec<f64>>>;

/// One run that is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Night {
    /// Version of its form; readers refuse a newer one.
    pub version: u32,
    /// What it can be compared with.
    pub identity: Identity,
    /// The run's id.
    pub run: String,
    /// The commit of what was measured, if it is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub commit: String,
    /// When it began, RFC 3339.
    pub at: String,
    /// What came of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub outcome: String,
    /// Its settings in words, by key, so that what differs can be named: of a baseline only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// What it measured.
    pub cells: Values,
    /// By cell, how many of the peers that were to complete did; empty in records that do not have it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub completed: BTreeMap<String, Completed>,
}

impl Night {
    /// What differs from another run, in words: where the plans do, the settings by which they do, as far as both have them.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = self.identity.differences(&other.identity);
        let value = |night: &Self, key: &str| night.settings.get(key).map_or("–", String::as_str).to_owned();
        let keys: BTreeSet<&String> = self.settings.keys().chain(other.settings.keys()).collect();
        let settings: Vec<String> = keys
            .into_iter()
            .map(|key| (key, value(self, key), value(other, key)))
            .filter(|(_, then, now)| then != now)
            .map(|(key, then, now)| format!("{key}: `{then}`, here `{now}`"))
            .collect();
        if !self.settings.is_empty()
            && !settings.is_empty()
            && let Some(at) = found.iter().position(|it| it.starts_with("plan: "))
        {
            found.splice(at..=at, settings);
        }
        found
    }
}

/// A regression that is known, and until when nobody is to be woken for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Acknowledgement {
    /// Version of its form; readers refuse a newer one.
    pub version: u32,
    /// The cell.
    pub cell: String,
    /// The metric.
    pub metric: Metric,
    /// Largest ratio that is acknowledged.
    pub up_to: f64,
    /// Last day, `YYYY-MM-DD`.
    pub until: String,
    /// Why.
    pub reason: String,
    /// When it was written down, RFC 3339.
    pub at: String,
}

/// What a run is compared with, kept beside it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reference {
    /// Version of its form; readers refuse a newer one.
    pub version: u32,
    /// Name of the baseline.
    pub name: String,
    /// The baseline, if there is one that can be compared with.
    pub baseline: Option<Night>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub missing: String,
    /// Earlier nights that can be compared with, oldest first.
    pub nights: Vec<Night>,
    /// Known regressions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acknowledged: Vec<Acknowledgement>,
    /// The run itself.
    pub tonight: Night,
}

/// A change of a cell's level in the history.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeRow {
    /// The cell.
    pub cell: String,
    /// The metric.
    pub metric: Metric,
    /// The last run before it.
    pub run_before: String,
    /// The first run after it.
    pub run_after: String,
    /// The commit of the former.
    pub commit_before: String,
    /// The commit of the latter.
    pub commit_after: String,
    /// How many times as long it takes since: of the levels on either side.
    pub ratio: f64,
}

/// One night of a cell, tonight among them.
#[derive(Debug, Clone, PartialEq)]
pub struct NightRow {
    /// The cell.
    pub cell: String,
    /// The metric.
    pub metric: Metric,
    /// The run.
    pub run: String,
    /// When it began, RFC 3339.
    pub at: String,
    /// The commit of what was measured, if it is known.
    pub commit: String,
    /// Valid trials.
    pub trials: u32,
    /// The shortest of them, seconds.
    pub least_s: f64,
    /// Their median, seconds; of an even number the geometric mean of the two in the middle.
    pub median_s: f64,
    /// The longest of them, seconds.
    pub most_s: f64,
    /// The level of the nights from one change to the next: the median of theirs, seconds.
    pub level_s: f64,
    /// Geometric mean of the baseline's trials, seconds; empty if there is no baseline that has the cell.
    pub baseline_s: Option<f64>,
}

/// A run's raw values, of all metrics that can be compared.
#[must_use]
pub fn values(analysis: &Analysis) -> Values {
    let metrics = [Metric::DistributionTime, Metric::Completion, Metric::Download];
    let of_cell = |cell: &str| {
        let own = analysis.trials.iter().filter(|trial| trial.cell == cell);
        let of = |metric| own.clone().filter_map(|trial| super::compare::compared(trial, metric)).collect::<Vec<f64>>();
        metrics.map(|metric| (metric, of(metric))).into_iter().filter(|(_, values)| !values.is_empty()).collect()
    };
    analysis.summary.iter().map(|row| (row.cell.clone(), of_cell(&row.cell))).collect()
}

/// A run's shares of completed peers.
#[must_use]
pub fn completed(analysis: &Analysis) -> BTreeMap<String, Completed> {
    let of_cell = |cell: &str| Completed::of(analysis.trials.iter().filter(|trial| trial.cell == cell));
    analysis.summary.iter().map(|row| (row.cell.clone(), of_cell(&row.cell))).collect()
}

/// How many completed of a cell in these runs, as far as they tell.
fn completed_in<'n>(nights: impl IntoIterator<Item = &'n Night>, cell: &str) -> Completed {
    let each = nights.into_iter().filter_map(|night| night.completed.get(cell));
    each.fold(Completed::default(), |sum, night| sum.and(*night))
}

/// Adds to a run's results what follows from what was before it.
pub fn look_back(analysis: &mut Analysis, reference: &Reference) {
    let compare = analysis.gate.compare.clone();
    let metric = compare.metric;
    let mut cells: Vec<String> = analysis.summary.iter().map(|row| row.cell.clone()).collect();
    // What the baseline has and the run has not is not green.
    let known = reference.baseline.iter().flat_map(|night| night.cells.keys());
    cells.extend(
        known.filter(|cell| !analysis.summary.iter().any(|row| row.cell == **cell)).cloned().collect::<Vec<_>>(),
    );
    for cell in &cells {
        let series = Series::of(reference, cell, metric);
        let mut rows = vec![against_baseline(cell, reference, &series, &compare)];
        rows.extend(against_nights(cell, reference, &compare));
        for row in &mut rows {
            acknowledge(row, reference);
            let before = match row.base {
                Against::Nights(_) => completed_in(&reference.nights, cell),
                Against::Baseline(_) | Against::Arm(_) => completed_in(&reference.baseline, cell),
            };
            completed::lay_over(row, before, completed_in([&reference.tonight], cell));
        }
        analysis.comparisons.extend(rows);
        let (nights, changes) = levels(cell, metric, reference, &series);
        analysis.nights.extend(nights);
        analysis.changes.extend(changes);
    }
}

fn of<'n>(night: &'n Night, cell: &str, metric: Metric) -> &'n [f64] {
    night.cells.get(cell).and_then(|metrics| metrics.get(&metric)).map_or(&[], Vec::as_slice)
}

fn logs(values: &[f64]) -> Vec<f64> {
    values.iter().filter(|value| **value > 0.0).map(|value| value.ln()).collect()
}

/// Logarithms of the medians of the nights that have the cell, each with its night.
fn medians<'n>(nights: impl Iterator<Item = &'n Night>, cell: &str, metric: Metric) -> Vec<(f64, &'n Night)> {
    nights.filter_map(|night| Some((median(&logs(of(night, cell, metric)))?, night))).collect()
}

/// What nights do by themselves, tonight not among them.
#[derive(Debug, Clone, PartialEq)]
struct Nights {
    /// Their middle, a robust standard deviation, and those that are of some kind: logarithms of seconds.
    middle: f64,
    deviation: f64,
    known: Vec<f64>,
}

impl Nights {
    /// Of the last nights' values, beside tonight's. `None` if they are too few.
    fn of(values: &[f64], tonight: f64) -> Option<Self> {
        let values = &values[values.len().saturating_sub(NIGHTS_MAX)..];
        if values.len() < NIGHTS_MIN {
            return None;
        }
        let (middle, deviation) = (median(values)?, robust_deviation(values)?);
        let mut known = values.to_vec();
        known.sort_by(|a, b| (a - middle).abs().total_cmp(&(b - middle).abs()));
        let strangers = known.split_off(values.len() - 1 - values.len() / NIGHTS_PER_STRANGER);
        known.extend(strangers.into_iter().filter(|it| (it - tonight).abs() <= BEYOND * deviation));
        Some(Self { middle, deviation, known })
    }

    /// The variance from night to night: from all nights that are of some kind, so that nights of two kinds have that of both.
    fn variance(&self) -> f64 {
        let squares: f64 = self.known.iter().map(|value| (value - self.middle).powi(2)).sum();
        (squares / (self.known.len() as f64 - 1.0)).max(self.deviation.powi(2))
    }

    /// By how much a night is expected to be longer than the middle at most.
    fn margin(&self) -> f64 {
        let m = self.known.len() as f64;
        let of_one_kind = student(2.0 * (1.0 - PREDICTED), m - 1.0) * self.deviation * (1.0 + 1.0 / m).sqrt();
        let slowest = self.known.iter().map(|value| value - self.middle).fold(0.0, f64::max);
        // Within what one kind does by chance there is no other.
        if slowest <= of_one_kind { of_one_kind } else { slowest + BEYOND * self.deviation }
    }
}

/// A cell's nights, oldest first, tonight the last, and when their level changed.
struct Series<'n> {
    /// Logarithms of the medians, each with its night.
    medians: Vec<(f64, &'n Night)>,
    /// Indices of the first night after each change.
    changes: Vec<usize>,
}

impl<'n> Series<'n> {
    fn of(reference: &'n Reference, cell: &str, metric: Metric) -> Self {
        let medians = medians(reference.nights.iter().chain([&reference.tonight]), cell, metric);
        let changes = changes::changes(&medians.iter().map(|(value, _)| *value).collect::<Vec<_>>());
        Self { medians, changes }
    }

    /// The nights from one change to the next: begin, end.
    fn levels(&self) -> impl Iterator<Item = (usize, usize)> {
        let begins = std::iter::once(0).chain(self.changes.iter().copied());
        begins.zip(self.changes.iter().copied().chain([self.medians.len()]))
    }

    /// How the nights before tonight differ from the middle of their levels, and how tonight does.
    fn apart(&self) -> Option<(Vec<f64>, f64)> {
        let values: Vec<f64> = self.medians.iter().map(|(value, _)| *value).collect();
        let mut apart: Vec<f64> = Vec::new();
        for (begin, end) in self.levels() {
            let middle = median(&values[begin..end])?;
            apart.extend(values[begin..end].iter().map(|value| value - middle));
        }
        let tonight = apart.pop()?;
        Some((apart, tonight))
    }
}

fn row(cell: &str, base: Against, compare: &Compare, samples: usize) -> ComparisonRow {
    let samples = u32::try_from(samples).unwrap_or(u32::MAX);
    ComparisonRow {
        cell: cell.to_owned(),
        base,
        metric: compare.metric,
        pairs: samples,
        pairs_planned: samples,
        ratio: None,
        low_ratio: None,
        high_ratio: None,
        confidence_share: None,
        max_worse_share: compare.max_worse,
        verdict: Change::NoData,
        completed_share: None,
        base_completed_share: None,
        detectable_share: None,
        pairs_needed: None,
        why: String::new(),
    }
}

fn against_baseline(cell: &str, reference: &Reference, series: &Series<'_>, compare: &Compare) -> ComparisonRow {
    let tonight = logs(of(&reference.tonight, cell, compare.metric));
    let mut row = row(cell, Against::Baseline(reference.name.clone()), compare, tonight.len());
    let Some(baseline) = &reference.baseline else {
        row.why.clone_from(&reference.missing);
        return row;
    };
    let then = logs(of(baseline, cell, compare.metric));
    let (Some(now_mean), Some(then_mean)) = (mean(&tonight), mean(&then)) else {
        let which = if tonight.is_empty() { "this run" } else { "the baseline" };
        row.why = format!("{which} has no valid `{}` of it", compare.metric);
        return row;
    };
    row.ratio = Some((now_mean - then_mean).exp());
    if tonight.len() < 2 || then.len() < 2 {
        "one trial has no spread: `repeats` of at least 2 are needed on both sides".clone_into(&mut row.why);
        return row;
    }
    let nights = series.apart().and_then(|(apart, tonight)| Nights::of(&apart, tonight));
    let between = nights.as_ref().map(|nights| (nights.variance(), nights.known.len()));
    let (error, freedom) = welch(&tonight, &then, between);
    let half = student(ERROR, freedom) * error;
    let difference = now_mean - then_mean;
    row.low_ratio = Some((difference - half).exp());
    row.high_ratio = Some((difference + half).exp());
    row.confidence_share = Some(1.0 - ERROR);
    row.verdict = judge(difference - half, difference + half, compare.max_worse);
    let quantiles = student(ERROR, freedom) + student(2.0 * (1.0 - POWER), freedom);
    row.detectable_share = Some((compare.max_worse.ln_1p() + quantiles * error).exp_m1());
    if between.is_none() {
        row.why =
            format!("fewer than {NIGHTS_MIN} nights: how much nights differ is not known, and not in the interval");
    }
    row
}

/// Standard error of a difference of means, and its degrees of freedom by Welch and Satterthwaite, with the nights' own
/// variance, from so many nights, on both sides.
fn welch(a: &[f64], b: &[f64], between: Option<(f64, usize)>) -> (f64, f64) {
    let part = |values: &[f64]| {
        let (n, middle) = (values.len() as f64, mean(values).unwrap_or(0.0));
        let variance = values.iter().map(|value| (value - middle).powi(2)).sum::<f64>() / (n - 1.0);
        (variance / n, n - 1.0)
    };
    let mut parts = vec![part(a), part(b)];
    parts.extend(between.map(|(variance, nights)| (2.0 * variance, nights as f64 - 1.0)));
    let variance: f64 = parts.iter().map(|(variance, _)| variance).sum();
    let freedom = variance.powi(2) / parts.iter().map(|(variance, freedom)| variance.powi(2) / freedom).sum::<f64>();
    // Without any spread every quantile is as good.
    (variance.sqrt(), if freedom.is_finite() { freedom.max(1.0) } else { 1.0 })
}

/// Tonight against what the last nights lead to expect; nothing if they are too few. Nights that differ so much that what is
/// too much could not be told from them decide nothing.
fn against_nights(cell: &str, reference: &Reference, compare: &Compare) -> Option<ComparisonRow> {
    let tonight = median(&logs(of(&reference.tonight, cell, compare.metric)))?;
    let nights: Vec<f64> =
        medians(reference.nights.iter(), cell, compare.metric).into_iter().map(|(value, _)| value).collect();
    let since = changes::changes(&nights).last().copied().unwrap_or(0);
    let level = &nights[since..];
    let usual = Nights::of(level, tonight)?;
    let (middle, margin) = (usual.middle, usual.margin());
    let held_to = level.len().min(NIGHTS_MAX);
    let mut row = row(cell, Against::Nights(held_to), compare, held_to);
    row.ratio = Some((tonight - middle).exp());
    row.high_ratio = None;
    row.confidence_share = Some(PREDICTED);
    let limit = compare.max_worse.ln_1p();
    row.verdict = match tonight - middle {
        longer if longer > margin.max(limit) => Change::Regressed,
        longer if longer > limit || margin > limit => Change::Inconclusive,
        _ => Change::Equivalent,
    };
    row.detectable_share = Some(margin.max(limit).exp_m1());
    row.why = match row.verdict {
        Change::Inconclusive if margin > limit => {
            format!(
                "nights differ too much to see {:.1} %: expected is at most {:.3}",
                compare.max_worse * 100.0,
                margin.exp()
            )
        }
        _ if margin < limit => {
            format!("expected is at most {:.3}, and up to {:.3} is no regression", margin.exp(), limit.exp())
        }
        _ => format!("expected is at most {:.3}", margin.exp()),
    };
    Some(row)
}

/// A regression that is known does not wake anybody until the day that was named, as long as it does not grow.
fn acknowledge(row: &mut ComparisonRow, reference: &Reference) {
    let today = reference.tonight.at.get(..10).unwrap_or_default();
    let ratio = row.ratio.unwrap_or(f64::INFINITY);
    // The last word on a cell counts, so that one can be taken back.
    let last = reference.acknowledged.iter().rfind(|it| it.cell == row.cell && it.metric == row.metric);
    if row.verdict == Change::Regressed
        && let Some(known) = last.filter(|it| ratio <= it.up_to && is_day(&it.until) && today <= it.until.as_str())
    {
        row.verdict = Change::Acknowledged;
        row.why = format!("known until {}: {}", known.until, known.reason);
    }
}

/// Whether it is a day as `2026-12-31`, so that days can be compared as texts.
fn is_day(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

/// A cell's nights, tonight the last of them, and the changes of their level.
fn levels(cell: &str, metric: Metric, reference: &Reference, nights: &Series<'_>) -> (Vec<NightRow>, Vec<ChangeRow>) {
    let Series { medians: series, changes: at } = nights;
    let mean_of = |(begin, end): (usize, usize)| {
        let values: Vec<f64> = series[begin..end].iter().map(|(value, _)| *value).collect();
        Some((end, median(&values)?))
    };
    let levels: Vec<(usize, f64)> = nights.levels().filter_map(mean_of).collect();
    let baseline_s = reference.baseline.as_ref().and_then(|it| mean(&logs(of(it, cell, metric)))).map(f64::exp);
    let night = |(i, (value, night)): (usize, &(f64, &Night))| {
        let times = of(night, cell, metric);
        NightRow {
            cell: cell.to_owned(),
            metric,
            run: night.run.clone(),
            at: night.at.clone(),
            commit: night.commit.clone(),
            trials: u32::try_from(times.len()).unwrap_or(u32::MAX),
            least_s: times.iter().copied().fold(f64::INFINITY, f64::min),
            median_s: value.exp(),
            most_s: times.iter().copied().fold(0.0, f64::max),
            level_s: levels.iter().find(|(end, _)| i < *end).map_or(*value, |(_, level)| *level).exp(),
            baseline_s,
        }
    };
    let change = |(at, sides): (&usize, &[(usize, f64)])| {
        let (before, after) = (series[at - 1].1, series[*at].1);
        ChangeRow {
            cell: cell.to_owned(),
            metric,
            run_before: before.run.clone(),
            run_after: after.run.clone(),
            commit_before: before.commit.clone(),
            commit_after: after.commit.clone(),
            ratio: (sides[1].1 - sides[0].1).exp(),
        }
    };
    let nights = series.iter().enumerate().map(night).collect();
    (nights, at.iter().zip(levels.windows(2)).map(change).collect())
}

#[cfg(test)]
mod tests {
    use peer_image::seeds;

    use super::*;
    use crate::analysis::fixture::{NIGHTLY as CELL, nightly, reference, textbook};

    fn rows(reference: &Reference) -> Vec<ComparisonRow> {
        let mut analysis = textbook();
        analysis.summary.retain(|row| row.cell == CELL);
        look_back(&mut analysis, reference);
        analysis.comparisons
    }

    const QUIET: [f64; 8] = [36.0, 36.3, 35.8, 36.1, 36.2, 35.9, 36.0, 36.2];

    #[test]
    fn a_quiet_night_is_equivalent_to_both() {
        let rows = rows(&reference(&QUIET, 36.2));
        assert_eq!(rows.iter().map(|row| row.verdict).collect::<Vec<_>>(), [Change::Equivalent; 2], "{rows:#?}");
    }

    #[test]
    fn a_slower_night_is_a_regression_to_both() {
        let rows = rows(&reference(&QUIET, 40.0));
        assert_eq!(rows.iter().map(|row| row.verdict).collect::<Vec<_>>(), [Change::Regressed; 2], "{rows:#?}");
        assert!((rows[0].ratio.unwrap() - 40.0 / 36.0).abs() < 1e-3);
    }

    #[test]
    fn nights_that_differ_by_themselves_make_no_regression() {
        let restless = [36.0, 40.5, 34.0, 41.0, 35.0, 39.5, 33.5, 40.0];
        let rows = rows(&reference(&restless, 40.0));
        assert_eq!(rows.iter().map(|row| row.verdict).collect::<Vec<_>>(), [Change::Inconclusive; 2]);
    }

    #[test]
    fn what_one_night_did_may_come_again_and_says_nothing_of_another() {
        let mut nights: Vec<f64> = (0..20).map(|i| QUIET[i % QUIET.len()]).collect();
        nights[7] = 40.5;
        let verdict = |tonight: f64| rows(&reference(&nights, tonight))[1].verdict;
        assert_eq!(verdict(36.2), Change::Equivalent);
        assert_ne!(verdict(40.5), Change::Regressed, "there was such a night");
        assert_eq!(verdict(38.5), Change::Regressed, "there was none such");
        // The last thirty say what to expect, and none before.
        let slow = |at: usize| {
            let mut nights: Vec<f64> = (0..40).map(|i| QUIET[i % QUIET.len()]).collect();
            nights[at] = 40.5;
            rows(&reference(&nights, 40.5)).remove(1)
        };
        assert_eq!((slow(5).verdict, slow(5).base), (Change::Regressed, Against::Nights(30)));
        assert_ne!(slow(15).verdict, Change::Regressed);
    }

    #[test]
    fn without_a_baseline_nothing_is_green() {
        let missing = Reference { baseline: None, missing: "none is promoted".to_owned(), ..reference(&[], 36.0) };
        let rows = rows(&missing);
        assert_eq!((rows.len(), rows[0].verdict, rows[0].why.as_str()), (1, Change::NoData, "none is promoted"));
        // A cell that the baseline has and the run has not, and the other way round.
        let mut renamed = reference(&[], 36.0);
        let values = renamed.tonight.cells.remove(CELL).unwrap();
        renamed.tonight.cells.insert("p2p-n11".to_owned(), values);
        assert!(super::tests::rows(&renamed).iter().all(|row| row.verdict == Change::NoData));
    }

    #[test]
    fn what_is_acknowledged_wakes_nobody_until_its_day_or_if_it_grows() {
        let known = |until: &str, up_to| Acknowledgement {
            version: 1,
            cell: CELL.to_owned(),
            metric: Metric::DistributionTime,
            up_to,
            until: until.to_owned(),
            reason: "a slower picker".to_owned(),
            at: String::new(),
        };
        let verdict = |known| {
            let reference = Reference { acknowledged: vec![known], ..reference(&QUIET, 40.0) };
            rows(&reference)[0].verdict
        };
        assert_eq!(verdict(known("2026-12-31", 1.15)), Change::Acknowledged);
        assert_eq!(verdict(known("2026-11-08", 1.15)), Change::Regressed);
        assert_eq!(verdict(known("2026-12-31", 1.05)), Change::Regressed);
        assert_eq!(verdict(known("never", 1.15)), Change::Regressed);
        let acknowledged = vec![known("2026-12-31", 1.15), known("2026-12-31", 1.05)];
        let taken_back = Reference { acknowledged, ..reference(&QUIET, 40.0) };
        assert_eq!(rows(&taken_back)[0].verdict, Change::Regressed, "the last word counts");
    }

    #[test]
    fn a_change_has_the_commits_between_which_it_lies() {
        let analysis = nightly();
        let found: Vec<(&str, &str)> =
            analysis.changes.iter().map(|row| (row.commit_before.as_str(), row.commit_after.as_str())).collect();
        assert_eq!(found, [("c700000", "c800000")]);
        assert!((analysis.changes[0].ratio - 1.1).abs() < 0.01, "{:?}", analysis.changes);
        // And every night its level, tonight too.
        assert_eq!(analysis.nights.len(), 12);
        let levels: Vec<String> = analysis.nights.iter().map(|row| format!("{:.1}", row.level_s)).collect();
        assert_eq!(levels, [["36.0"; 8].as_slice(), &["39.6"; 4]].concat());
        let tonight = analysis.nights.last().unwrap();
        assert_eq!((tonight.run.as_str(), tonight.trials), ("run-11", 5));
        assert!(tonight.least_s < 39.6 && (tonight.median_s - 39.7).abs() < 1e-9 && tonight.most_s > 39.8);
        assert!((tonight.baseline_s.unwrap() - 36.0).abs() < 0.01);
    }

    #[test]
    fn what_differs_is_named() {
        let here = Identity { machine: "b".to_owned(), ..Identity::default() };
        let there = Identity { machine: "a".to_owned(), ..Identity::default() };
        assert_eq!(there.differences(&here), ["machine: `a`, here `b`"]);
        assert_eq!(here.differences(&here), [""; 0]);
        // Of plans that differ the settings that do, if the baseline has any.
        let night = |plan: &str, up: &str| Night {
            identity: Identity { plan: plan.to_owned(), ..Identity::default() },
            settings: BTreeMap::from([("links.up".to_owned(), up.to_owned()), ("peers".to_owned(), "5".to_owned())]),
            ..Night::default()
        };
        assert_eq!(night("a", "4 mbit").differences(&night("b", "2 mbit")), ["links.up: `4 mbit`, here `2 mbit`"]);
        let old = Night { settings: BTreeMap::new(), ..night("a", "") };
        assert_eq!(old.differences(&night("b", "2 mbit")), ["plan: `a`, here `b`"]);
    }

    #[test]
    fn nights_are_judged_against_the_level_that_holds_now() {
        let noisy = |level: f64, count: u32, name: &str| {
            let mut random = seeds::stream(11, name);
            (0..count).map(|_| level * (1.0 + 0.005 * 3.46 * (random.unit() - 0.5))).collect::<Vec<f64>>()
        };
        let nights = [noisy(36.0, 10, "before"), noisy(43.2, 8, "slow"), noisy(36.0, 10, "after")].concat();
        let mut analysis = textbook();
        analysis.summary.retain(|row| row.cell == CELL);
        look_back(&mut analysis, &reference(&nights, 36.0 * 1.15));
        let tonight = analysis.comparisons.iter().find(|row| matches!(row.base, Against::Nights(_))).unwrap();
        assert_eq!((tonight.verdict, &tonight.base), (Change::Regressed, &Against::Nights(10)), "{tonight:?}");
        let found: Vec<&str> = analysis.changes.iter().map(|row| row.run_after.as_str()).collect();
        assert!(found.contains(&"run-10") && found.contains(&"run-18"), "{found:?}");
    }

    /// A machine of which each night's time is drawn.
    #[derive(Clone, Copy)]
    struct Machine {
        /// Standard deviations from night to night and from trial to trial of a night, shares.
        between: f64,
        within: f64,
        /// Each fifth night is 12 % slower.
        two_kinds: bool,
        /// One night of these takes so many times as long.
        spike: bool,
    }

    const QUIET_MACHINE: Machine = Machine { between: 0.007, within: 0.01, two_kinds: false, spike: false };
    const RESTLESS: Machine = Machine { two_kinds: true, spike: true, ..QUIET_MACHINE };
    const TRIALS: u32 = 5;

    /// What each night of a simulated history is: its trials, seconds; whether it is a slow one, or the spike.
    struct Simulated {
        trials: Vec<Vec<f64>>,
        slow: Vec<bool>,
        spike: Option<usize>,
    }

    fn normal(random: &mut seeds::Stream) -> f64 {
        (-2.0 * random.unit().max(1e-300).ln()).sqrt() * (std::f64::consts::TAU * random.unit()).cos()
    }

    /// So many nights, from the `step`th on a tenth slower.
    fn simulate(machine: Machine, name: &str, nights: usize, step: usize) -> Simulated {
        let mut random = seeds::stream(15, name);
        let phase = random.below(5) as usize;
        // Among the nights before the step.
        let spike = machine.spike.then(|| 5 + random.below(step.min(nights) as u64 - 5) as usize);
        let times = 1.5 * (10.0_f64 / 1.5).powf(random.unit());
        let slow: Vec<bool> = (0..nights).map(|i| machine.two_kinds && i % 5 == phase).collect();
        let night = |i: usize| {
            let mut seconds = 36.0 * (machine.between * normal(&mut random)).exp();
            seconds *= if slow[i] { 1.12 } else { 1.0 };
            seconds *= if spike == Some(i) { times } else { 1.0 };
            seconds *= if i >= step { 1.1 } else { 1.0 };
            (0..TRIALS).map(|_| seconds * (machine.within * normal(&mut random)).exp()).collect()
        };
        Simulated { trials: (0..nights).map(night).collect(), slow, spike }
    }

    /// What the gate says of the `tonight`th night: beside its baseline, which is the first one that is of no special kind,
    /// and beside the nights before it.
    fn verdicts(history: &Simulated, tonight: usize) -> Vec<Change> {
        let night = |i: usize| {
            let values = BTreeMap::from([(Metric::DistributionTime, history.trials[i].clone())]);
            Night { run: format!("{i}"), cells: Values::from([(CELL.to_owned(), values)]), ..Night::default() }
        };
        let usual = (0..).find(|i| !history.slow[*i] && history.spike != Some(*i)).unwrap();
        let reference = Reference {
            baseline: Some(night(usual)),
            nights: (0..tonight).map(night).collect(),
            tonight: night(tonight),
            ..Reference::default()
        };
        let compare = Compare::default();
        let series = Series::of(&reference, CELL, compare.metric);
        let mut rows = vec![against_baseline(CELL, &reference, &series, &compare)];
        rows.extend(against_nights(CELL, &reference, &compare));
        rows.into_iter().map(|row| row.verdict).collect()
    }

    fn alarms(history: &Simulated, tonight: usize) -> bool {
        verdicts(history, tonight).contains(&Change::Regressed)
    }

    /// The share of nights that alarm though nothing changed, of 40 histories of 60 nights: of all, of the slow ones, of the
    /// fourteen after the spike. The first ten are not judged, and neither is the spike itself.
    fn false_alarms(machine: Machine, name: &str) -> [f64; 3] {
        let mut counted = [(0_u32, 0_u32); 3];
        for number in 0..40 {
            let history = simulate(machine, &format!("{name}/{number}"), 60, 60);
            for tonight in (10..60).filter(|i| history.spike != Some(*i)) {
                let alarm = u32::from(alarms(&history, tonight));
                let after_spike = history.spike.is_some_and(|spike| (spike + 1..spike + 15).contains(&tonight));
                for (is_of, (all, wrong)) in [true, history.slow[tonight], after_spike].into_iter().zip(&mut counted) {
                    *all += u32::from(is_of);
                    *wrong += u32::from(is_of) * alarm;
                }
            }
        }
        counted.map(|(all, wrong)| f64::from(wrong) / f64::from(all.max(1)))
    }

    /// The share of 40 histories in which a step of a tenth after 30 nights alarms within so many nights.
    fn found(machine: Machine, name: &str, within: usize) -> f64 {
        let is_found = |number: &u32| {
            let history = simulate(machine, &format!("{name}/{number}"), 30 + within, 30);
            (30..30 + within).any(|tonight| alarms(&history, tonight))
        };
        (0..40).filter(is_found).count() as f64 / 40.0
    }

    #[test]
    fn nights_of_two_kinds_and_single_spikes_alarm_nobody() {
        let restless = false_alarms(RESTLESS, "restless");
        let quiet = false_alarms(QUIET_MACHINE, "quiet");
        println!("false alarms [all, slow nights, after a spike]: restless {restless:.4?}, quiet {quiet:.4?}");
        assert!(restless.iter().chain(&quiet).all(|share| *share <= 0.05), "{restless:?}, {quiet:?}");
    }

    #[test]
    fn a_step_of_a_tenth_is_found_and_a_spike_before_it_blinds_nobody() {
        let spiked = Machine { spike: true, ..QUIET_MACHINE };
        let (quiet, spiked) = (found(QUIET_MACHINE, "step", 1), found(spiked, "spike and step", 1));
        let restless = [1, 2, 5].map(|within| found(RESTLESS, "restless step", within));
        println!(
            "found: quiet {quiet} in the first night, with a spike {spiked}; restless {restless:?} in 1, 2, 5 nights"
        );
        assert!(quiet >= 0.9 && spiked >= 0.9 && restless[2] >= 0.9, "{quiet}, {spiked}, {restless:?}");
    }
}
