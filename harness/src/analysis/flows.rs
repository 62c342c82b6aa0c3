//! Who sent how much to whom, and how full the links were as time went on.

use peer_image::event::{Idle, is_to_complete};
use peer_image::node::Behaviour;

use super::lives::{Life, Observed};
use super::metrics::{TrialRow, Verdict};
use super::peers;
use super::presence::{self, Span};
use crate::plan::{Cell, Node, Trial};

/// What one node sent to another in one trial.
#[derive(Debug, Clone, PartialEq)]
pub struct TransferRow {
    /// The cell's id.
    pub cell: String,
    /// Which repeat, from 1.
    pub repeat: u32,
    /// Which attempt at it, from 1.
    pub attempt: u32,
    /// Who sent.
    pub from: String,
    /// Who received.
    pub to: String,
    /// File bytes sent, as the sender says: `progress.up`.
    pub sent_bytes: u64,
    /// File bytes received, as the receiver says: `progress.down`. What is sent and not received was cut off by a
    /// departure, or not told by a node that was killed.
    pub received_bytes: u64,
}

/// How full the links were in one second of one trial. Shares are of the rates of the nodes that were there.
#[derive(Debug, Clone, PartialEq)]
pub struct UtilisationRow {
    /// The cell's id.
    pub cell: String,
    /// Which repeat, from 1.
    pub repeat: u32,
    /// Which attempt at it, from 1.
    pub attempt: u32,
    /// When the second began, after the common start.
    pub from_s: u32,
    /// Peers that were there.
    pub peers_present: u32,
    /// Share of the server's upload rate that was carried, headers included: `counters.up.bytes`.
    pub server_up_share: Option<f64>,
    /// The same of the uploads of all peers that help: no free riders, no corrupting peers.
    pub peers_up_share: Option<f64>,
    /// The same of all peers' downloads.
    pub peers_down_share: Option<f64>,
    /// Share of what those uploads could have carried, with nothing to send because nobody wanted what they had: `progress.idle`.
    pub peers_idle_uninterested_share: Option<f64>,
    /// The same because all who did were choked.
    pub peers_idle_choked_share: Option<f64>,
    /// The same because nobody had a request outstanding.
    pub peers_idle_unrequested_share: Option<f64>,
}

/// Every pair of nodes between which something went, in the plan's order.
pub(super) fn transfers(cell: &Cell, trial: &Trial, observed: &Observed) -> Vec<TransferRow> {
    let mut rows = Vec::new();
    for from in &trial.nodes {
        for to in trial.nodes.iter().filter(|to| to.name != from.name) {
            let sent_bytes = peers::sent_to(observed.node(&from.name), &to.name);
            let received_bytes = peers::received_from(observed.node(&to.name), &from.name);
            if sent_bytes + received_bytes > 0 {
                rows.push(TransferRow {
                    cell: cell.id.clone(),
                    repeat: trial.repeat,
                    attempt: observed.attempt,
                    from: from.name.clone(),
                    to: to.name.clone(),
                    sent_bytes,
                    received_bytes,
                });
            }
        }
    }
    rows
}

/// One row per second until `horizon`.
pub(super) fn utilisation(cell: &Cell, trial: &Trial, observed: &Observed, horizon: f64) -> Vec<UtilisationRow> {
    let is_server = |node: &&Node| node.role.is_server();
    let with_spans = |node| (node, presence::spans(node, observed));
    let servers: Vec<(&Node, Vec<Span>)> = trial.nodes.iter().filter(is_server).map(with_spans).collect();
    let peers = trial.nodes.iter().filter(|node| is_to_complete(node.role));
    let peers: Vec<(&Node, Vec<Span>)> = peers.map(with_spans).collect();
    // A trial is at most as long as its timeout; a log that says otherwise is not to cost memory.
    let seconds = horizon.min(cell.settings.timeout).ceil() as u32;
    (0..seconds)
        .map(|second| {
            let server = sum(observed, &servers, second, horizon);
            let peers = sum(observed, &peers, second, horizon);
            let share = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
            let idle = peers.idle.map(|idle| share(idle, peers.up_rate));
            UtilisationRow {
                cell: cell.id.clone(),
                repeat: trial.repeat,
                attempt: observed.attempt,
                from_s: second,
                peers_present: peers.present,
                server_up_share: share(server.up, server.up_rate),
                peers_up_share: share(peers.up, peers.up_rate),
                peers_down_share: share(peers.down, peers.down_rate),
                peers_idle_uninterested_share: idle[0],
                peers_idle_choked_share: idle[1],
                peers_idle_unrequested_share: idle[2],
            }
        })
        .collect()
}

