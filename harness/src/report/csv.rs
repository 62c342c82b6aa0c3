//! Tidy tables: one row per peer, departure, trial or cell; every heading is the name of a field in
//! [`crate::analysis::metrics`] or [`crate::analysis::summary`], and ends in its unit where it has one.
//!
//! A value that is not known is an empty field. A factor that is no column yet has one under its key path.

use std::fmt::Display;

use crate::analysis::bounds::Term;
use crate::analysis::checks::{Check, CheckRow};
use crate::analysis::compare::{Against, Change, ComparisonRow};
use crate::analysis::distribution::DistributionRow;
use crate::analysis::flows::{TransferRow, UtilisationRow};
use crate::analysis::history::{ChangeRow, NightRow};
use crate::analysis::metrics::{ChurnRow, ChurnStatus, PeerOutcome, PeerRow, TrialOutcome, TrialRow, Verdict};
use crate::analysis::population::PopulationRow;
use crate::analysis::summary::{self, Analysis, ClassRow, SummaryRow};
use crate::analysis::theory::TheoryRow;
use crate::plan::Architecture;
use crate::plan::gate::Metric;

/// One column: how to get its text from a row.
struct Column<R> {
    name: &'static str,
    kind: &'static str,
    text: fn(&R) -> String,
}

/// Columns from the names of fields, so that a heading cannot differ from its field.
macro_rules! columns {
    ($row:ty: $($field:ident),+ $(,)?) => {
        &[$(Column::<$row> {
            name: stringify!($field),
            kind: kind(|row: &$row| &row.$field),
            text: |row| Field::text(&row.$field),
        }),+]
    };
}

const PEERS: &[Column<PeerRow>] = columns!(PeerRow:
    cell, repeat, attempt, node, class, to_complete, outcome, reason, completed_at_s, arrived_s, download_s, start_late_s, rejoins, pieces,
    pieces_total, down_bytes, down_from_server_bytes, up_bytes, duplicate_bytes, discarded_bytes, unrequested_bytes,
    lost_bytes, present_s, idle_uninterested_s, idle_choked_s, idle_unrequested_s, link_up_bytes, link_down_bytes,
    link_up_drops, link_down_drops, departure, departure_planned_s, departure_actual_s, banned, rejected, lines_lost,
    clock_error_s);

const CHURN: &[Column<ChurnRow>] = columns!(ChurnRow:
    cell, repeat, attempt, node, action, actor, status, planned_s, actual_s, late_s, engine_s, why);

const CLASSES: &[Column<ClassRow>] = columns!(ClassRow:
    cell, class, peers, completed, completion_median_s, completion_max_s, download_median_s, download_mean_s, contribution_ratio);

const TRANSFERS: &[Column<TransferRow>] = columns!(TransferRow:
    cell, repeat, attempt, from, to, sent_bytes, received_bytes);

const UTILISATION: &[Column<UtilisationRow>] = columns!(UtilisationRow:
    cell, repeat, attempt, from_s, peers_present, server_up_share, peers_up_share, peers_down_share,
    peers_idle_uninterested_share, peers_idle_choked_share, peers_idle_unrequested_share);

const DISTRIBUTION: &[Column<DistributionRow>] = columns!(DistributionRow:
    cell, completed_at_s, completed, peers, completed_share);

const TRIALS: &[Column<TrialRow>] = columns!(TrialRow:
    cell, architecture, peers, repeat, attempt, verdict, invalid, outcome, reason, distribution_time_s, bound_s,
    bound_payload_s, binding_term, head_start_s, ratio, payload_ratio, efficiency, launch_s, start_skew_p50_s, start_skew_max_s, to_complete, completed,
    gave_up, left_before, completion_median_s, completion_p90_s, completion_max_s, download_mean_s, download_median_s,
    file_lost_at_s, pieces_lost, lost_bytes, server_up_bytes, peers_up_bytes, peers_down_bytes,
    offload_share, duplicate_share, idle_uninterested_share, idle_choked_share, idle_unrequested_share, absent_share,
    fairness_jain, overhead_share, link_error_max_share, host_busy_share, host_busy_max_share, host_softirq_max_share,
    host_steal_share, cpu_pressure_share, run_delay_max_share, memory_pressure_share, memory_available_min_bytes, link_drops, lines_lost,
    churn_planned, churn_executed, churn_failed, churn_missing, churn_late_p50_s, churn_late_max_s, rejoins);

