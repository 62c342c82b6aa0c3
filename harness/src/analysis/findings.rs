//! What to be wary of in a trial, as values with the number that caused them. Reports print them.

use std::collections::BTreeMap;
use std::fmt;

use peer_image::node::Role;

use super::lives::Observed;
use super::metrics::{ChurnRow, ChurnStatus, PeerRow, TrialOutcome, TrialRow, Verdict};
use super::peers;
use super::validity::Invalid;
use crate::plan::Trial;
use crate::quantity::decimal;

/// Largest start skew that is not worth a word, seconds.
pub const START_SKEW_S: f64 = 0.020;
/// Largest share of duplicates that is not worth a word.
pub const DUPLICATE_SHARE: f64 = 0.01;
/// Smallest payload ratio that is not worth a word, but for what token buckets give: without TCP timestamps a link
/// carries 0.8 % more payload than the constant says.
pub const PAYLOAD_RATIO: f64 = 0.985;
/// Largest share of the bound that token buckets may give and that is not worth a word.
pub const HEAD_START: f64 = 0.01;
/// Largest lateness of a departure or return that is not worth a word, seconds.
pub const CHURN_LATE_S: f64 = 0.5;
/// Largest coefficient of variation of a cell's times that is not worth a word.
pub const VARIATION: f64 = 0.05;
/// The MTU that the payload share is derived for, bytes.
pub const MTU: u32 = 1500;

/// Something to be wary of in one trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The cell's id.
    pub cell: String,
    /// Which repeat, from 1; 0 for all of them.
    pub repeat: u32,
    /// Which attempt at it, from 1; 0 for all of them.
    pub attempt: u32,
    /// What.
    pub what: What,
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The result cannot be right as it stands, or is not there.
    Error,
    /// The result may be off.
    Warning,
    /// Good to know.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// Which direction of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Upload.
    Up,
    /// Download.
    Down,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Up => "upload",
            Self::Down => "download",
        })
    }
}

/// What to be wary of.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// There is no distribution time.
    NoResult {
        /// How the trial ended.
        outcome: TrialOutcome,
        /// Why.
        reason: String,
    },
    /// The trial is not to be believed.
    Invalid(Invalid),
    /// What would have made it INVALID, had it not failed or been stopped.
    Disturbed(Invalid),
    /// The measured time is below the payload-rate bound by more than the constant's error.
    BelowPayloadBound {
        /// D over the payload-rate bound.
        payload_ratio: f64,
    },
    /// The file is small beside the links' token buckets.
    HeadStart {
        /// How much shorter than the bound D may be for them, seconds.
        seconds: f64,
        /// The same as a share of the bound.
        share: f64,
    },
    /// A process ended that nobody wanted to end.
    Death {
        /// The node.
        node: String,
        /// How, with its last line.
        how: String,
    },
    /// Nodes whose MTU is not the one that the payload share holds for.
    Mtu {
        /// How many nodes.
        nodes: u32,
        /// The MTU of the first, bytes.
        mtu: u32,
    },
    /// Nodes did not begin together.
    StartSkew {
        /// Lateness of the last, seconds.
        max: f64,
    },
    /// Queues dropped packets.
    Drops {
        /// Packets, all links.
        drops: u64,
        /// Links that dropped.
        links: u32,
        /// The node with most.
        worst: String,
        /// Its direction with most.
        direction: Direction,
        /// Its packets.
        worst_drops: u64,
    },
    /// Bytes were received twice.
    Duplicates {
        /// Share of the received bytes.
        share: f64,
    },
    /// Pieces failed verification.
    Discarded {
        /// Bytes of them.
        bytes: u64,
        /// Peers that received them.
        peers: u32,
    },
    /// Lines came twice and were counted once.
    LinesRepeated {
        /// How many.
        lines: u64,
    },
    /// Lines that are no events.
    Unreadable {
        /// How many.
        lines: usize,
        /// The node of the first.
        node: String,
        /// The first.
        first: String,
    },
    /// A planned departure or return failed, or left no trace.
    Churn {
        /// The peer.
        node: String,
        /// What was planned.
        action: String,
        /// Why it was not done.
        why: String,
    },
    /// A departure or return was late.
    ChurnLate {
        /// The largest lateness, seconds.
        max: f64,
    },
    /// Neighbours were cut off for what they sent.
    Banned {
        /// How often.
        times: u32,
        /// The first: who, by whom, why.
        first: String,
    },
    /// Malformed input was refused.
    Rejected {
        /// How often.
        times: u32,
        /// The first: where, from whom, why.
        first: String,
    },
    /// A time that is far from the cell's others.
    Outlier {
        /// D, seconds.
        seconds: f64,
        /// Median of all, seconds.
        median: f64,
    },
    /// A cell's times differ much.
    Scattered {
        /// Standard deviation over mean.
        cv: f64,
    },
    /// Nodes warned.
    Warned {
        /// The message.
        message: String,
        /// How many times it came.
        times: u32,
        /// The first node that said so.
        node: String,
    },
}

