//! What a plan is: cells, trials, nodes and what is scheduled for them.

use std::collections::BTreeMap;
use std::fmt;

use peer_image::node::{Behaviour, FileSpec, Link, OnComplete, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::show_rate;
use crate::spec::{Absence, Fate, Gate, How, Keeps, Settings};

/// Version of the plan's JSON; readers refuse a newer one. 2 came with arrivals, events, and more kinds of churn.
pub const VERSION: u32 = 2;

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
    /// What the results are held to.
    #[serde(default, skip_serializing_if = "Gate::is_none")]
    pub gate: Gate,
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
    /// The cells in groups that differ in their arm alone: of each the cell of the base, and that of each other arm.
    /// Nothing if there are no arms.
    pub fn contests(&self) -> impl Iterator<Item = (&Cell, Vec<&Cell>)> {
        let arms = self.gate.arms.len();
        self.cells.chunks(arms.max(1)).filter(move |_| arms > 1).filter_map(|group| {
            let is_base = |cell: &&Cell| cell.levels.last() == Some(&self.gate.compare.base);
            let base = group.iter().find(is_base)?;
            Some((base, group.iter().filter(|cell| !is_base(cell)).collect()))
        })
    }

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
    /// What happens to nodes, ascending by time, ties by node name.
    pub schedule: Vec<Event>,
    /// How many of its moments are later than they were drawn or written, because sessions or absences were too short to be
    /// carried out. 0 in plans that kept those.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lengthened: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
pub(super) fn is_zero(number: &u32) -> bool {
    *number == 0
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
    /// So long after its arrival, or a return, it gives up if it lacks part of the file, ns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
}

/// Something that happens to a node at a planned moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Nanoseconds after the common start.
    pub at: u64,
    /// The node.
    pub node: String,
    /// What happens.
    pub action: Action,
}

/// What happens to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It arrives: until then it waits without anybody knowing of it (its agent acts).
    Arrive,
    /// It leaves of its own accord and says goodbye; the tracker falls silent (its agent acts).
    Leave,
    /// It is killed (the controller acts).
    Crash,
    /// Its process is stopped where it stands (the controller acts).
    Freeze,
    /// Its process goes on (the controller acts).
    Thaw,
    /// Its link carries nothing (its agent acts).
    CutOff,
    /// Its link carries again (its agent acts).
    Reconnect,
    /// It comes back (the controller starts it in time, its agent waits for the moment); the tracker answers again.
    Rejoin(Keeps),
    /// Its link has other rates (its agent acts).
    Links(Link),
}

/// Who carries an action out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// The node's own agent, which was told at its start.
    Agent,
    /// The controller.
    Controller,
}

impl Action {
    /// Who carries it out on a node with that role.
    #[must_use]
    pub fn actor(self, role: Role) -> Actor {
        match self {
            // The tracker's process is the trial's gate too, and runs on.
            Self::Rejoin(_) if role == Role::Tracker => Actor::Agent,
            Self::Crash | Self::Freeze | Self::Thaw | Self::Rejoin(_) => Actor::Controller,
            Self::Arrive | Self::Leave | Self::CutOff | Self::Reconnect | Self::Links(_) => Actor::Agent,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Arrive => "arrives",
            Self::Leave => "leaves",
            Self::Crash => "is killed",
            Self::Freeze => "freezes",
            Self::Thaw => "thaws",
            Self::CutOff => "is cut off",
            Self::Reconnect => "is connected again",
            Self::Rejoin(Keeps::Pieces) => "comes back with its pieces",
            Self::Rejoin(Keeps::Nothing) => "comes back with nothing",
            Self::Links(link) => {
                let (up, down) = (show_rate(link.up), show_rate(link.down));
                return f.pad(&format!("has a link of {up} up, {down} down"));
            }
        })
    }
}

impl Trial {
    /// When a node is there, as far as the schedule says.
    #[must_use]
    pub fn fate(&self, node: &str) -> Fate {
        fate(self.schedule.iter().filter(|event| event.node == node))
    }
}

impl Trial {
    /// When each node that the schedule names is there.
    #[must_use]
    pub fn fates(&self) -> BTreeMap<String, Fate> {
        let mut own: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        for event in &self.schedule {
            own.entry(&event.node).or_default().push(event);
        }
        own.into_iter().map(|(node, events)| (node.to_owned(), fate(events.into_iter()))).collect()
    }
}

/// When a node is there, from what the schedule has for it, in order.
pub(super) fn fate<'e>(events: impl Iterator<Item = &'e Event>) -> Fate {
    let mut fate = Fate::default();
    for event in events {
        let go = |how| Absence { from: event.at, until: None, how, keeps: Keeps::Pieces };
        match event.action {
            Action::Arrive => fate.arrives = event.at,
            Action::Leave => fate.absences.push(go(How::Leave)),
            Action::Crash => fate.absences.push(go(How::Crash)),
            Action::Freeze => fate.absences.push(go(How::Freeze)),
            Action::CutOff => fate.absences.push(go(How::CutOff)),
            Action::Rejoin(keeps) => {
                if let Some(absence) = fate.absences.last_mut() {
                    (absence.until, absence.keeps) = (Some(event.at), keeps);
                }
            }
            Action::Thaw | Action::Reconnect => {
                if let Some(absence) = fate.absences.last_mut() {
                    absence.until = Some(event.at);
                }
            }
            Action::Links(_) => {}
        }
    }
    fate
}

/// The first peer that would arrive only when its trial's time is up, in words, if there is one: nobody would ever see it.
#[must_use]
pub fn latecomer(plan: &Plan) -> Option<String> {
    let trials = plan.cells.iter().flat_map(|cell| cell.trials.iter().map(move |trial| (cell, trial)));
    trials.into_iter().find_map(|(cell, trial)| {
        #[expect(clippy::cast_precision_loss, reason = "a moment of a trial, to be shown")]
        let seconds = |event: &Event| event.at as f64 / 1e9;
        let timeout = cell.settings.timeout;
        let late = trial.schedule.iter().find(|it| it.action == Action::Arrive && seconds(it) >= timeout)?;
        let (node, at, id, repeat) = (&late.node, seconds(late), &cell.id, trial.repeat);
        Some(format!(
            "`{node}` of `{id}`, repeat {repeat}, would arrive at {at:.1} s, after the timeout of {timeout} s"
        ))
    })
}
