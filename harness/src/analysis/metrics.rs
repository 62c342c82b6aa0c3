//! One row per peer, per planned departure and per trial: every heading of a table of results is a field here, and
//! each field's doc names the event that it comes from ([`peer_image::event`], [`crate::events::record`]).
//!
//! All times are seconds after the trial's common start, unless the doc says otherwise. A peer that was to complete
//! and did not is a row with its reason, never a gap; a value that the log does not hold is `None`, never 0.

use std::fmt;

use peer_image::event::is_to_complete;
use peer_image::node::{Behaviour, Role};

use super::bounds::{self, Bound, PAYLOAD_SHARE, Swarm, Term};
use super::churn;
use super::findings::{self, Finding};
use super::flows::{self, TransferRow, UtilisationRow};
use super::lives::{self, Observed};
use super::peers;
use super::statistics::{jain, median, most, quantile};
use super::validity::{self, Invalid};
use crate::events::record::{Line, Outcome};
use crate::plan::{Architecture, Cell, Node, Trial};

/// One peer of one trial.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerRow {
    /// The cell's id.
    pub cell: String,
    /// Which repeat, from 1.
    pub repeat: u32,
    /// Which attempt at it, from 1: an INVALID trial is run again.
    pub attempt: u32,
    /// The peer's name.
    pub node: String,
    /// Its class.
    pub class: String,
    /// Whether D waits for it, from the plan.
    pub to_complete: bool,
    /// How it ended.
    pub outcome: PeerOutcome,
    /// Why it did not complete; empty if it did.
    pub reason: String,
    /// When it had the whole file, verified: `completed` less `started.go`, on its own clock. The first time, if
    /// it lost the file and got it again.
    pub completed_at_s: Option<f64>,
    /// How late its first life began: `started.late`.
    pub start_late_s: Option<f64>,
    /// How often it came back: lives that `started` with `rejoined`.
    pub rejoins: u32,
    /// Verified pieces at last: `progress.pieces` of its last life that reported any.
    pub pieces: u32,
    /// Pieces of the file.
    pub pieces_total: u32,
    /// File bytes received, duplicates and discarded ones included: `progress.down`.
    pub down_bytes: u64,
    /// Those of them that came from the server.
    pub down_from_server_bytes: u64,
    /// File bytes sent: `progress.up`.
    pub up_bytes: u64,
    /// File bytes received a second time: `progress.duplicate`.
    pub duplicate_bytes: u64,
    /// File bytes of pieces that failed verification: `progress.discarded`.
    pub discarded_bytes: u64,
    /// File bytes that were never asked for: `progress.unrequested`.
    pub unrequested_bytes: u64,
    /// Time until D in which it took part: from `started` to `left` or its last line, over its lives.
    pub present_s: f64,
    /// Upload time until D with nothing to send because nobody wanted what it has: `progress.idle`.
    pub idle_uninterested_s: f64,
    /// The same because all who did were choked.
    pub idle_choked_s: f64,
    /// The same because nobody had a request outstanding.
    pub idle_unrequested_s: f64,
    /// Bytes on its uplink, headers included: `counters.up.bytes`, as far as reported.
    pub link_up_bytes: u64,
    /// Bytes on its downlink, headers included: `counters.down.bytes`, as far as reported.
    pub link_down_bytes: u64,
    /// Packets that its upload queue dropped: `counters.up.drops`.
    pub link_up_drops: u64,
    /// Packets that its download queue dropped: `counters.down.drops`.
    pub link_down_drops: u64,
    /// How the plan removes it first: `leave`, `crash`, or empty.
    pub departure: String,
    /// When the plan removes it.
    pub departure_planned_s: Option<f64>,
    /// When that was done: `left` or `acted.actual`.
    pub departure_actual_s: Option<f64>,
    /// Neighbours that it cut off for what they sent: `banned`.
    pub banned: u32,
    /// Malformed inputs that it refused: `rejected`.
    pub rejected: u32,
    /// Its lines that are missing from the log: gaps in `seq`.
    pub lines_lost: u64,
    /// Most that its clock may be off the gate's: `ready.offset_error`.
    pub clock_error_s: Option<f64>,
}

