//! A [`Spec`] to a [`Plan`]: every cell, trial, node and scheduled event, fixed before anything starts.
//!
//! The same spec gives the same bytes. Random choices come from streams named after what they decide
//! (`churn/<peer's number>`), so that one more peer changes no other peer's schedule. This stage knows nothing of
//! engines, and computes no bounds.

pub mod matrix;
pub mod schedule;
pub mod topology;

use std::fmt;

use peer_image::node::{Behaviour, FileSpec, Link, OnComplete, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::Spec;

// What a plan's reader needs to name without knowing the stage before it.
pub use crate::spec::{Architecture, Class, Keeps, Order, RuntimeName, Settings, Validity};

/// Version of the plan's JSON; readers refuse a newer one.
pub const VERSION: u32 = 1;

/// Everything that a run will do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// The experiment's name.
    pub name: String,
    /// Its question.
    pub question: String,
    /// Its seed.
    pub seed: u64,
    /// Key paths of the factors, in the file's order.
    pub factors: Vec<String>,
    /// How often a trial that is INVALID is run again.
    #[serde(default)]
    pub retries: u32,
    /// The cells, in the matrix's order.
    pub cells: Vec<Cell>,
    /// The trials in the order in which they run. Empty in plans that do not have it.
    #[serde(default)]
    pub order: Vec<Turn>,
}

/// One trial's place in the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Turn {
    /// The cell's id.
    pub cell: String,
    /// Which repeat, from 1; 0 is the warm-up, which is the cell's first trial and counts for nothing.
    pub repeat: u32,
}

impl Plan {
    /// The trials in the order in which they run, the warm-up among them, which is told by its turn.
    pub fn turns(&self) -> impl Iterator<Item = (&Turn, &Cell, &Trial)> {
        self.order.iter().filter_map(|turn| {
            let cell = self.cells.iter().find(|cell| cell.id == turn.cell)?;
            let trial = cell.trials.iter().find(|trial| trial.repeat == turn.repeat.max(1))?;
            Some((turn, cell, trial))
        })
    }
}

/// One combination of levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cell {
    /// Unique, fit for a directory: `p2p-n10`, with further levels as far as they vary.
    pub id: String,
    /// Its level of each factor, as written, in the order of [`Plan::factors`].
    pub levels: Vec<String>,
    /// All settings.
    pub settings: Settings,
    /// One for each repeat.
    pub trials: Vec<Trial>,
}

/// One swarm: started, run, torn down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trial {
    /// Which repeat, from 1.
    pub repeat: u32,
    /// Seed of all that is random in it; the same in every cell.
    pub seed: u64,
    /// What is distributed.
    pub file: FileSpec,
    /// The tracker first, then the server, then the peers.
    pub nodes: Vec<Node>,
    /// What happens to peers, ascending by time, ties by node name.
    pub schedule: Vec<Event>,
}

/// One node of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// `tracker`, `server`, `peer-01`, … padded to the width of N.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Class of a peer; empty for tracker and server.
    pub class: String,
    /// Its link; none for the tracker.
    pub link: Option<Link>,
    /// What it does once it has the file.
    pub on_complete: OnComplete,
    /// Whether it plays by the rules.
    pub behaviour: Behaviour,
    /// Whether D waits for it: a peer that the schedule does not remove for good.
    pub to_complete: bool,
    /// Whether its state must outlive its process.
    pub keeps_state: bool,
}

/// Something that happens to a peer at a planned moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Nanoseconds after the common start.
    pub at: u64,
    /// The peer.
    pub node: String,
    /// What happens.
    pub action: Action,
}

/// What happens to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It leaves of its own accord and says goodbye (its agent acts).
    Leave,
    /// It is killed (the controller acts).
    Crash,
    /// It comes back (the controller acts).
    Rejoin(Keeps),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Leave => "leaves",
            Self::Crash => "is killed",
            Self::Rejoin(Keeps::Pieces) => "comes back with its pieces",
            Self::Rejoin(Keeps::Nothing) => "comes back with nothing",
        })
    }
}

/// What a spec comes to. Pure: the same spec gives an equal plan.
#[must_use]
pub fn plan(spec: &Spec) -> Plan {
    matrix::expand(spec)
}
