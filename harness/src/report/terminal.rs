//! The summary that a command ends with: a table that is as wide as it must be and at most [`WIDTH`] columns, and what
//! to be wary of.

use std::fmt::Write;

use crate::analysis::checks::{Check, apart};
use crate::analysis::compare::Change;
use crate::analysis::findings::{Severity, What, told_once};
use crate::analysis::outcome::outcome;
use crate::analysis::summary::{Analysis, SummaryRow};
use crate::analysis::validity::Invalid;
use crate::quantity::decimal;

/// Columns that everything fits into; usual tables fit into 80.
pub const WIDTH: usize = 100;
/// Columns below which nothing is broken any further.
const NARROWEST: usize = 40;
const CELL: usize = 34;
const SHOWN: usize = 8;
const HEADINGS: [&str; 7] = ["cell", "N", "time, s", "bound, s", "ratio", "payload", "verdict"];

/// What to do about an INVALID trial.
const INVALID: &str = "\
hint: INVALID means that something beside the swarm may have decided the time. End what else runs \
on this machine, or ask for slower links or fewer peers: `harness doctor` says what it carries. \
Then `--resume` runs again what is INVALID. The limits are `validity:` in the experiment file.";

/// What to do where nothing but the schedule speaks against trials.
const UNDONE: &str = "\
hint: the schedule asks for departures or returns that this machine did not carry out; `churn.csv` has \
each with the reason. Longer sessions and absences help, or fewer peers that come and go at once.";

/// The table of cells and the findings, as plain text with a line end, for a terminal of so many columns.
#[must_use]
pub fn summary(analysis: &Analysis, width: usize) -> String {
    let width = width.clamp(NARROWEST, WIDTH);
    let mut out = table(&analysis.summary);
    let found = |severity| analysis.findings.iter().filter(move |finding| finding.what.severity() == severity);
    let told = told_once(found(Severity::Error).chain(found(Severity::Warning)));
    if !told.is_empty() {
        out.push('\n');
    }
    for (finding, more) in told.iter().take(SHOWN) {
        let place = match (finding.repeat, finding.attempt) {
            (0, _) => finding.cell.clone(),
            (repeat, 0 | 1) => format!("{}/{repeat}", finding.cell),
            (repeat, attempt) => format!("{}/{repeat}.{attempt}", finding.cell),
        };
        let more = if *more > 0 { format!(" (and {more} more)") } else { String::new() };
        let text = format!("{}: {place}{more}: {}", finding.what.severity(), finding.what);
        out.push_str(&wrapped(&text, width));
        out.push('\n');
    }
    if let Some(more) = told.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        writeln!(out, "… and {more} more in the report").expect("writing to a string cannot fail");
    }
    if analysis.summary.iter().any(|row| row.invalid > 0) {
        let found = analysis.findings.iter();
        let why = found.filter_map(|it| if let What::Invalid(why) = &it.what { Some(why) } else { None });
        let why: Vec<&Invalid> = why.collect();
        let all_are = |is_one: fn(&Invalid) -> bool| !why.is_empty() && why.iter().all(|why| is_one(why));
        if all_are(|why| matches!(why, Invalid::ChurnFailed { .. })) {
            writeln!(out, "{}", wrapped(UNDONE, width)).expect("writing to a string cannot fail");
        } else if !all_are(|why| matches!(why, Invalid::NotStarted { .. })) {
            writeln!(out, "{}", wrapped(INVALID, width)).expect("writing to a string cannot fail");
        }
    }
    out.push_str(&gate(analysis, width));
    writeln!(out, "\n{}", wrapped(&format!("result: {}", outcome(analysis)), width))
        .expect("writing to a string cannot fail");
    out
}

