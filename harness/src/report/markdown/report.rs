//! `report.md`: the question, what was run, the answer in figures and tables, what to be wary of, and how to read
//! and repeat it.

use std::fmt::Write;

use super::page::{INFALLIBLE, Page, SHOWN, attempt, escaped, milliseconds, more, number, percent, plain};
use super::{churn, gate};
use crate::analysis::bounds::{PAYLOAD_SHARE, SEGMENT_FRAME, SEGMENT_PAYLOAD};
use crate::analysis::compare::Change;
use crate::analysis::metrics::{PeerOutcome, PeerRow, TrialRow};
use crate::analysis::outcome::{RunOutcome, outcome};
use crate::analysis::summary::{Analysis, Contrast, Parity, SummaryRow};
use crate::analysis::{distribution, findings};
use crate::plan::Architecture;
use crate::quantity::decimal;
use crate::report::Facts;
use crate::report::facts::{COMPLETIONS, OVER_N, UTILISATION};
use crate::report::settings::settings;

/// The whole report.
#[must_use]
pub fn report(analysis: &Analysis, facts: &Facts) -> String {
    let mut page = Page::default();
    page.line(format!("# {}\n", analysis.name));
    page.line(format!("**{}**\n", plain(&analysis.question)));
    answer(&mut page, analysis);
    gate::gate(&mut page, analysis);
    figures(&mut page, analysis);
    cells(&mut page, analysis);
    contrasts(&mut page, analysis);
    parities(&mut page, analysis);
    completions(&mut page, analysis);
    trust(&mut page, analysis);
    classes(&mut page, analysis);
    upload_time(&mut page, analysis);
    churn::churn(&mut page, analysis);
    churn::downloads(&mut page, analysis);
    churn::theory(&mut page, analysis);
    incomplete(&mut page, analysis);
    findings(&mut page, analysis);
    trials(&mut page, analysis);
    run(&mut page, analysis, facts);
    page.line(HOW_TO_READ.trim());
    page.line(payload_note());
    page.text().trim_end().to_owned() + "\n"
}

pub(super) const HOW_TO_READ: &str = "
## How to read this

- **Distribution time D**: from the common start of all nodes to the moment when the last peer that was to complete
  had the whole file, each piece's SHA-1 verified. A trial in which one of them did not complete has no D. Peers **to
  complete** are all but those that the schedule removes for good (of these, **left before** counts those without the
  file). D, its bound and completion times are over those of them that did not give up: where shares of completed
  peers differ, times are of different peers, and a smaller share is never an improvement.
- **Bound**: the least D that the links allow (Kurose & Ross, *Computer Networking*, §2.5). N peers, a file of F bits,
  uploads u_s (server) and u_i (peer i), the lowest download rate d_min:
  client-server max{N·F/u_s, F/d_min}; p2p max{F/u_s, F/d_min, N·F/(u_s + Σu_i)}. **Binds** names the largest term.
  Peers that never help (free riders, corrupting peers) have u_i = 0. Peers that the schedule removes for good are
  not in N; they may help, at most by (1 − 1/N)·u_i. Where peers come and go, or links change, each rate counts while
  its node was there, from the log: D is at least the first moment by which the capacities, added up over time, could
  have carried the bits of each term (`ARCHITECTURE.md` names the proof). Without churn that is the formula itself.
- **Ratio** = D / bound at link rate; **payload ratio** = D / bound at payload rate; **efficiency** = bound at link
  rate / D. A ratio below 1 is a mistake until shown otherwise.
- **Measured** is the median over the repeats, with [least – largest]; from 6 repeats on also the interval that holds
  the median with at least 95 % confidence (order statistics). Below 6 no such interval exists.
- **Upload capacity** is rate × D summed over the nodes whose upload the bound counts. **Idle** is the part in which a
  node had nothing to send: nobody wanted what it has; somebody did but was choked; nobody who was not choked had asked.
- **INVALID** is a trial whose time something beside the swarm may have decided: a link off its rate, a busy host, a
  late event, a log that is not whole. It is kept and shown, and enters no median, figure or comparison. **Link off by**
  is how far a link was off its rate when it was tried before the gate opened, one of each kind in both directions.
