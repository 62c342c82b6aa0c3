//! From a planned node to what it is told: [`NodeSpec`]. It decides nothing that is not in the plan.

use peer_image::node::{Gate, NodeSpec, Role, Storage};

use crate::plan::{Action, Cell, Node, Trial};

/// Where a node keeps what must outlive its process.
const STATE_DIR: &str = "/state";

/// What `node` is told in this trial.
pub(super) fn node_spec(cell: &Cell, trial: &Trial, node: &Node, gate: Gate) -> NodeSpec {
    let settings = &cell.settings;
    let on_disk = settings.storage == Storage::Disk && node.role != Role::Tracker;
    let leaves = trial.schedule.iter().filter(|event| event.node == node.name && event.action == Action::Leave);
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
        leaves: leaves.map(|event| event.at).collect(),
    }
}
