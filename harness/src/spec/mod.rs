//! An experiment file to a checked [`Spec`]: defaults filled, units read, factors multiplied out, and every
//! problem reported at once with its file, line, key path and cure.
//!
//! [`mod@file`] mirrors the YAML and alone knows the YAML crate; [`check`] turns it into a [`Spec`], with `reader` (keys
//! one by one), `values` (what one value may be), `factors`, `classes`, `client`, `distribution`, `arrivals`, `churn`, `incidents`,
//! [`trace`] and `validity`; `fate` is when one node is there; `arms` and [`gate`] are what results are held to;
//! [`error`] is what goes wrong.
//! [`schema`] tells editors what a file may say.
//! This stage knows nothing of plans, engines or results.

mod arms;
mod arrivals;
pub mod check;
mod churn;
mod classes;
mod client;
mod distribution;
pub mod error;
mod factors;
mod fate;
pub mod file;
pub mod gate;
mod incidents;
mod reader;
pub mod schema;
pub mod trace;
mod validity;
mod values;

use std::fmt;
use std::path::Path;

use peer_image::node::{Behaviour, Link, OnComplete, Policy, Storage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use arrivals::Arrivals;
pub use classes::room;
pub(crate) use classes::whole_kilobits;
pub use client::Client;
pub use distribution::Distribution;
pub use error::SpecError;
pub use fate::{Absence, Fate, How, Incident, Keeps, RESTART, What, Who};
pub use gate::Gate;
pub use trace::{Trace, Whom};

/// Reads and checks an experiment file.
///
/// # Errors
/// If it cannot be read, or with every problem that it has.
pub fn load(path: &Path) -> Result<Spec, SpecError> {
    load_with_text(path).map(|(_, spec)| spec)
}

/// The file that is standard input, and what it is called in messages. Files that it names are in the working directory.
const STDIN: [&str; 2] = ["-", "<stdin>"];

/// What a file is called in messages.
#[must_use]
pub fn shown(path: &Path) -> String {
    if is_stdin(path) { STDIN[1].to_owned() } else { path.display().to_string() }
}

/// Whether a file is standard input.
#[must_use]
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new(STDIN[0])
}

/// Reads and checks an experiment file, and keeps its text; `-` is standard input.
///
/// # Errors
/// As [`load`].
pub fn load_with_text(path: &Path) -> Result<(String, Spec), SpecError> {
    let file = shown(path);
    let read = if is_stdin(path) {
        read_as_much_as_counts(std::io::stdin().lock())
    } else {
        std::fs::File::open(path).and_then(read_as_much_as_counts)
    };
    let bytes = read.map_err(|source| SpecError::Read { file: file.clone(), source })?;
    let spec = parse_bytes(&file, path.parent().unwrap_or(Path::new("")), &bytes)?;
    Ok((String::from_utf8(bytes).expect("it was parsed as UTF-8"), spec))
}

/// All of an experiment file, or what shows that it is too large: it may be a device, or an image of a disk, and its end
/// may never come.
fn read_as_much_as_counts(from: impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(file::SIZE_MAX).unwrap_or(u64::MAX).saturating_add(1);
    std::io::Read::read_to_end(&mut std::io::Read::take(from, most), &mut bytes)?;
    Ok(bytes)
}

/// Checks the text of an experiment file; `file` is its name in messages, and files that it names are beside it.
///
/// # Errors
/// With every problem that it has.
pub fn parse(file: &str, text: &str) -> Result<Spec, SpecError> {
    parse_beside(file, Path::new(file).parent().unwrap_or(Path::new("")), text)
}

/// The same, with the directory of files that it names.
fn parse_beside(file: &str, directory: &Path, text: &str) -> Result<Spec, SpecError> {
    let wrong = |problems, more| SpecError::Wrong { file: file.to_owned(), problems, more };
    let document = file::Document::read(text).map_err(|problem| wrong(vec![problem], false))?;
    check::check(&document, directory).map_err(|(problems, more)| wrong(problems, more))
}

/// What is wrong with a key of a file that can be read, found only when it was planned.
#[must_use]
pub fn wrong(file: &str, text: &str, key: &str, message: String, hint: &str) -> SpecError {
    let position = file::Document::read(text).ok().and_then(|document| {
        let file::Value::Map(entries) = &document.root.value else { return None };
        let entry = entries.iter().find(|entry| entry.key == key)?;
        document.position(entry.value.id)
    });
    let problem = error::Problem { position, path: key.to_owned(), message, hint: Some(hint.to_owned()) };
    SpecError::Wrong { file: file.to_owned(), problems: vec![problem], more: false }
}