/// What the results were held to, a line each.
fn gate(analysis: &Analysis, width: usize) -> String {
    let compared = analysis.comparisons.iter().map(|row| {
        let signed = |ratio: f64| {
            let percent = apart((ratio - 1.0) * 100.0, row.max_worse_share * 100.0, 1);
            if percent.starts_with('-') { percent } else { format!("+{percent}") }
        };
        let interval = row.low_ratio.zip(row.high_ratio);
        let interval = interval.map(|(low, high)| format!(" [{}, {}]", signed(low), signed(high))).unwrap_or_default();
        let is_open = row.verdict == Change::Inconclusive;
        let parts = [
            row.populations(),
            row.ratio.map(|ratio| format!("{} %{interval}", signed(ratio))),
            row.is_of_arms().then(|| format!("{} pairs", row.pairs)),
            row.detectable_share.filter(|_| is_open).map(|share| format!("could have seen {:+.1} %", share * 100.0)),
            row.pairs_needed.map(|pairs| format!("{pairs} pairs would decide")),
            Some(row.why.clone()).filter(|why| !why.is_empty()),
        ];
        let told = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        format!("{}: {} against {}: {told}", row.verdict.to_string().to_uppercase(), row.cell, row.base)
    });
    let checked = analysis.checks.iter().filter(|row| row.outcome != Check::Met).map(|row| {
        let outcome = row.outcome.to_string().to_uppercase();
        format!("{outcome}: {}: {} {} (line {}): {}", row.cell, row.metric, row.condition, row.line, row.is())
    });
    let lines: Vec<String> = compared.chain(checked).map(|line| wrapped(&line, width)).collect();
    let met = analysis.checks.iter().filter(|row| row.outcome == Check::Met).count();
    let all = analysis.checks.len();
    let met = if all > 0 { format!("{met} of {all} conditions met\n") } else { String::new() };
    match lines[..] {
        [] if met.is_empty() => String::new(),
        [] => format!("\n{met}"),
        _ => format!("\n{}\n{met}", lines.join("\n")),
    }
}

/// Each column as wide as its widest field; numbers to the right, words to the left.
fn table(rows: &[SummaryRow]) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        [
            row.cell.clone(),
            row.peers.to_string(),
            measured(row),
            number(row.bound_s, 1),
            number(row.ratio, 3),
            number(row.payload_ratio, 3),
            verdict(row),
        ]
    }));
    let widths: [usize; HEADINGS.len()] =
        std::array::from_fn(|i| lines.iter().map(|line| line[i].chars().count()).max().unwrap_or(0));
    let first = widths[0].min(CELL);
    let mut out = String::new();
    for [cell, numbers @ .., verdict] in &lines {
        let mut line = format!("{cell:<first$}");
        if cell.chars().count() > CELL {
            // A long name has a line of its own: cut short it could be any of several.
            writeln!(out, "{cell}").expect("writing to a string cannot fail");
            line = " ".repeat(first);
        }
        for (field, width) in numbers.iter().zip(&widths[1..]) {
            write!(line, "  {field:>width$}").expect("writing to a string cannot fail");
        }
        writeln!(out, "{line}  {verdict}").expect("writing to a string cannot fail");
    }
    out
}

/// Median, and the range of the repeats if there is more than one.
fn measured(row: &SummaryRow) -> String {
    match (row.distribution_time_median_s, row.distribution_time_min_s, row.distribution_time_max_s) {
        (Some(median), Some(least), Some(most)) if row.completed > 1 => {
            format!("{} [{}–{}]", decimal(median, 1), decimal(least, 1), decimal(most, 1))
        }
        (Some(median), ..) => decimal(median, 1),
        _ => "–".to_owned(),
    }
}

/// What to think of a cell in a word or two.
fn verdict(row: &SummaryRow) -> String {
    let share = row.completed_share.map(|share| format!(", {:.0} % complete", share * 100.0)).unwrap_or_default();
    match (row.completed, row.planned) {
        (0, _) if row.invalid > 0 => "INVALID".to_owned(),
        (0, _) if row.timeout > 0 => format!("TIMEOUT{share}"),
        (0, _) if row.unfinishable > 0 => format!("UNFINISHABLE{share}"),
        (0, _) if row.failed > 0 => format!("FAILED{share}"),
        (0, _) if row.nothing_measured > 0 => "nobody completed".to_owned(),
        (0, _) if row.broken_off > 0 => "broken off".to_owned(),
        (0, planned) if row.not_run == planned => "not run".to_owned(),
        // It ran, and the schedule removes everybody: downloads were measured, and no D.
        (0, _) => "no D".to_owned(),
        (completed, planned) if completed < planned => format!("{completed} of {planned}"),
        _ => "ok".to_owned(),
    }
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".to_owned(), |value| decimal(value, digits))
}