impl What {
    /// How much it matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::NoResult { .. } | Self::Invalid(_) => Severity::Error,
            Self::Disturbed(_)
            | Self::BelowPayloadBound { .. }
            | Self::HeadStart { .. }
            | Self::Death { .. }
            | Self::Mtu { .. }
            | Self::StartSkew { .. }
            | Self::Drops { .. }
            | Self::Duplicates { .. }
            | Self::Unreadable { .. }
            | Self::Outlier { .. }
            | Self::Scattered { .. }
            | Self::Churn { .. }
            | Self::ChurnLate { .. }
            | Self::Warned { .. } => Severity::Warning,
            Self::Discarded { .. } | Self::LinesRepeated { .. } | Self::Banned { .. } | Self::Rejected { .. } => {
                Severity::Note
            }
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoResult { outcome, reason } => write!(f, "no distribution time ({outcome}): {reason}"),
            Self::Invalid(why) => write!(f, "INVALID: {why}"),
            Self::Disturbed(why) => why.fmt(f),
            Self::BelowPayloadBound { payload_ratio } => write!(
                f,
                "payload ratio {payload_ratio:.4} is below {PAYLOAD_RATIO}: more got through than the headers leave \
                 room for"
            ),
            Self::HeadStart { seconds, share } => write!(
                f,
                "links that were silent, cut or changed may carry a full token bucket at once, which is worth {:.1} ms or \
                 {:.1} % of the bound: so much too small a ratio may be (a larger file makes it less)",
                seconds * 1e3,
                share * 100.0
            ),
            Self::Death { node, how } => write!(f, "`{node}` died: {how}"),
            Self::Mtu { nodes, mtu } => {
                write!(f, "{nodes} nodes have an MTU of {mtu}: payload figures are derived for {MTU}")
            }
            Self::StartSkew { max } => {
                write!(f, "the last node began {:.1} ms after the common start", max * 1e3)
            }
            Self::Drops { drops, links, worst, direction, worst_drops } => {
                write!(f, "{drops} packets dropped on {links} links, most on `{worst}`'s {direction} ({worst_drops})")
            }
            Self::Duplicates { share } => write!(f, "{:.1} % of the received bytes came twice", share * 100.0),
            Self::Discarded { bytes, peers } => {
                write!(f, "{bytes} bytes at {peers} peers failed verification and were thrown away")
            }
            Self::LinesRepeated { lines } => write!(f, "{lines} lines came twice and were counted once"),
            Self::Unreadable { lines, node, first } => {
                write!(f, "{lines} lines are no events, the first from `{node}`: `{first}`")
            }
            Self::Outlier { seconds, median } => {
                let (seconds, median) = (decimal(*seconds, 2), decimal(*median, 2));
                write!(f, "{seconds} s is far from the cell's other times, whose median is {median} s")
            }
            Self::Scattered { cv } => write!(
                f,
                "the times of this cell differ by {:.1} % (standard deviation over mean): more repeats, or a quieter \
                 machine",
                cv * 100.0
            ),
            Self::Churn { node, action, why } => write!(f, "`{node}`: planned {action} was not done: {why}"),
            Self::ChurnLate { max } => write!(f, "a planned departure or return came {max:.2} s late"),
            Self::Banned { times, first } => write!(f, "neighbours were banned {times} times, first {first}"),
            Self::Rejected { times, first } => write!(f, "malformed input was refused {times} times, first {first}"),
            Self::Warned { message, times, node } => {
                write!(f, "{message} ({times} times, first by `{node}`)")
            }
        }
    }
}

