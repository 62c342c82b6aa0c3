//! What the schedule has the controller do to nodes: which actions are its own, when each begins, whether it still makes
//! sense when it is due, and what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use peer_image::node::Role;
use tokio::time::Instant;

use super::clock::nanos;
use super::driver::Driver;
use super::due::{Acted, Due};
use super::{Update, roster};
use crate::events::record::Event;
use crate::plan::{self, Action, Actor, How};

/// Longest wait for actions that are under way when the trial ends.
const WIND_UP: Duration = Duration::from_secs(15);
/// A node that is to return is started so long before, but not before it was killed, or its goodbye can be here. An engine
/// takes about 0.4 s to kill a container and to start it again: who is away for less is late by the rest.
const RETURN_LEAD: Duration = Duration::from_secs(3);
const GOODBYE: Duration = Duration::from_millis(100);

impl Driver<'_> {
    /// The actions that are the controller's, each with the moment at which it begins, ns after the common start: a node
    /// that is to return is started ahead of its return, and then waits for it.
    pub(super) fn due(&self) -> Due {
        let role = |name: &str| self.trial.nodes.iter().find(|node| node.name == name).map(|node| node.role);
        let is_ours =
            |event: &&plan::Event| role(&event.node).is_some_and(|role| event.action.actor(role) == Actor::Controller);
        let begins = |event: &plan::Event| match event.action {
            Action::Rejoin(_) => {
                let fate = self.fates.get(&event.node);
                let absence = fate.and_then(|fate| fate.absences.iter().find(|it| it.until == Some(event.at)));
                let earliest = absence.map_or(event.at, |absence| match absence.how {
                    How::Leave => absence.from.saturating_add(nanos(GOODBYE)),
                    _ => absence.from,
                });
                event.at.saturating_sub(nanos(RETURN_LEAD)).max(earliest).min(event.at)
            }
            _ => event.at,
        };
        let mut due: Vec<_> = self.trial.schedule.iter().filter(is_ours).map(|e| (begins(e), e.clone())).collect();
        due.sort_by_key(|(at, _)| *at);
        due.into()
    }

    /// When to look again at a return whose node has not said goodbye yet, although it was to leave: a busy host may make
    /// its word late. Not for longer than a return may be late.
    pub(super) fn awaits_goodbye(&self, event: &plan::Event, go: u64) -> Option<u64> {
        if !matches!(event.action, Action::Rejoin(_)) || !self.roster.node(&event.node)?.stays_unannounced() {
            return None;
        }
        let now = self.clock.mono().saturating_sub(go);
        let latest = Duration::try_from_secs_f64(self.cell.settings.validity.churn_late).unwrap_or(GOODBYE);
        let later = now.saturating_add(nanos(GOODBYE));
        (later <= event.at.saturating_add(nanos(latest))).then_some(later)
    }

    /// Whether an action that is due is to be taken; what is not is noted.
    pub(super) fn decide(&mut self, event: plan::Event) -> Option<plan::Event> {
        let known = self.roster.node_mut(&event.node);
        let spared = match (known, event.action) {
            (None, _) => Some("no such node"),
            (Some(known), Action::Freeze) => {
                let spared = known.spared_crash();
                known.frozen |= spared.is_none();
                spared
            }
            (Some(known), Action::Thaw) => {
                if known.frozen {
                    None
                } else {
                    Some("it was not frozen")
                }
            }
            (Some(known), Action::Crash) => {
                let spared = known.spared_crash();
                if spared.is_none() {
                    known.crash();
                }
                spared
            }
            (Some(known), Action::Rejoin(_)) => {
                let spared = known.spared_return();
                if spared.is_none() {
                    known.begin();
                }
                spared
            }
            // Its agent acts.
            (_, Action::Arrive | Action::Leave | Action::CutOff | Action::Reconnect | Action::Links(_)) => return None,
        };
        match spared {
            Some(why) => {
                self.skip(event, why);
                None
            }
            None => Some(event),
        }
    }

    fn skip(&mut self, event: plan::Event, why: &str) {
        let plan::Event { at: planned, node, action } = event;
        self.note(Event::Skipped { node, action, planned, why: why.to_owned() });
    }

    pub(super) fn acted(&mut self, acted: Acted) {
        let Acted { event: plan::Event { at: planned, node, action }, actual, done, error } = acted;
        if let (Some(why), Some(known)) = (&error, self.roster.node_mut(&node)) {
            match action {
                Action::Rejoin(_) => known.begin_failed(format!("`{node}` could not return: {why}")),
                Action::Crash => known.crash_failed(),
                Action::Freeze => known.frozen = false,
                _ => {}
            }
        }
        if action == Action::Thaw
            && let Some(known) = self.roster.node_mut(&node)
        {
            known.frozen = false;
        }
        (self.observer)(Update::Acted { node: node.clone(), action });
        self.note(Event::Acted { node, action, planned, actual, done, error });
    }

    /// Waits for actions that are under way, and notes what of the schedule did not come to pass.
    pub(super) async fn wind_up<F: Future<Output = Acted>>(&mut self, due: Due, mut acting: FuturesUnordered<F>) {
        let deadline = Instant::now() + WIND_UP;
        while !acting.is_empty() {
            match self.during(acting.next(), deadline).await {
                Ok(Some(acted)) => self.acted(acted),
                Ok(None) => break,
                Err(_) => {
                    let count = acting.len();
                    self.warn(format!("{count} actions of the schedule were still under way when the trial ended"));
                    break;
                }
            }
        }
        for (_, event) in due {
            self.skip(event, "trial over");
        }
        // What agents were to do after that, the goodbyes aside, will not be heard of.
        let elapsed = self.gate.map_or(0, |go| self.clock.mono().saturating_sub(go));
        let role = |name: &str| self.trial.nodes.iter().find(|node| node.name == name).map(|node| node.role);
        let is_agents = |event: &&plan::Event| {
            role(&event.node).is_some_and(|role| event.action.actor(role) == Actor::Agent)
                && (event.action != Action::Leave || role(&event.node) == Some(Role::Tracker))
        };
        let later: Vec<plan::Event> =
            self.trial.schedule.iter().filter(|event| event.at > elapsed).filter(is_agents).cloned().collect();
        for event in later {
            self.skip(event, "trial over");
        }
        // Of the leaves, which agents take, those that were reported came first.
        let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
        let trial = self.trial;
        let is_peers_leave = |event: &&plan::Event| {
            event.action == Action::Leave && !self.roster.node(&event.node).is_some_and(roster::Known::is_tracker)
        };
        let leaves: Vec<&plan::Event> = trial.schedule.iter().filter(is_peers_leave).collect();
        for event in leaves {
            let taken = taken.entry(&event.node).or_default();
            *taken += 1;
            let known = self.roster.node(&event.node);
            if known.is_some_and(|known| known.leaves < *taken) {
                let why = known.and_then(roster::Known::spared_crash).unwrap_or("trial over");
                self.skip(event.clone(), why);
            }
        }
    }
}
