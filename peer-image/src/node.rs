//! What a node is told: one [`NodeSpec`] as JSON, its whole configuration.
//!
//! The controller writes it and the agent reads it; it must know nothing of Docker or of the experiment file.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use crate::wire::metainfo::PIECES_MAX;

/// Everything one node needs to know. Rates are bit/s, sizes are bytes, times are nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
// It may have what it does not know: logs of older versions repeat specs with fields that are gone.
pub struct NodeSpec {
    /// The node's name: at most [`NAME_MAX`] bytes of `[a-z0-9-]`.
    pub name: String,
    /// What the node does.
    pub role: Role,
    /// The trial's seed; the node derives its own streams from it by name.
    pub seed: u64,
    /// The file to distribute.
    pub file: FileSpec,
    /// The access link; `None` leaves the interface unshaped (the tracker).
    pub link: Option<Link>,
    /// How many nodes the trial's network has, this one among them; 0 if it is not known.
    #[serde(default)]
    pub nodes: u32,
    /// TCP congestion control for every connection: a name that the kernel knows.
    pub congestion: String,
    /// Where the gate is, or that this node is the gate.
    pub gate: Gate,
    /// How it picks, chokes and requests.
    pub policy: Policy,
    /// What it does once it has the whole file.
    pub on_complete: OnComplete,
    /// Whether it plays by the rules.
    pub behaviour: Behaviour,
    /// Where it keeps what it has.
    pub storage: Storage,
    /// Directory that outlives the process, for a node that comes back with what it had.
    pub state_dir: Option<String>,
    /// When it takes part, ascending and apart: the first begins with its arrival, each other one with a return. None:
    /// from the common start to the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<Stay>,
    /// What becomes of its link, or of the tracker's service, meanwhile; ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Patience: a peer that lacks part of the file so long after a stay began leaves, ns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
}

/// A time in which a node takes part. Moments are ns after the common start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Stay {
    /// It begins.
    pub from: u64,
    /// It ends, unless the trial ends first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Whether it then leaves of its own accord; otherwise somebody kills it.
    #[serde(default)]
    pub leaves: bool,
}

/// So many nodes of a network may know each other's Ethernet addresses without asking; beyond, the kernel's table would take
/// more memory than the swarm itself.
pub const KNOWN_MAX: u32 = 256;

/// Longest specification that a node gets as its argument, bytes: a kernel takes 128 KiB (`MAX_ARG_STRLEN`), with whatever
/// else is in it. A longer one lies in a file, and the argument is `@` and its path.
pub const ARGUMENT_MAX: usize = 64 << 10;

impl NodeSpec {
    /// The stay that a life which is there at a moment belongs to, and which one it is, from 0: the one that is under way,
    /// else the next. A life beyond the last stay, which nobody planned, begins at once and stays.
    #[must_use]
    pub fn stay_at(&self, now: u64) -> (usize, Stay) {
        let ahead = self.stays.iter().enumerate().find(|(_, stay)| stay.until.is_none_or(|until| until > now));
        match ahead {
            Some((number, stay)) => (number, *stay),
            None => (self.stays.len(), Stay::default()),
        }
    }

    /// The most that its link is to carry later, each direction by itself, if that is more than its own rates in one.
    #[must_use]
    pub fn fastest_later(&self) -> Option<Link> {
        fastest_later(self.link?, &self.changes)
    }
}

/// The most that a link is to carry by its changes, each direction by itself, if that is more than its own rates in one.
#[must_use]
pub fn fastest_later(link: Link, changes: &[Change]) -> Option<Link> {
    let rates = changes.iter().filter_map(|change| match change.what {
        Alteration::Rates(rates) => Some(rates),
        Alteration::Cut | Alteration::Mend | Alteration::Silent | Alteration::Answering => None,
    });
    let most = rates.fold(link, |most, it| Link { up: most.up.max(it.up), down: most.down.max(it.down) });
    (most != link).then_some(most)
}

/// What happens to a node's surroundings at a planned moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Nanoseconds after the common start.
    pub at: u64,
    /// What.
    pub what: Alteration,
}

/// A change of a node's surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Alteration {
    /// The link has other rates.
    Rates(Link),
    /// The link carries nothing.
    Cut,
    /// It carries again.
    Mend,
    /// The tracker answers no announce.
    Silent,
    /// It answers again.
    Answering,
}

/// Longest node name: with the client's prefix it must fit the 20-byte peer id.
pub const NAME_MAX: usize = 12;

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Tracker and gate: carries none of the file.
    Tracker,
    /// Client-server: serves the original over HTTP.
    HttpServer,
    /// Client-server: downloads over HTTP.
    HttpClient,
    /// P2P: the node that has the file from the start.
    InitialSeed,
    /// P2P: a peer that starts with nothing.
    Leecher,
}

impl Role {
    /// Whether it has the original copy: the HTTP server, or the initial seed.
    #[must_use]
    pub const fn is_server(self) -> bool {
        matches!(self, Self::HttpServer | Self::InitialSeed)
    }
}

/// The file: its bytes follow from `seed` (see [`crate::content`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// Name in the metainfo.
    pub name: String,
    /// Length, bytes.
    pub size: u64,
    /// Piece length, bytes, a power of two.
    pub piece: u32,
    /// Seed of the content.
    pub seed: u64,
}

/// An access link: rates on the link in bit/s, headers included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Upload rate, bit/s.
    pub up: u64,
    /// Download rate, bit/s.
    pub down: u64,
}

