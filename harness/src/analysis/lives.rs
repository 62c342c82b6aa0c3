//! A trial's log, folded into the lives of its nodes. Counts what is missing, concludes nothing.
//!
//! A node that comes back starts a new life: its lines are numbered from 0 again, and its counters start at 0.
//! What a node counts is therefore summed over its lives; a life that was killed counts as far as it had reported.

use std::collections::BTreeMap;

use peer_image::event::{
    Calibration, Counters, ErrorKind, Event as NodeEvent, Host, Idle, Leave, Progress, Queue, Record as NodeRecord,
    Shaped,
};
use peer_image::node::{Alteration, Link};

use crate::events::record::{Event, Line, Outcome, Record};
use crate::plan::Action;

/// A trial as its log tells it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// What was seen of each node, by name.
    pub nodes: BTreeMap<String, NodeLog>,
    /// Scheduled actions that the controller took or tried, in order.
    pub acted: Vec<Acted>,
    /// Scheduled actions that it did not take, in order.
    pub skipped: Vec<Skipped>,
    /// The common start on the gate's clock, ns, if the gate's line is there.
    pub gate_open: Option<u64>,
    /// When the controller began, on its own clock, ns, and which clock that is: boot id and time namespace.
    pub begun: Option<(u64, String, String)>,
    /// Its last line, on the same clock, ns.
    pub ended: Option<u64>,
    /// Which attempt at its trial it is, from 1.
    pub attempt: u32,
    /// Where its log belongs, by its first line.
    pub place: Option<Place>,
    /// How it ended; `None` if the log stops before that.
    pub outcome: Option<Outcome>,
    /// Lines that were no events: node and line.
    pub unreadable: Vec<(String, String)>,
    /// Nodes whose output could no longer be followed, and why.
    pub unfollowed: Vec<(String, String)>,
    /// What the controller went on after.
    pub warnings: Vec<String>,
    /// What the host had done: (the gate's clock ns, so far).
    pub host: Vec<(u64, Host)>,
    /// Lines of the controller that are missing.
    pub controller_lost: u64,
    /// Lines that came twice and were counted once.
    pub repeated: u64,
    next_controller_seq: u64,
}

/// Which attempt at which repeat of which cell of which run a log is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The run's id.
    pub run: String,
    /// The cell's id.
    pub cell: String,
    /// Which repeat, from 1; 0 is the warm-up.
    pub repeat: u32,
    /// Which attempt at it, from 1.
    pub attempt: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { run, cell, repeat, attempt } = self;
        write!(f, "`{cell}`, repeat {repeat}, attempt {attempt}, of run `{run}`")
    }
}

/// What was seen of one node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeLog {
    /// Its lives, in order.
    pub lives: Vec<Life>,
    /// How its processes ended, in order.
    pub exits: Vec<Exit>,
}

/// One life of a node's process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Life {
    /// Where it ran, from its first line: nodes with equal boot ids and time namespaces share a clock.
    pub boot_id: Option<String>,
    /// Its time namespace; empty where the kernel or the log has none.
    pub time_namespace: String,
    /// The link as the kernel took it.
    pub shaped: Option<Shaped>,
    /// Its clock against the gate's: (offset, error), ns.
    pub ready: Option<(i64, u64)>,
    /// When it began its role.
    pub started: Option<Started>,
    /// Where it stood at last.
    pub progress: Option<Progress>,
    /// Pieces as it got them: (own clock ns, which).
    pub got: Vec<(u64, Vec<u32>)>,
    /// What of its surroundings was changed.
    pub changed: Vec<Changed>,
    /// Its idle upload time as it grew: (own clock ns, idle so far).
    pub idle: Vec<(u64, Idle)>,
    /// When it had the whole file, own clock, ns.
    pub completed: Option<u64>,
    /// File bytes that it had sent by then.
    pub sent_by_completion: u64,
    /// When and why it left, own clock, ns.
    pub left: Option<(u64, Leave)>,
    /// What its link had counted just before the start: what came before is no part of the trial.
    pub counters_before: Option<Counters>,
    /// What its link had counted at last.
    pub counters: Option<Counters>,
    /// Bytes that its link had carried as they grew: (own clock ns, up, down).
    pub carried: Vec<(u64, u64, u64)>,
    /// Rates of its link as the kernel reported them while its role ran: own clock, ns, and which.
    pub rates: Vec<(u64, Link)>,
    /// Time for which it was ready to run and waited for a processor, as it grew: (own clock ns, ns).
    pub waited: Vec<(u64, u64)>,
    /// What its link carried before the gate opened.
    pub calibrated: Vec<Calibration>,
    /// When it noticed that its process had stood still, own clock, ns, and for how long since it last did, ns.
    pub stalls: Vec<(u64, u64)>,
    /// Neighbours that it cut off: (neighbour, reason).
    pub banned: Vec<(String, String)>,
    /// Bytes that it could not parse: (from, reason).
    pub rejected: Vec<(String, String)>,
    /// What it could go on after.
    pub warnings: Vec<String>,
    /// Why it could not go on.
    pub error: Option<(ErrorKind, String)>,
    /// Own clock at its last line, ns.
    pub last_mono: u64,
    /// Lines that are missing within it.
    pub lost: u64,
    next_seq: u64,
}