/// Broken between words, further lines indented; a word that is longer than a line stays whole on its own.
fn wrapped(text: &str, width: usize) -> String {
    const INDENT: &str = "  ";
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            out.push('\n');
            out.push_str(INDENT);
            column = INDENT.len();
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::findings::Finding;
    use crate::analysis::fixture::{churned, compared, textbook};

    #[test]
    fn what_is_longer_than_a_line_goes_on_in_the_next() {
        assert_eq!(wrapped("one two three", 100), "one two three");
        assert_eq!(wrapped("one two three four", 9), "one two\n  three\n  four");
        assert_eq!(wrapped("", 9), "");
    }

    #[test]
    fn a_run_ends_with_a_table() {
        insta::assert_snapshot!("complete", summary(&textbook(), WIDTH));
        insta::assert_snapshot!("churned", summary(&churned(), WIDTH));
        insta::assert_snapshot!("compared", summary(&compared(), WIDTH));
    }

    #[test]
    fn what_is_invalid_comes_with_what_to_do_about_it() {
        let mut analysis = textbook();
        assert!(!summary(&analysis, WIDTH).contains("hint: INVALID"));
        analysis.summary[0].invalid = 1;
        let text = summary(&analysis, WIDTH);
        assert!(text.contains("`--resume`") && text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn what_only_the_schedule_speaks_against_is_not_the_machines() {
        let mut analysis = textbook();
        analysis.summary[0].invalid = 1;
        let finding = |why| Finding { cell: "p2p-n5".into(), repeat: 1, attempt: 1, what: What::Invalid(why) };
        analysis.findings = vec![finding(Invalid::ChurnFailed { events: 1 })];
        let text = summary(&analysis, WIDTH);
        assert!(text.contains("hint: the schedule") && !text.contains("End what else runs"), "{text}");
        analysis.findings = vec![finding(Invalid::NotStarted { reason: "no network".to_owned() })];
        assert!(!summary(&analysis, WIDTH).contains("hint: "), "its reason has the cure");
        analysis.findings = vec![finding(Invalid::LinesLost { lines: 1 }), finding(Invalid::LinesLost { lines: 1 })];
        let text = summary(&analysis, WIDTH);
        assert!(text.contains("p2p-n5/1 (and 1 more): ") && text.matches("lines are missing").count() == 1, "{text}");
        assert!(summary(&analysis, WIDTH).contains("End what else runs"));
    }

    #[test]
    fn a_cell_that_ran_is_not_called_not_run() {
        let mut row = textbook().summary.remove(0);
        row.completed = 0;
        let of = |change: fn(&mut SummaryRow)| {
            let mut row = SummaryRow { completed_share: Some(0.5), ..row.clone() };
            change(&mut row);
            verdict(&row)
        };
        assert_eq!(of(|row| row.unfinishable = row.planned), "UNFINISHABLE, 50 % complete");
        assert_eq!(of(|row| row.timeout = row.planned), "TIMEOUT, 50 % complete");
        assert_eq!(of(|row| row.failed = row.planned), "FAILED, 50 % complete");
        assert_eq!(of(|row| row.invalid = 1), "INVALID");
        assert_eq!(of(|row| row.nothing_measured = row.planned), "nobody completed");
        assert_eq!(of(|row| row.not_run = row.planned), "not run");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut analysis = churned();
        analysis.summary[0].cell = "p2p-n10-".repeat(20);
        analysis.summary[0].distribution_time_max_s = Some(100_000.0);
        analysis.summary[0].invalid = 1;
        let text = summary(&analysis, WIDTH);
        assert!(text.contains(&"p2p-n10-".repeat(20)), "a name is never cut: {text}");
        let lines = text.lines().filter(|line| !line.starts_with("p2p-n10-p2p"));
        assert!(lines.clone().all(|line| line.chars().count() <= WIDTH), "{text}");
        // The table is as wide as it must be; what is said beneath it is as narrow as the terminal.
        let text = summary(&analysis, 60);
        let said = text.lines().skip_while(|line| !line.is_empty());
        assert!(said.clone().count() > 5 && said.clone().all(|line| line.chars().count() <= 60), "{text}");
    }
}
