//! A checked experiment: its factors, their combinations, and everything that one cell is run with.

use std::fmt;

use peer_image::node::{Link, Policy, Storage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::churn::{Arrivals, Churn};
use super::faults::Incident;
use super::gate::Gate;
use super::peers::{Class, Client};
use super::trace::Trace;
use super::validity::Validity;

/// A checked experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spec {
    /// Short name: the directory of its results. `[a-z0-9-]+`.
    pub name: String,
    /// The question that it answers.
    pub question: String,
    /// The one seed that all random choices derive from.
    pub seed: u64,
    /// Trials per cell.
    pub repeats: u32,
    /// Whether one trial more is run before all others, and thrown away.
    pub warm_up: bool,
    /// In which order trials run.
    pub order: Order,
    /// How often a trial that is INVALID is run again.
    pub retries: u32,
    /// The factors, in the file's order; empty if nothing varies.
    pub factors: Vec<Factor>,
    /// One for each combination of levels, the last factor varying fastest.
    pub combinations: Vec<Combination>,
    /// What the results are held to.
    #[serde(default, skip_serializing_if = "Gate::is_none")]
    pub gate: Gate,
}

impl Spec {
    /// Has all cells run there, whatever the file says.
    ///
    /// # Errors
    /// In words: if the file compares runtimes, or a cell has more peers than there is room for.
    pub fn set_runtime(&mut self, runtime: RuntimeName) -> Result<(), String> {
        if self.factors.iter().any(|factor| factor.key == "runtime") {
            return Err("the file compares runtimes: `--runtime` would make its cells the same".to_owned());
        }
        let peers = self.combinations.iter().map(|it| it.settings.peers()).max().unwrap_or(0);
        if peers > room(runtime) {
            return Err(format!("{peers} peers are more than the {} that there is room for", room(runtime)));
        }
        for combination in &mut self.combinations {
            combination.settings.runtime = runtime;
        }
        Ok(())
    }
}

/// One thing that varies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Factor {
    /// Key path in the file: `file.size`.
    pub key: String,
    /// Its levels as written, in the file's order.
    pub levels: Vec<String>,
}

/// One combination of levels and what it means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Combination {
    /// One level of each factor, as written, in the factors' order.
    pub levels: Vec<String>,
    /// All settings of this cell.
    pub settings: Settings,
}

/// Everything that one cell is run with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// Where its nodes run.
    #[serde(default)]
    pub runtime: RuntimeName,
    /// How the bytes travel.
    pub architecture: Architecture,
    /// The file's length, bytes.
    pub size: u64,
    /// Piece length, bytes.
    pub piece: u32,
    /// The server's link.
    pub server: Link,
    /// The peers, by class; at least one class, and their counts add up to N.
    pub classes: Vec<Class>,
    /// How peers pick, choke and request.
    pub policy: Policy,
    /// Which program peers and server run.
    #[serde(default, skip_serializing_if = "Client::is_own")]
    pub client: Client,
    /// Where nodes keep what they have.
    pub storage: Storage,
    /// TCP congestion control.
    pub congestion: String,
    /// When peers come.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// Who goes, and comes back.
    pub churn: Option<Churn>,
    /// What happens to several nodes at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Incident>,
    /// Who comes and goes, from a file instead of a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// Longest that all nodes may take to be ready, seconds.
    pub start_timeout: f64,
    /// Longest distribution time, seconds from the common start.
    pub timeout: f64,
    /// When a trial is not to be believed.
    #[serde(default)]
    pub validity: Validity,
}

impl Settings {
    /// N, the number of peers.
    #[must_use]
    pub fn peers(&self) -> u32 {
        self.classes.iter().map(|class| class.count).sum()
    }
}

/// In which order trials run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// All cells once, shuffled, then all cells again: what drifts falls on all of them alike.
    Interleaved,
    /// Cell by cell.
    Sequential,
}

/// Where nodes run.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeName {
    /// In containers if a Docker engine answers, else in network namespaces
    #[default]
    Auto,
    /// In containers of a Docker engine
    Docker,
    /// In network namespaces of this machine
    Netns,
}

/// How the bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// Every peer downloads from the server over HTTP.
    ClientServer,
    /// Peers exchange pieces (BitTorrent).
    P2p,
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ClientServer => "client-server",
            Self::P2p => "p2p",
        })
    }
}

/// The factor that arms are the levels of; always the last one.
pub const ARM: &str = "arm";

/// Most peers of a trial in containers. A Linux bridge has at most 1,024 ports; with tracker and server this leaves some
/// over.
pub(in crate::spec) const PEERS_ON_A_BRIDGE: u32 = 998;
/// Most peers of a trial in namespaces: more than one machine has room for.
pub(in crate::spec) const PEERS_MAX: u32 = 10_000;

/// How many peers a runtime has room for. Without a word of the file it may be Docker.
#[must_use]
pub fn room(runtime: RuntimeName) -> u32 {
    match runtime {
        RuntimeName::Netns => PEERS_MAX,
        RuntimeName::Auto | RuntimeName::Docker => PEERS_ON_A_BRIDGE,
    }
}