const SUMMARY: &[Column<SummaryRow>] = columns!(SummaryRow:
    cell, architecture, peers, to_complete, to_complete_max, planned, completed, invalid, timeout, unfinishable, nothing_measured,
    failed, broken_off, not_run, completed_share, gave_up,
    distribution_time_cv, outliers,
    distribution_time_median_s,
    distribution_time_min_s, distribution_time_max_s, distribution_time_low_s, distribution_time_high_s, download_mean_s, bound_s,
    bound_payload_s, binding_term, ratio, payload_ratio, efficiency, offload_share, duplicate_share,
    idle_uninterested_share, idle_choked_share, idle_unrequested_share, absent_share, fairness_jain,
    overhead_share, link_error_max_share, host_busy_max_share, start_skew_max_s);

const POPULATION: &[Column<PopulationRow>] = columns!(PopulationRow:
    cell, repeat, attempt, at_s, leechers, seeds, completed, rarest_piece_copies, mean_piece_copies);

const THEORY: &[Column<TheoryRow>] = columns!(TheoryRow:
    cell, repeat, attempt, theory, quantity, predicted, measured, ratio, given);

const COMPARISONS: &[Column<ComparisonRow>] = columns!(ComparisonRow:
    cell, base, metric, pairs, pairs_planned, ratio, low_ratio, high_ratio, confidence_share, max_worse_share, verdict,
    completed_share, base_completed_share, detectable_share, pairs_needed, why);

const HISTORY: &[Column<NightRow>] = columns!(NightRow:
    cell, metric, run, at, commit, trials, least_s, median_s, most_s, level_s, baseline_s);

const CHANGES: &[Column<ChangeRow>] = columns!(ChangeRow:
    cell, metric, run_before, run_after, commit_before, commit_after, ratio);

const CHECKS: &[Column<CheckRow>] = columns!(CheckRow:
    cell, metric, condition, value, limit, unit, outcome, why, line);

/// `comparisons.csv`: one row per arm and cell.
#[must_use]
pub fn comparisons(analysis: &Analysis) -> String {
    table(COMPARISONS, &[], &analysis.comparisons, |_| &[])
}

/// `history.csv`: one row per night and cell.
#[must_use]
pub fn history(analysis: &Analysis) -> String {
    table(HISTORY, &[], &analysis.nights, |_| &[])
}

/// `changes.csv`: one row per change of level in the history.
#[must_use]
pub fn changes(analysis: &Analysis) -> String {
    table(CHANGES, &[], &analysis.changes, |_| &[])
}

/// `checks.csv`: one row per threshold or assertion, and cell.
#[must_use]
pub fn checks(analysis: &Analysis) -> String {
    table(CHECKS, &[], &analysis.checks, |_| &[])
}

/// `peers.csv`: one row per peer and trial.
#[must_use]
pub fn peers(analysis: &Analysis) -> String {
    table(PEERS, &[], &analysis.peers, |_| &[])
}

/// `churn.csv`: one row per planned departure or return.
#[must_use]
pub fn churn(analysis: &Analysis) -> String {
    table(CHURN, &[], &analysis.churn, |_| &[])
}

/// `classes.csv`: one row per class and cell.
#[must_use]
pub fn classes(analysis: &Analysis) -> String {
    table(CLASSES, &[], &analysis.classes, |_| &[])
}

/// `transfers.csv`: one row per pair of nodes and trial, the matrix of who sent to whom.
#[must_use]
pub fn transfers(analysis: &Analysis) -> String {
    table(TRANSFERS, &[], &analysis.transfers, |_| &[])
}

/// `utilisation.csv`: one row per second and trial.
#[must_use]
pub fn utilisation(analysis: &Analysis) -> String {
    table(UTILISATION, &[], &analysis.utilisation, |_| &[])
}

/// `distribution.csv`: one row per step of each cell's distribution of completion times.
#[must_use]
pub fn distribution(analysis: &Analysis) -> String {
    table(DISTRIBUTION, &[], &analysis.distribution, |_| &[])
}

/// `population.csv`: one row per second and trial.
#[must_use]
pub fn population(analysis: &Analysis) -> String {
    table(POPULATION, &[], &analysis.population, |_| &[])
}

