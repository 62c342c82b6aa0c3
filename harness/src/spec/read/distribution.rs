//! What is drawn, as the file has it: a distribution of times or of rates, or one value.

use super::document::Value;
use super::reader::{Fault, Section, View};
use super::values;
use crate::quantity::seconds;
use crate::spec::error::listed;
use crate::spec::model::Distribution;

/// The names in the file.
pub(super) const KINDS: [&str; 6] = ["exponential", "fixed", "uniform", "weibull", "lognormal", "pareto"];
/// Largest number without a unit: shapes of a thousand are constants in all but name.
const SHAPE_MAX: f64 = 1_000.0;

/// What a distribution is of.
pub(super) struct Of {
    parse: fn(&Value) -> Result<u64, Fault>,
    to_base: fn(u64) -> f64,
}

/// Times, in seconds.
pub(super) const TIME: Of = Of { parse: values::time, to_base: seconds };

/// Rates, in bit/s.
pub(super) const RATE: Of = Of { parse: values::rate, to_base: rate };

#[expect(clippy::cast_precision_loss, reason = "rates are far below 2^53")]
fn rate(bits: u64) -> f64 {
    bits as f64
}

/// The distribution at a key, or a single value, which is always the same; nothing if it is, noted, wrong or absent.
pub(super) fn read<'a>(view: &mut View<'a, '_>, within: &Section<'a>, key: &str, of: &Of) -> Option<Distribution> {
    let is_section = view.find(within, key).is_some_and(|found| matches!(found.node.value, Value::Map(_)));
    if is_section {
        return section(view, within, key, of);
    }
    let value = view.need(within, key, of.parse)?;
    Some(Distribution::Fixed { after: (of.to_base)(value) })
}

/// The distribution at a key that must name one.
pub(super) fn section<'a>(view: &mut View<'a, '_>, within: &Section<'a>, key: &str, of: &Of) -> Option<Distribution> {
    let section = view.need_section(within, key, &KINDS)?;
    let given: Vec<&str> =
        KINDS.into_iter().filter(|kind| section.entries.iter().any(|entry| entry.key == *kind)).collect();
    let [kind] = given[..] else {
        let fault = match given.len() {
            0 => Fault::new("no distribution"),
            _ => Fault::new(format!("{} distributions", given.len())),
        };
        view.fault(within, key, fault.hint(format!("one of {}", listed(&KINDS))));
        return None;
    };
    let known: &[&str] = match kind {
        "exponential" => &["mean"],
        "fixed" => &["after"],
        "uniform" => &["from", "to"],
        "weibull" => &["shape", "scale"],
        "lognormal" => &["median", "sigma"],
        _ => &["shape", "minimum"],
    };
    let inner = view.section(&section, kind, known)?;
    let mut quantity = |key: &str| view.need(&inner, key, of.parse).map(of.to_base);
    Some(match kind {
        "exponential" => Distribution::Exponential { mean: quantity("mean")? },
        "fixed" => Distribution::Fixed { after: quantity("after")? },
        "uniform" => {
            let (from, to) = (quantity("from"), quantity("to"));
            let (from, to) = (from?, to?);
            if from > to {
                let fault = Fault::new("`from` is more than `to`").hint("`from` is the smallest, `to` the largest");
                view.fault(&inner, "from", fault);
            }
            Distribution::Uniform { from, to }
        }
        "weibull" => {
            let scale = quantity("scale");
            let shape = view.need(&inner, "shape", number);
            Distribution::Weibull { shape: shape?, scale: scale? }
        }
        "lognormal" => {
            let median = quantity("median");
            let sigma = view.need(&inner, "sigma", number);
            Distribution::Lognormal { median: median?, sigma: sigma? }
        }
        _ => {
            let minimum = quantity("minimum");
            let shape = view.need(&inner, "shape", number);
            Distribution::Pareto { shape: shape?, minimum: minimum? }
        }
    })
}

/// A positive number without a unit.
fn number(value: &Value) -> Result<f64, Fault> {
    let text = value.scalar().unwrap_or_default();
    let number = match value {
        Value::Integer(_) | Value::Float(_) => text.parse::<f64>().ok(),
        _ => None,
    };
    match number {
        Some(number) if number.is_finite() && number > 0.0 && number <= SHAPE_MAX => Ok(number),
        Some(_) => {
            Err(Fault::new(format!("`{text}` is out of range")).hint(format!("more than 0, at most {SHAPE_MAX}")))
        }
        None => Err(Fault::new(format!("{} where a number belongs", value.kind())).hint("write for example `0.5`")),
    }
}