/// Longest that a node which leaves goes on sending what its sockets hold.
pub const DRAIN: std::time::Duration = std::time::Duration::from_secs(1);

/// What the token bucket of a link of `rate` bit/s holds, bytes: 18 kB, so that an offload packet with its frames' headers
/// fits in, or 2 ms of the rate. `link/tbf.rs` says why; two frames are more only at an MTU of 9000.
#[must_use]
pub const fn bucket_bytes(rate: u64) -> u64 {
    const OFFLOAD_ROOM: u64 = 18_000;
    const REFILLS_PER_S: u64 = 500;
    let refill = rate / 8 / REFILLS_PER_S;
    if refill > OFFLOAD_ROOM { refill } else { OFFLOAD_ROOM }
}

/// Arrivals of the first so many ns, and of the time for so many bytes, do not count when a link is tried: the bucket's head
/// start, and then what TCP sends twice because its first round trips were so much quicker.
const SETTLE: u64 = 150_000_000;
const SETTLE_BYTES: u64 = 12 * 1024;
/// However short it is to be, a link is tried for as long as it takes for so many bytes: enough packets for a rate.
const ENOUGH: u64 = 32 * 1024;

/// The time in which a link of `rate` bit/s carries so many bytes, ns.
#[must_use]
pub const fn carries_in(bytes: u64, rate: u64) -> u64 {
    bytes.saturating_mul(8_000_000_000) / if rate == 0 { 1 } else { rate }
}

/// How long arrivals over a link of `rate` bit/s do not count when it is tried, ns.
#[must_use]
pub const fn settles_in(rate: u64) -> u64 {
    SETTLE + carries_in(SETTLE_BYTES, rate)
}

/// How long a link of `rate` bit/s is tried in a direction if it is to be tried for `wanted` ns: a slow one for longer, until
/// it has carried enough that counts.
#[must_use]
pub const fn tried_for(wanted: u64, rate: u64) -> u64 {
    let least = settles_in(rate) + carries_in(ENOUGH, rate);
    if wanted > least { wanted } else { least }
}

/// The gate that opens the trial for all nodes at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Gate {
    /// This node is the gate and waits for so many others.
    Keep {
        /// Nodes that must be ready before it opens.
        expect: u32,
        /// How long each direction of a link is tried before it opens, ns.
        #[serde(default)]
        calibrate: u64,
        /// The nodes that try their links: one of each kind.
        #[serde(default)]
        samples: BTreeSet<String>,
    },
    /// The gate is there.
    At {
        /// `ip:port`.
        address: String,
    },
}

/// TCP port of the gate, in the tracker's container.
pub const GATE_PORT: u16 = 6970;
/// TCP port of the other end of calibrations, in the tracker's container.
pub const CALIBRATION_PORT: u16 = 6971;
/// TCP port of the HTTP tracker.
pub const TRACKER_PORT: u16 = 6969;
/// TCP port on which peers listen.
pub const PEER_PORT: u16 = 6881;
/// TCP port of the HTTP file server.
pub const HTTP_PORT: u16 = 8080;

/// How a peer picks, chokes and requests. Defaults are BitTorrent's (Cohen 2003, BEP 3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Which piece next.
    pub picker: Picker,
    /// Whom to upload to.
    pub choker: Choker,
    /// Regular unchoke slots; one optimistic slot comes on top.
    pub slots: u32,
    /// Most neighbours, and how many the tracker names.
    pub neighbours: u32,
    /// Outstanding block requests to one neighbour.
    pub pipeline: Pipeline,
    /// Whether the last blocks may be requested from several neighbours.
    pub endgame: bool,
    /// Whether the initial seed reveals its pieces one by one (BEP 16).
    pub super_seeding: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            picker: Picker::RarestFirst,
            choker: Choker::TitForTat,
            slots: 4,
            neighbours: 50,
            pipeline: Pipeline::Auto,
            endgame: true,
            super_seeding: false,
        }
    }
}

/// Which piece a peer begins next, among those that a neighbour has and it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Picker {
    /// The one that the fewest neighbours have, ties at random.
    RarestFirst,
    /// Any.
    Random,
    /// The one with the lowest index.
    Sequential,
}

/// Whom a peer uploads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Choker {
    /// Those that upload to it fastest, re-ranked each 10 s, and one optimistic each 30 s.
    TitForTat,
    /// Each in turn, each 10 s.
    RoundRobin,
    /// Everybody who is interested.
    Unlimited,
}

/// How many blocks may be outstanding at one neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Pipeline {
    /// From the rate at which the neighbour delivers (bandwidth times delay).
    Auto,
    /// Always so many.
    Blocks(u32),
}

/// What a peer does once it has the whole file, verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OnComplete {
    /// Selfish: leaves at once.
    Leave,
    /// Altruistic: serves until the trial ends.
    Stay,
    /// Serves for so many nanoseconds, then leaves.
    Linger(u64),
}

/// Whether a peer plays by the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// As BEP 3 says.
    Honest,
    /// Downloads honestly, uploads damaged blocks.
    Corrupting,
    /// Downloads, never unchokes anybody.
    FreeRider,
}

/// Where a node keeps the pieces that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    /// Nowhere: what was verified is generated again when somebody asks for it.
    None,
    /// In memory.
    Memory,
    /// In a file under the state directory.
    Disk,
}
