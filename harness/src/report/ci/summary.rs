//! `summary.json`: the run in one document.

use schemars::JsonSchema;
use serde::Serialize;

use crate::analysis::outcome::{RunOutcome, outcome};
use crate::analysis::summary::Analysis;
use crate::report::Facts;

/// Version of `summary.json`; a change of meaning raises it.
pub const VERSION: u32 = 1;

/// A run in one document: what came of it, cell by cell.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Summary {
    /// [`VERSION`].
    pub version: u32,
    /// The experiment's name.
    pub experiment: String,
    /// The run's id.
    pub run: String,
    /// Seed of all random choices.
    pub seed: u64,
    /// `passed`, `regressed`, `crossed` (a threshold), `nothing-measured`, `failed` (a trial), `invalid`, `not-comparable` or
    /// `inconclusive`.
    pub outcome: String,
    /// Why, in one sentence.
    pub reason: String,
    /// Its cells, in the plan's order.
    pub cells: Vec<CellSummary>,
    /// Arms against the base, and the run against its baseline.
    pub comparisons: Vec<ComparisonSummary>,
    /// Thresholds and assertions.
    pub checks: Vec<CheckSummary>,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CellSummary {
    /// Its id.
    pub cell: String,
    /// `client-server` or `p2p`.
    pub architecture: String,
    /// N.
    pub peers: u32,
    /// Trials that were to run.
    pub planned: u32,
    /// Valid trials with a distribution time.
    pub completed: u32,
    /// Attempts that are INVALID.
    pub invalid: u32,
    /// Of the peers that were to complete, the share that did, over all trials that are not INVALID.
    pub completed_share: Option<f64>,
    /// Peers that were to complete and whose patience ended first, over the same trials.
    pub gave_up: u32,
    /// D of each valid trial, seconds.
    pub distribution_times_s: Vec<f64>,
    /// Their median.
    pub distribution_time_median_s: Option<f64>,
    /// Standard deviation over mean.
    pub distribution_time_cv: Option<f64>,
    /// The bound at link rate, seconds.
    pub bound_s: Option<f64>,
    /// D over it.
    pub ratio: Option<f64>,
    /// D over the bound at payload rate.
    pub payload_ratio: Option<f64>,
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ComparisonSummary {
    /// The arm's cell.
    pub cell: String,
    /// What it is compared with.
    pub base: String,
    /// By which metric.
    pub metric: String,
    /// `regressed`, `improved`, `equivalent`, `inconclusive`, `no-data` or `acknowledged`.
    pub verdict: String,
    /// Pairs that count.
    pub pairs: u32,
    /// How many times as long.
    pub ratio: Option<f64>,
    /// Where that lies, lower end.
    pub low: Option<f64>,
    /// The same, upper end.
    pub high: Option<f64>,
    /// Largest change for the worse that is none yet, as a share.
    pub max_worse: f64,
    /// The smallest change for the worse that would have been found in nine of ten cases, as a share.
    pub detectable: Option<f64>,
    /// Of the peers that were to complete, the share that did, over all trials that are not INVALID.
    pub completed_share: Option<f64>,
    /// The same of what it is compared with.
    pub base_completed_share: Option<f64>,
    /// What else is to be said of it; empty if nothing is.
    pub why: String,
}

/// One threshold or assertion in one cell.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CheckSummary {
    /// The cell.
    pub cell: String,
    /// The metric, or `assert`.
    pub metric: String,
    /// What was to hold.
    pub condition: String,
    /// `met`, `crossed` or `no-data`.
    pub outcome: String,
    /// What there was.
    pub value: Option<f64>,
    /// What it was held to.
    pub limit: Option<f64>,
    /// `s`, `bytes` or `1`.
    pub unit: String,
    /// Why there is no value, or what part of the trials or peers it is about; empty if there is nothing to say.
    pub why: String,
    /// Line of the experiment file.
    pub line: u32,
}

/// `summary.json`.
#[must_use]
pub fn summary(analysis: &Analysis, facts: &Facts) -> String {
    let cells = analysis.summary.iter().map(|row| CellSummary {
        cell: row.cell.clone(),
        architecture: row.architecture.to_string(),
        peers: row.peers,
        planned: row.planned,
        completed: row.completed,
        invalid: row.invalid,
        completed_share: row.completed_share,
        gave_up: row.gave_up,
        distribution_times_s: analysis.times(&row.cell),
        distribution_time_median_s: row.distribution_time_median_s,
        distribution_time_cv: row.distribution_time_cv,
        bound_s: row.bound_s,
        ratio: row.ratio,
        payload_ratio: row.payload_ratio,
    });
    let comparisons = analysis.comparisons.iter().map(|row| ComparisonSummary {
        cell: row.cell.clone(),
        base: row.base.to_string(),
        metric: row.metric.to_string(),
        verdict: row.verdict.to_string(),
        pairs: row.pairs,
        ratio: row.ratio,
        low: row.low_ratio,
        high: row.high_ratio,
        max_worse: row.max_worse_share,
        detectable: row.detectable_share,
        completed_share: row.completed_share,
        base_completed_share: row.base_completed_share,
        why: row.why.clone(),
    });
    let checks = analysis.checks.iter().map(|row| CheckSummary {
        cell: row.cell.clone(),
        metric: row.metric.clone(),
        condition: row.condition.clone(),
        outcome: row.outcome.to_string(),
        value: row.value,
        limit: row.limit,
        unit: row.unit.clone(),
        why: row.why.clone(),
        line: row.line,
    });
    let RunOutcome { outcome, reason } = outcome(analysis);
    let summary = Summary {
        version: VERSION,
        experiment: analysis.name.clone(),
        run: facts.run.clone(),
        seed: analysis.seed,
        outcome: outcome.to_string(),
        reason,
        cells: cells.collect(),
        comparisons: comparisons.collect(),
        checks: checks.collect(),
    };
    let mut text = serde_json::to_string_pretty(&summary).expect("string keys and finite numbers");
    text.push('\n');
    text
}
