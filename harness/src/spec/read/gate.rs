//! What results are held to, as the file has it: conditions are read to thresholds, words to assertions.

use super::arms::Arm;
use super::document::{Document, Entry, Node, Value};
use super::reader::{Fault, Section, View, meant};
use super::values;
use crate::quantity::{self, QuantityError, fraction, seconds};
use crate::spec::error::listed;
use crate::spec::model::Gate;
use crate::spec::model::gate::{
    AGGREGATES, ASSERTIONS, Aggregate, Asserted, COMPARED, Compare, METRICS, Metric, OF, Of, RELATIONS, Threshold, Unit,
};

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
            compare.max_worse = fraction(view.read(&section, "max_worse", read)?);
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
        Unit::Seconds => quantity::time(text).map(seconds).map_err(told),
        Unit::Share => quantity::share(text).map(fraction).map_err(told),
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
    use crate::spec::model::gate::Relation;

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
}
