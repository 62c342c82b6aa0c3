//! From a trial's plan and its log to its rows ([`super::metrics`]).

use std::collections::BTreeMap;

use peer_image::event::is_to_complete;
use peer_image::node::{Behaviour, Role};

use super::churn;
use super::findings;
use super::flows;
use super::lives::{self, Observed};
use super::load;
use super::metrics::{ChurnRow, ChurnStatus, Measured, PeerOutcome, PeerRow, TrialOutcome, TrialRow, Verdict};
use super::peers;
use super::statistics::{jain, mean, median, most, reached};
use super::validity::{self, Invalid};
use super::{population, presence, theory};
use crate::events::record::{Line, Outcome};
use crate::plan::{Architecture, Cell, Node, Trial};

/// Concludes one trial from its plan and the lines of its log, in the log's order. Pure.
#[must_use]
pub fn measure<'a>(cell: &Cell, trial: &Trial, lines: impl IntoIterator<Item = &'a Line>) -> Measured {
    conclude(cell, trial, &lives::fold(lines))
}

/// Concludes one trial from its plan and what its log tells. Pure.
#[must_use]
pub fn conclude(cell: &Cell, trial: &Trial, observed: &Observed) -> Measured {
    let completions = trial.nodes.iter().map(|node| completion(observed, node));
    let last = last_completion(observed, &trial.nodes, &completions.collect::<Vec<_>>());
    let distribution_time_s = last.filter(|_| observed.outcome == Some(Outcome::Completed));
    let horizon = distribution_time_s.unwrap_or_else(|| observed.last_sign().unwrap_or(0.0));

    let churn = churn::rows(cell, trial, observed);
    let peers: Vec<PeerRow> = trial
        .nodes
        .iter()
        .filter(|node| is_to_complete(node.role))
        .map(|node| peers::row(cell, trial, node, observed, &churn, horizon))
        .collect();
    let followed = population::follow(cell, trial, observed, horizon);
    let mut row = trial_row(cell, trial, observed, &peers, &churn, distribution_time_s, horizon);
    if let Some((at, pieces)) = followed.lost {
        (row.file_lost_at_s, row.pieces_lost) = (Some(at), pieces);
    }
    let invalid = validity::judge(&cell.settings.validity, trial, observed, &row);
    row.verdict = verdict(&row, observed, &invalid);
    if row.verdict == Verdict::Invalid {
        row.invalid = invalid.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    }
    let findings = findings::of_trial(trial, observed, &peers, &churn, &row, invalid);
    let theory = theory::rows(cell, trial, observed, &peers, &followed.rows, distribution_time_s);
    let transfers = flows::transfers(cell, trial, observed);
    let utilisation = flows::utilisation(cell, trial, observed, horizon);
    let took = |(begun, ended): (&(u64, String, String), u64)| ended.saturating_sub(begun.0) as f64 / 1e9;
    let wall_s = observed.begun.as_ref().zip(observed.ended).map(took);
    Measured { trial: row, peers, churn, transfers, utilisation, population: followed.rows, theory, findings, wall_s }
}

fn verdict(row: &TrialRow, observed: &Observed, invalid: &[Invalid]) -> Verdict {
    let is_doubted = !invalid.is_empty();
    match row.outcome {
        TrialOutcome::Completed if is_doubted => Verdict::Invalid,
        TrialOutcome::Completed => Verdict::Valid,
        TrialOutcome::Timeout | TrialOutcome::Unfinishable | TrialOutcome::NothingMeasured if is_doubted => {
            Verdict::Invalid
        }
        // What the swarm did stands, unless it was not the swarm that failed.
        TrialOutcome::Failed if invalid.iter().any(Invalid::is_of_the_infrastructure) => Verdict::Invalid,
        // Its end is there, and what it speaks of is not.
        TrialOutcome::LogIncomplete if observed.outcome.is_some() => Verdict::Invalid,
        TrialOutcome::Timeout | TrialOutcome::Unfinishable | TrialOutcome::NothingMeasured | TrialOutcome::Failed => {
            Verdict::Failed
        }
        TrialOutcome::Interrupted | TrialOutcome::LogIncomplete => Verdict::BrokenOff,
    }
}