/// When a life began its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// Own clock, ns.
    pub mono: u64,
    /// The common start on its own clock, ns.
    pub go: u64,
    /// When it was to begin, ns after the common start.
    pub planned: u64,
    /// How much later it was, ns.
    pub late: u64,
    /// Whether it came back after the common start.
    pub rejoined: bool,
    /// Pieces that it brought.
    pub pieces: u32,
}

/// A planned change of a node's surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Planned moment, ns after the common start.
    pub planned: u64,
    /// How much later it was begun, ns.
    pub late: u64,
    /// How long it took, ns, if the log says so.
    pub took: Option<u64>,
    /// What.
    pub what: Alteration,
    /// What went wrong.
    pub error: Option<String>,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code.
    pub code: i64,
    /// Killed by the kernel for its memory.
    pub oom: bool,
    /// Whether the controller expected it.
    pub expected: bool,
    /// Its last lines that were not events.
    pub last: Vec<String>,
}

/// A scheduled action that the controller took or tried. Times are ns after the common start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acted {
    /// The peer.
    pub node: String,
    /// What.
    pub action: Action,
    /// Planned moment.
    pub planned: u64,
    /// When the call was made.
    pub actual: u64,
    /// When the engine answered.
    pub done: u64,
    /// What went wrong.
    pub error: Option<String>,
}

/// A scheduled action that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The peer.
    pub node: String,
    /// What.
    pub action: Action,
    /// Planned moment, ns after the common start.
    pub planned: u64,
    /// Why.
    pub why: String,
}

/// Folds the lines of one trial, in the order of its log.
#[must_use]
pub fn fold<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Observed {
    let mut observed = Observed::new();
    for line in lines {
        observed.take(line);
    }
    observed
}

impl Observed {
    /// Of a log of which nothing was read yet.
    #[must_use]
    pub fn new() -> Self {
        Self { attempt: 1, ..Self::default() }
    }

    /// Takes in the next line of the log.
    pub fn take(&mut self, line: &Line) {
        match line {
            Line::Node(record) => self.node_line(record),
            Line::Controller(record) => self.controller_line(record),
        }
    }

    fn node_line(&mut self, record: &NodeRecord) {
        match record.event {
            NodeEvent::GateOpen { at, .. } => self.gate_open = Some(at),
            NodeEvent::Host(host) => self.host.push((record.mono, host)),
            _ => {}
        }
        let log = self.nodes.entry(record.node.clone()).or_default();
        match log.lives.last() {
            // The clock is monotonic: an old number at an old moment is an old line, at a later one a new life.
            Some(life) if record.seq < life.next_seq && record.mono <= life.last_mono => {
                self.repeated += 1;
                return;
            }
            Some(life) if record.seq >= life.next_seq => {}
            Some(_) | None => log.lives.push(Life::default()),
        }
        let life = log.lives.last_mut().expect("a life was pushed if there was none");
        life.lost += record.seq - life.next_seq;
        life.next_seq = record.seq + 1;
        life.last_mono = record.mono;
        life.event(record.mono, &record.event);
    }

    fn controller_line(&mut self, record: &Record) {
        self.controller_lost += record.seq.saturating_sub(self.next_controller_seq);
        self.next_controller_seq = self.next_controller_seq.max(record.seq + 1);
        self.ended = Some(record.mono);
        match record.event.clone() {
            Event::Trial { cell, repeat, attempt, run, boot_id, time_namespace, .. } => {
                self.attempt = attempt;
                self.place = Some(Place { run, cell, repeat, attempt });
                self.begun = Some((record.mono, boot_id, time_namespace));
            }
            Event::Phase { .. } => {}
            Event::Acted { node, action, planned, actual, done, error } => {
                self.acted.push(Acted { node, action, planned, actual, done, error });
            }
            Event::Skipped { node, action, planned, why } => {
                self.skipped.push(Skipped { node, action, planned, why });
            }
            Event::Exited { node, code, oom, expected, last } => {
                self.nodes.entry(node).or_default().exits.push(Exit { code, oom, expected, last });
            }
            Event::Lost { node, reason } => self.unfollowed.push((node, reason)),
            Event::Warning { message } => self.warnings.push(message),
            Event::Unreadable { node, line } => self.unreadable.push((node, line)),
            Event::End { outcome } => self.outcome = Some(outcome),
        }
    }

