//! The derived files of a run, by name.

use super::facts::{COMPLETIONS, HISTORY, OVER_N, POPULATION, RATIOS, UTILISATION};
use super::{Facts, ci, csv, markdown, svg};
use crate::analysis::summary::Analysis;

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
