//! What results are held to: arms that are compared with each other, thresholds, assertions. The words of the file and
//! their units; what the numbers are is the analysis's to say.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arms::Arm;
use super::file::{Document, Entry, Node, Value};
use super::reader::{Fault, Section, View, listed, meant};
use super::{churn, values};
use crate::quantity::{self, QuantityError};

/// Repeats of a file with arms, unless it says otherwise: each is a pair.
pub(super) const PAIRS: u32 = 7;
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
        let max_worse = churn::fraction(MAX_WORSE);
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
pub(super) const METRICS: [(&str, Metric); 10] = [
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

const OF: [(&str, Of); 3] = [("ratio", Of::Ratio), ("payload_ratio", Of::PayloadRatio), ("efficiency", Of::Efficiency)];

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

const AGGREGATES: [(&str, Aggregate); 4] =
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

const RELATIONS: [(&str, Relation); 4] =
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

const ASSERTIONS: [(&str, Assertion); 2] =
    [("all_completed", Assertion::AllCompleted), ("all_valid", Assertion::AllValid)];

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(ASSERTIONS.iter().find(|(_, it)| it == self).map_or("", |(name, _)| name))
    }
}

/// What the file holds results to; nothing if, noted, something is wrong.
pub(super) fn gate<'a>(view: &mut View<'a, '_>, root: &Section<'a>, document: &Document, arms: &[Arm]) -> Option<Gate> {
    let names: Vec<String> = arms.iter().filter_map(|arm| arm.name.clone()).collect();
    let compare = compare(view, root, document, &names)?;
    let thresholds = thresholds(view, root, document);
    let assertions = assertions(view, root, document);
    Some(Gate { arms: names, compare, thresholds: thresholds?, assertions: assertions? })
}

fn line_of(document: &Document, node: &Node) -> usize {
    document.position(node.id).map_or(1, |position| position.line)
}

fn compare<'a>(view: &mut View<'a, '_>, root: &Section<'a>, document: &Document, arms: &[String]) -> Option<Compare> {
    let mut compare = Compare { base: arms.first().cloned().unwrap_or_default(), ..Compare::default() };
    let has = |key: &str| root.entries.iter().find(|entry| entry.key == key);
    let at = has("compare").or_else(|| has("arms"));
    compare.line = at.map_or(1, |entry| line_of(document, &entry.value));
    if has("compare").is_some() {
        let section = view.section(root, "compare", &["base", "metric", "max_worse", "inconclusive"])?;
        let own = |key: &str| section.entries.iter().any(|entry| entry.key == key);
        if own("base") && arms.is_empty() {
            let fault = Fault::new("there are no arms").hint("name them in `arms`, or leave this out");
            view.fault(&section, "base", fault);
        } else if own("base") {
            let words: Vec<(&str, &String)> = arms.iter().map(|name| (name.as_str(), name)).collect();
            compare.base = view.read(&section, "base", |value| values::word(value, &words))?.clone();
        }
        if own("metric") {
            compare.metric = view.read(&section, "metric", |value| values::word(value, &COMPARED))?;
        }
        if own("max_worse") {
            let read = |value: &Value| match values::share(value)? {
                0 => Err(Fault::new("`0 %`: no two runs are equal").hint("such as `5 %`")),
                share => Ok(share),
            };
            compare.max_worse = churn::fraction(view.read(&section, "max_worse", read)?);
        }
        if own("inconclusive") {
            let words = [("pass", false), ("fail", true)];
            compare.strict = view.read(&section, "inconclusive", |value| values::word(value, &words))?;
        }
    }
    Some(compare)
}

/// The values of a key that may be one or a list.
fn each(entry: &Entry) -> Vec<&Node> {
    match &entry.value.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![&entry.value],
    }
}

fn thresholds<'a>(view: &mut View<'a, '_>, root: &Section<'a>, document: &Document) -> Option<Vec<Threshold>> {
    if !root.entries.iter().any(|entry| entry.key == "thresholds") {
        return Some(Vec::new());
    }
    let section = view.names(root, "thresholds")?;
    let mut thresholds: Vec<Threshold> = Vec::new();
    for entry in section.entries {
        let path = section.path_of(&entry.key);
        let Some((_, metric)) = METRICS.iter().find(|(name, _)| *name == entry.key) else {
            let names = METRICS.map(|(name, _)| name);
            let cure = match meant(&entry.key, &names) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("known: {}", listed(&names)),
            };
            view.findings.add(entry.id, &path, Fault::new("unknown metric").hint(cure));
            continue;
        };
        for node in each(entry) {
            let line = line_of(document, node);
            let read = match &node.value {
                Value::Text(text) => threshold(*metric, text, line),
                other => Err(values::misplaced(other, "a condition", "median < 90 s")),
            };
            match read {
                Ok(again) if thresholds.iter().any(|it| (it.metric, &it.text) == (again.metric, &again.text)) => {
                    let fault = Fault::new(format!("`{}` twice", again.text)).hint("once is enough");
                    view.findings.add(node.id, &path, fault);
                }
                Ok(threshold) => thresholds.push(threshold),
                Err(fault) => view.findings.add(node.id, &path, fault),
            }
        }
        if each(entry).is_empty() {
            let fault = Fault::new("no condition").hint("such as `median < 90 s`, or leave the key out");
            view.findings.add(entry.value.id, &path, fault);
        }
    }
    Some(thresholds)
}

