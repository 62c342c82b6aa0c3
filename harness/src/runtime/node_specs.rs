//! From a planned node to what it is told: [`NodeSpec`]. It decides nothing that is not in the plan.

use std::collections::{BTreeMap, BTreeSet};

use peer_image::node::{Alteration, Change, Gate, Link, NodeSpec, Role, Stay, Storage, fastest_later};

use crate::plan::{Action, Cell, Event, Fate, How, Node, Trial};

/// At most so many kinds of links are tried, evenly spread over the rates.
const KINDS: usize = 8;

/// The nodes that try what their links carry before the gate opens: the first of each kind of link, now and later; none where
/// the file says so.
pub(super) fn samples(cell: &Cell, trial: &Trial, nodes: &[Node]) -> BTreeSet<String> {
    let rates = |link: Link| (link.up, link.down);
    let mut kinds: BTreeMap<_, &str> = BTreeMap::new();
    for node in nodes {
        if let Some(link) = node.link {
            let later = fastest_later(link, &changes(trial, node)).map(rates);
            kinds.entry((later, rates(link))).or_insert(&node.name);
        }
    }
    let chosen = if cell.settings.validity.calibrate > 0.0 { kinds.len().min(KINDS) } else { 0 };
    (0..chosen).filter_map(|i| kinds.values().nth(i * kinds.len() / chosen)).map(|name| (*name).to_owned()).collect()
}

/// Where a node keeps what must outlive its process.
const STATE_DIR: &str = "/state";

/// What `node` is told in this trial.
pub(super) fn node_spec(cell: &Cell, trial: &Trial, node: &Node, gate: Gate) -> NodeSpec {
    let settings = &cell.settings;
    let on_disk = settings.storage == Storage::Disk && node.role != Role::Tracker;
    let fate = trial.fate(&node.name);
    NodeSpec {
        name: node.name.clone(),
        role: node.role,
        seed: trial.seed,
        file: trial.file.clone(),
        link: node.link,
        nodes: u32::try_from(trial.nodes.len()).expect("far fewer nodes than 2^32"),
        congestion: settings.congestion.clone(),
        gate,
        policy: settings.policy.clone(),
        on_complete: node.on_complete,
        behaviour: node.behaviour,
        storage: settings.storage,
        state_dir: (node.keeps_state || on_disk).then(|| STATE_DIR.to_owned()),
        stays: if node.role == Role::Tracker { Vec::new() } else { stays(&fate) },
        changes: changes(trial, node),
        patience: node.patience,
    }
}

/// The lives that a node has by its fate; none if it has one, from start to end.
fn stays(fate: &Fate) -> Vec<Stay> {
    let mut stays = Vec::new();
    let mut from = Some(fate.arrives);
    for absence in fate.absences.iter().filter(|absence| absence.how.ends_the_process()) {
        let Some(began) = from else { break };
        stays.push(Stay { from: began, until: Some(absence.from), leaves: absence.how == How::Leave });
        from = absence.until;
    }
    stays.extend(from.map(|from| Stay { from, until: None, leaves: false }));
    if stays == [Stay::default()] { Vec::new() } else { stays }
}

/// What becomes of a node's link, or of the tracker's service.
fn changes(trial: &Trial, node: &Node) -> Vec<Change> {
    let own = trial.schedule.iter().filter(|event| event.node == node.name);
    let change = |event: &Event| {
        let what = match event.action {
            Action::CutOff => Alteration::Cut,
            Action::Reconnect => Alteration::Mend,
            Action::Links(link) => Alteration::Rates(link),
            Action::Leave if node.role == Role::Tracker => Alteration::Silent,
            Action::Rejoin(_) if node.role == Role::Tracker => Alteration::Answering,
            _ => return None,
        };
        Some(Change { at: event.at, what })
    };
    own.filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::trial::tests::cell;

    fn of(rates: &[u64], calibrate: f64) -> Vec<String> {
        let mut cell = cell(Vec::new());
        cell.settings.validity.calibrate = calibrate;
        let node = cell.trials[0].nodes[1].clone();
        let with = |(i, up): (usize, &u64)| Node {
            name: format!("node-{i}"),
            link: Some(Link { up: *up, down: 8 }),
            ..node.clone()
        };
        let nodes: Vec<Node> = rates.iter().enumerate().map(with).collect();
        samples(&cell, &cell.trials[0], &nodes).into_iter().collect()
    }

    #[test]
    fn one_node_of_each_kind_of_link_tries_it() {
        assert_eq!(of(&[5, 1, 1, 5, 1], 0.4), ["node-0", "node-1"]);
        assert_eq!(of(&[5, 1, 1], 0.0), [""; 0]);
        assert_eq!(of(&(1..=12).collect::<Vec<_>>(), 0.4).len(), KINDS);
    }

    #[test]
    fn a_node_whose_link_becomes_faster_is_a_kind_of_its_own() {
        let mut cell = cell(Vec::new());
        let mut nodes = cell.trials[0].nodes.clone();
        nodes.iter_mut().for_each(|node| node.link = Some(Link { up: 8_000_000, down: 8_000_000 }));
        let before = samples(&cell, &cell.trials[0], &nodes);
        let last = nodes.last().expect("it has nodes");
        let Link { up, down } = last.link.expect("a peer has a link");
        let event = |link| Event { at: 5, node: last.name.clone(), action: Action::Links(link) };
        cell.trials[0].schedule = vec![event(Link { up: up / 2, down: down / 2 })];
        assert_eq!(samples(&cell, &cell.trials[0], &nodes), before);
        cell.trials[0].schedule.push(event(Link { up: up / 2, down: down * 2 }));
        let after = samples(&cell, &cell.trials[0], &nodes);
        assert!(after.contains(&last.name) && after.len() == before.len() + 1, "{before:?}, {after:?}");
        let told = fastest_later(last.link.expect("a link"), &changes(&cell.trials[0], last));
        assert_eq!(told, Some(Link { up, down: down * 2 }));
    }
}