/// The same of one cell told once: each finding, and in how many more trials it is.
#[must_use]
pub fn told_once<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<(&'a Finding, usize)> {
    let mut told: Vec<(&Finding, usize)> = Vec::new();
    for finding in findings {
        match told.iter_mut().find(|(first, _)| first.cell == finding.cell && first.what == finding.what) {
            Some((_, more)) => *more += 1,
            None => told.push((finding, 0)),
        }
    }
    told
}

/// All that is worth a word in one trial, errors first.
pub(super) fn of_trial(
    trial: &Trial,
    observed: &Observed,
    peers: &[PeerRow],
    churn: &[ChurnRow],
    row: &TrialRow,
    invalid: Vec<Invalid>,
) -> Vec<Finding> {
    let severe = if row.verdict == Verdict::Invalid { What::Invalid } else { What::Disturbed };
    let mut found: Vec<What> = invalid.into_iter().map(severe).collect();
    results(row, &mut found);
    deaths(trial, observed, row, &mut found);
    links(trial, observed, &mut found);
    clocks(row, &mut found);
    bytes(row, peers, &mut found);
    log(observed, &mut found);
    departures(row, churn, &mut found);
    said(observed, &mut found);
    found.sort_by_key(What::severity);
    found
        .into_iter()
        .map(|what| Finding { cell: row.cell.clone(), repeat: row.repeat, attempt: row.attempt, what })
        .collect()
}

fn results(row: &TrialRow, found: &mut Vec<What>) {
    if row.distribution_time_s.is_none() {
        found.push(What::NoResult { outcome: row.outcome, reason: row.reason.clone() });
    }
    let Some(((bound, payload_bound), head_start)) = row.bound_s.zip(row.bound_payload_s).zip(row.head_start_s) else {
        return;
    };
    // Below the link-rate bound it is INVALID.
    let between = bound - head_start..payload_bound * PAYLOAD_RATIO - head_start;
    if row.distribution_time_s.is_some_and(|time| between.contains(&time)) {
        found.extend(row.payload_ratio.map(|payload_ratio| What::BelowPayloadBound { payload_ratio }));
    }
    if head_start > bound * HEAD_START {
        found.push(What::HeadStart { seconds: head_start, share: head_start / bound });
    }
}

fn deaths(trial: &Trial, observed: &Observed, row: &TrialRow, found: &mut Vec<What>) {
    for node in &trial.nodes {
        let log = observed.node(&node.name);
        let said: Vec<String> = log.lives.iter().filter_map(|life| Some(life.error.as_ref()?.1.clone())).collect();
        let exits = log.exits.iter().filter(|exit| !exit.expected);
        // An exit after an error is told once, by the error.
        let told = exits.map(peers::describe).skip(said.len());
        // Where the others went on without it, it is why the trial is INVALID.
        let told = told.filter(|_| row.outcome != TrialOutcome::Completed);
        let deaths = said.iter().cloned().chain(told);
        found.extend(deaths.map(|how| What::Death { node: node.name.clone(), how }));
    }
}