/// `[ratio | payload_ratio | efficiency] AGGREGATE RELATION LIMIT [in CELLS]`.
fn threshold(metric: Metric, text: &str, line: usize) -> Result<Threshold, Fault> {
    const EXAMPLE: &str = "such as `median < 90 s`, `p(95) <= 2 min in p2p-*` or `ratio median <= 1.15`";
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let found = text.find(['<', '>']).and_then(|at| {
        let relation = RELATIONS.iter().find(|(sign, _)| text[at..].starts_with(sign))?;
        Some((text[..at].trim(), relation.1, text[at + relation.0.len()..].trim()))
    });
    let Some((left, relation, right)) = found else {
        return Err(Fault::new(format!("`{text}` is no condition")).hint(EXAMPLE));
    };
    let (limit, cells) = match right.split_once(" in ") {
        Some((limit, cells)) => (limit.trim(), cells.trim()),
        None => (right, ""),
    };
    let mut words: Vec<&str> = left.split(' ').filter(|word| !word.is_empty()).collect();
    let mut of = Of::Value;
    if let Some((name, relative)) = words.first().and_then(|word| OF.iter().find(|(name, _)| name == word)) {
        if metric != Metric::DistributionTime {
            let message = format!("`{name}` is of `distribution_time` alone: only that has a bound");
            return Err(Fault::new(message));
        }
        of = *relative;
        words.remove(0);
    }
    let aggregate = match words[..] {
        [word] => aggregate(word)?,
        [] => return Err(Fault::new(format!("`{text}` does not say of which number")).hint(EXAMPLE)),
        _ => return Err(Fault::new(format!("`{left}` is not one number of many")).hint(EXAMPLE)),
    };
    let unit = if of == Of::Value { metric.unit() } else { Unit::Number };
    let limit = read_limit(unit, limit)?;
    if metric == Metric::Fairness && limit > 1.0 {
        return Err(Fault::new(format!("`{limit}`: no index of fairness is above 1")).hint("such as `median > 0.8`"));
    }
    Ok(Threshold { metric, of, aggregate, relation, limit, cells: cells.to_owned(), text, line })
}

fn aggregate(word: &str) -> Result<Aggregate, Fault> {
    if let Some((_, aggregate)) = AGGREGATES.iter().find(|(name, _)| *name == word) {
        return Ok(*aggregate);
    }
    if let Some(percent) = word.strip_prefix("p(").and_then(|rest| rest.strip_suffix(')')) {
        return match percent.parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Aggregate::Percentile(percent)),
            _ => Err(Fault::new(format!("`{word}` is no percentile")).hint("from `p(0)` to `p(100)`")),
        };
    }
    let names = AGGREGATES.map(|(name, _)| name);
    let cure = match meant(word, &names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("known: {}, `p(95)`", listed(&names)),
    };
    Err(Fault::new(format!("`{word}` is not one number of many")).hint(cure))
}

fn read_limit(unit: Unit, text: &str) -> Result<f64, Fault> {
    let told = |error: QuantityError| {
        let (message, hint) = error.parts();
        let fault = Fault::new(message);
        match hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    };
    match unit {
        Unit::Seconds => quantity::time(text).map(churn::seconds).map_err(told),
        Unit::Share => quantity::share(text).map(churn::fraction).map_err(told),
        Unit::Bytes => {
            #[expect(clippy::cast_precision_loss, reason = "a limit")]
            let bytes = |size: u64| size as f64;
            quantity::bytes(text).map(bytes).map_err(told)
        }
        Unit::Number => match text.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
            _ => Err(Fault::new(format!("`{text}` is no number")).hint("a plain number such as `1.15`")),
        },
    }
}

fn assertions<'a>(view: &mut View<'a, '_>, root: &Section<'a>, document: &Document) -> Option<Vec<Asserted>> {
    let Some(entry) = root.entries.iter().find(|entry| entry.key == "assert") else { return Some(Vec::new()) };
    let mut assertions: Vec<Asserted> = Vec::new();
    for node in each(entry) {
        match values::word(&node.value, &ASSERTIONS) {
            Ok(what) if assertions.iter().any(|it| it.what == what) => {
                view.findings.add(node.id, "assert", Fault::new(format!("`{what}` twice")).hint("once is enough"));
            }
            Ok(what) => assertions.push(Asserted { what, line: line_of(document, node) }),
            Err(fault) => view.findings.add(node.id, "assert", fault),
        }
    }
    if each(entry).is_empty() {
        let names = ASSERTIONS.map(|(name, _)| name);
        let fault = Fault::new("nothing is asserted").hint(format!("{}, or leave the key out", listed(&names)));
        view.findings.add(entry.value.id, "assert", fault);
    }
    Some(assertions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_taken_as_it_is_read() {
        let read = |text| threshold(Metric::DistributionTime, text, 3).unwrap();
        let it = read("median < 90 s");
        assert_eq!(
            (it.aggregate, it.relation, it.limit, it.cells.as_str()),
            (Aggregate::Median, Relation::Below, 90.0, "")
        );
        let it = read("ratio  p(95)<=1.15 in p2p-*");
        assert_eq!((it.of, it.aggregate, it.relation), (Of::Ratio, Aggregate::Percentile(95.0), Relation::AtMost));
        assert_eq!((it.limit, it.cells.as_str(), it.text.as_str()), (1.15, "p2p-*", "ratio p(95)<=1.15 in p2p-*"));
        assert_eq!(threshold(Metric::LostBytes, "max <= 0 B", 1).unwrap().limit, 0.0);
        assert!(threshold(Metric::Fairness, "max > 2", 1).is_err(), "no index is above 1");
        let share = threshold(Metric::Duplicates, "max<1 %", 1).unwrap();
        assert_eq!((share.aggregate, share.limit, share.unit()), (Aggregate::Max, 0.01, Unit::Share));
    }

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
