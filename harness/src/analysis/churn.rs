//! The planned departures and returns, each beside what came of it.
//!
//! The controller kills, freezes and brings back, and says so; a node arrives, leaves and changes its link by itself, and
//! its own lines say so.

use std::collections::BTreeMap;

use peer_image::event::Leave;
use peer_image::node::Alteration;

use super::conclude::since;
use super::lives::{Changed, Observed};
use super::metrics::{ChurnRow, ChurnStatus};
use super::presence;
use crate::plan::{Action, Actor, Cell, Event, Keeps, Trial};

/// What was planned may be seen to have happened this much earlier, for the clocks' error, seconds.
const EARLY_S: f64 = 0.1;

/// One row per scheduled event, in the plan's order.
pub(super) fn rows(cell: &Cell, trial: &Trial, observed: &Observed) -> Vec<ChurnRow> {
    let goodbyes = goodbyes(trial, observed);
    trial.schedule.iter().map(|event| row(cell, trial, event, observed, &goodbyes)).collect()
}

/// Goodbyes by the node and the planned leave that they belong to, ns, each with its moment, seconds.
type Goodbyes<'a> = BTreeMap<(&'a str, u64), f64>;

/// A goodbye belongs to the first leave after its life's own beginning: a return that was late may have passed over a
/// whole stay.
fn goodbyes<'a>(trial: &'a Trial, observed: &'a Observed) -> Goodbyes<'a> {
    let mut leaves: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for event in trial.schedule.iter().filter(|event| event.action == Action::Leave) {
        leaves.entry(&event.node).or_default().push(event.at);
    }
    let mut goodbyes = Goodbyes::new();
    for (&name, planned) in &leaves {
        for life in &observed.node(name).lives {
            let (Some((mono, Leave::Planned)), Some(started)) = (life.left, life.started) else { continue };
            let begins = presence::begins(started);
            if let Some(at) = planned.iter().find(|at| **at as f64 / 1e9 > begins) {
                goodbyes.entry((name, *at)).or_insert(since(mono, started.go));
            }
        }
    }
    goodbyes
}

fn row(cell: &Cell, trial: &Trial, event: &Event, observed: &Observed, goodbyes: &Goodbyes<'_>) -> ChurnRow {
    let planned_s = event.at as f64 / 1e9;
    let mut row = ChurnRow {
        cell: cell.id.clone(),
        repeat: trial.repeat,
        attempt: observed.attempt,
        node: event.node.clone(),
        action: name(event.action).to_owned(),
        actor: actor(trial, event).to_owned(),
        status: ChurnStatus::Missing,
        planned_s,
        actual_s: None,
        late_s: None,
        engine_s: None,
        why: String::new(),
    };
    let same =
        |node: &str, action: Action, planned: u64| node == event.node && action == event.action && planned == event.at;
    if let Some(acted) = observed.acted.iter().find(|acted| same(&acted.node, acted.action, acted.planned)) {
        row.status = if acted.error.is_none() { ChurnStatus::Executed } else { ChurnStatus::Failed };
        row.actual_s = Some(acted.actual as f64 / 1e9);
        row.engine_s = Some(acted.done.saturating_sub(acted.actual) as f64 / 1e9);
        row.why = acted.error.clone().unwrap_or_default();
    } else if let Some(at) = goodbyes.get(&(event.node.as_str(), event.at)).filter(|_| event.action == Action::Leave) {
        row.status = ChurnStatus::Executed;
        row.actual_s = Some(*at);
    } else if let Some(changed) = changed(event, observed) {
        row.status = if changed.error.is_none() { ChurnStatus::Executed } else { ChurnStatus::Failed };
        row.actual_s = Some((changed.planned + changed.late) as f64 / 1e9);
        row.why = changed.error.clone().unwrap_or_default();
    } else if let Some(at) = (event.action == Action::Arrive).then(|| began(event, observed)).flatten() {
        row.status = ChurnStatus::Executed;
        row.actual_s = Some(at);
    } else if let Some(skipped) = observed.skipped.iter().find(|it| same(&it.node, it.action, it.planned)) {
        row.status = ChurnStatus::Skipped;
        row.why.clone_from(&skipped.why);
    } else if let Some(at) = left_on_completion(observed, &event.node).filter(|at| *at <= planned_s + EARLY_S) {
        row.status = ChurnStatus::Skipped;
        row.why = format!("it had left on completion at {at:.1} s");
    } else if row.actor == "agent" && !is_there(event, planned_s, observed) {
        row.status = ChurnStatus::Skipped;
        row.why = "it was not there".to_owned();
    } else {
        row.why = "the log has no trace of it".to_owned();
    }
    // The controller starts a node ahead of its return: what counts is when the node began.
    if matches!(event.action, Action::Rejoin(_)) && row.status == ChurnStatus::Executed {
        let began = began(event, observed);
        row.actual_s = began.or(row.actual_s);
        if began.is_none() && observed.last_sign().is_none_or(|last| last < planned_s) {
            (row.status, row.actual_s, row.engine_s) = (ChurnStatus::Skipped, None, None);
            "trial over".clone_into(&mut row.why);
        }
    }
    row.late_s = row.actual_s.map(|actual| actual - planned_s);
    row
}