- **Start skew** is how late nodes began after the common start. **Offload** is the share of the sent file bytes that
  peers sent. **Duplicates** are received bytes that a peer already had.
- Every column of the CSV tables is explained in `columns.json`, with its type and unit.
";

pub(super) fn payload_note() -> String {
    format!(
        "- **Link rate and payload rate**: a shaped link counts Ethernet frames. A full segment at MTU 1500 (IPv4, \
         TCP with timestamps) carries {SEGMENT_PAYLOAD} bytes of file in {SEGMENT_FRAME}, so {:.2} % of a link is \
         left for the file: the bound at payload rate is {SEGMENT_FRAME}/{SEGMENT_PAYLOAD} of that at link rate, or, where \
         nodes come and go, that of links slower by as much. \
         Acknowledgements and protocol messages come on top: they are part of the ratio.",
        PAYLOAD_SHARE * 100.0
    )
}

/// The result in a sentence per architecture, for the cells of its largest N: one, or the quickest and the slowest.
pub(super) fn answer(page: &mut Page, analysis: &Analysis) {
    let RunOutcome { outcome, reason } = outcome(analysis);
    page.line(format!("*{outcome}*: {}.\n", escaped(&reason)));
    let mut told = false;
    for architecture in [Architecture::P2p, Architecture::ClientServer] {
        let done =
            analysis.summary.iter().filter(|row| row.architecture == architecture && row.payload_ratio.is_some());
        let Some(largest) = done.clone().map(|row| row.peers).max() else { continue };
        let mut cells: Vec<&SummaryRow> = done.filter(|row| row.peers == largest).collect();
        told = true;
        if undecided(analysis, &cells) {
            for cell in cells {
                page.line(format!("- {}", result(analysis, cell)));
            }
            continue;
        }
        cells.sort_by(|a, b| {
            a.distribution_time_median_s.unwrap_or(0.0).total_cmp(&b.distribution_time_median_s.unwrap_or(0.0))
        });
        match cells[..] {
            [] => {}
            [one] => page.line(format!("- {}", result(analysis, one))),
            [quickest, .., slowest] => {
                page.line(format!("- quickest of {}: {}", cells.len(), result(analysis, quickest)));
                page.line(format!("- slowest: {}", result(analysis, slowest)));
            }
        }
    }
    if !told {
        page.line("No valid trial has a distribution time; see the findings.");
    }
    page.line("");
}

/// Whether some of these cells were compared with each other and it is not decided which is quicker.
pub(super) fn undecided(analysis: &Analysis, cells: &[&SummaryRow]) -> bool {
    let is_one = |id: &str| cells.iter().any(|cell| cell.cell == id);
    let is_open = |verdict| matches!(verdict, Change::Inconclusive | Change::NoData);
    analysis.comparisons.iter().any(|row| is_open(row.verdict) && is_one(&row.cell) && row.is_of_arms())
}

pub(super) fn result(analysis: &Analysis, row: &SummaryRow) -> String {
    let (time, ratio) = (number(row.distribution_time_median_s, 1), number(row.payload_ratio, 2));
    let contrast = analysis.contrasts.iter().find(|it| it.p2p == row.cell).and_then(|it| Some((it, it.measured?)));
    let contrast = contrast.map(|(it, measured)| {
        let shares = it.completed_shares.map(|(other, own)| {
            format!(" (of different peers: {} completed, here {})", percent(Some(other)), percent(Some(own)))
        });
        format!("; client-server took {measured:.2} times as long{}", shares.unwrap_or_default())
    });
    let contrast = contrast.unwrap_or_default();
    format!("`{}` (N = {}): **{time} s**, {ratio} times the bound at payload rate{contrast}", row.cell, row.peers)
}

pub(super) fn figures(page: &mut Page, analysis: &Analysis) {
    if !analysis.over_n.is_empty() {
        page.line(format!("![Distribution time over the number of peers]({OVER_N})\n"));
    }
    if !analysis.summary.is_empty() {
        page.line(format!("![When the peers had the whole file]({COMPLETIONS})\n"));
    }
}

