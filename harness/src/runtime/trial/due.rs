//! What the controller has still to do, and the doing of one thing.

use std::collections::VecDeque;

use peer_image::node::NodeSpec;
use tokio::sync::Mutex;

use super::clock::Clock;
use crate::plan::{self, Action, Keeps};
use crate::runtime::{Deployment, RuntimeError};

/// What the controller has still to do, in the order of the moments at which it begins.
pub(super) type Due = VecDeque<(u64, plan::Event)>;

/// What came of an action.
pub(super) struct Acted {
    pub(super) event: plan::Event,
    pub(super) actual: u64,
    pub(super) done: u64,
    pub(super) error: Option<String>,
}

/// Takes an action of the schedule and measures it.
pub(super) async fn act<D: Deployment>(
    deployment: &D,
    clock: Clock,
    go: u64,
    spec: Option<&NodeSpec>,
    event: plan::Event,
    turn: Option<&Mutex<()>>,
) -> Acted {
    // One after the other, in the order in which they were due: sessions may be shorter than what begins and ends them.
    let _turn = match turn {
        Some(turn) => Some(turn.lock().await),
        None => None,
    };
    let actual = clock.mono().saturating_sub(go);
    let result = match (event.action, spec) {
        (Action::Crash, _) => deployment.kill(&event.node).await,
        (Action::Rejoin(keeps), Some(spec)) => deployment.restart(spec, keeps == Keeps::Nothing).await,
        (Action::Rejoin(_), None) => Err(RuntimeError::Trial(format!("no such node: `{}`", event.node))),
        (Action::Freeze, _) => deployment.freeze(&event.node).await,
        (Action::Thaw, _) => deployment.thaw(&event.node).await,
        (Action::Arrive | Action::Leave | Action::CutOff | Action::Reconnect | Action::Links(_), _) => Ok(()),
    };
    let done = clock.mono().saturating_sub(go);
    Acted { event, actual, done, error: result.err().map(|error| error.to_string()) }
}