/// How a peer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerOutcome {
    /// It had the whole file, verified.
    Completed,
    /// It left before that, and said goodbye.
    Left,
    /// It was killed as planned, and did not come back.
    Crashed,
    /// The trial ended first.
    Unfinished,
    /// Its process ended, and nobody had planned that.
    Died,
    /// It never began its role.
    NeverStarted,
    /// The user stopped the trial, or its log was cut short.
    Interrupted,
}

impl fmt::Display for PeerOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Completed => "completed",
            Self::Left => "left",
            Self::Crashed => "crashed",
            Self::Unfinished => "unfinished",
            Self::Died => "died",
            Self::NeverStarted => "never-started",
            Self::Interrupted => "interrupted",
        })
    }
}

/// One planned arrival or departure of one trial.
#[derive(Debug, Clone, PartialEq)]
pub struct ChurnRow {
    /// The cell's id.
    pub cell: String,
    /// Which repeat, from 1.
    pub repeat: u32,
    /// Which attempt at it, from 1: an INVALID trial is run again.
    pub attempt: u32,
    /// The peer.
    pub node: String,
    /// What was planned: `leave`, `crash`, `rejoin with its pieces`, `rejoin with nothing`.
    pub action: String,
    /// What came of it.
    pub status: ChurnStatus,
    /// When it was planned.
    pub planned_s: f64,
    /// When it was done: `left`, or `acted.actual`.
    pub actual_s: Option<f64>,
    /// Actual less planned time.
    pub late_s: Option<f64>,
    /// How long the engine took to do it: `acted.done` less `acted.actual`.
    pub engine_s: Option<f64>,
    /// Why it was not done; empty if it was.
    pub why: String,
}

/// What came of a planned arrival or departure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChurnStatus {
    /// Done.
    Executed,
    /// Not done, for a good reason: the peer had left on completion, or the trial was over.
    Skipped,
    /// Tried, and failed.
    Failed,
    /// The log has no trace of it.
    Missing,
}

impl fmt::Display for ChurnStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Executed => "executed",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Missing => "missing",
        })
    }
}