fn trial_row(
    cell: &Cell,
    trial: &Trial,
    observed: &Observed,
    peers: &[PeerRow],
    churn: &[ChurnRow],
    distribution_time_s: Option<f64>,
    horizon: f64,
) -> TrialRow {
    let architecture = cell.settings.architecture;
    let limit = presence::realised(trial, observed).and_then(|swarm| presence::bound(architecture, &swarm));
    let (bound, head_start) = limit.unzip();
    let ratio = distribution_time_s.zip(bound.as_ref()).map(|(time, bound)| time / bound.seconds);
    let (outcome, reason) = outcome(cell, observed, peers, distribution_time_s);

    let wanted: Vec<&PeerRow> = peers.iter().filter(|peer| peer.to_complete).collect();
    let of_wanted = |outcome| wanted.iter().filter(|peer| peer.outcome == outcome).map(|_| 1).sum();
    let left_before = peers.iter().filter(|peer| !peer.to_complete && peer.outcome != PeerOutcome::Completed);
    let times: Vec<f64> = wanted.iter().filter_map(|peer| peer.completed_at_s).collect();
    let downloads: Vec<f64> = peers.iter().filter_map(|peer| peer.download_s).collect();
    let late: Vec<f64> = first_lateness(trial, observed);
    let server_up_bytes = servers(trial).map(|node| peers::sent(observed.node(&node.name))).sum();
    let peers_up_bytes = total(peers, |peer| peer.up_bytes);
    let peers_down_bytes = total(peers, |peer| peer.down_bytes);
    let [uninterested, choked, unrequested, absent] = capacity_shares(architecture, trial, observed, horizon);
    let drops = |node: &Node| {
        let counters = peers::counters(observed.node(&node.name));
        counters.up.drops + counters.down.drops
    };
    let host = load::host_load(observed, horizon);
    let delays = trial.nodes.iter().filter_map(|node| load::run_delay(observed, &node.name, horizon));
    // Over all links the bytes up are the bytes down; the download side has all of a peer's file bytes in it.
    let carried = total(peers, |peer| peer.link_down_bytes);
    let received = peers.iter().filter(|peer| peer.down_bytes > 0);
    let given: Vec<f64> = received.map(|peer| peer.up_bytes as f64 / peer.down_bytes as f64).collect();
    let executed: Vec<&ChurnRow> = churn.iter().filter(|row| row.status == ChurnStatus::Executed).collect();

    TrialRow {
        cell: cell.id.clone(),
        levels: cell.levels.clone(),
        architecture,
        peers: count(peers),
        repeat: trial.repeat,
        attempt: observed.attempt,
        verdict: Verdict::BrokenOff,
        invalid: String::new(),
        outcome,
        reason,
        distribution_time_s,
        bound_s: bound.as_ref().map(|bound| bound.seconds),
        bound_payload_s: bound.as_ref().map(|bound| bound.payload_seconds),
        binding_term: bound.as_ref().map(|bound| bound.term),
        head_start_s: head_start,
        ratio,
        payload_ratio: distribution_time_s.zip(bound.as_ref()).map(|(time, bound)| time / bound.payload_seconds),
        efficiency: ratio.map(|ratio| 1.0 / ratio),
        launch_s: launch(trial, observed),
        start_skew_p50_s: median(&late),
        start_skew_max_s: most(&late),
        to_complete: count(&wanted),
        completed: of_wanted(PeerOutcome::Completed),
        gave_up: of_wanted(PeerOutcome::GaveUp),
        left_before: left_before.map(|_| 1).sum(),
        completion_median_s: median(&times),
        completion_p90_s: reached(&times, 0.9),
        completion_max_s: most(&times),
        download_mean_s: mean(&downloads),
        download_median_s: median(&downloads),
        file_lost_at_s: None,
        pieces_lost: 0,
        lost_bytes: total(peers, |peer| peer.lost_bytes),
        server_up_bytes,
        peers_up_bytes,
        peers_down_bytes,
        offload_share: share(peers_up_bytes as f64, (peers_up_bytes + server_up_bytes) as f64),
        duplicate_share: share(total(peers, |peer| peer.duplicate_bytes) as f64, peers_down_bytes as f64),
        idle_uninterested_share: uninterested,
        idle_choked_share: choked,
        idle_unrequested_share: unrequested,
        absent_share: absent,
        fairness_jain: jain(&given),
        overhead_share: share(carried.saturating_sub(peers_down_bytes) as f64, carried as f64),
        link_error_max_share: link_error(trial, observed),
        host_busy_share: host.busy,
        host_busy_max_share: host.busy_max,
        host_softirq_max_share: host.softirq_max,
        host_steal_share: host.steal,
        cpu_pressure_share: host.cpu_pressure,
        run_delay_max_share: delays.reduce(f64::max),
        memory_pressure_share: host.memory_pressure,
        memory_available_min_bytes: host.memory_available_min,
        link_drops: trial.nodes.iter().map(drops).sum(),
        lines_lost: observed.controller_lost
            + observed.nodes.values().flat_map(|log| &log.lives).map(|life| life.lost).sum::<u64>(),
        churn_planned: count(churn),
        churn_executed: count(&executed),
        churn_failed: churn.iter().filter(|row| row.status == ChurnStatus::Failed).map(|_| 1).sum(),
        churn_missing: churn.iter().filter(|row| row.status == ChurnStatus::Missing).map(|_| 1).sum(),
        churn_late_p50_s: median(&late_of(&executed, |row| row.actor == "controller")),
        churn_late_max_s: most(&late_of(&executed, |_| true)),
        rejoins: peers.iter().map(|peer| peer.rejoins).sum(),
    }
}