    /// What was seen of a node; nothing if it never spoke.
    #[must_use]
    pub fn node(&self, name: &str) -> &NodeLog {
        const SILENT: &NodeLog = &NodeLog { lives: Vec::new(), exits: Vec::new() };
        self.nodes.get(name).unwrap_or(SILENT)
    }

    /// The last sign of any node, seconds after the common start.
    #[must_use]
    pub fn last_sign(&self) -> Option<f64> {
        let lives = self.nodes.iter().flat_map(|(name, log)| log.lives.iter().map(move |life| (name, life)));
        let signs = lives.filter_map(|(name, life)| Some(super::conclude::since(life.last_mono, self.go(name, life)?)));
        signs.reduce(f64::max)
    }

    /// The common start on the clock of one life of a node, ns: as that life said, else as another life of the
    /// node on the same clock did, else from the gate's own line and the life's estimate of the gate's clock.
    #[must_use]
    pub fn go(&self, node: &str, life: &Life) -> Option<u64> {
        let own = life.started.map(|started| started.go);
        let other = || {
            let same_clock = |other: &&Life| {
                let same = other.boot_id == life.boot_id && other.time_namespace == life.time_namespace;
                same && other.boot_id.is_some()
            };
            self.node(node).lives.iter().filter(same_clock).find_map(|other| Some(other.started?.go))
        };
        let gate = || self.gate_open?.checked_add_signed(life.ready?.0.checked_neg()?);
        own.or_else(other).or_else(gate)
    }
}

impl Life {
    fn event(&mut self, mono: u64, event: &NodeEvent) {
        match event {
            NodeEvent::Boot { boot_id, time_namespace, .. } => {
                self.boot_id = Some(boot_id.clone());
                self.time_namespace.clone_from(time_namespace);
            }
            NodeEvent::Shaped(shaped) => self.shaped = Some(shaped.clone()),
            NodeEvent::Ready { offset, offset_error } => self.ready = Some((*offset, *offset_error)),
            NodeEvent::GateOpen { .. } | NodeEvent::Host(_) | NodeEvent::Kernel(_) => {}
            NodeEvent::Calibrated(calibration) => self.calibrated.push(*calibration),
            NodeEvent::Stalled { ns } => self.stalls.push((mono, *ns)),
            NodeEvent::Started { go, planned, late, rejoined, pieces } => {
                let (go, planned, late) = (*go, *planned, *late);
                self.started = Some(Started { mono, go, planned, late, rejoined: *rejoined, pieces: *pieces });
                // Of the file nothing was carried between the look just before the start and the start itself.
                for (at, ..) in &mut self.carried {
                    *at = (*at).max(mono);
                }
            }
            NodeEvent::Changed { planned, late, took, what, error } => {
                let (planned, late, took, what, error) = (*planned, *late, *took, *what, error.clone());
                self.changed.push(Changed { planned, late, took, what, error });
            }
            NodeEvent::Progress(progress) => {
                self.idle.push((mono, progress.idle));
                if !progress.got.is_empty() {
                    self.got.push((mono, progress.got.clone()));
                }
                self.progress = Some(Progress { got: Vec::new(), ..progress.clone() });
            }
            NodeEvent::Completed { .. } => {
                if self.completed.is_none() {
                    self.sent_by_completion = self.progress.as_ref().map_or(0, |progress| progress.up.values().sum());
                }
                self.completed.get_or_insert(mono);
            }
            NodeEvent::Left { why } => self.left = Some((mono, *why)),
            NodeEvent::Banned { neighbour, reason } => self.banned.push((neighbour.clone(), reason.clone())),
            NodeEvent::Rejected { from, reason } => self.rejected.push((from.clone(), reason.clone())),
            NodeEvent::Counters(counters) => self.count(mono, *counters),
            NodeEvent::Warning { message } => self.warnings.push(message.clone()),
            NodeEvent::Error { kind, message } => self.error = Some((*kind, message.clone())),
        }
    }

