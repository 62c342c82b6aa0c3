//! What the results were held to: arms against each other, the baseline, the last nights, thresholds, assertions.

use super::{Page, escaped};
use crate::analysis::checks::{Check, CheckRow, apart};
use crate::analysis::compare::{Change, ComparisonRow};
use crate::analysis::summary::Analysis;
use crate::report::facts::{HISTORY, RATIOS};
use crate::report::svg;

/// The section, if results were held to anything.
pub(super) fn gate(page: &mut Page, analysis: &Analysis) {
    if analysis.comparisons.is_empty() && analysis.checks.is_empty() {
        return;
    }
    page.line("## Verdict\n");
    if let Some(first) = analysis.comparisons.iter().find(|row| row.is_of_arms()) {
        page.line(format!(
            "Each arm against the base, by `{}`. The ratio is the geometric mean over the pairs, its interval by",
            first.metric
        ));
        page.line("Student's t on the logarithms. *Regressed*: the interval lies wholly beyond the largest change for the worse that");
        page.line("is none; *improved*: wholly as far on the good side; *equivalent*: wholly between; else *inconclusive*. All looks");
        page.line("at a comparison together miss the true ratio in at most 5 % of cases.\n");
    }
    if analysis.comparisons.iter().any(|row| !row.is_of_arms()) {
        page.line("Against a baseline: the ratio of the geometric means, its interval by Welch's t on the logarithms, with what nights");
        page.line("differ by themselves. Against the last nights: whether this one is beyond what 99 % of nights were to be expected");
        page.line("to be. `baseline.json` has what it was compared with.\n");
    }
    verdict(page, analysis);
    if !analysis.changes.is_empty() {
        page.line("When the history changed its level (E-divisive means, at least two nights on either side):\n");
        let rows = analysis.changes.iter().map(|row| {
            let range = match (row.commit_before.as_str(), row.commit_after.as_str()) {
                ("", "") => "not known".to_owned(),
                (before, after) => format!("`{}..{}`", short(before), short(after)),
            };
            let runs = format!("{} → {}", row.run_before, row.run_after);
            vec![format!("`{}`", row.cell), format!("{:+.1} %", (row.ratio - 1.0) * 100.0), runs, range]
        });
        page.table(&["cell", ">by", "between the runs", "commits"], rows);
    }
    if svg::history(analysis).is_some() {
        page.line(format!("![The nights, and when they changed]({HISTORY})\n"));
    }
    if svg::ratios(analysis).is_some() {
        page.line(format!("![How much longer it takes]({RATIOS})\n"));
    }
}

/// As much of a commit as tells which it is.
fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// Every comparison, threshold and assertion.
pub(in crate::report) fn verdict(page: &mut Page, analysis: &Analysis) {
    comparisons(page, analysis);
    checks(page, &analysis.checks);
}

fn comparisons(page: &mut Page, analysis: &Analysis) {
    let rows = &analysis.comparisons;
    if rows.is_empty() {
        return;
    }
    let headings = ["cell", "against", "verdict", ">ratio", ">interval", ">at most", ">pairs", ">could have seen"];
    page.table(&headings, rows.iter().map(row));
    for (row, told) in rows.iter().filter_map(|row| Some((row, row.populations()?))) {
        page.line(format!("- `{}` against {}: {told}.", row.cell, row.base));
    }
    for row in rows.iter().filter(|row| !row.why.is_empty()) {
        page.line(format!("- `{}` against {}: {}.", row.cell, row.base, escaped(&row.why)));
    }
    for row in rows.iter().filter(|row| row.verdict == Change::Inconclusive && row.is_of_arms()) {
        let cure = match row.pairs_needed {
            Some(pairs) => format!("a ratio like this one would be decided by about {pairs} pairs (`repeats`)"),
            None => "no number of pairs below 10,000 would decide such a ratio: it lies on the margin".to_owned(),
        };
        page.line(format!("- `{}`: {cure}.", row.cell));
    }
    if rows.iter().any(|row| row.populations().is_some() || !row.why.is_empty() || row.verdict == Change::Inconclusive)
    {
        page.line("");
    }
}

fn row(row: &ComparisonRow) -> Vec<String> {
    let interval = row.low_ratio.zip(row.high_ratio).zip(row.confidence_share);
    let most = 1.0 + row.max_worse_share;
    let beside = |ratio: f64| apart(ratio, most, 3);
    vec![
        format!("`{}`", row.cell),
        if row.is_of_arms() { format!("`{}`", row.base) } else { row.base.to_string() },
        word(row.verdict),
        row.ratio.map_or("–".to_owned(), beside),
        interval.map_or("–".to_owned(), |((low, high), sure)| {
            format!("{} – {} ({:.1} %)", beside(low), beside(high), sure * 100.0)
        }),
        format!("{most:.3}"),
        format!("{}/{}", row.pairs, row.pairs_planned),
        row.detectable_share.map_or("–".to_owned(), |share| format!("{:+.1} %", share * 100.0)),
    ]
}

/// A verdict that asks for attention is bold.
fn word(change: Change) -> String {
    match change {
        Change::Regressed | Change::NoData | Change::Acknowledged => format!("**{change}**"),
        _ => change.to_string(),
    }
}

fn checks(page: &mut Page, rows: &[CheckRow]) {
    if rows.is_empty() {
        return;
    }
    page.line("What the experiment file asks for, and what there is:\n");
    let line = |row: &CheckRow| {
        let about = row.about();
        let outcome = match row.outcome {
            Check::Met => row.outcome.to_string(),
            Check::Crossed | Check::NoData => format!("**{}**", row.outcome),
        };
        let is = row.shown() + if row.value.is_some() { &about } else { "" };
        vec![format!("`{}`", row.cell), format!("`{}`", row.metric), row.condition.clone(), is, outcome]
    };
    page.table(&["cell", "of", "is to be", ">is", "outcome"], rows.iter().map(line));
}
