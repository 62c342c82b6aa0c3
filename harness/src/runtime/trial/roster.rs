//! What is known of each node while a trial runs, from what it reported and what was noticed of its process.
//!
//! Invariant: a node is alive while more of its lives have begun than ended. What belongs to one life (planned crash,
//! goodbye, error, sequence number) is reset when that life's end is taken in, never earlier, because lines of a life
//! can still arrive while its end is on the way. Meanwhile the next life may have been asked to start: a goodbye or a
//! planned crash of the one before is not its own.

use std::collections::{BTreeMap, VecDeque};

use peer_image::event::{self, ErrorKind, Leave};
use peer_image::node::Role;

use crate::plan::Trial;

/// Lines of a node that are no events and are kept for its end.
const LAST: usize = 20;

/// All nodes of a trial.
#[derive(Debug)]
pub(super) struct Roster(BTreeMap<String, Known>);

/// What is known of one node.
#[derive(Debug)]
pub(super) struct Known {
    role: Role,
    to_complete: bool,
    begun: u32,
    ended: u32,
    /// How far it came before the gate opened.
    stage: Stage,
    /// It reported the whole file, verified, in some life.
    pub(super) completed: bool,
    /// Its last end was a departure by the schedule, from which it may return.
    departed: bool,
    /// Its last end was its own, once it had the file.
    left_complete: bool,
    /// Planned leaves that it took.
    pub(super) leaves: usize,
    /// It gave up before it had the file, and nobody waits for it any more.
    gave_up: bool,
    /// Its process was stopped where it stands.
    pub(super) frozen: bool,
    /// Its output cannot be followed, so nothing more will be known of it.
    lost: bool,
    /// Why it ended before it had the file, if it was to have it.
    pub(super) death: Option<String>,
    // Of the present life:
    /// Crashes that were ordered and whose ends were not taken in: the next one may be ordered before.
    crashes: u32,
    goodbye: Option<Leave>,
    error: Option<(ErrorKind, String)>,
    next_seq: u64,
    last: VecDeque<String>,
}

/// How far a node came before the gate opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Silent,
    Booted,
    Shaped,
    Ready,
}

/// The end of a life.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    /// By the schedule, on completion, or because the trial is over.
    pub(super) expected: bool,
    /// Lines that were no events.
    pub(super) last: Vec<String>,
    /// In words, with the node's name.
    pub(super) why: String,
    /// The machine's doing.
    pub(super) machine: bool,
}

impl Roster {
    pub(super) fn new(trial: &Trial) -> Self {
        let known = |node: &crate::plan::Node| Known {
            role: node.role,
            to_complete: node.to_complete,
            begun: 0,
            ended: 0,
            stage: Stage::Silent,
            completed: false,
            departed: false,
            left_complete: false,
            leaves: 0,
            gave_up: false,
            frozen: false,
            lost: false,
            death: None,
            crashes: 0,
            goodbye: None,
            error: None,
            next_seq: 0,
            last: VecDeque::new(),
        };
        Self(trial.nodes.iter().map(|node| (node.name.clone(), known(node))).collect())
    }

    pub(super) fn node(&self, name: &str) -> Option<&Known> {
        self.0.get(name)
    }

    pub(super) fn node_mut(&mut self, name: &str) -> Option<&mut Known> {
        self.0.get_mut(name)
    }

    /// Nodes that are not at the gate, each with how far it came.
    pub(super) fn not_ready(&self) -> Vec<String> {
        let waiting = self.0.iter().filter(|(_, known)| known.stage < Stage::Ready && known.role != Role::Tracker);
        let stage = |known: &Known| match known.stage {
            Stage::Silent if known.begun == 0 => "not started",
            Stage::Silent => "silent since its start",
            Stage::Booted => "its link is not shaped",
            Stage::Shaped | Stage::Ready => "shaped, but not at the gate",
        };
        waiting.map(|(name, known)| format!("`{name}` ({})", stage(known))).collect()
    }

    /// A node of whose process nothing was heard.
    pub(super) fn silent(&self) -> Option<&str> {
        self.0.iter().find(|(_, known)| known.is_silent() && !known.is_tracker()).map(|(name, _)| name.as_str())
    }

