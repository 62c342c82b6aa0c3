//! Whether every node's process ran all the time that the plan has it there: it did not stand still, did not fall silent
//! and did not end.

use super::conclude::since;
use super::lives::{Life, Observed};
use super::load::STRETCH_S;
use super::metrics::{TrialOutcome, TrialRow};
use super::peers;
use super::validity::{CLOCKS_S, Invalid};
use crate::plan::{Action, How, Trial, Validity};

/// From when to when, seconds after the common start.
type Span = (f64, f64);

/// How long the kernel kept a node off the processors, and how long it stood still longer than planned: in one go, or in
/// several within a few seconds.
pub(super) fn stillness(limits: &Validity, observed: &Observed, node: &str, found: &mut Vec<Invalid>) {
    if let Some(ns) = peers::counters(observed.node(node)).throttled.filter(|ns| *ns > 0) {
        found.push(Invalid::Throttled { node: node.to_owned(), seconds: ns as f64 / 1e9 });
    }
    let planned = freezes(observed, node);
    let stood: Vec<Vec<(f64, f64)>> =
        observed.node(node).lives.iter().map(|it| stood(observed, node, it, &planned)).collect();
    let longest = stood.iter().flatten().map(|(_, seconds)| *seconds).reduce(f64::max);
    let together = stood.iter().filter_map(|goes| most_together(goes)).reduce(f64::max);
    let beyond = |seconds: &f64| *seconds > limits.stall;
    let node = node.to_owned();
    if let Some(seconds) = longest.filter(beyond) {
        found.push(Invalid::Stalled { node, seconds });
    } else if let Some(seconds) = together.filter(beyond) {
        found.push(Invalid::StalledOften { node, seconds });
    }
}

/// When the controller had a node stand still, as it was done.
fn freezes(observed: &Observed, node: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for acted in observed.acted.iter().filter(|acted| acted.node == node && acted.error.is_none()) {
        match acted.action {
            // Whoever is frozen for good is thawed at the end, to say goodbye.
            Action::Freeze => spans.push((acted.actual as f64 / 1e9 - CLOCKS_S, f64::INFINITY)),
            Action::Thaw => {
                if let Some((_, until)) = spans.last_mut().filter(|(_, until)| until.is_infinite()) {
                    *until = acted.done as f64 / 1e9 + CLOCKS_S;
                }
            }
            _ => {}
        }
    }
    spans
}

/// When one life of a node noticed that it had stood still, seconds, and for how much of it that was not planned.
fn stood(observed: &Observed, node: &str, life: &Life, planned: &[Span]) -> Vec<(f64, f64)> {
    let go = observed.go(node, life);
    let unplanned = |(mono, ns): &(u64, u64)| {
        let (until, seconds) = (since(*mono, go.unwrap_or(0)), *ns as f64 / 1e9);
        let excused = planned
            .iter()
            .filter(|_| go.is_some())
            .map(|(from, to)| (to.min(until) - from.max(until - seconds)).max(0.0));
        (until, (seconds - excused.sum::<f64>()).max(0.0))
    };
    life.stalls.iter().map(unplanned).collect()
}

/// The longest that it stood still within a few seconds, all goes together.
fn most_together(goes: &[(f64, f64)]) -> Option<f64> {
    let from = |i: usize| {
        goes[i..].iter().take_while(|(until, _)| *until <= goes[i].0 + STRETCH_S).map(|(_, seconds)| seconds).sum()
    };
    (0..goes.len()).map(from).reduce(f64::max)
}

/// Nodes that died or fell silent while others went on.
pub(super) fn ends(limits: &Validity, trial: &Trial, observed: &Observed, row: &TrialRow) -> Vec<Invalid> {
    // Why a trial failed is told by its own end.
    if row.outcome != TrialOutcome::Completed {
        return Vec::new();
    }
    let died = trial.nodes.iter().filter_map(|node| {
        // What the kernel killed for its memory has a reason of its own.
        let exit = observed.node(&node.name).exits.iter().find(|exit| !exit.expected && !exit.oom)?;
        Some(Invalid::Died { node: node.name.clone(), how: peers::describe(exit) })
    });
    let silent = row.distribution_time_s.into_iter().flat_map(|end| {
        trial.nodes.iter().filter_map(move |node| {
            let last = fell_silent(limits, trial, observed, &node.name, end)?;
            Some(Invalid::Silent { node: node.name.clone(), last })
        })
    });
    died.chain(silent).collect()
}

/// When a node was last heard of, seconds after the common start, if that was before `end` and it was to be there then:
/// all that run are asked for their last counters when the trial is over, so that whoever does not answer stood still.
fn fell_silent(limits: &Validity, trial: &Trial, observed: &Observed, node: &str, end: f64) -> Option<f64> {
    let log = observed.node(node);
    let life = log.lives.last()?;
    let is_away = trial.fate(node).absences.iter().any(|absence| {
        let seconds = |ns: u64| ns as f64 / 1e9;
        // What is cut off still reports, and what is to be back may be a little late.
        let until = absence.until.map_or(f64::INFINITY, |until| seconds(until) + limits.churn_late);
        absence.how != How::CutOff && seconds(absence.from) <= end + CLOCKS_S && end <= until
    });
    let has_ended = life.left.is_some() || log.exits.iter().any(|exit| !exit.expected);
    if is_away || has_ended {
        return None;
    }
    Some(since(life.last_mono, observed.go(node, life)?)).filter(|last| *last < end - CLOCKS_S)
}

#[cfg(test)]
#[path = "processes_tests.rs"]
mod tests;