fn actor(trial: &Trial, event: &Event) -> &'static str {
    let role = trial.nodes.iter().find(|node| node.name == event.node).map(|node| node.role);
    match role.map(|role| event.action.actor(role)) {
        Some(Actor::Controller) => "controller",
        _ => "agent",
    }
}

/// When the life that an arrival or a return begins began, seconds after the common start.
fn began(event: &Event, observed: &Observed) -> Option<f64> {
    let lives = observed.node(&event.node).lives.iter().filter_map(|life| life.started);
    lives.filter(|started| started.planned == event.at).map(|started| since(started.mono, started.go)).next()
}

/// What the node says of a change of its surroundings.
fn changed<'o>(event: &Event, observed: &'o Observed) -> Option<&'o Changed> {
    let is_it = |what: Alteration| match (event.action, what) {
        (Action::CutOff, Alteration::Cut)
        | (Action::Reconnect, Alteration::Mend)
        | (Action::Leave, Alteration::Silent)
        | (Action::Rejoin(_), Alteration::Answering) => true,
        (Action::Links(link), Alteration::Rates(rates)) => link == rates,
        _ => false,
    };
    let all = observed.node(&event.node).lives.iter().flat_map(|life| &life.changed);
    all.into_iter().find(|it| it.planned == event.at && is_it(it.what))
}

/// Whether a node had a life at a moment.
fn is_there(event: &Event, at: f64, observed: &Observed) -> bool {
    observed.node(&event.node).lives.iter().any(|life| {
        let go = observed.go(&event.node, life);
        let ended = |go: u64| since(life.left.map_or(life.last_mono, |(mono, _)| mono), go);
        // Its agent acts from its boot on: before its arrival, too. What matters is that it had not ended, and had begun.
        let began = |go: u64| life.started.is_none_or(|it| it.planned == 0 || !it.rejoined || since(it.mono, go) <= at);
        life.started.is_some() && go.is_some_and(|go| began(go) && ended(go) >= at)
    })
}

fn left_on_completion(observed: &Observed, node: &str) -> Option<f64> {
    observed.node(node).lives.iter().find_map(|life| match life.left? {
        (mono, Leave::Completed) => Some(since(mono, observed.go(node, life)?)),
        (_, Leave::Planned | Leave::Stopped | Leave::GaveUp) => None,
    })
}

fn name(action: Action) -> &'static str {
    match action {
        Action::Arrive => "arrive",
        Action::Freeze => "freeze",
        Action::Thaw => "thaw",
        Action::CutOff => "cut off",
        Action::Reconnect => "reconnect",
        Action::Links(_) => "links",
        Action::Leave => "leave",
        Action::Crash => "crash",
        Action::Rejoin(Keeps::Pieces) => "rejoin with its pieces",
        Action::Rejoin(Keeps::Nothing) => "rejoin with nothing",
    }
}