/// `theory.csv`: one row per quantity of which some theory tells, and trial.
#[must_use]
pub fn theory(analysis: &Analysis) -> String {
    table(THEORY, &[], &analysis.theory, |_| &[])
}

/// `trials.csv`: one row per trial.
#[must_use]
pub fn trials(analysis: &Analysis) -> String {
    table(TRIALS, &analysis.factors, &analysis.trials, |row| &row.levels)
}

/// `summary.csv`: one row per cell.
#[must_use]
pub fn summary(analysis: &Analysis) -> String {
    table(SUMMARY, &analysis.factors, &analysis.summary, |row| &row.levels)
}

/// `columns.json`: type and unit of every column of every table.
#[must_use]
pub fn columns(analysis: &Analysis) -> String {
    let tables = serde_json::json!({
        "peers.csv": described("PeerRow", PEERS, &[]),
        "churn.csv": described("ChurnRow", CHURN, &[]),
        "classes.csv": described("ClassRow", CLASSES, &[]),
        "transfers.csv": described("TransferRow", TRANSFERS, &[]),
        "population.csv": described("PopulationRow", POPULATION, &[]),
        "theory.csv": described("TheoryRow", THEORY, &[]),
        "comparisons.csv": described("ComparisonRow", COMPARISONS, &[]),
        "history.csv": described("NightRow", HISTORY, &[]),
        "changes.csv": described("ChangeRow", CHANGES, &[]),
        "checks.csv": described("CheckRow", CHECKS, &[]),
        "distribution.csv": described("DistributionRow", DISTRIBUTION, &[]),
        "utilisation.csv": described("UtilisationRow", UTILISATION, &[]),
        "trials.csv": described("TrialRow", TRIALS, &analysis.factors),
        "summary.csv": described("SummaryRow", SUMMARY, &analysis.factors),
    });
    format!("{tables:#}\n")
}

fn described<R>(row: &str, columns: &[Column<R>], factors: &[String]) -> Vec<serde_json::Value> {
    let fields = columns.iter().map(|column| (column.name, column.kind));
    let levels = factors.iter().map(|key| (key.as_str(), "text")).filter(|(key, _)| is_new(columns, key));
    let all = fields.chain(levels);
    all.map(|(name, kind)| {
        let meaning = meaning(row, name).unwrap_or_else(|| "The cell's level of this factor.".to_owned());
        serde_json::json!({ "name": name, "type": kind, "unit": unit(name), "meaning": meaning })
    })
    .collect()
}

/// What a column means: the documentation of its field, from the source itself, so that there is one text for both.
fn meaning(row: &str, field: &str) -> Option<String> {
    let sources = [
        include_str!("../analysis/metrics.rs"),
        include_str!("../analysis/population.rs"),
        include_str!("../analysis/theory.rs"),
        include_str!("../analysis/compare.rs"),
        include_str!("../analysis/checks.rs"),
        include_str!("../analysis/history.rs"),
        include_str!("../analysis/summary.rs"),
        include_str!("../analysis/flows.rs"),
        include_str!("../analysis/distribution.rs"),
    ];
    let body = sources.iter().find_map(|source| source.split_once(&format!("pub struct {row} {{\n")))?.1;
    let (before, _) = body.split_once(&format!("    pub {field}: "))?;
    let mut lines: Vec<&str> = before.lines().rev().map_while(|line| line.trim().strip_prefix("///")).collect();
    lines.reverse();
    let text = lines.into_iter().map(str::trim).collect::<Vec<_>>().join(" ");
    // Links to code mean nothing outside of it.
    Some(text.replace("[`", "`").replace("`]", "`"))
}

/// The unit that a heading ends in; shares and ratios have none.
fn unit(name: &str) -> Option<&'static str> {
    match name.rsplit('_').next() {
        Some("s") => Some("s"),
        Some("bytes") => Some("bytes"),
        Some("share" | "ratio" | "efficiency" | "cv" | "jain") => Some("1"),
        _ => None,
    }
}

fn is_new<R>(columns: &[Column<R>], key: &str) -> bool {
    columns.iter().all(|column| column.name != key)
}