/// When a node had the whole file for the first time, seconds after the common start: of the lives that say so,
/// the first whose common start is known.
pub(super) fn completion(observed: &Observed, node: &Node) -> Option<f64> {
    let lives = &observed.node(&node.name).lives;
    lives.iter().find_map(|life| Some(since(life.completed?, observed.go(&node.name, life)?)))
}

/// From the common start to a moment of the same clock, seconds.
pub(super) fn since(mono: u64, go: u64) -> f64 {
    (i128::from(mono) - i128::from(go)) as f64 / 1e9
}

/// D, if every peer that it waits for completed, and there is one.
fn last_completion(observed: &Observed, nodes: &[Node], completions: &[Option<f64>]) -> Option<f64> {
    let waits =
        |node: &Node| is_to_complete(node.role) && node.to_complete && !peers::gave_up(observed.node(&node.name));
    let waited = nodes.iter().zip(completions).filter(|(node, _)| waits(node));
    most(&waited.map(|(_, at)| *at).collect::<Option<Vec<f64>>>()?)
}

fn servers(trial: &Trial) -> impl Iterator<Item = &Node> {
    trial.nodes.iter().filter(|node| node.role.is_server())
}

fn first_lateness(trial: &Trial, observed: &Observed) -> Vec<f64> {
    let nodes = trial.nodes.iter().filter(|node| node.role != Role::Tracker);
    nodes.filter_map(|node| peers::first_lateness(observed.node(&node.name))).collect()
}

/// Shares of the upload capacity until `horizon`: idle for lack of interest, choked, without a request; absent.
fn capacity_shares(architecture: Architecture, trial: &Trial, observed: &Observed, horizon: f64) -> [Option<f64>; 4] {
    let counts = |node: &&Node| match node.role {
        Role::HttpServer | Role::InitialSeed => true,
        Role::Leecher => architecture == Architecture::P2p && node.behaviour == Behaviour::Honest,
        Role::HttpClient | Role::Tracker => false,
    };
    let (mut capacity, mut lost) = (0.0, [0.0; 4]);
    for node in trial.nodes.iter().filter(counts) {
        let Some(link) = node.link else { continue };
        let there = presence::carries(&presence::spans(node, observed), 0.0, horizon);
        // While it was away its link had the rate that the plan gives it.
        let away = link.up as f64 * (horizon - there.seconds).max(0.0);
        capacity += there.up + away;
        let (idle, _) = peers::upload_time(observed, &node.name, horizon);
        let rate = if there.seconds > 0.0 { there.up / there.seconds } else { 0.0 };
        for (sum, idle) in lost.iter_mut().zip(idle) {
            *sum += rate * idle;
        }
        lost[3] += away;
    }
    lost.map(|lost| share(lost, capacity))
}

/// The largest deviation of a link from its rate when it was tried.
fn link_error(trial: &Trial, observed: &Observed) -> Option<f64> {
    let errors =
        trial.nodes.iter().filter_map(|node| Some((node.link?, observed.node(&node.name)))).flat_map(|(link, log)| {
            let tried = log.lives.iter().flat_map(|life| &life.calibrated);
            tried.flat_map(move |it| {
                let link = it.link.unwrap_or(link);
                [(link.up, it.up), (link.down, it.down)]
            })
        });
    let errors = errors.map(|(rate, carried)| (carried.link_rate().unwrap_or(0.0) / rate as f64 - 1.0).abs());
    errors.reduce(f64::max)
}

