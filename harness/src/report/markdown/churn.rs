//! Who came, stayed and went: the schedule and what came of it, downloads from a peer's own arrival, and what theory other
//! than the bound says.

use super::page::{SHOWN, attempt, milliseconds, more};
use super::{Page, number};
use crate::analysis::metrics::{ChurnRow, ChurnStatus, PeerOutcome, TrialRow, Verdict};
use crate::analysis::summary::Analysis;
use crate::analysis::theory::TheoryRow;
use crate::report::facts::POPULATION;
use crate::report::svg;

/// Planned arrivals, departures, returns and changes of links.
pub(super) fn churn(page: &mut Page, analysis: &Analysis) {
    if analysis.churn.is_empty() {
        return;
    }
    page.line("## Churn\n");
    page.line("Planned arrivals, departures, returns and changes of links, of all attempts that are not INVALID; every one of them is");
    page.line("in `churn.csv`. The median of how late is of those that the controller carried out: crashes, freezes, returns.\n");
    let standing = analysis.standing();
    let rows = analysis.summary.iter().filter_map(|cell| {
        let rows: Vec<&ChurnRow> = analysis
            .churn
            .iter()
            .filter(|row| row.cell == cell.cell && standing.contains(&(row.cell.as_str(), row.repeat, row.attempt)))
            .collect();
        let with = |status| rows.iter().filter(|row| row.status == status).count().to_string();
        let most_of = |of: &dyn Fn(&TrialRow) -> Option<f64>| {
            let own = analysis.trials.iter().filter(|trial| trial.cell == cell.cell);
            own.filter(|trial| trial.verdict != Verdict::Invalid).filter_map(of).reduce(f64::max)
        };
        (!rows.is_empty()).then(|| {
            vec![
                format!("`{}`", cell.cell),
                rows.len().to_string(),
                with(ChurnStatus::Executed),
                with(ChurnStatus::Skipped),
                with(ChurnStatus::Failed),
                with(ChurnStatus::Missing),
                milliseconds(most_of(&|trial| trial.churn_late_p50_s)),
                milliseconds(most_of(&|trial| trial.churn_late_max_s)),
            ]
        })
    });
    let rows: Vec<Vec<String>> = rows.collect();
    page.table(
        &["cell", ">planned", ">executed", ">skipped", ">failed", ">missing", ">late, median, ms", ">late at most, ms"],
        rows,
    );
}

/// How long a download took from a peer's own arrival, what went with those that left, and whether the file lived.
pub(super) fn downloads(page: &mut Page, analysis: &Analysis) {
    let standing = analysis.standing();
    let moves = |cell: &str| analysis.churn.iter().any(|row| row.cell == cell);
    let rows: Vec<Vec<String>> = analysis
        .summary
        .iter()
        .filter(|cell| moves(&cell.cell) || cell.unfinishable > 0)
        .map(|cell| {
            let stands = |trial: &&TrialRow| trial.cell == cell.cell && trial.verdict != Verdict::Invalid;
            let own: Vec<&TrialRow> = analysis.trials.iter().filter(stands).collect();
            let lost: u64 = own.iter().map(|trial| trial.lost_bytes).sum();
            let died: Vec<f64> = own.iter().filter_map(|trial| trial.file_lost_at_s).collect();
            let of = |outcome| {
                let peers = analysis.peers.iter().filter(|peer| {
                    peer.cell == cell.cell && standing.contains(&(peer.cell.as_str(), peer.repeat, peer.attempt))
                });
                peers.filter(|peer| peer.outcome == outcome).count().to_string()
            };
            vec![
                format!("`{}`", cell.cell),
                number(cell.download_mean_s, 1),
                number(own.iter().filter_map(|trial| trial.completion_max_s).reduce(f64::max), 1),
                of(PeerOutcome::Completed),
                of(PeerOutcome::GaveUp),
                of(PeerOutcome::Unfinishable),
                format!("{:.1}", lost as f64 / f64::from(1 << 20)),
                number(died.into_iter().reduce(f64::min), 1),
            ]
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    page.line("## Those who came, stayed and went\n");
    page.line("A download counts from the peer's own arrival. *Lost with departures* is what peers had received when they left");
    page.line(
        "before they were done, and did not come back with. The file is lost when the last copy of some piece goes for",
    );
    page.line("good; who was waited for and lacks it is `unfinishable`, and the trial ends.\n");
    let headings = [
        "cell",
        ">mean download, s",
        ">last completion, s",
        ">completed",
        ">gave up",
        ">unfinishable",
        ">lost with departures, MiB",
        ">file lost at, s",
    ];
    page.table(&headings, rows);
    if svg::population(analysis).is_some() {
        page.line(format!("![Who was there]({POPULATION})\n"));
    }
}

/// What theory other than the bound says, where it holds.
pub(super) fn theory(page: &mut Page, analysis: &Analysis) {
    // As everywhere: what is INVALID was not measured. `theory.csv` has it, as all tables with a row for each attempt.
    let standing = analysis.standing();
    let told: Vec<&TheoryRow> =
        analysis.theory.iter().filter(|row| standing.contains(&(row.cell.as_str(), row.repeat, row.attempt))).collect();
    if told.is_empty() {
        return;
    }
    page.line("## Beside other theory\n");
    page.line(
        "Mundinger, Weber and Weiss (J. Scheduling 11, 2008): the time of the best schedule, (F/u)(1 + ⌊log₂N⌋/M), if uploads",
    );
    page.line("are equal and each piece comes whole, from *one* uploader. It is no limit here, where the blocks of a piece may come from");
    page.line(
        "several. Qiu and Srikant (SIGCOMM 2004): the steady state under Poisson arrivals, with the leechers' measured",
    );
    page.line("efficiency η and the server as one more uploader; seeds fully used, as they assume, and as measured.\n");
    let rows = told.iter().map(|row| {
        vec![
            format!("`{}`", row.cell),
            attempt(row.repeat, row.attempt),
            row.theory.clone(),
            row.quantity.clone(),
            number(row.predicted, 2),
            number(row.measured, 2),
            number(row.ratio, 3),
            row.given.clone(),
        ]
    });
    let rows: Vec<Vec<String>> = rows.take(SHOWN).collect();
    page.table(&["cell", ">repeat", "theory", "of", ">predicted", ">measured", ">ratio", "given"], rows);
    more(page, told.len(), "`theory.csv`");
}
