//! What results are held to: arms that are compared with each other, thresholds, assertions. The words of the file and
//! their units; what the numbers are is the analysis's to say.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity;
use crate::spec::error::listed;

/// Repeats of a file with arms, unless it says otherwise: each is a pair.
pub(in crate::spec) const PAIRS: u32 = 7;
/// Fewest pairs that decide anything: the first number of which the median has a finite 95 % interval.
pub const PAIRS_MIN: u32 = 6;
/// Change that is no regression yet, unless the file says otherwise, parts of [`quantity::WHOLE`].
const MAX_WORSE: u64 = quantity::WHOLE / 20;

/// What results are held to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Gate {
    /// Names of the arms, in the file's order; empty if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arms: Vec<String>,
    /// How arms are compared with each other, and a run with its baseline.
    pub compare: Compare,
    /// What the results of each cell must be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
    /// What must hold of each trial.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assertions: Vec<Asserted>,
}

impl Gate {
    /// Whether the file asks for nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// How arms are compared with each other, and a run with its baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compare {
    /// The arm that the others are compared with; empty if there are no arms.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub base: String,
    /// What is compared.
    pub metric: Metric,
    /// Largest change for the worse that is none yet, as a share: 0.05.
    pub max_worse: f64,
    /// Whether it is a failure that nothing could be decided.
    pub strict: bool,
    /// Line of the file that a verdict points at.
    pub line: usize,
}

impl Default for Compare {
    fn default() -> Self {
        let max_worse = quantity::fraction(MAX_WORSE);
        Self { base: String::new(), metric: Metric::DistributionTime, max_worse, strict: false, line: 1 }
    }
}

/// A number that a trial has one of, or each of its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// D.
    DistributionTime,
    /// When the peers that D waits for had the whole file.
    Completion,
    /// The same from each peer's own arrival, of all peers.
    Download,
    /// From a trial's first line to the common start.
    Launch,
    /// How late nodes began.
    StartSkew,
    /// Share of the sent bytes that peers sent.
    Offload,
    /// Share of the received bytes that came a second time.
    Duplicates,
    /// Share of what links carried that was no file.
    Overhead,
    /// Jain's index.
    Fairness,
    /// Bytes that went with peers that left.
    LostBytes,
}

/// What the metrics are called.
pub(in crate::spec) const METRICS: [(&str, Metric); 10] = [
    ("distribution_time", Metric::DistributionTime),
    ("completion", Metric::Completion),
    ("download", Metric::Download),
    ("launch", Metric::Launch),
    ("start_skew", Metric::StartSkew),
    ("offload", Metric::Offload),
    ("duplicates", Metric::Duplicates),
    ("overhead", Metric::Overhead),
    ("fairness", Metric::Fairness),
    ("lost_bytes", Metric::LostBytes),
];

/// Those that can be compared between arms and with a baseline: times, of which a ratio says how much worse.
pub const COMPARED: [(&str, Metric); 3] = [
    ("distribution_time", Metric::DistributionTime),
    ("completion", Metric::Completion),
    ("download", Metric::Download),
];

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// 0 to 1, written in `%`.
    Share,
    /// Bytes.
    Bytes,
    /// Nothing.
    Number,
}

impl Metric {
    /// Its name in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        METRICS.iter().find(|(_, metric)| *metric == self).map_or("", |(name, _)| name)
    }

    /// What it counts.
    #[must_use]
    pub fn unit(self) -> Unit {
        match self {
            Self::DistributionTime | Self::Completion | Self::Download | Self::Launch | Self::StartSkew => {
                Unit::Seconds
            }
            Self::Offload | Self::Duplicates | Self::Overhead => Unit::Share,
            Self::LostBytes => Unit::Bytes,
            Self::Fairness => Unit::Number,
        }
    }
}

impl std::str::FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = METRICS.map(|(name, _)| name);
        let found = METRICS.iter().find(|(name, _)| *name == text).map(|(_, metric)| *metric);
        found.ok_or_else(|| format!("unknown metric (hint: known are {})", listed(&known)))
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// In which relation to its bound D is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// In none: seconds.
    #[default]
    Value,
    /// D over the bound at link rate.
    Ratio,
    /// D over the bound at payload rate.
    PayloadRatio,
    /// The bound at link rate over D.
    Efficiency,
}