fn table<R>(columns: &[Column<R>], factors: &[String], rows: &[R], levels: fn(&R) -> &[String]) -> String {
    const INFALLIBLE: &str = "writing to memory cannot fail, and every row has one field per column";
    let new: Vec<usize> = (0..factors.len()).filter(|i| is_new(columns, &factors[*i])).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = columns.iter().map(|column| column.name);
    writer.write_record(names.chain(new.iter().map(|i| factors[*i].as_str()))).expect(INFALLIBLE);
    for row in rows {
        let fields = columns.iter().map(|column| (column.text)(row));
        let levels = new.iter().map(|i| levels(row).get(*i).cloned().unwrap_or_default());
        writer.write_record(fields.chain(levels)).expect(INFALLIBLE);
    }
    String::from_utf8(writer.into_inner().expect(INFALLIBLE)).expect("all fields are text")
}

/// How a field is written, and what it is to whoever reads it.
trait Field {
    /// JSON Schema's word for it.
    const KIND: &'static str;
    /// Its text; empty if it is not known.
    fn text(&self) -> String;
}

const fn kind<R, F: Field>(_: fn(&R) -> &F) -> &'static str {
    F::KIND
}

macro_rules! displayed {
    ($($kind:literal: $($field:ty),+;)+) => {
        $($(impl Field for $field {
            const KIND: &'static str = $kind;
            fn text(&self) -> String {
                self.to_string()
            }
        })+)+
    };
}

displayed! {
    "string": String, PeerOutcome, TrialOutcome, ChurnStatus, Verdict, Metric, Change, Against, Check;
    "integer": u32, u64;
    "boolean": bool;
}

impl Field for f64 {
    const KIND: &'static str = "number";
    /// To the microsecond: what is beyond is noise, and a short number is easier to read.
    fn text(&self) -> String {
        shortest((self * 1e6).round() / 1e6)
    }
}

impl Field for Term {
    const KIND: &'static str = "string";
    fn text(&self) -> String {
        self.formula().to_owned()
    }
}

impl Field for Architecture {
    const KIND: &'static str = "string";
    fn text(&self) -> String {
        summary::name(*self).to_owned()
    }
}

impl<F: Field> Field for Option<F> {
    const KIND: &'static str = F::KIND;
    fn text(&self) -> String {
        self.as_ref().map(Field::text).unwrap_or_default()
    }
}

/// Without the sign of a negative zero.
fn shortest(number: impl Display) -> String {
    let text = number.to_string();
    if text == "-0" { "0".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::churned;

    #[test]
    fn tables_of_a_small_run() {
        let analysis = churned();
        insta::assert_snapshot!("peers", peers(&analysis));
        insta::assert_snapshot!("churn", churn(&analysis));
        insta::assert_snapshot!("trials", trials(&analysis));
        insta::assert_snapshot!("summary", summary(&analysis));
    }

    #[test]
    fn every_column_of_every_table_is_described() {
        let mut analysis = churned();
        analysis.factors.push("file.size".to_owned());
        let described: serde_json::Value = serde_json::from_str(&columns(&analysis)).unwrap();
        for (name, table) in [("peers.csv", peers(&analysis)), ("trials.csv", trials(&analysis))] {
            let headings: Vec<&str> = table.lines().next().unwrap().split(',').collect();
            let columns = described[name].as_array().unwrap();
            assert_eq!(headings, columns.iter().map(|it| it["name"].as_str().unwrap()).collect::<Vec<_>>());
        }
        assert!(trials(&analysis).lines().next().unwrap().ends_with(",file.size"));
        assert_eq!(described.as_object().unwrap().len(), 14);
        for (table, columns) in described.as_object().unwrap() {
            for column in columns.as_array().unwrap() {
                assert!(!column["meaning"].as_str().unwrap().is_empty(), "{table}: {}", column["name"]);
            }
        }
        assert_eq!(described["peers.csv"][4]["meaning"], "Its class.");
        let of = |name: &str| described["trials.csv"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap();
        let time = of("distribution_time_s");
        assert_eq!((&time["type"], &time["unit"]), (&"number".into(), &"s".into()));
    }

    #[test]
    fn numbers_are_short_and_zero_has_no_sign() {
        assert_eq!([1.0, 0.123_456_789, -0.000_000_000_1].map(|number: f64| number.text()), ["1", "0.123457", "0"]);
    }
}