    fn count(&mut self, mono: u64, counters: Counters) {
        self.counters_before.get_or_insert(counters);
        self.counters = Some(counters);
        self.carried.push((mono, counters.up.bytes, counters.down.bytes));
        if counters.up.rate > 0 {
            let rates = Link { up: counters.up.rate, down: counters.down.rate };
            self.rates.push((mono, rates));
        }
        self.waited.extend(counters.waited.map(|ns| (mono, ns)));
    }

    /// What its link counted while its role ran. Of a life that told it only once all is taken, for want of better.
    #[must_use]
    pub fn counted(&self) -> Option<Counters> {
        let last = self.counters?;
        let before = self.counters_before.filter(|_| self.carried.len() > 1).unwrap_or_default();
        let less = |last: Queue, before: Queue| Queue {
            bytes: last.bytes.saturating_sub(before.bytes),
            packets: last.packets.saturating_sub(before.packets),
            drops: last.drops.saturating_sub(before.drops),
            ..last
        };
        let throttled = last.throttled.map(|ns| ns.saturating_sub(before.throttled.unwrap_or(0)));
        let waited = last.waited.map(|ns| ns.saturating_sub(before.waited.unwrap_or(0)));
        Some(Counters { up: less(last.up, before.up), down: less(last.down, before.down), throttled, waited })
    }

    /// Idle upload time up to a moment of its own clock: (uninterested, choked, unrequested), seconds. Between two
    /// reports it is taken to have grown evenly; after the last one, not at all.
    #[must_use]
    pub fn idle_until(&self, mono: u64) -> [f64; 3] {
        let start = self.started.map_or(0, |started| started.mono);
        let mut before = (start, [0.0; 3]);
        for (at, idle) in &self.idle {
            let reached = [idle.uninterested, idle.choked, idle.unrequested].map(|ns| ns as f64 / 1e9);
            if *at > mono {
                let share = mono.saturating_sub(before.0) as f64 / at.saturating_sub(before.0).max(1) as f64;
                return std::array::from_fn(|i| before.1[i] + share * (reached[i] - before.1[i]));
            }
            before = (*at, reached);
        }
        before.1
    }

    /// From the start of its role until its end or a moment of its own clock, whichever is first, seconds.
    #[must_use]
    pub fn present_until(&self, mono: u64) -> f64 {
        let end = self.left.map_or(self.last_mono, |(at, _)| at).min(mono);
        self.started.map_or(0.0, |started| end.saturating_sub(started.mono) as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::{Log, S};

    #[test]
    fn a_second_life_is_told_from_a_repeated_line() {
        let mut log = Log::new();
        log.life("peer-1", 0).boot().started(S, 0);
        let repeated = log.lines[0].clone();
        log.lines.push(repeated);
        log.life("peer-1", 9 * S).boot();
        let observed = fold(&log.lines);
        assert_eq!(observed.nodes["peer-1"].lives.len(), 2);
        assert_eq!(observed.repeated, 1);
    }

    #[test]
    fn gaps_in_the_numbers_are_lost_lines_at_the_start_of_a_life_too() {
        let mut log = Log::new();
        log.life("peer-1", 0).boot().started(S, 0).lose(2).completed(3 * S);
        log.life("peer-1", 9 * S).lose(1).started(S, 9 * S);
        let lost: Vec<u64> = fold(&log.lines).nodes["peer-1"].lives.iter().map(|life| life.lost).collect();
        assert_eq!(lost, [2, 1]);
    }

    #[test]
    fn the_common_start_is_known_without_the_started_line() {
        let mut log = Log::new();
        log.gate_open(5 * S);
        log.life("peer-1", 0).boot().ready(S as i64).lose(1).completed(9 * S);
        let observed = fold(&log.lines);
        let life = &observed.nodes["peer-1"].lives[0];
        assert_eq!(observed.go("peer-1", life), Some(4 * S));
    }

    #[test]
    fn idle_time_grows_evenly_between_reports() {
        let life = Life {
            started: Some(Started { mono: 10 * S, go: 10 * S, planned: 0, late: 0, rejoined: false, pieces: 0 }),
            idle: vec![
                (11 * S, Idle { choked: S / 2, ..Idle::default() }),
                (12 * S, Idle { choked: S, ..Idle::default() }),
            ],
            last_mono: 12 * S,
            ..Life::default()
        };
        assert_eq!(life.idle_until(10 * S + S / 2)[1], 0.25);
        assert_eq!(life.idle_until(11 * S + S / 2)[1], 0.75);
        assert_eq!(life.idle_until(99 * S)[1], 1.0);
        assert_eq!(life.present_until(11 * S), 1.0);
        assert_eq!(life.present_until(99 * S), 2.0);
    }
}