pub(in crate::spec) const OF: [(&str, Of); 3] =
    [("ratio", Of::Ratio), ("payload_ratio", Of::PayloadRatio), ("efficiency", Of::Efficiency)];

/// One number of many.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// The middle one.
    Median,
    /// Their mean.
    Mean,
    /// The least.
    Min,
    /// The largest.
    Max,
    /// The one below which so many of a hundred are: `p(95)`.
    Percentile(f64),
}

pub(in crate::spec) const AGGREGATES: [(&str, Aggregate); 4] =
    [("median", Aggregate::Median), ("mean", Aggregate::Mean), ("min", Aggregate::Min), ("max", Aggregate::Max)];

/// How a number is to lie to its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Relation {
    /// Below it.
    #[serde(rename = "<")]
    Below,
    /// Not above it.
    #[serde(rename = "<=")]
    AtMost,
    /// Above it.
    #[serde(rename = ">")]
    Above,
    /// Not below it.
    #[serde(rename = ">=")]
    AtLeast,
}

pub(in crate::spec) const RELATIONS: [(&str, Relation); 4] =
    [("<=", Relation::AtMost), (">=", Relation::AtLeast), ("<", Relation::Below), (">", Relation::Above)];

impl Relation {
    /// Whether a value lies so to a limit.
    #[must_use]
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
        }
    }
}

/// What the results of cells must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Threshold {
    /// Of what.
    pub metric: Metric,
    /// In which relation to the bound.
    #[serde(default)]
    pub of: Of,
    /// Which of its numbers.
    pub aggregate: Aggregate,
    /// How it is to lie to the limit.
    pub relation: Relation,
    /// The limit: seconds, a share from 0 to 1, bytes, or a plain number.
    pub limit: f64,
    /// Ids of the cells that are meant, with `*` for any letters; empty for all cells.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cells: String,
    /// As written.
    pub text: String,
    /// Where: the line of the file, from 1.
    pub line: usize,
}

impl Threshold {
    /// Whether it is about the cell with that id.
    #[must_use]
    pub fn means(&self, cell: &str) -> bool {
        self.cells.is_empty() || matches(&self.cells, cell)
    }

    /// Its unit.
    #[must_use]
    pub fn unit(&self) -> Unit {
        if self.of == Of::Value { self.metric.unit() } else { Unit::Number }
    }
}

/// Whether a text is as the pattern says, in which `*` stands for any letters.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let (first, Some(last)) = (parts.next().unwrap_or_default(), parts.next_back()) else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(first).and_then(|text| text.strip_suffix(last)) else { return false };
    // Each part where it comes first leaves the most for those after it: no other place need be tried.
    parts.all(|part| {
        let after = rest.find(part).map(|at| &rest[at + part.len()..]);
        rest = after.unwrap_or_default();
        after.is_some()
    })
}

/// What must hold of each trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Asserted {
    /// What.
    pub what: Assertion,
    /// Where: the line of the file, from 1.
    pub line: usize,
}

/// What may be asserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Assertion {
    /// Every trial has a distribution time: every peer that it waits for completed.
    AllCompleted,
    /// No attempt at a trial was INVALID.
    AllValid,
}

pub(in crate::spec) const ASSERTIONS: [(&str, Assertion); 2] =
    [("all_completed", Assertion::AllCompleted), ("all_valid", Assertion::AllValid)];

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(ASSERTIONS.iter().find(|(_, it)| it == self).map_or("", |(name, _)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_meant_by_their_ids() {
        for (pattern, id, is) in [
            ("p2p-*", "p2p-n10", true),
            ("*", "", true),
            ("*-n10", "p2p-n10-arm-head", false),
            ("*-n10*", "p2p-n10-arm-head", true),
            ("p2p", "p2p-n10", false),
            ("p*p*0", "p2p-n10", true),
            ("a*a", "a", false),
            ("a*ab*b", "aababb", true),
            // As fast as any other.
            (&format!("{}c", "*a".repeat(40)), &"a".repeat(48), false),
        ] {
            assert_eq!(matches(pattern, id), is, "{pattern} {id}");
        }
    }
}