fn outcome(cell: &Cell, observed: &Observed, peers: &[PeerRow], time: Option<f64>) -> (TrialOutcome, String) {
    let missing = || {
        let mut by_outcome: BTreeMap<PeerOutcome, Vec<&str>> = BTreeMap::new();
        for peer in peers.iter().filter(|peer| peer.is_waited_for() && peer.completed_at_s.is_none()) {
            by_outcome.entry(peer.outcome).or_default().push(&peer.node);
        }
        let named = |(outcome, names): (PeerOutcome, Vec<&str>)| {
            let shown = names.iter().take(3).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let more = names.len().checked_sub(3).filter(|more| *more > 0);
            let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
            format!("{shown}{more} {outcome}")
        };
        by_outcome.into_iter().map(named).collect::<Vec<_>>().join(", ")
    };
    match &observed.outcome {
        Some(Outcome::Completed) if time.is_some() => (TrialOutcome::Completed, String::new()),
        Some(Outcome::Completed) if peers.iter().all(|peer| !peer.is_waited_for()) => {
            let gave_up = peers.iter().filter(|peer| peer.to_complete).count();
            let reason = match gave_up {
                0 => "the schedule removes every peer for good: nobody was to complete".to_owned(),
                1 => "the one peer that was to complete gave up".to_owned(),
                gave_up => format!("all {gave_up} peers that were to complete gave up"),
            };
            // Downloads of peers that D does not wait for are a measurement, too.
            let is_measured = gave_up == 0 && peers.iter().any(|peer| peer.completed_at_s.is_some());
            (if is_measured { TrialOutcome::Completed } else { TrialOutcome::NothingMeasured }, reason)
        }
        Some(Outcome::Completed) => {
            (TrialOutcome::LogIncomplete, format!("no completion time in the log: {}", missing()))
        }
        Some(Outcome::Timeout { .. }) => {
            let limit = cell.settings.timeout;
            (TrialOutcome::Timeout, format!("not complete after {limit} s: {}", missing()))
        }
        Some(Outcome::Unfinishable { missing: doomed }) => {
            let pieces = doomed.values().max().copied().unwrap_or(0);
            let what = if pieces == 1 { "piece is" } else { "pieces are" };
            let reason =
                format!("{pieces} {what} nowhere any more, and nobody who has them is to return: {}", missing());
            (TrialOutcome::Unfinishable, reason)
        }
        Some(Outcome::Failed { reason }) => (TrialOutcome::Failed, reason.clone()),
        Some(Outcome::Interrupted) => (TrialOutcome::Interrupted, "stopped by the user".to_owned()),
        None => (TrialOutcome::LogIncomplete, "the log stops before the trial's end".to_owned()),
    }
}

/// How late those of the events were that are meant.
fn late_of(rows: &[&ChurnRow], is_meant: impl Fn(&ChurnRow) -> bool) -> Vec<f64> {
    rows.iter().filter(|row| is_meant(row)).filter_map(|row| row.late_s).collect()
}

fn total(peers: &[PeerRow], of: impl Fn(&PeerRow) -> u64) -> u64 {
    peers.iter().map(of).sum()
}

fn count<T>(rows: &[T]) -> u32 {
    u32::try_from(rows.len()).expect("a trial has fewer than 2^32 rows: node counts are u32")
}

fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// From the trial's first line to the common start, seconds.
fn launch(trial: &Trial, observed: &Observed) -> Option<f64> {
    let (begun, boot_id, time_namespace) = observed.begun.as_ref()?;
    let tracker = trial.nodes.iter().find(|node| node.role == Role::Tracker)?;
    let gate = observed.node(&tracker.name).lives.first()?;
    let same = gate.boot_id.as_ref() == Some(boot_id) && gate.time_namespace == *time_namespace;
    let shares_clock = same && !boot_id.is_empty();
    let ns = observed.gate_open.filter(|_| shares_clock)?.checked_sub(*begun)?;
    Some(ns as f64 / 1e9)
}

#[cfg(test)]
#[path = "conclude_tests.rs"]
mod tests;
