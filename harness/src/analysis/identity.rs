//! Whether those who took part are who the plan says, and whether their clocks are what they are called.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use peer_image::node::Role;

use super::lives::{Life, Observed};
use super::validity::Invalid;
use crate::plan::Trial;

/// Largest error of a node's clock against the gate's, seconds. It is in every moment that the node tells.
pub(super) const CLOCK_ERROR_S: f64 = 0.01;

/// Clocks that are not what they are called, and clocks that are not known well enough. A node's first life that shows it is
/// told, once.
pub(super) fn clocks(trial: &Trial, observed: &Observed) -> Vec<Invalid> {
    let gate = trial.nodes.iter().find(|node| node.role == Role::Tracker);
    let gate = gate.and_then(|gate| observed.node(&gate.name).lives.first()).and_then(name);
    let judged = |node: &str, life: &Life| {
        let (offset, error) = life.ready?;
        let (apart, error) = (offset as f64 / 1e9, error as f64 / 1e9);
        let own = name(life);
        if own.is_some() && own == gate {
            let name = own.map(|(boot_id, time)| format!("`{boot_id} {time}`").replace(" `", "`")).unwrap_or_default();
            return (offset != 0).then(|| Invalid::ClocksDiffer { node: node.to_owned(), apart, name });
        }
        (error > CLOCK_ERROR_S).then(|| Invalid::ClockUnsure { node: node.to_owned(), error })
    };
    let others = trial.nodes.iter().filter(|node| node.role != Role::Tracker);
    others.filter_map(|node| observed.node(&node.name).lives.iter().find_map(|life| judged(&node.name, life))).collect()
}

/// What a life's clock is called, if its log says so.
fn name(life: &Life) -> Option<(&str, &str)> {
    Some((life.boot_id.as_deref().filter(|id| !id.is_empty())?, &life.time_namespace))
}

/// Who is no node of the plan and exchanged file bytes with one that is, by address.
pub(super) fn strangers(trial: &Trial, observed: &Observed) -> Vec<Invalid> {
    let is_node = |name: &str| trial.nodes.iter().any(|node| node.name == name);
    // One that called several times did so from several ports.
    let address = |name: &str| name.parse::<SocketAddr>().map_or_else(|_| name.to_owned(), |it| it.ip().to_string());
    let mut strangers: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    let lives = trial.nodes.iter().flat_map(|node| &observed.node(&node.name).lives);
    for progress in lives.filter_map(|life| life.progress.as_ref()) {
        for (i, exchanged) in [&progress.up, &progress.down].into_iter().enumerate() {
            for (name, bytes) in exchanged.iter().filter(|(name, _)| !is_node(name)) {
                strangers.entry(address(name)).or_default()[i] += bytes;
            }
        }
    }
    let all = strangers.into_iter().filter(|(_, [sent, received])| sent + received > 0);
    all.map(|(address, [sent, received])| Invalid::Stranger { address, sent, received }).collect()
}