/// One trial.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialRow {
    /// The cell's id.
    pub cell: String,
    /// The cell's level of each factor, in the plan's order.
    pub levels: Vec<String>,
    /// How the bytes travel.
    pub architecture: Architecture,
    /// N.
    pub peers: u32,
    /// Which repeat, from 1.
    pub repeat: u32,
    /// Which attempt at it, from 1: an INVALID trial is run again.
    pub attempt: u32,
    /// Whether it counts: only what is valid enters a median or a comparison.
    pub verdict: Verdict,
    /// Why it is INVALID ([`super::validity`]); empty if it is not.
    pub invalid: String,
    /// How it ended: `end`, and whether the log bears it out.
    pub outcome: TrialOutcome,
    /// Why there is no distribution time; empty if there is one.
    pub reason: String,
    /// D: when the last peer that was to complete had the whole file ([`PeerRow::completed_at_s`]).
    pub distribution_time_s: Option<f64>,
    /// The formula's lower limit on D at link rate, for the peers that were to complete ([`bounds`]).
    pub bound_s: Option<f64>,
    /// The same at payload rate: ×1514/1448.
    pub bound_payload_s: Option<f64>,
    /// The term of the formula that binds.
    pub binding_term: Option<Term>,
    /// D over the link-rate bound.
    pub ratio: Option<f64>,
    /// D over the payload-rate bound.
    pub payload_ratio: Option<f64>,
    /// The link-rate bound over D.
    pub efficiency: Option<f64>,
    /// From the trial's first line to the common start: what it takes to start the nodes and to try the links. Known if
    /// controller and gate share a clock.
    pub launch_s: Option<f64>,
    /// Median lateness of the first lives of server and peers: `started.late`.
    pub start_skew_p50_s: Option<f64>,
    /// The largest of them.
    pub start_skew_max_s: Option<f64>,
    /// Peers that D waits for.
    pub to_complete: u32,
    /// Those of them that completed.
    pub completed: u32,
    /// Median completion time of those.
    pub completion_median_s: Option<f64>,
    /// Time by which 90 % of those had completed (interpolated).
    pub completion_p90_s: Option<f64>,
    /// Completion time of the last of those.
    pub completion_max_s: Option<f64>,
    /// File bytes that the server sent: `progress.up`.
    pub server_up_bytes: u64,
    /// File bytes that peers sent.
    pub peers_up_bytes: u64,
    /// File bytes that peers received, duplicates and discarded ones included.
    pub peers_down_bytes: u64,
    /// Share of the sent bytes that peers sent and not the server.
    pub offload_share: Option<f64>,
    /// Share of the received bytes that were received a second time.
    pub duplicate_share: Option<f64>,
    /// Share of the upload capacity until D that was idle because nobody wanted what the node has. Capacity is the
    /// rate × time of every node whose upload the bound counts; so are the next three.
    pub idle_uninterested_share: Option<f64>,
    /// The same because all who did were choked.
    pub idle_choked_share: Option<f64>,
    /// The same because nobody had a request outstanding.
    pub idle_unrequested_share: Option<f64>,
    /// Share of the upload capacity until D whose node was not there: it had left, was killed or away.
    pub absent_share: Option<f64>,
    /// Jain's fairness index over peers of what they sent for what they received, from 1/N (one gives all) to 1 (all
    /// give alike): (Σx)² / (N·Σx²), x = `progress.up` / `progress.down` (Jain, Chiu & Hawe 1984).
    pub fairness_jain: Option<f64>,
    /// Share of what peers' downlinks carried that was no file: headers, acknowledgements, protocol.
    pub overhead_share: Option<f64>,
    /// Largest deviation of a link from its rate when it was tried before the gate opened: `calibrated`.
    pub link_error_max_share: Option<f64>,
    /// Share of the host's processor time in use until D: `host`.
    pub host_busy_share: Option<f64>,
    /// The same over the five seconds in which it was largest.
    pub host_busy_max_share: Option<f64>,
    /// Share in soft interrupts over the five seconds in which it was largest.
    pub host_softirq_max_share: Option<f64>,
    /// Share that the hypervisor took until D.
    pub host_steal_share: Option<f64>,
    /// Share of the time until D in which some process waited for a processor.
    pub cpu_pressure_share: Option<f64>,
    /// The same for memory.
    pub memory_pressure_share: Option<f64>,
    /// The least memory that the host had left.
    pub memory_available_min_bytes: Option<u64>,
    /// Packets that queues dropped, all links.
    pub link_drops: u64,
    /// Lines that are missing from the log, the controller's included.
    pub lines_lost: u64,
    /// Planned departures and returns.
    pub churn_planned: u32,
    /// Those of them that were executed.
    pub churn_executed: u32,
    /// The largest lateness of those.
    pub churn_late_max_s: Option<f64>,
    /// How often a peer came back.
    pub rejoins: u32,
}

/// Whether a trial counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It counts.
    Valid,
    /// Something beside the swarm may have decided its time.
    Invalid,
    /// It could not go on, or its time was up.
    Failed,
    /// The user stopped it, or its log is cut short.
    BrokenOff,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Valid => "valid",
            Self::Invalid => "INVALID",
            Self::Failed => "failed",
            Self::BrokenOff => "broken-off",
        })
    }
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrialOutcome {
    /// Every peer that was to complete did.
    Completed,
    /// The time was up first.
    Timeout,
    /// It could not go on.
    Failed,
    /// The user stopped it.
    Interrupted,
    /// The log stops before the trial's end, or lacks a completion that its end speaks of.
    LogIncomplete,
}

impl fmt::Display for TrialOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Completed => "completed",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::LogIncomplete => "log-incomplete",
        })
    }
}

/// All that one trial's log comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The trial.
    pub trial: TrialRow,
    /// Its peers, in the plan's order.
    pub peers: Vec<PeerRow>,
    /// Its schedule, in the plan's order.
    pub churn: Vec<ChurnRow>,
    /// Who sent how much to whom.
    pub transfers: Vec<TransferRow>,
    /// How full the links were, second by second.
    pub utilisation: Vec<UtilisationRow>,
    /// What to be wary of.
    pub findings: Vec<Finding>,
}