    /// Whether a process may still tell something.
    pub(super) fn any_alive(&self) -> bool {
        self.0.values().any(|known| known.is_alive() && !known.lost)
    }

    /// Nodes whose processes stand still.
    pub(super) fn frozen(&self) -> Vec<String> {
        self.0.iter().filter(|(_, known)| known.frozen && known.is_alive()).map(|(name, _)| name.clone()).collect()
    }

    /// All peers.
    pub(super) fn peers(&self) -> impl Iterator<Item = (&str, &Known)> {
        self.0.iter().filter(|(_, known)| known.is_peer()).map(|(name, known)| (name.as_str(), known))
    }

    /// Whether the schedule removes every peer for good.
    pub(super) fn nobody_is_to_complete(&self) -> bool {
        !self.0.values().any(|known| known.to_complete)
    }

    /// Peers that are to complete, have not, and did not give up.
    pub(super) fn missing(&self) -> impl Iterator<Item = (&str, &Known)> {
        self.0
            .iter()
            .filter(|(_, known)| known.to_complete && !known.completed && !known.gave_up)
            .map(|(name, known)| (name.as_str(), known))
    }
}

impl Known {
    /// Whether the trial can go on without it.
    pub(super) fn is_peer(&self) -> bool {
        event::is_to_complete(self.role)
    }

    /// Whether a process of it was asked to start and nothing was heard of it.
    pub(super) fn is_silent(&self) -> bool {
        self.begun > 0 && self.stage == Stage::Silent
    }

    pub(super) fn is_tracker(&self) -> bool {
        self.role == Role::Tracker
    }

    pub(super) fn is_alive(&self) -> bool {
        self.begun > self.ended
    }

    /// Whether it gave up, died, or can no longer be followed.
    pub(super) fn is_gone_for_good(&self) -> bool {
        self.gave_up || self.death.is_some() || self.lost
    }

    /// Whether all of its lives that have begun are at their planned ends, so that another one may follow.
    fn is_departing(&self) -> bool {
        let departures = self.crashes + u32::from(self.goodbye == Some(Leave::Planned));
        self.is_alive() && departures >= self.begun - self.ended
    }

    /// Whether it may still complete, given whether its return is planned.
    pub(super) fn has_hope(&self, returns: bool) -> bool {
        !self.lost && (self.is_alive() || (returns && self.departed))
    }

    /// A life begins: it was asked to start.
    pub(super) fn begin(&mut self) {
        self.begun += 1;
        self.departed = false;
    }

    /// The life that was to begin did not.
    pub(super) fn begin_failed(&mut self, why: String) {
        self.begun -= 1;
        self.death = Some(why);
    }

