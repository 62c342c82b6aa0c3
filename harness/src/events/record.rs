//! One line of a trial's log.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::Action;

/// Version of the log; readers refuse a newer one. 2 came with version 2 of the nodes' events, 3 with more actions and with
/// `unfinishable`.
pub const VERSION: u32 = 3;

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// What a node reported, as it came.
    Node(peer_image::event::Record),
    /// What the controller saw or did.
    Controller(Record),
}

/// What the controller saw or did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// [`VERSION`] of the writer.
    pub v: u32,
    /// 0, 1, 2, … within one trial.
    pub seq: u64,
    /// `CLOCK_MONOTONIC` of the controller, ns.
    pub mono: u64,
    /// What.
    pub event: Event,
}

/// What the controller saw or did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// First line: which trial this is.
    Trial {
        /// The cell's id.
        cell: String,
        /// Which repeat, from 1; 0 is the warm-up.
        repeat: u32,
        /// Which attempt at it, from 1: a trial that is INVALID is run again.
        #[serde(default = "first")]
        attempt: u32,
        /// What determines the trial, hashed: equal keys, equal trials.
        #[serde(default)]
        key: String,
        /// The run's id.
        run: String,
        /// Wall clock, RFC 3339.
        utc: String,
        /// The controller's boot id: nodes with the same one, and the same time namespace, share its clock.
        boot_id: String,
        /// The controller's time namespace; empty where the kernel or the log has none.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        time_namespace: String,
    },
    /// A phase of the trial began.
    Phase {
        /// Which.
        phase: Phase,
    },
    /// A scheduled action of the controller.
    Acted {
        /// The peer.
        node: String,
        /// What.
        action: Action,
        /// Planned moment, ns after the common start.
        planned: u64,
        /// When the call was made, ns after the common start.
        actual: u64,
        /// When the engine answered, ns after the common start.
        done: u64,
        /// What went wrong, if something did.
        error: Option<String>,
    },
    /// A scheduled action that was not taken.
    Skipped {
        /// The peer.
        node: String,
        /// What.
        action: Action,
        /// Planned moment, ns after the common start.
        planned: u64,
        /// Why: `complete` (it had left on completion), `trial over`, …
        why: String,
    },
    /// A node's process ended.
    Exited {
        /// The node.
        node: String,
        /// Its exit code.
        code: i64,
        /// Killed by the kernel for its memory.
        oom: bool,
        /// Whether that was expected (planned crash, leave, completion, teardown).
        expected: bool,
        /// Its last lines that were not events, at most 20.
        last: Vec<String>,
    },
    /// A node's output can no longer be followed: what it did from here on is unknown.
    Lost {
        /// The node.
        node: String,
        /// Why.
        reason: String,
    },
    /// Something that the trial went on after, and that a reader of its results should know.
    Warning {
        /// What.
        message: String,
    },
    /// A line of a node that is no event.
    Unreadable {
        /// The node.
        node: String,
        /// The line, shortened.
        line: String,
    },
    /// The trial is over.
    End {
        /// How.
        outcome: Outcome,
    },
}

fn first() -> u32 {
    1
}

/// Phases of a trial, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Creating and starting nodes.
    Launch,
    /// Waiting for all to be ready.
    Ready,
    /// The gate opened: bytes flow.
    Transfer,
    /// Taking all down.
    Teardown,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every peer that was to complete did.
    Completed,
    /// The time was up.
    Timeout {
        /// Peers that were to complete and had not.
        missing: Vec<String>,
    },
    /// A piece was nowhere any more, and nobody who had it was to return.
    Unfinishable {
        /// Peers that were to complete and lacked such pieces, each with how many.
        missing: BTreeMap<String, u32>,
    },
    /// It could not go on.
    Failed {
        /// Why, with the nodes' names.
        reason: String,
    },
    /// The user stopped it.
    Interrupted,
}