/// Concludes one trial from its plan and the lines of its log, in the log's order. Pure.
#[must_use]
pub fn measure<'a>(cell: &Cell, trial: &Trial, lines: impl IntoIterator<Item = &'a Line>) -> Measured {
    conclude(cell, trial, &lives::fold(lines))
}

/// Concludes one trial from its plan and what its log tells. Pure.
#[must_use]
pub fn conclude(cell: &Cell, trial: &Trial, observed: &Observed) -> Measured {
    let completions = trial.nodes.iter().map(|node| completion(observed, node));
    let last = last_completion(&trial.nodes, &completions.collect::<Vec<_>>());
    let distribution_time_s = last.filter(|_| observed.outcome == Some(Outcome::Completed));
    let horizon = distribution_time_s.unwrap_or_else(|| last_sign(observed));

    let churn = churn::rows(cell, trial, observed);
    let peers: Vec<PeerRow> = trial
        .nodes
        .iter()
        .filter(|node| is_to_complete(node.role))
        .map(|node| peers::row(cell, trial, node, observed, &churn, horizon))
        .collect();
    let mut row = trial_row(cell, trial, observed, &peers, &churn, distribution_time_s, horizon);
    let invalid = validity::judge(&cell.settings.validity, trial, observed, &row);
    row.verdict = verdict(&row, observed, &invalid);
    if row.verdict == Verdict::Invalid {
        row.invalid = invalid.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    }
    let findings = findings::of_trial(trial, observed, &peers, &churn, &row, invalid);
    let transfers = flows::transfers(cell, trial, observed);
    let utilisation = flows::utilisation(cell, trial, observed, horizon);
    Measured { trial: row, peers, churn, transfers, utilisation, findings }
}