    /// Why it is not to be crashed now; none if it is.
    pub(super) fn spared_crash(&self) -> Option<&'static str> {
        if self.left_complete || self.goodbye == Some(Leave::Completed) {
            Some("complete")
        } else if !self.is_alive() {
            Some("it had ended")
        } else if self.is_departing() {
            Some("it had left")
        } else {
            None
        }
    }

    /// It is being crashed.
    pub(super) fn crash(&mut self) {
        self.crashes += 1;
    }

    /// Its crash was refused.
    pub(super) fn crash_failed(&mut self) {
        self.crashes = self.crashes.saturating_sub(1);
    }

    /// Why it is not to return now; none if it is.
    pub(super) fn spared_return(&self) -> Option<&'static str> {
        if self.gave_up {
            Some("it had given up")
        } else if self.departed || self.is_departing() {
            None
        } else if self.left_complete || self.goodbye == Some(Leave::Completed) {
            Some("complete")
        } else if self.is_alive() {
            Some("it had not left")
        } else {
            Some("it had ended")
        }
    }

    /// Whether its latest life is there and neither said goodbye nor was killed.
    pub(super) fn stays_unannounced(&self) -> bool {
        let is_going = match self.goodbye {
            None | Some(Leave::Planned) => self.is_departing(),
            Some(Leave::Completed | Leave::Stopped | Leave::GaveUp) => true,
        };
        self.is_alive() && !is_going
    }

    /// Takes in what it reported; returns the numbers of lines that were lost just before, if any were.
    pub(super) fn report(&mut self, record: &event::Record) -> Option<(u64, u64)> {
        use event::Event as E;
        let gap = (record.seq > self.next_seq).then(|| (self.next_seq, record.seq - 1));
        self.next_seq = record.seq + 1;
        match &record.event {
            E::Boot { .. } => self.stage = self.stage.max(Stage::Booted),
            E::Shaped(_) => self.stage = self.stage.max(Stage::Shaped),
            E::Ready { .. } => self.stage = Stage::Ready,
            E::Completed { .. } => self.completed = true,
            E::Left { why } => {
                self.goodbye = Some(*why);
                self.leaves += usize::from(*why == Leave::Planned);
                self.gave_up |= *why == Leave::GaveUp;
            }
            E::Error { kind, message } => self.error = Some((*kind, message.clone())),
            _ => {}
        }
        gap
    }

    /// Keeps a line that is no event.
    pub(super) fn remember(&mut self, line: String) {
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// Its life ended; `over` if the trial has.
    pub(super) fn end(&mut self, name: &str, code: i64, oom: bool, over: bool) -> End {
        self.ended += 1;
        let (goodbye, error) = (self.goodbye.take(), self.error.take());
        // Who left of its own accord was not killed: the crash that was ordered is the next life's.
        let crash = self.crashes > 0 && goodbye != Some(Leave::Planned);
        self.crashes = (self.crashes - u32::from(crash)).min(self.begun.saturating_sub(self.ended));
        let last: Vec<String> = self.last.drain(..).collect();
        self.next_seq = 0;
        self.departed = crash || goodbye == Some(Leave::Planned);
        self.frozen = false;
        self.left_complete = !self.departed && goodbye == Some(Leave::Completed);
        let expected = over || crash || (goodbye.is_some() && code == 0);
        let machine = error.as_ref().is_some_and(|(kind, _)| *kind == ErrorKind::Machine)
            || (error.is_none() && code == i64::from(event::exit::MACHINE));
        let why = match (error, last.last()) {
            _ if oom => format!("`{name}` was killed for its memory"),
            (Some((_, message)), _) => format!("`{name}`: {message}"),
            (None, Some(line)) => format!("`{name}` ended with exit code {code}: {line}"),
            (None, None) => format!("`{name}` ended with exit code {code}"),
        };
        if !self.departed && !self.completed && !self.gave_up {
            self.death = Some(why.clone());
        }
        End { expected, last, why, machine }
    }

    /// Its output can no longer be followed.
    pub(super) fn lose(&mut self, why: String) {
        self.lost = true;
        self.death = Some(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::trial::tests::cell;

    fn said(known: &mut Known, why: Leave) {
        let event = event::Event::Left { why };
        known.report(&event::Record { v: event::VERSION, node: "peer-01".to_owned(), seq: 0, mono: 0, event });
    }

    #[test]
    fn a_goodbye_is_of_the_life_that_said_it_and_not_of_the_next() {
        let mut roster = Roster::new(&cell(Vec::new()).trials[0]);
        let known = roster.node_mut("peer-01").unwrap();
        known.begin();
        assert_eq!(known.spared_return(), Some("it had not left"));
        said(known, Leave::Planned);
        assert_eq!((known.spared_return(), known.spared_crash()), (None, Some("it had left")));
        // Its return is asked for before its end is here; the departure after that one is not yet said.
        known.begin();
        assert!(known.stays_unannounced());
        assert_eq!((known.spared_return(), known.spared_crash()), (Some("it had not left"), None));
        // A crash that is ordered meanwhile is of the life that is to start.
        known.crash();
        assert_eq!(known.spared_return(), None);
        assert!(known.end("peer-01", 0, false, false).expected);
        assert!(!known.stays_unannounced());
        assert!(known.end("peer-01", 137, false, false).expected);
        assert_eq!((known.is_alive(), known.death.clone()), (false, None));
        known.begin();
        assert!(known.stays_unannounced());
        assert!(!known.end("peer-01", 137, false, false).expected, "no crash is left over");
    }
}
