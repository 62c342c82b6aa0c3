//! OpenMetrics text (RFC-like specification 1.0.0 of the OpenMetrics project): gauges of the last run, by cell.
//!
//! By hand, because the encoders that there are keep label sets in hash maps, and the same results are to give the same
//! bytes.

use std::fmt::Write;

use crate::analysis::checks::Check;
use crate::analysis::outcome::{Outcome, outcome};
use crate::analysis::summary::{Analysis, SummaryRow};

const INFALLIBLE: &str = "writing to a string cannot fail";

/// `metrics.txt`.
#[must_use]
pub fn metrics(analysis: &Analysis) -> String {
    let mut text = String::new();
    let experiment = label("experiment", &analysis.name);
    let of_cell = |row: &SummaryRow| {
        let architecture = label("architecture", &row.architecture.to_string());
        format!("{experiment},{},{architecture}", label("cell", &row.cell))
    };
    let mut cells = |name: &str, unit: &str, help: &str, value: &dyn Fn(&SummaryRow) -> Option<f64>| {
        let samples = analysis.summary.iter().filter_map(|row| Some((of_cell(row), value(row)?)));
        family(&mut text, name, unit, help, samples);
    };
    cells("harness_distribution_time_seconds", "seconds", "Median distribution time.", &|row| {
        row.distribution_time_median_s
    });
    cells("harness_distribution_time_bound_seconds", "seconds", "Its lower bound at link rate.", &|row| row.bound_s);
    cells("harness_payload_ratio", "", "Distribution time over its bound at payload rate.", &|row| row.payload_ratio);
    cells("harness_distribution_time_cv", "", "Standard deviation over mean.", &|row| row.distribution_time_cv);
    cells("harness_trials_completed", "", "Valid trials with a distribution time.", &|row| {
        Some(f64::from(row.completed))
    });
    cells("harness_trials_planned", "", "Trials that were to run.", &|row| Some(f64::from(row.planned)));
    cells("harness_trials_invalid", "", "Attempts that are INVALID.", &|row| Some(f64::from(row.invalid)));
    let compared = analysis.comparisons.iter().map(|row| {
        let labels = [
            label("cell", &row.cell),
            label("base", &row.base.to_string()),
            label("verdict", &row.verdict.to_string()),
        ];
        (format!("{experiment},{}", labels.join(",")), row.ratio)
    });
    let ratios = compared.filter_map(|(labels, ratio)| Some((labels, ratio?)));
    family(&mut text, "harness_comparison_ratio", "", "How many times as long as the base.", ratios);
    let checks = analysis.checks.iter().map(|row| {
        let labels = [label("cell", &row.cell), label("metric", &row.metric), label("condition", &row.condition)];
        (format!("{experiment},{}", labels.join(",")), f64::from(u8::from(row.outcome == Check::Met)))
    });
    family(&mut text, "harness_check_met", "", "Whether a threshold or an assertion holds.", checks);
    let passed = f64::from(u8::from(outcome(analysis).outcome == Outcome::Passed));
    family(&mut text, "harness_run_passed", "", "Whether nothing asks for attention.", [(experiment.clone(), passed)]);
    text.push_str("# EOF\n");
    text
}

/// A family of gauges; nothing if it has no sample.
fn family(text: &mut String, name: &str, unit: &str, help: &str, samples: impl IntoIterator<Item = (String, f64)>) {
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_none() {
        return;
    }
    writeln!(text, "# TYPE {name} gauge").expect(INFALLIBLE);
    if !unit.is_empty() {
        writeln!(text, "# UNIT {name} {unit}").expect(INFALLIBLE);
    }
    writeln!(text, "# HELP {name} {help}").expect(INFALLIBLE);
    for (labels, value) in samples {
        writeln!(text, "{name}{{{labels}}} {value}").expect(INFALLIBLE);
    }
}

/// A label with its value, escaped.
fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