fn parse_bytes(file: &str, directory: &Path, bytes: &[u8]) -> Result<Spec, SpecError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse_beside(file, directory, text),
        Err(error) => Err(SpecError::Wrong {
            file: file.to_owned(),
            problems: vec![
                error::Problem::of_file(format!("the file is not UTF-8 from byte {} on", error.valid_up_to()))
                    .hint("is this a text file?"),
            ],
            more: false,
        }),
    }
}

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

/// Limits beyond which a trial is INVALID: shares from 0 to 1, times in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Validity {
    /// How long each direction of each kind of link is tried before the gate opens; 0 for not at all.
    pub calibrate: f64,
    /// Largest deviation of a link from its rate, while it is tried and over the trial.
    pub link_rate: f64,
    /// Largest share of the host's processor time that may be in use over any five seconds.
    pub host_busy: f64,
    /// The same in soft interrupts, where the kernel shapes and forwards.
    pub host_softirq: f64,
    /// Largest share that the hypervisor may take over the transfer.
    pub host_steal: f64,
    /// Largest share of the transfer in which some process may wait for memory.
    pub memory_pressure: f64,
    /// Largest share of any five seconds in which a node may be ready to run and wait for a processor.
    #[serde(default = "run_delay")]
    pub run_delay: f64,
    /// Latest that a node may begin after the common start.
    pub start_skew: f64,
    /// Latest that a planned departure or return may come.
    pub churn_late: f64,
    /// Largest jump of the host's wall clock.
    pub clock_step: f64,
    /// Longest that a node's process may stand still.
    pub stall: f64,
}

impl Default for Validity {
    fn default() -> Self {
        Self {
            calibrate: 0.4,
            link_rate: 0.03,
            host_busy: 0.95,
            host_softirq: 0.5,
            host_steal: 0.05,
            memory_pressure: 0.05,
            run_delay: run_delay(),
            start_skew: 0.1,
            churn_late: 1.0,
            clock_step: 0.1,
            stall: 1.0,
        }
    }
}

/// The limit on waiting for a processor, also for plans that were made before there was one.
///
/// Measured on two processors with Linux 6.18, eight peers at 50 mbit that keep both half busy: 6 to 7 % with nothing beside
/// them, 15 % with one of the two processors or a quota of three quarters of one (D was 8 % longer), 57 to 92 % with smaller
/// quotas, one above the containers' own group, or as `nice` beside busy loops (D 36 to 230 % longer).
fn run_delay() -> f64 {
    0.1
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

/// Peers that are alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Class {
    /// Its name; `peers` where the file has no classes.
    pub name: String,
    /// How many there are, at least 1.
    pub count: u32,
    /// Their links; of rates that are drawn, the medians.
    pub link: Link,
    /// How their rates are spread, if they differ from peer to peer.
    #[serde(default, skip_serializing_if = "LinkSpread::is_none")]
    pub spread: LinkSpread,
    /// What they do once they have the file.
    pub on_complete: OnComplete,
    /// How the time is spread for which they linger then, if it differs from peer to peer; 1/γ is its mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linger: Option<Distribution>,
    /// Their patience: who lacks part of the file so long after its arrival gives up; 1/θ is its mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub give_up: Option<Distribution>,
    /// Whether they play by the rules.
    pub behaviour: Behaviour,
}

/// How rates are spread, bit/s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkSpread {
    /// Upload.
    pub up: Option<Distribution>,
    /// Download.
    pub down: Option<Distribution>,
}

impl LinkSpread {
    /// Whether all rates are the same.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.up.is_none() && self.down.is_none()
    }
}

/// Who goes, and comes back: each churning peer has a session, drawn from a distribution, and then goes; some come back,
/// to stay or for another session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Churn {
    /// How long a peer stays, from its arrival or return.
    pub session: Distribution,
    /// Share of all peers that churn, 0 to 1.
    pub share: f64,
    /// Share of departures that are crashes (SIGKILL), 0 to 1.
    pub crash: f64,
    /// Share that are freezes.
    #[serde(default)]
    pub freeze: f64,
    /// Share that are cuts of the link; the rest say goodbye.
    #[serde(default)]
    pub cut_off: f64,
    /// Sessions begin so long after the arrival, seconds: nobody goes before.
    #[serde(default)]
    pub warm_up: f64,
    /// Most peers that may be away at once: who would be one too many stays.
    #[serde(default)]
    pub at_most: Option<u32>,
    /// Who comes back, and how.
    pub rejoin: Option<Rejoin>,
}

/// Who comes back, and how.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rejoin {
    /// Time away.
    #[serde(deserialize_with = "distribution::or_seconds")]
    pub after: Distribution,
    /// Share of departures that are followed by a return, 0 to 1; the others are for good.
    pub share: f64,
    /// What they come back with.
    pub keeps: Keeps,
    /// Whether another session follows, and so on; otherwise who came back stays.
    #[serde(default)]
    pub again: bool,
}
