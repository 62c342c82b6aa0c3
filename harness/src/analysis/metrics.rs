//! One row per peer, per planned departure and per trial: every heading of a table of results is a field here, and
//! each field's doc names the event that it comes from ([`peer_image::event`], [`crate::events::record`]).
//!
//! All times are seconds after the trial's common start, unless the doc says otherwise. A peer that was to complete
//! and did not is a row with its reason, never a gap; a value that the log does not hold is `None`, never 0.

use std::fmt;

use super::bounds::Term;
use super::findings::Finding;
use super::flows::{TransferRow, UtilisationRow};
use super::population::PopulationRow;
use super::theory::TheoryRow;
use crate::plan::Architecture;

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
    /// Whether it was to complete by the schedule. D waits for it unless it gave up (`outcome`).
    pub to_complete: bool,
    /// How it ended.
    pub outcome: PeerOutcome,
    /// Why it did not complete; empty if it did.
    pub reason: String,
    /// When it had the whole file, verified: `completed` less `started.go`, on its own clock. The first time, if
    /// it lost the file and got it again.
    pub completed_at_s: Option<f64>,
    /// When it arrived: `started.planned` of its first life.
    pub arrived_s: Option<f64>,
    /// From its arrival to its completion, absences included.
    pub download_s: Option<f64>,
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
    /// File bytes that it had received, verified or not, and that went with it: what it had when it left before it had
    /// the whole file, less what it came back with.
    pub lost_bytes: u64,
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
    /// How the plan removes it first: `leave`, `crash`, `freeze`, `cut off`, or empty.
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

impl PeerRow {
    /// Whether D waits for it: it was to complete, and its patience did not end first.
    #[must_use]
    pub fn is_waited_for(&self) -> bool {
        self.to_complete && self.outcome != PeerOutcome::GaveUp
    }
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
    /// It was stopped where it stood, as planned, and did not go on.
    Frozen,
    /// Its link was cut as planned, and not mended.
    CutOff,
    /// Its patience ended first.
    GaveUp,
    /// A piece that it lacked was nowhere any more.
    Unfinishable,
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
            Self::Frozen => "frozen",
            Self::CutOff => "cut-off",
            Self::GaveUp => "gave-up",
            Self::Unfinishable => "unfinishable",
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
    /// What was planned: `arrive`, `leave`, `crash`, `freeze`, `thaw`, `cut off`, `reconnect`, `rejoin with its pieces`,
    /// `rejoin with nothing`, `links`.
    pub action: String,
    /// Who was to do it: the `controller`, or the node's own `agent`.
    pub actor: String,
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
    /// Why it is INVALID; empty if it is not.
    pub invalid: String,
    /// How it ended: `end`, and whether the log bears it out.
    pub outcome: TrialOutcome,
    /// Why there is no distribution time; empty if there is one.
    pub reason: String,
    /// D: when the last peer that was to complete had the whole file (`completed_at_s` in `peers.csv`).
    pub distribution_time_s: Option<f64>,
    /// The formula's lower limit on D at link rate, for the peers that were to complete.
    pub bound_s: Option<f64>,
    /// The same at payload rate: every rate ×1448/1514.
    pub bound_payload_s: Option<f64>,
    /// The term of the formula that binds.
    pub binding_term: Option<Term>,
    /// How much shorter than that term D may be, for the links' token buckets.
    pub head_start_s: Option<f64>,
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
    /// Peers that were to complete by the schedule: all but those that it removes for good. D and the bound are over those
    /// of them that did not give up.
    pub to_complete: u32,
    /// Those of `to_complete` that completed.
    pub completed: u32,
    /// Those of `to_complete` whose patience ended first.
    pub gave_up: u32,
    /// The other peers, which the schedule removes for good, that did not complete before.
    pub left_before: u32,
    /// Median completion time of the `completed`.
    pub completion_median_s: Option<f64>,
    /// Time by which 90 % of the `completed` had the file: the least by which at least so many had.
    pub completion_p90_s: Option<f64>,
    /// Completion time of the last of the `completed`: where some did not complete, the D of the survivors.
    pub completion_max_s: Option<f64>,
    /// Mean time from a peer's own arrival to its completion, over all peers that completed (`download_s` in `peers.csv`).
    pub download_mean_s: Option<f64>,
    /// Median of the same.
    pub download_median_s: Option<f64>,
    /// When the last copy of some piece went for good; empty if there was one of each to the end.
    pub file_lost_at_s: Option<f64>,
    /// Pieces of which no copy was left at last.
    pub pieces_lost: u32,
    /// File bytes that went with peers (`lost_bytes` in `peers.csv`).
    pub lost_bytes: u64,
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
    /// The largest share of five seconds in which one node was ready to run and waited for a processor: `counters.waited`.
    pub run_delay_max_share: Option<f64>,
    /// The same for memory.
    pub memory_pressure_share: Option<f64>,
    /// The least memory that the host had left.
    pub memory_available_min_bytes: Option<u64>,
    /// Packets that queues dropped, all links.
    pub link_drops: u64,
    /// Lines that are missing from the log, the controller's included.
    pub lines_lost: u64,
    /// Planned arrivals, departures, returns and changes of links.
    pub churn_planned: u32,
    /// Those of them that were executed.
    pub churn_executed: u32,
    /// Those that were tried and failed.
    pub churn_failed: u32,
    /// Those of which the log has no trace.
    pub churn_missing: u32,
    /// The median lateness of those of the executed ones that the controller carried out.
    pub churn_late_p50_s: Option<f64>,
    /// The largest lateness of all.
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
    /// It could not go on, its time was up, or nobody completed in it.
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
    /// Every peer that D waits for completed.
    Completed,
    /// It came to its end, and nobody had completed: there was nobody to wait for, or all gave up.
    NothingMeasured,
    /// The time was up first.
    Timeout,
    /// A piece was nowhere any more, and all who were waited for lacked it.
    Unfinishable,
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
            Self::NothingMeasured => "nothing-measured",
            Self::Timeout => "timeout",
            Self::Unfinishable => "unfinishable",
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
    /// Who was there, second by second.
    pub population: Vec<PopulationRow>,
    /// What other theory says.
    pub theory: Vec<TheoryRow>,
    /// What to be wary of.
    pub findings: Vec<Finding>,
    /// From its log's first line to its last, as the controller's clock has it, seconds: what it cost of somebody's time.
    pub wall_s: Option<f64>,
}
