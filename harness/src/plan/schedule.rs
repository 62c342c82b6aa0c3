//! What happens to peers, and when: churn, drawn before anything starts.
//!
//! First form: a churning peer leaves once, by itself or by a crash; it may come back, and then stays to the end.
//!
//! Invariant: what is drawn for a peer depends on the trial's seed, the peer's number and the churn settings alone.
//! Each peer has a stream called `churn/<number>` (the number and not the name, whose padding depends on N) and draws
//! the same four numbers from it in the same order, whatever becomes of them. So one more peer changes no other's
//! fate, and a longer mean session makes each session longer by the same factor.

use std::collections::BTreeSet;

use peer_image::seeds;

use super::{Action, Event, Node};
use crate::spec::{Churn, Keeps, Session, Settings};

/// Moments are whole milliseconds: no runtime acts on a schedule more exactly.
const STEP: u64 = 1_000_000;

/// The events of a trial before its timeout, ascending by time, ties by node name.
pub(super) fn draw(settings: &Settings, seed: u64, nodes: &[Node]) -> Vec<Event> {
    let Some(churn) = &settings.churn else { return Vec::new() };
    let end = moment(settings.timeout);
    let peers = nodes.iter().filter(|node| !node.class.is_empty());
    let mut events: Vec<Event> = peers
        .zip(1_u32..)
        .flat_map(|(node, number)| {
            fate(churn, seed, number).map(|(at, action)| Event { at, node: node.name.clone(), action })
        })
        .filter(|event| event.at < end)
        .collect();
    events.sort_by(|a, b| (a.at, &a.node).cmp(&(b.at, &b.node)));
    events
}

/// Tells each node what the schedule means for it.
pub(super) fn mark(nodes: &mut [Node], schedule: &[Event]) {
    let mut away = BTreeSet::new();
    let mut keeps = BTreeSet::new();
    for event in schedule {
        match event.action {
            Action::Leave | Action::Crash => {
                away.insert(event.node.as_str());
            }
            Action::Rejoin(what) => {
                away.remove(event.node.as_str());
                if what == Keeps::Pieces {
                    keeps.insert(event.node.as_str());
                }
            }
        }
    }
    for node in nodes {
        node.to_complete &= !away.contains(node.name.as_str());
        node.keeps_state = keeps.contains(node.name.as_str());
    }
}

/// What happens to one peer, without regard to the timeout.
fn fate(churn: &Churn, seed: u64, number: u32) -> impl Iterator<Item = (u64, Action)> + use<> {
    let mut stream = seeds::stream(seed, &format!("churn/{number}"));
    let [churns, session, crashes, returns] = std::array::from_fn(|_| stream.unit());
    let departure = (churns < churn.share).then(|| {
        let action = if crashes < churn.crash { Action::Crash } else { Action::Leave };
        (moment(length(churn.session, session)), action)
    });
    let rejoin = churn.rejoin.filter(|rejoin| returns < rejoin.share);
    let back =
        departure.zip(rejoin).map(|((left, _), rejoin)| (left + moment(rejoin.after), Action::Rejoin(rejoin.keeps)));
    departure.into_iter().chain(back)
}

/// The session at a quantile in (0, 1), seconds.
fn length(session: Session, quantile: f64) -> f64 {
    match session {
        Session::Exponential { mean } => -mean * quantile.ln(),
        Session::Fixed { after } => after,
        Session::Uniform { from, to } => from + (to - from) * quantile,
    }
}

/// Seconds to the nearest step, in nanoseconds; at least one step, so that nothing happens before the start.
fn moment(seconds: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and times are positive"
    )]
    let steps = (seconds * 1e9 / STEP as f64).round() as u64;
    // Half of the range, so that two moments can be added.
    steps.clamp(1, u64::MAX / STEP / 2) * STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_its_distributions_mean() {
        let mut stream = seeds::stream(1, "mean");
        let quantiles: Vec<f64> = (0..100_000).map(|_| stream.unit()).collect();
        let mean = |session| quantiles.iter().map(|q| length(session, *q)).sum::<f64>() / quantiles.len() as f64;
        assert!((mean(Session::Exponential { mean: 30.0 }) - 30.0).abs() < 0.5);
        assert!((mean(Session::Uniform { from: 10.0, to: 30.0 }) - 20.0).abs() < 0.5);
        assert_eq!(length(Session::Fixed { after: 9.0 }, 0.3), 9.0);
    }

    #[test]
    fn moments_are_whole_milliseconds_after_the_start() {
        assert_eq!(moment(9.0), 9_000_000_000);
        assert_eq!(moment(0.000_000_1), STEP);
        assert_eq!(moment(1.234_567_8), 1_235_000_000);
        assert_eq!(moment(f64::INFINITY) % STEP, 0);
    }
}
