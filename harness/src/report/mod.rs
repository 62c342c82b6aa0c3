//! What people read: tables, figures and words, from an [`Analysis`]. Recomputes nothing, reads no clock and no
//! file; equal results give equal bytes.
//!
//! | module | what it makes |
//! | --- | --- |
//! | [`ci`] | what a CI reads: `summary.json`, `junit.xml`, `metrics.txt`, words for a job's page |
//! | [`csv`] | tidy tables, and `columns.json`, which names their types and units |
//! | [`markdown`] | `report.md` |
//! | [`mod@plan`] | what `harness plan` prints |
//! | `settings` | every setting under its key in the experiment file |
//! | [`svg`] | the figures |
//! | [`terminal`] | the summary that a command ends with |
//! | [`progress`] | what a command says while it runs |

pub mod ci;
pub mod csv;
pub mod markdown;
pub mod plan;
pub mod progress;
mod settings;
pub mod svg;
pub mod terminal;

use crate::analysis::summary::Analysis;

/// Name of the figure of D over N.
pub const OVER_N: &str = "distribution-time.svg";
/// Name of the figure of completions.
pub const COMPLETIONS: &str = "completions.svg";
/// Name of the figure of how full the links were.
pub const UTILISATION: &str = "utilisation.svg";

/// Name of the figure of who was there.
pub const POPULATION: &str = "population.svg";
/// Name of the figure of arms against their base.
pub const RATIOS: &str = "ratios.svg";
/// Name of the figure of the nights.
pub const HISTORY: &str = "history.svg";

/// What is known of a run besides its results: where, when and how it ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What and its value, in the order in which a report shows them: when, engine, kernel, image, …
    pub rows: Vec<(String, String)>,
    /// The run's id.
    pub run: String,
    /// The command that repeats the run.
    pub command: String,
}

/// Every derived file of a run: name and content.
#[must_use]
pub fn files(analysis: &Analysis, facts: &Facts) -> Vec<(&'static str, String)> {
    let mut files = vec![
        ("summary.csv", csv::summary(analysis)),
        ("trials.csv", csv::trials(analysis)),
        ("peers.csv", csv::peers(analysis)),
        ("churn.csv", csv::churn(analysis)),
        ("classes.csv", csv::classes(analysis)),
        ("transfers.csv", csv::transfers(analysis)),
        ("distribution.csv", csv::distribution(analysis)),
        ("utilisation.csv", csv::utilisation(analysis)),
        ("population.csv", csv::population(analysis)),
        ("theory.csv", csv::theory(analysis)),
        ("columns.json", csv::columns(analysis)),
    ];
    files.extend(svg::over_n(analysis).map(|figure| (OVER_N, figure)));
    files.extend(svg::completions(analysis).map(|figure| (COMPLETIONS, figure)));
    files.extend(svg::utilisation(analysis).map(|figure| (UTILISATION, figure)));
    files.extend(svg::population(analysis).map(|figure| (POPULATION, figure)));
    files.extend(svg::ratios(analysis).map(|figure| (RATIOS, figure)));
    files.extend(svg::history(analysis).map(|figure| (HISTORY, figure)));
    if !analysis.comparisons.is_empty() {
        files.push(("comparisons.csv", csv::comparisons(analysis)));
    }
    if !analysis.nights.is_empty() {
        files.push(("history.csv", csv::history(analysis)));
    }
    if !analysis.changes.is_empty() {
        files.push(("changes.csv", csv::changes(analysis)));
    }
    if !analysis.checks.is_empty() {
        files.push(("checks.csv", csv::checks(analysis)));
    }
    files.push(("summary.json", ci::summary(analysis, facts)));
    files.push(("junit.xml", ci::junit(analysis, facts)));
    files.push(("metrics.txt", ci::metrics(analysis)));
    files.push(("report.md", markdown::report(analysis, facts)));
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::{churned, compared, nightly, textbook};

    #[test]
    fn the_same_results_give_the_same_files() {
        let facts = Facts::default();
        for results in [textbook, churned, compared, nightly] {
            assert_eq!(files(&results(), &facts), files(&results(), &facts));
        }
    }

    #[test]
    fn no_trace_can_have_the_name_of_a_table() {
        let all = [compared(), nightly()].map(|results| files(&results, &Facts::default()));
        for (name, _) in all.iter().flatten() {
            if let Some(table) = name.strip_suffix(".csv") {
                assert!(crate::plan::trace::RESULTS.contains(&table), "{name}");
            }
        }
    }

    #[test]
    fn every_figure_in_the_report_is_a_file() {
        for (results, figures) in [(textbook(), 3), (churned(), 3), (compared(), 3), (nightly(), 5)] {
            let files = files(&results, &Facts::default());
            let report = &files.last().unwrap().1;
            let shown =
                files.iter().filter(|(name, _)| name.ends_with(".svg") && report.contains(&format!("({name})")));
            assert_eq!(shown.count(), figures);
            assert_eq!(report.matches("![").count(), figures);
        }
    }
}
