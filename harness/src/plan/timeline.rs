//! Who is there when, as a trace: what `harness plan --timeline` prints and what `trace:` in an experiment file reads.

use std::collections::BTreeSet;

use super::Trial;
use crate::spec::trace;

/// The stays of a trial's nodes, one row each, of those to whom something happens; without links that change, which are
/// the experiment file's.
#[must_use]
pub fn csv(trial: &Trial) -> String {
    let told: BTreeSet<&str> = trial.schedule.iter().map(|event| event.node.as_str()).collect();
    let nodes = trial.nodes.iter().filter(|node| told.contains(node.name.as_str()));
    trace::write(nodes.map(|node| (node.name.clone(), trial.fate(&node.name))))
}