pub(super) fn cells(page: &mut Page, analysis: &Analysis) {
    page.line("## Cells\n");
    let row = |row: &SummaryRow| {
        vec![
            format!("`{}`", row.cell),
            row.peers.to_string(),
            range(row.to_complete, row.to_complete_max),
            number(row.bound_s, 2),
            number(row.bound_payload_s, 2),
            row.binding_term.map(|term| term.formula().to_owned()).unwrap_or_default(),
            measured(row),
            format!("{}/{}", row.completed, row.planned),
            row.invalid.to_string(),
            number(row.ratio, 3),
            number(row.payload_ratio, 3),
            number(row.efficiency, 3),
            milliseconds(row.start_skew_max_s),
        ]
    };
    let headings = [
        "cell",
        ">N",
        ">to complete",
        ">bound, s",
        ">bound at payload rate, s",
        "binds",
        ">measured, s",
        ">trials",
        ">INVALID",
        ">ratio",
        ">payload ratio",
        ">efficiency",
        ">start skew max, ms",
    ];
    page.table(&headings, analysis.summary.iter().map(row));
}

/// `8`, or `6 – 8` where repeats differ.
pub(super) fn range(least: u32, most: u32) -> String {
    if least == most { least.to_string() } else { format!("{least} – {most}") }
}

/// Median, range, and the median's interval where there is one.
pub(super) fn measured(row: &SummaryRow) -> String {
    let Some(median) = row.distribution_time_median_s else { return "–".to_owned() };
    let mut text = decimal(median, 2);
    if let (2.., Some(least), Some(most)) = (row.completed, row.distribution_time_min_s, row.distribution_time_max_s) {
        write!(text, " [{} – {}]", decimal(least, 2), decimal(most, 2)).expect(INFALLIBLE);
    }
    if let (Some(low), Some(high)) = (row.distribution_time_low_s, row.distribution_time_high_s) {
        write!(text, ", 95 %: {} – {}", decimal(low, 2), decimal(high, 2)).expect(INFALLIBLE);
    }
    text
}

pub(super) fn contrasts(page: &mut Page, analysis: &Analysis) {
    if analysis.contrasts.is_empty() {
        return;
    }
    page.line("## Client-server against p2p\n");
    page.line("How many times as long client-server takes, all else equal.\n");
    let rows = analysis.contrasts.iter().map(|it| {
        let cells = [format!("`{}`", it.client_server), format!("`{}`", it.p2p)];
        let numbers = [it.peers.to_string(), number(it.measured, 2), number(it.bound, 2)];
        cells.into_iter().chain(numbers).collect()
    });
    page.table(&["client-server", "p2p", ">N", ">measured", ">by the bounds"], rows);
    let of = |it: &Contrast| (it.client_server.clone(), it.p2p.clone(), it.completed_shares);
    different_peers(page, analysis.contrasts.iter().map(of));
}

/// Of cells whose shares of completed peers differ the times are of different peers.
pub(super) fn different_peers(page: &mut Page, pairs: impl Iterator<Item = (String, String, Option<(f64, f64)>)>) {
    let lines: Vec<String> = pairs
        .filter_map(|(one, other, shares)| {
            let (own, others) = shares?;
            let (own, others) = (percent(Some(own)), percent(Some(others)));
            Some(format!("- Not of the same peers: in `{one}` {own} of them completed, in `{other}` {others}."))
        })
        .collect();
    if !lines.is_empty() {
        page.line(lines.join("\n") + "\n");
    }
}

pub(super) fn parities(page: &mut Page, analysis: &Analysis) {
    if analysis.parities.is_empty() {
        return;
    }
    page.line("## Containers against network namespaces\n");
    page.line("Medians of D, all else equal, and by how much that in namespaces is longer.\n");
    let rows = analysis.parities.iter().map(|it| {
        vec![
            format!("`{}`", it.docker),
            format!("`{}`", it.netns),
            number(it.medians.map(|medians| medians.0), 2),
            number(it.medians.map(|medians| medians.1), 2),
            it.difference().map_or("–".to_owned(), |share| format!("{:+.2} %", share * 100.0)),
        ]
    });
    page.table(&["containers", "namespaces", ">containers, s", ">namespaces, s", ">difference"], rows);
    let of = |it: &Parity| (it.docker.clone(), it.netns.clone(), it.completed_shares);
    different_peers(page, analysis.parities.iter().map(of));
}

