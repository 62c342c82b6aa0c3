//! What people read: tables, figures and words, from an [`Analysis`]. Recomputes nothing, reads no clock and no
//! file; equal results give equal bytes.
//!
//! | module | what it makes |
//! | --- | --- |
//! | [`ci`] | what a CI reads: `summary.json`, `junit.xml`, `metrics.txt`, words for a job's page |
//! | [`csv`] | tidy tables, and `columns.json`, which names their types and units |
//! | [`markdown`] | `report.md` |
//! | [`mod@plan`] | what `harness plan` prints |
//! | [`settings`] | every setting under its key in the experiment file |
//! | [`svg`] | the figures |
//! | [`terminal`] | the summary that a command ends with |
//! | [`progress`] | what a command says while it runs |

pub mod ci;
pub mod csv;
pub mod markdown;
pub mod plan;
pub mod progress;
pub mod settings;
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

/// Every derived file of a run: its name, and its content if this run has it.
#[must_use]
pub fn files(analysis: &Analysis, facts: &Facts) -> Vec<(&'static str, Option<String>)> {
    let table = |is_any: bool, of: fn(&Analysis) -> String| is_any.then(|| of(analysis));
    vec![
        ("summary.csv", Some(csv::summary(analysis))),
        ("trials.csv", Some(csv::trials(analysis))),
        ("peers.csv", Some(csv::peers(analysis))),
        ("churn.csv", Some(csv::churn(analysis))),
        ("classes.csv", Some(csv::classes(analysis))),
        ("transfers.csv", Some(csv::transfers(analysis))),
        ("distribution.csv", Some(csv::distribution(analysis))),
        ("utilisation.csv", Some(csv::utilisation(analysis))),
        ("population.csv", Some(csv::population(analysis))),
        ("theory.csv", Some(csv::theory(analysis))),
        ("comparisons.csv", table(!analysis.comparisons.is_empty(), csv::comparisons)),
        ("history.csv", table(!analysis.nights.is_empty(), csv::history)),
        ("changes.csv", table(!analysis.changes.is_empty(), csv::changes)),
        ("checks.csv", table(!analysis.checks.is_empty(), csv::checks)),
        ("columns.json", Some(csv::columns(analysis))),
        (OVER_N, svg::over_n(analysis)),
        (COMPLETIONS, svg::completions(analysis)),
        (UTILISATION, svg::utilisation(analysis)),
        (POPULATION, svg::population(analysis)),
        (RATIOS, svg::ratios(analysis)),
        (HISTORY, svg::history(analysis)),
        ("summary.json", Some(ci::summary(analysis, facts))),
        ("junit.xml", Some(ci::junit(analysis, facts))),
        ("metrics.txt", Some(ci::metrics(analysis))),
        ("report.md", Some(markdown::report(analysis, facts))),
    ]
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
            let report = files.last().unwrap().1.as_ref().unwrap();
            let drawn = files.iter().filter(|(name, content)| name.ends_with(".svg") && content.is_some());
            assert_eq!(drawn.filter(|(name, _)| report.contains(&format!("({name})"))).count(), figures);
            assert_eq!(report.matches("![").count(), figures);
        }
    }
}