fn verdict(row: &TrialRow, observed: &Observed, invalid: &[Invalid]) -> Verdict {
    match row.outcome {
        TrialOutcome::Completed if invalid.is_empty() => Verdict::Valid,
        TrialOutcome::Completed => Verdict::Invalid,
        TrialOutcome::Timeout if !invalid.is_empty() => Verdict::Invalid,
        // Its end is there, and what it speaks of is not.
        TrialOutcome::LogIncomplete if observed.outcome.is_some() => Verdict::Invalid,
        TrialOutcome::Timeout | TrialOutcome::Failed => Verdict::Failed,
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
    let swarm = Swarm::of_nodes(trial.file.size, &trial.nodes);
    let bound: Option<Bound> = swarm.and_then(|swarm| bounds::bound(architecture, &swarm));
    let ratio = distribution_time_s.zip(bound.as_ref()).map(|(time, bound)| time / bound.seconds);
    let (outcome, reason) = outcome(cell, observed, peers, distribution_time_s);

    let waited: Vec<&PeerRow> = peers.iter().filter(|peer| peer.to_complete).collect();
    let times: Vec<f64> = waited.iter().filter_map(|peer| peer.completed_at_s).collect();
    let late: Vec<f64> = first_lateness(trial, observed);
    let server_up_bytes = servers(trial).map(|node| peers::sent(observed.node(&node.name))).sum();
    let peers_up_bytes = total(peers, |peer| peer.up_bytes);
    let peers_down_bytes = total(peers, |peer| peer.down_bytes);
    let [uninterested, choked, unrequested, absent] = capacity_shares(architecture, trial, observed, horizon);
    let drops = |node: &Node| {
        let counters = peers::counters(observed.node(&node.name));
        counters.up.drops + counters.down.drops
    };
    let host = validity::host_load(observed, horizon);
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
        ratio,
        payload_ratio: ratio.map(|ratio| ratio * PAYLOAD_SHARE),
        efficiency: ratio.map(|ratio| 1.0 / ratio),
        launch_s: launch(trial, observed),
        start_skew_p50_s: median(&late),
        start_skew_max_s: most(&late),
        to_complete: count(&waited),
        completed: waited.iter().filter(|peer| peer.outcome == PeerOutcome::Completed).map(|_| 1).sum(),
        completion_median_s: median(&times),
        completion_p90_s: quantile(&times, 0.9),
        completion_max_s: most(&times),
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
        memory_pressure_share: host.memory_pressure,
        memory_available_min_bytes: host.memory_available_min,
        link_drops: trial.nodes.iter().map(drops).sum(),
        lines_lost: observed.controller_lost
            + observed.nodes.values().flat_map(|log| &log.lives).map(|life| life.lost).sum::<u64>(),
        churn_planned: count(churn),
        churn_executed: count(&executed),
        churn_late_max_s: most(&executed.iter().filter_map(|row| row.late_s).collect::<Vec<_>>()),
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
fn last_completion(nodes: &[Node], completions: &[Option<f64>]) -> Option<f64> {
    let waited = nodes.iter().zip(completions).filter(|(node, _)| is_to_complete(node.role) && node.to_complete);
    most(&waited.map(|(_, at)| *at).collect::<Option<Vec<f64>>>()?)
}

/// The last sign of any node, seconds after the common start.
fn last_sign(observed: &Observed) -> f64 {
    let lives = observed.nodes.iter().flat_map(|(name, log)| log.lives.iter().map(move |life| (name, life)));
    let signs = lives.filter_map(|(name, life)| Some(since(life.last_mono, observed.go(name, life)?)));
    signs.fold(0.0, f64::max)
}

fn servers(trial: &Trial) -> impl Iterator<Item = &Node> {
    trial.nodes.iter().filter(|node| matches!(node.role, Role::HttpServer | Role::InitialSeed))
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
        let rate = link.up as f64;
        let (idle, present) = peers::upload_time(observed, &node.name, horizon);
        capacity += rate * horizon;
        for (sum, idle) in lost.iter_mut().zip(idle) {
            *sum += rate * idle;
        }
        lost[3] += rate * (horizon - present).max(0.0);
    }
    lost.map(|lost| share(lost, capacity))
}

/// The largest deviation of a link from its rate when it was tried.
fn link_error(trial: &Trial, observed: &Observed) -> Option<f64> {
    let errors =
        trial.nodes.iter().filter_map(|node| Some((node.link?, observed.node(&node.name)))).flat_map(|(link, log)| {
            let tried = log.lives.iter().filter_map(|life| life.calibrated);
            tried.flat_map(move |it| [(link.up, it.up), (link.down, it.down)])
        });
    let errors = errors.map(|(rate, carried)| (carried.link_rate().unwrap_or(0.0) / rate as f64 - 1.0).abs());
    errors.reduce(f64::max)
}

fn outcome(cell: &Cell, observed: &Observed, peers: &[PeerRow], time: Option<f64>) -> (TrialOutcome, String) {
    let missing = || {
        let missing = peers.iter().filter(|peer| peer.to_complete && peer.completed_at_s.is_none());
        missing.map(|peer| format!("`{}` {}", peer.node, peer.outcome)).collect::<Vec<_>>().join(", ")
    };
    match &observed.outcome {
        Some(Outcome::Completed) if time.is_some() => (TrialOutcome::Completed, String::new()),
        Some(Outcome::Completed) if peers.iter().all(|peer| !peer.to_complete) => {
            (TrialOutcome::Completed, "the schedule left no peer that was to complete".to_owned())
        }
        Some(Outcome::Completed) => {
            (TrialOutcome::LogIncomplete, format!("no completion time in the log: {}", missing()))
        }
        Some(Outcome::Timeout { .. }) => {
            let limit = cell.settings.timeout;
            (TrialOutcome::Timeout, format!("not complete after {limit} s: {}", missing()))
        }
        Some(Outcome::Failed { reason }) => (TrialOutcome::Failed, reason.clone()),
        Some(Outcome::Interrupted) => (TrialOutcome::Interrupted, "stopped by the user".to_owned()),
        None => (TrialOutcome::LogIncomplete, "the log stops before the trial's end".to_owned()),
    }
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
    let (begun, boot_id) = observed.begun.as_ref()?;
    let tracker = trial.nodes.iter().find(|node| node.role == Role::Tracker)?;
    let gate = observed.node(&tracker.name).lives.first()?.boot_id.as_ref()?;
    let shares_clock = gate == boot_id && !boot_id.is_empty();
    let ns = observed.gate_open.filter(|_| shares_clock)?.checked_sub(*begun)?;
    Some(ns as f64 / 1e9)
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