/// The distribution of the peers' completion times, at some shares.
pub(super) fn completions(page: &mut Page, analysis: &Analysis) {
    const SHARES: [f64; 6] = [0.1, 0.25, 0.5, 0.75, 0.9, 1.0];
    if analysis.distribution.is_empty() {
        return;
    }
    page.line("## When the peers had the file\n");
    page.line(
        "When so many of the peers that were to complete had it, in seconds after the common start, all trials that are",
    );
    page.line(
        "not INVALID together; `–` where so many never had. `distribution.csv` has every step. `50 %` is when half of them \
         had it; a median in another table lies midway between the two middle peers where their number is even.\n",
    );
    let rows = analysis.summary.iter().map(|row| {
        // The first step is the least share there is.
        let at = |share| number(distribution::reached(&analysis.distribution, &row.cell, share), 2);
        [format!("`{}`", row.cell), at(0.0)].into_iter().chain(SHARES.map(at)).collect()
    });
    let headings = ["cell", ">first", ">10 %", ">25 %", ">50 %", ">75 %", ">90 %", ">all"];
    page.table(&headings, rows);
}

/// What the numbers rest on: how well links kept their rates, what the host had to do, how far repeats agree.
pub(super) fn trust(page: &mut Page, analysis: &Analysis) {
    let measured = analysis.summary.iter().filter(|row| row.link_error_max_share.or(row.host_busy_max_share).is_some());
    let rows: Vec<Vec<String>> = measured
        .map(|row| {
            vec![
                format!("`{}`", row.cell),
                percent(row.link_error_max_share),
                percent(row.host_busy_max_share),
                milliseconds(row.start_skew_max_s),
                percent(row.distribution_time_cv),
                row.outliers.to_string(),
                row.invalid.to_string(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    page.line("## What the numbers rest on\n");
    page.line(
        "The worst of all trials: how far a link was off its rate when it was tried before the start, how busy the",
    );
    page.line("host was over five seconds; and how far the repeats agree (standard deviation over mean).\n");
    let headings = [
        "cell",
        ">link off by",
        ">host busy",
        ">start skew max, ms",
        ">variation of D",
        ">outliers",
        ">INVALID trials",
    ];
    page.table(&headings, rows);
}

pub(super) fn upload_time(page: &mut Page, analysis: &Analysis) {
    let measured: Vec<&SummaryRow> = analysis.summary.iter().filter(|row| row.completed > 0).collect();
    if measured.is_empty() {
        return;
    }
    page.line("## Where the upload went\n");
    page.line("Medians; idle and absent are shares of the upload capacity until D.\n");
    let headings = [
        "cell",
        ">offload",
        ">duplicates",
        ">headers and protocol",
        ">idle: nobody wanted it",
        ">idle: choked",
        ">idle: not asked",
        ">absent",
    ];
    let row = |row: &&SummaryRow| {
        let shares = [
            row.offload_share,
            row.duplicate_share,
            row.overhead_share,
            row.idle_uninterested_share,
            row.idle_choked_share,
            row.idle_unrequested_share,
            row.absent_share,
        ];
        std::iter::once(format!("`{}`", row.cell)).chain(shares.map(percent)).collect()
    };
    page.table(&headings, measured.iter().map(row));
    if !analysis.usual.is_empty() {
        page.line(format!("![How full the upload links were]({UTILISATION})\n"));
    }
}

/// How each class fared, where there are several.
pub(super) fn classes(page: &mut Page, analysis: &Analysis) {
    let several = |cell: &str| analysis.classes.iter().filter(|row| row.cell == cell).count() > 1;
    let rows: Vec<Vec<String>> = analysis
        .classes
        .iter()
        .filter(|row| several(&row.cell))
        .map(|row| {
            vec![
                format!("`{}`", row.cell),
                row.class.clone(),
                format!("{}/{}", row.completed, row.peers),
                number(row.completion_median_s, 2),
                number(row.completion_max_s, 2),
                number(row.contribution_ratio, 2),
            ]
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    page.line("## By class\n");
    page.line("Peers of all valid trials together; *gave* is what they sent over what they received.\n");
    page.table(&["cell", "class", ">completed", ">median, s", ">last, s", ">gave"], rows);
}

pub(super) fn incomplete(page: &mut Page, analysis: &Analysis) {
    let standing = analysis.standing();
    let is_told = |peer: &&PeerRow| {
        peer.outcome != PeerOutcome::Completed && standing.contains(&(peer.cell.as_str(), peer.repeat, peer.attempt))
    };
    let rows: Vec<&PeerRow> = analysis.peers.iter().filter(is_told).collect();
    if rows.is_empty() {
        return;
    }
    page.line("## Peers that did not complete\n");
    let row = |peer: &&PeerRow| {
        vec![
            format!("`{}`", peer.cell),
            attempt(peer.repeat, peer.attempt),
            format!("`{}`", peer.node),
            if peer.is_waited_for() { "yes" } else { "no" }.to_owned(),
            peer.outcome.to_string(),
            peer.reason.clone(),
        ]
    };
    let headings = ["cell", ">repeat", "peer", "D waits for it", "outcome", "reason"];
    page.table(&headings, rows.iter().take(SHOWN).map(row));
    more(page, rows.len(), "`peers.csv`");
}

pub(super) fn findings(page: &mut Page, analysis: &Analysis) {
    page.line("## Findings\n");
    if analysis.findings.is_empty() {
        page.line(
            "Nothing to be wary of: no drops, no lost lines, no late start, no unexpected end, no link that is not",
        );
        page.line("what the plan says, no host that was too busy.\n");
        return;
    }
    let mut sorted: Vec<_> = analysis.findings.iter().collect();
    sorted.sort_by_key(|finding| finding.what.severity());
    let sorted = findings::told_once(sorted);
    let row = |(finding, more): &(&findings::Finding, usize)| {
        let repeat = attempt(finding.repeat, finding.attempt);
        vec![
            finding.what.severity().to_string(),
            format!("`{}`", finding.cell),
            if *more > 0 { format!("{repeat} and {more} more") } else { repeat },
            finding.what.to_string(),
        ]
    };
    page.table(&["", "cell", ">repeat", "what"], sorted.iter().take(SHOWN).map(row));
    more(page, sorted.len(), "the trials' `events.jsonl`");
}

pub(super) fn trials(page: &mut Page, analysis: &Analysis) {
    page.line("## Trials\n");
    let row = |row: &TrialRow| {
        vec![
            format!("`{}`", row.cell),
            attempt(row.repeat, row.attempt),
            row.verdict.to_string(),
            row.outcome.to_string(),
            number(row.distribution_time_s, 2),
            number(row.ratio, 3),
            number(row.payload_ratio, 3),
            format!("{}/{}", row.completed, row.to_complete),
            row.gave_up.to_string(),
            row.left_before.to_string(),
            number(row.completion_median_s, 2),
            number(row.completion_p90_s, 2),
            milliseconds(row.start_skew_p50_s),
            milliseconds(row.start_skew_max_s),
            percent(row.offload_share),
            row.link_drops.to_string(),
            row.lines_lost.to_string(),
        ]
    };
    let headings = [
        "cell",
        ">repeat",
        "verdict",
        "outcome",
        ">D, s",
        ">ratio",
        ">payload ratio",
        ">complete",
        ">gave up",
        ">left before",
        ">median peer, s",
        ">90 % of peers, s",
        ">skew p50, ms",
        ">skew max, ms",
        ">offload",
        ">drops",
        ">lines lost",
    ];
    page.table(&headings, analysis.trials.iter().map(row));
}

/// Where, how and with what it ran.
pub(super) fn run(page: &mut Page, analysis: &Analysis, facts: &Facts) {
    page.line("## What was run\n");
    page.table(&["what", "value"], facts.rows.iter().map(|(what, value)| vec![what.clone(), value.clone()]));
    page.line("Settings, defaults too; where cells differ, all values:\n");
    let rows = settings(&analysis.settings).into_iter().map(|(key, value)| vec![format!("`{key}`"), value]);
    page.table(&["key", "value"], rows);
    if !facts.command.is_empty() {
        page.line("To repeat it, in this directory:\n");
        page.line(format!("```sh\n{}\n```\n", facts.command));
    }
}
