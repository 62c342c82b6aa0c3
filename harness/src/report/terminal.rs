//! The summary that a command ends with: a table of at most [`WIDTH`] columns, and what to be wary of.

use std::fmt::Write;

use crate::analysis::findings::Severity;
use crate::analysis::summary::{Analysis, SummaryRow};

/// Columns that the table fits into.
pub const WIDTH: usize = 100;
const CELL: usize = 34;
const SHOWN: usize = 8;

/// The table of cells and the findings, as plain text with a line end.
#[must_use]
pub fn summary(analysis: &Analysis) -> String {
    let longest = analysis.summary.iter().map(|row| row.cell.chars().count()).max().unwrap_or(0);
    let cell = longest.clamp(4, CELL);
    let mut out = String::new();
    let mut line = |columns: [&str; 7]| {
        let [name, n, measured, bound, ratio, payload, verdict] = columns;
        let line = format!("{name:<cell$} {n:>5} {measured:>22} {bound:>8} {ratio:>6} {payload:>7}  {verdict}");
        writeln!(out, "{}", line.trim_end()).expect("writing to a string cannot fail");
    };
    line(["cell", "N", "measured, s", "bound, s", "ratio", "payload", "verdict"]);
    for row in &analysis.summary {
        line([
            &shortened(&row.cell, cell),
            &row.peers.to_string(),
            &measured(row),
            &number(row.bound_s, 1),
            &number(row.ratio, 3),
            &number(row.payload_ratio, 3),
            &verdict(row),
        ]);
    }
    let found = |severity| analysis.findings.iter().filter(move |finding| finding.what.severity() == severity);
    let (errors, warnings) = (found(Severity::Error).count(), found(Severity::Warning).count());
    if errors + warnings > 0 {
        out.push('\n');
    }
    for finding in found(Severity::Error).chain(found(Severity::Warning)).take(SHOWN) {
        let text = format!("{}: {}/{}: {}", finding.what.severity(), finding.cell, finding.repeat, finding.what);
        out.push_str(&shortened(&text, WIDTH));
        out.push('\n');
    }
    if let Some(more) = (errors + warnings).checked_sub(SHOWN).filter(|more| *more > 0) {
        writeln!(out, "… and {more} more in the report").expect("writing to a string cannot fail");
    }
    out
}

/// Median, and the range of the repeats if there is more than one.
fn measured(row: &SummaryRow) -> String {
    match (row.distribution_time_median_s, row.distribution_time_min_s, row.distribution_time_max_s) {
        (Some(median), Some(least), Some(most)) if row.completed > 1 => {
            format!("{median:.1} [{least:.1}–{most:.1}]")
        }
        (Some(median), ..) => format!("{median:.1}"),
        _ => "–".to_owned(),
    }
}

/// What to think of a cell in a word or two.
fn verdict(row: &SummaryRow) -> String {
    if row.ratio.is_some_and(|ratio| ratio < 1.0) {
        return "BELOW BOUND".to_owned();
    }
    match (row.completed, row.planned) {
        (0, _) if row.timeout > 0 => "TIMEOUT".to_owned(),
        (0, _) if row.failed > 0 => "FAILED".to_owned(),
        (0, _) => "not run".to_owned(),
        (completed, planned) if completed < planned => format!("{completed} of {planned}"),
        _ => "ok".to_owned(),
    }
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.digits$}"))
}

fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::{churned, textbook};

    #[test]
    fn a_run_ends_with_a_table() {
        insta::assert_snapshot!("complete", summary(&textbook()));
        insta::assert_snapshot!("churned", summary(&churned()));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut analysis = churned();
        analysis.summary[0].cell = "p2p-n10-".repeat(20);
        analysis.summary[0].distribution_time_max_s = Some(100_000.0);
        let text = summary(&analysis);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }
}