/// One row per second of a cell: the mean over those of its valid trials that were not over yet.
pub(super) fn usual(cell: &str, trials: &[TrialRow], rows: &[UtilisationRow]) -> Vec<UtilisationRow> {
    let is_valid = |row: &&UtilisationRow| {
        let is_its =
            |trial: &&TrialRow| trial.cell == cell && trial.repeat == row.repeat && trial.attempt == row.attempt;
        row.cell == cell && trials.iter().find(is_its).is_some_and(|trial| trial.verdict == Verdict::Valid)
    };
    let own: Vec<&UtilisationRow> = rows.iter().filter(is_valid).collect();
    let end = own.iter().map(|row| row.from_s + 1).max().unwrap_or(0);
    (0..end)
        .map(|second| {
            let rows: Vec<&&UtilisationRow> = own.iter().filter(|row| row.from_s == second).collect();
            let mean = |of: fn(&UtilisationRow) -> Option<f64>| {
                let values: Vec<f64> = rows.iter().filter_map(|row| of(row)).collect();
                (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
            };
            let present: f64 = rows.iter().map(|row| f64::from(row.peers_present)).sum();
            UtilisationRow {
                cell: cell.to_owned(),
                repeat: 0,
                attempt: 0,
                from_s: second,
                peers_present: (present / rows.len().max(1) as f64).round() as u32,
                server_up_share: mean(|row| row.server_up_share),
                peers_up_share: mean(|row| row.peers_up_share),
                peers_down_share: mean(|row| row.peers_down_share),
                peers_idle_uninterested_share: mean(|row| row.peers_idle_uninterested_share),
                peers_idle_choked_share: mean(|row| row.peers_idle_choked_share),
                peers_idle_unrequested_share: mean(|row| row.peers_idle_unrequested_share),
            }
        })
        .collect()
}

/// One cause of idle upload time, out of a report of all of them, ns.
type Cause = fn(&(u64, Idle)) -> f64;

/// What some nodes' links carried in a second, and could have, bits; and what idle upload time cost, bits, by cause.
#[derive(Debug, Default)]
struct Sum {
    present: u32,
    up: f64,
    down: f64,
    up_rate: f64,
    down_rate: f64,
    idle: [f64; 3],
}

fn sum(observed: &Observed, nodes: &[(&Node, Vec<Span>)], second: u32, horizon: f64) -> Sum {
    let (begins, ends) = (f64::from(second), horizon.min(f64::from(second) + 1.0));
    let mut sum = Sum::default();
    for (node, spans) in nodes {
        let possible = presence::carries(spans, begins, ends);
        for life in &observed.node(&node.name).lives {
            let Some(go) = observed.go(&node.name, life) else { continue };
            let from = go + u64::from(second) * 1_000_000_000;
            let end = go + (horizon * 1e9) as u64;
            let to = (from + 1_000_000_000).min(end);
            if !was_there(life, from, to) {
                continue;
            }
            // Little is carried once the file is everywhere: what the first look after that found was carried before, as
            // far as the link could.
            let until = life.carried.partition_point(|point| point.0 < end) + 1;
            let carried = &life.carried[..until.min(life.carried.len())];
            let grown = |of: fn(&(u64, u64, u64)) -> f64, possible: f64| {
                let at = |moment| interpolated(carried, |point| point.0.min(end), of, moment);
                let bits = (at(to) - at(from)) * 8.0;
                if to == end { bits.min(possible) } else { bits }
            };
            sum.present += 1;
            sum.down += grown(|point| point.2 as f64, possible.down);
            sum.down_rate += possible.down;
            // Who never gives has no upload to be full.
            if node.behaviour != Behaviour::Honest {
                break;
            }
            let up = grown(|point| point.1 as f64, possible.up);
            sum.up += up;
            sum.up_rate += possible.up;
            let causes: [Cause; 3] = [
                |point| point.1.uninterested as f64,
                |point| point.1.choked as f64,
                |point| point.1.unrequested as f64,
            ];
            // As a part of what its link could have carried, so that it adds up with what it did.
            let rate = if possible.seconds > 0.0 { possible.up / possible.seconds } else { 0.0 };
            let idle = causes.map(|cause| {
                let at = |moment| interpolated(&life.idle, |point| point.0, cause, moment);
                (at(to) - at(from)) / 1e9 * rate
            });
            // A node with nothing to send has its queues still to empty: a link that carries is not idle.
            let room = (possible.up - up).max(0.0);
            let most = idle.iter().sum::<f64>().max(room);
            for (sum, idle) in sum.idle.iter_mut().zip(idle) {
                *sum += if most > 0.0 { idle * room / most } else { 0.0 };
            }
            break;
        }
    }
    sum
}

/// Whether a life had begun its role and not ended it at some moment of a second.
fn was_there(life: &Life, from: u64, to: u64) -> bool {
    let end = life.left.map_or(life.last_mono, |(at, _)| at);
    life.started.is_some_and(|started| started.mono < to) && end > from
}

/// The value of something that grew, at a moment: evenly between two points, not at all before the first and after the
/// last.
fn interpolated<P>(points: &[P], when: impl Fn(&P) -> u64, what: impl Fn(&P) -> f64, moment: u64) -> f64 {
    let after = points.partition_point(|point| when(point) <= moment);
    match (after.checked_sub(1).map(|i| &points[i]), points.get(after)) {
        (Some(a), Some(b)) => {
            let share = (moment - when(a)) as f64 / (when(b) - when(a)).max(1) as f64;
            what(a) + share * (what(b) - what(a))
        }
        (Some(only), None) | (None, Some(only)) => what(only),
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use peer_image::event::{Counters, Event as NodeEvent, Progress, Queue};

    use super::*;
    use crate::analysis::fixture::{GO, Log, S, cell};
    use crate::plan::Architecture;

    fn counters(up: u64, down: u64) -> NodeEvent {
        let queue = |bytes| Queue { bytes, ..Queue::default() };
        NodeEvent::Counters(Counters { up: queue(up), down: queue(down), ..Counters::default() })
    }

    #[test]
    fn a_links_share_is_what_it_carried_of_its_rate_second_by_second() {
        let cell = cell(Architecture::P2p, 2, 1);
        let mut log = Log::new();
        // Peers upload at 4 mbit, 500 kB a second: one is full all the time, one is half full, then gone.
        let mut full = log.life("peer-1", GO - S);
        full.boot().started(GO, 0);
        for second in 0..=3 {
            full.at(GO + second * S, counters(second * 500_000, 0));
        }
        let mut half = log.life("peer-2", GO - S);
        half.boot().started(GO, 0).at(GO, counters(0, 0)).at(GO + 2 * S, counters(500_000, 0));
        half.left(GO + 2 * S, peer_image::event::Leave::Planned);
        let observed = super::super::lives::fold(&log.lines);
        let rows = utilisation(&cell, &cell.trials[0], &observed, 2.5);
        // In the last half second, too, shares are of what was possible in it.
        let shares: Vec<(u32, Option<f64>)> = rows.iter().map(|row| (row.peers_present, row.peers_up_share)).collect();
        assert_eq!(shares, [(2, Some(0.75)), (2, Some(0.75)), (1, Some(1.0))]);
        assert_eq!(rows[0].server_up_share, None, "it never spoke");
    }

    #[test]
    fn a_link_that_still_carries_is_not_idle() {
        let cell = cell(Architecture::P2p, 1, 1);
        let mut log = Log::new();
        let mut node = log.life("peer-1", GO - S);
        let idle = |ns| {
            let idle = Idle { uninterested: ns / 4, choked: 0, unrequested: ns - ns / 4 };
            NodeEvent::Progress(Progress { idle, ..Progress::default() })
        };
        // Its link was full for half the second, and it had nothing to send for four fifths.
        node.boot().started(GO, 0).at(GO, counters(0, 0)).at(GO, idle(0)).at(GO + S, counters(250_000, 0));
        node.at(GO + S, idle(4 * S / 5)).at(GO + 2 * S, counters(250_000, 0)).at(GO + 2 * S, idle(9 * S / 5));
        let rows = utilisation(&cell, &cell.trials[0], &super::super::lives::fold(&log.lines), 2.0);
        let shares = |row: &UtilisationRow| {
            (row.peers_up_share, row.peers_idle_uninterested_share, row.peers_idle_unrequested_share)
        };
        assert_eq!(shares(&rows[0]), (Some(0.5), Some(0.125), Some(0.375)));
        assert_eq!(shares(&rows[1]), (Some(0.0), Some(0.25), Some(0.75)));
    }

    #[test]
    fn what_was_counted_just_before_the_start_spreads_nothing_over_it() {
        let cell = cell(Architecture::P2p, 1, 1);
        let mut log = Log::new();
        let mut full = log.life("peer-1", GO - S);
        full.boot().at(GO - S / 8, counters(0, 0)).started(GO, 0);
        full.at(GO + 7 * S / 8, counters(437_500, 0)).at(GO + 15 * S / 8, counters(937_500, 0));
        let rows = utilisation(&cell, &cell.trials[0], &super::super::lives::fold(&log.lines), 1.0);
        assert_eq!(rows.iter().map(|row| row.peers_up_share).collect::<Vec<_>>(), [Some(1.0)]);
    }

    #[test]
    fn what_the_first_look_after_the_end_found_was_carried_before_it() {
        let cell = cell(Architecture::P2p, 1, 1);
        let mut log = Log::new();
        let mut full = log.life("peer-1", GO - S);
        full.boot().started(GO, 0).at(GO, counters(0, 0)).at(GO + S, counters(500_000, 0));
        // Full until the end at 1.25 s; what comes later is not of the transfer.
        full.at(GO + 2 * S, counters(625_000, 0)).at(GO + 3 * S, counters(700_000, 0));
        let rows = utilisation(&cell, &cell.trials[0], &super::super::lives::fold(&log.lines), 1.25);
        assert_eq!(rows.iter().map(|row| row.peers_up_share).collect::<Vec<_>>(), [Some(1.0), Some(1.0)]);
    }

    #[test]
    fn what_is_usual_is_the_mean_of_the_valid_trials_that_still_run() {
        let analysis = crate::analysis::fixture::textbook();
        let trial = |repeat, verdict| TrialRow { repeat, verdict, ..analysis.trials[0].clone() };
        let trials = [trial(1, Verdict::Valid), trial(2, Verdict::Valid), trial(3, Verdict::Invalid)];
        let row = |repeat, from_s, share| UtilisationRow {
            cell: trials[0].cell.clone(),
            repeat,
            attempt: trials[0].attempt,
            from_s,
            peers_present: 4,
            server_up_share: Some(share),
            peers_up_share: None,
            peers_down_share: None,
            peers_idle_uninterested_share: None,
            peers_idle_choked_share: None,
            peers_idle_unrequested_share: None,
        };
        let rows = [row(1, 0, 0.2), row(1, 1, 0.3), row(2, 0, 0.4), row(3, 0, 9.0), row(3, 5, 9.0)];
        let means: Vec<_> =
            usual(&trials[0].cell, &trials, &rows).iter().map(|row| (row.from_s, row.server_up_share)).collect();
        assert_eq!(means, [(0, Some((0.2 + 0.4) / 2.0)), (1, Some(0.3))]);
    }

    #[test]
    fn a_transfer_is_what_both_ends_say_of_it() {
        let cell = cell(Architecture::P2p, 2, 1);
        let mut log = Log::new();
        let moved = |name: &str, bytes| [(name.to_owned(), bytes)].into();
        let sent = Progress { up: moved("peer-2", 100), ..Progress::default() };
        let received = Progress { down: moved("peer-1", 90), ..Progress::default() };
        log.life("peer-1", GO).boot().progress(GO + S, sent);
        log.life("peer-2", GO).boot().progress(GO + S, received);
        let rows = transfers(&cell, &cell.trials[0], &super::super::lives::fold(&log.lines));
        let row = (rows[0].from.as_str(), rows[0].to.as_str(), rows[0].sent_bytes, rows[0].received_bytes);
        assert_eq!((rows.len(), row), (1, ("peer-1", "peer-2", 100, 90)));
    }
}