fn links(trial: &Trial, observed: &Observed, found: &mut Vec<What>) {
    let mut odd_mtu: Vec<u32> = Vec::new();
    let mut dropped: Vec<(u64, &str, Direction)> = Vec::new();
    for node in trial.nodes.iter().filter(|node| node.role != Role::Tracker) {
        let log = observed.node(&node.name);
        if let Some(shaped) = log.lives.iter().find_map(|life| life.shaped.as_ref()) {
            odd_mtu.extend(Some(shaped.mtu).filter(|mtu| *mtu != MTU));
        }
        let counters = peers::counters(log);
        dropped.push((counters.up.drops, &node.name, Direction::Up));
        dropped.push((counters.down.drops, &node.name, Direction::Down));
    }
    if let Some(mtu) = odd_mtu.first() {
        found.push(What::Mtu { nodes: count(odd_mtu.len()), mtu: *mtu });
    }
    dropped.retain(|(drops, ..)| *drops > 0);
    // The first of equals, whatever the order of links.
    if let Some((worst_drops, worst, direction)) = dropped.iter().rev().max_by_key(|(drops, ..)| *drops).copied() {
        let drops = dropped.iter().map(|(drops, ..)| drops).sum();
        let links = count(dropped.len());
        found.push(What::Drops { drops, links, worst: worst.to_owned(), direction, worst_drops });
    }
}

fn clocks(row: &TrialRow, found: &mut Vec<What>) {
    if let Some(max) = row.start_skew_max_s.filter(|max| *max > START_SKEW_S) {
        found.push(What::StartSkew { max });
    }
}

fn bytes(row: &TrialRow, peers: &[PeerRow], found: &mut Vec<What>) {
    if let Some(share) = row.duplicate_share.filter(|share| *share > DUPLICATE_SHARE) {
        found.push(What::Duplicates { share });
    }
    let discarded: Vec<u64> = peers.iter().map(|peer| peer.discarded_bytes).filter(|bytes| *bytes > 0).collect();
    if !discarded.is_empty() {
        found.push(What::Discarded { bytes: discarded.iter().sum(), peers: count(discarded.len()) });
    }
}

fn log(observed: &Observed, found: &mut Vec<What>) {
    if observed.repeated > 0 {
        found.push(What::LinesRepeated { lines: observed.repeated });
    }
    if let Some((node, line)) = observed.unreadable.first() {
        let lines = observed.unreadable.len();
        found.push(What::Unreadable { lines, node: node.clone(), first: line.clone() });
    }
    for message in &observed.warnings {
        found.push(What::Warned { message: message.clone(), times: 1, node: "controller".to_owned() });
    }
}

fn departures(row: &TrialRow, churn: &[ChurnRow], found: &mut Vec<What>) {
    // What a trial that broke off did not get to is no surprise: its own finding says so.
    let ended = row.outcome == TrialOutcome::Completed;
    for row in churn {
        let odd = match row.status {
            ChurnStatus::Failed => true,
            ChurnStatus::Missing => ended,
            ChurnStatus::Executed | ChurnStatus::Skipped => false,
        };
        if odd {
            let (node, action, why) = (row.node.clone(), row.action.clone(), row.why.clone());
            found.push(What::Churn { node, action, why });
        }
    }
    if let Some(max) = row.churn_late_max_s.filter(|max| *max > CHURN_LATE_S) {
        found.push(What::ChurnLate { max });
    }
}

fn said(observed: &Observed, found: &mut Vec<What>) {
    let lives = || observed.nodes.iter().flat_map(|(name, log)| log.lives.iter().map(move |life| (name, life)));
    let first = |mut all: Box<dyn Iterator<Item = String> + '_>| {
        let first = all.next()?;
        Some((count(all.count() + 1), first))
    };
    let banned = lives()
        .flat_map(|(name, life)| life.banned.iter().map(move |(who, why)| format!("`{who}` by `{name}`: {why}")));
    if let Some((times, first)) = first(Box::new(banned)) {
        found.push(What::Banned { times, first });
    }
    let rejected = lives().flat_map(|(name, life)| {
        life.rejected.iter().map(move |(from, why)| format!("by `{name}` from `{from}`: {why}"))
    });
    if let Some((times, first)) = first(Box::new(rejected)) {
        found.push(What::Rejected { times, first });
    }
    let mut warnings: BTreeMap<&str, (u32, &str)> = BTreeMap::new();
    for (name, life) in lives() {
        for message in &life.warnings {
            warnings.entry(message).or_insert((0, name)).0 += 1;
        }
    }
    for (message, (times, node)) in warnings {
        found.push(What::Warned { message: message.to_owned(), times, node: node.to_owned() });
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
