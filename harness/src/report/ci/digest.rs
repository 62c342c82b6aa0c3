//! The verdict in few words: for a job's page, and for the lines of the experiment file.

use crate::analysis::checks::{Check, apart};
use crate::analysis::compare::{Change, ComparisonRow};
use crate::analysis::outcome::{Outcome, RunOutcome, outcome};
use crate::analysis::summary::Analysis;
use crate::report::markdown::{Page, escaped, number, plain, verdict};

/// What a job's page shows of a run, at most so many bytes of Markdown; `error` is why it could not go on, if that is so.
#[must_use]
pub fn digest(analysis: &Analysis, error: Option<&str>, limit: usize) -> String {
    const CUT: &str = "\n… and more: see the report.\n";
    let mut page = Page::default();
    let RunOutcome { outcome, reason } = outcome(analysis);
    match error {
        Some(error) => page.line(format!("## {}: could not go on\n\n{}\n", analysis.name, escaped(error))),
        None => page.line(format!("## {}: {outcome}\n\n{}\n", analysis.name, escaped(&reason))),
    }
    page.line(format!("*{}*\n", plain(&analysis.question)));
    verdict(&mut page, analysis);
    let rows = analysis.summary.iter().map(|row| {
        vec![
            format!("`{}`", row.cell),
            number(row.distribution_time_median_s, 2),
            number(row.bound_s, 2),
            number(row.payload_ratio, 3),
            format!("{}/{}", row.completed, row.planned),
            row.invalid.to_string(),
        ]
    });
    page.table(&["cell", ">D, s", ">bound, s", ">payload ratio", ">trials", ">INVALID"], rows);
    let mut text = page.text();
    if text.len() > limit {
        // At the end of a line, so that no table is cut in the middle of a row.
        let kept = text[..text.floor_char_boundary(limit.saturating_sub(CUT.len()))].rfind('\n').unwrap_or(0);
        text.truncate(kept);
        text.push_str(CUT);
    }
    text
}

/// Something that asks for attention, and where it stands in the experiment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Whether it is an error, or else a warning.
    pub is_error: bool,
    /// Line of the experiment file.
    pub line: u32,
    /// In a few words.
    pub title: String,
    /// In full.
    pub message: String,
}

impl Annotation {
    /// As a workflow command of GitHub Actions, for the file that is named so in the repository.
    #[must_use]
    pub fn github(&self, file: &str) -> String {
        let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
        let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
        let command = if self.is_error { "error" } else { "warning" };
        let (file, title, message) = (property(file), property(&self.title), data(&self.message));
        format!("::{command} file={file},line={},title={title}::{message}", self.line)
    }
}

/// A ratio of a comparison, with as many digits as tell it from the largest that is allowed.
pub(super) fn beside(row: &ComparisonRow, ratio: Option<f64>) -> String {
    ratio.map_or("–".to_owned(), |ratio| apart(ratio, 1.0 + row.max_worse_share, 3))
}

/// Why a run could not go on.
#[must_use]
pub fn broken_off(error: &str) -> Annotation {
    Annotation { is_error: true, line: 1, title: "could not go on".to_owned(), message: error.to_owned() }
}

/// One for each verdict that asks for attention, and one for what has no row of its own: trials that failed or are INVALID.
#[must_use]
pub fn annotations(analysis: &Analysis) -> Vec<Annotation> {
    let line = u32::try_from(analysis.gate.compare.line).unwrap_or(u32::MAX);
    let asks = |change| !matches!(change, Change::Equivalent | Change::Improved);
    let compared = analysis.comparisons.iter().filter(|row| asks(row.verdict)).map(|row| Annotation {
        is_error: match row.verdict {
            Change::Inconclusive => analysis.gate.compare.strict,
            Change::Acknowledged => false,
            _ => true,
        },
        line,
        title: format!("{}: {}", row.cell, row.verdict),
        message: format!(
            "{}{}{} takes {} times as long as {} ({} to {}, {} {}; at most {:.3})",
            row.populations().map(|told| format!("{told}: ")).unwrap_or_default(),
            if row.why.is_empty() { String::new() } else { format!("{}: ", row.why) },
            row.cell,
            beside(row, row.ratio),
            row.base,
            beside(row, row.low_ratio),
            beside(row, row.high_ratio),
            row.pairs,
            row.counted(),
            1.0 + row.max_worse_share
        ),
    });
    let checked = analysis.checks.iter().filter(|row| row.outcome != Check::Met).map(|row| Annotation {
        is_error: true,
        line: row.line,
        title: format!("{}: {}", row.cell, row.outcome),
        message: format!("{} {}: {}", row.metric, row.condition, row.is()),
    });
    let RunOutcome { outcome, reason } = outcome(analysis);
    let whole = match outcome {
        Outcome::Interrupted | Outcome::Failed | Outcome::Invalid | Outcome::NothingMeasured => Some(Annotation {
            is_error: true,
            line: 1,
            title: format!("{}: {outcome}", analysis.name),
            message: reason,
        }),
        // Nothing to say, or said by their rows.
        Outcome::Passed | Outcome::Regressed | Outcome::Crossed | Outcome::NotComparable | Outcome::Inconclusive => {
            None
        }
    };
    whole.into_iter().chain(compared).chain(checked).collect()
}
