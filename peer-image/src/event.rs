//! What a node reports: JSON lines on its standard output, one [`Record`] each.
//!
//! This is the schema that the controller reads. It grows by new events and new optional fields;
//! a change of meaning raises [`VERSION`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::node::{Alteration, Link, NodeSpec, Role};

/// Version of this schema; readers refuse a newer one. 2 added `calibrated`, `host` and `stalled`; 3 stays, `changed`
/// and which pieces a node has.
pub const VERSION: u32 = 3;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Record {
    /// [`VERSION`] of the writer.
    pub v: u32,
    /// The node's name.
    pub node: String,
    /// 0, 1, 2, … within one life of the process: a gap shows a lost line, a 0 a new life.
    pub seq: u64,
    /// `CLOCK_MONOTONIC` of the node, ns. All nodes with the same boot id share this clock.
    pub mono: u64,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// First line of a life: who and where.
    Boot {
        /// Version of the agent.
        agent: String,
        /// What the node was told.
        spec: Box<NodeSpec>,
        /// `/proc/sys/kernel/random/boot_id`: with the time namespace it names the clock.
        boot_id: String,
        /// Kernel release.
        kernel: String,
        /// `/proc/self/ns/time`: processes with equal boot ids and equal time namespaces share a clock. Empty where the
        /// kernel has none.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        time_namespace: String,
        /// Processors that the node may use (`sched_getaffinity`); none in logs that do not have it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        processors: Option<u32>,
    },
    /// The link as the kernel took it, read back.
    Shaped(Shaped),
    /// Connected to the gate, listening, waiting.
    Ready {
        /// Estimated clock of the gate minus own clock, ns; 0 where the clock is shared and the estimate agrees.
        offset: i64,
        /// Half the round trip of the best estimate, ns; 0 where the clock is shared.
        offset_error: u64,
    },
    /// The tracker's: the gate opened.
    GateOpen {
        /// The common start on the gate's clock, ns.
        at: u64,
        /// Nodes that were ready.
        nodes: u32,
    },
    /// The node began its role.
    Started {
        /// The common start on the node's own clock, ns.
        go: u64,
        /// When it was to begin, ns after the common start: its arrival or its return.
        #[serde(default, skip_serializing_if = "is_zero")]
        planned: u64,
        /// How much later it began, ns.
        late: u64,
        /// Whether it came back after the common start.
        rejoined: bool,
        /// Pieces that it had at the start.
        pieces: u32,
    },
    /// Once a second while there is something to tell, and once before the node ends.
    Progress(Progress),
    /// It has the whole file and every piece's SHA-1 is right.
    Completed {
        /// Bytes of the file.
        bytes: u64,
    },
    /// It leaves; the last line of a graceful life but for counters.
    Left {
        /// Why.
        why: Leave,
    },
    /// A neighbour was cut off for what it sent.
    Banned {
        /// The neighbour: a node's name, or its address if it is no node of ours.
        neighbour: String,
        /// What it did, with the offending values.
        reason: String,
    },
    /// Bytes from the network that could not be parsed; their connection was closed.
    Rejected {
        /// Where from: a node's name or an address.
        from: String,
        /// What was wrong, with the offending values.
        reason: String,
    },
    /// What the link's queues counted so far.
    Counters(Counters),
    /// What the link carried in both directions before the gate opened.
    Calibrated(Calibration),
    /// The tracker's, once: what its kernel can do.
    Kernel(Kernel),
    /// The tracker's, each second: what the host has done so far.
    Host(Host),
    /// The link, or the tracker's service, was changed as planned.
    Changed {
        /// Planned moment, ns after the common start.
        planned: u64,
        /// How much later it was begun, ns.
        late: u64,
        /// How long the kernel took for it, ns; none in logs that do not have it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        took: Option<u64>,
        /// What.
        what: Alteration,
        /// What went wrong, if something did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The node's process stood still, in one go or in several within five seconds: its event loop woke so much later
    /// than it was to.
    Stalled {
        /// How late, all together, ns.
        ns: u64,
    },
    /// Something that the node can go on after.
    Warning {
        /// What.
        message: String,
    },
    /// Why the node cannot go on; its exit code follows.
    Error {
        /// What kind: decides the controller's exit code.
        kind: ErrorKind,
        /// What, and the cure.
        message: String,
    },
}

/// The link as the kernel took it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Shaped {
    /// Interface name.
    pub interface: String,
    /// Its MTU, bytes.
    pub mtu: u32,
    /// Congestion control in effect on a socket.
    pub congestion: String,
    /// Upload queue; `None` if unshaped.
    pub up: Option<Shape>,
    /// Download queue; `None` if unshaped.
    pub down: Option<Shape>,
}

/// One direction of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Shape {
    /// Rate that was asked for, bit/s.
    pub asked: u64,
    /// Rate that the kernel reports, bit/s.
    pub rate: u64,
    /// Token bucket, bytes.
    pub burst: u64,
    /// Queue limit, bytes.
    pub limit: u64,
}

/// Where a node stands. Byte counts are payload of the file, cumulative over this life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Progress {
    /// Verified pieces.
    pub pieces: u32,
    /// Which of them are news since the report before, ascending; of a life's first report also those that it brought.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub got: Vec<u32>,
    /// Bytes received, by neighbour, duplicates and later discarded ones included.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub down: BTreeMap<String, u64>,
    /// Bytes sent, by neighbour.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub up: BTreeMap<String, u64>,
    /// Connections that ended before this life did, by neighbour: what was under way on them is lost.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parted: BTreeMap<String, u64>,
    /// Bytes that were received a second time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub duplicate: u64,
    /// Bytes of pieces that failed verification.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub discarded: u64,
    /// Bytes that were never asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unrequested: u64,
    /// Neighbours now.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub neighbours: u64,
    /// Upload time without anything to send, ns, cumulative, by cause.
    #[serde(default)]
    pub idle: Idle,
}

/// Time in which the upload link had nothing to send, by cause, ns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Idle {
    /// Nobody wanted a piece that this node has.
    pub uninterested: u64,
    /// Somebody did, but all who did were choked.
    pub choked: u64,
    /// Somebody was unchoked and interested, but had no request outstanding.
    pub unrequested: u64,
}

/// What the link's queues counted since they were made, and how long the node was without a processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Counters {
    /// Upload.
    pub up: Queue,
    /// Download.
    pub down: Queue,
    /// Time for which the kernel kept the node's control group off the processors, and those above it that the node can see,
    /// added up, ns; none where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled: Option<u64>,
    /// Time for which the node's threads were ready to run and waited for a processor, ns (`/proc/self/task/*/schedstat`);
    /// none where the kernel does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited: Option<u64>,
}

/// What one queue counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Queue {
    /// Bytes delivered, Ethernet headers included.
    pub bytes: u64,
    /// Packets delivered.
    pub packets: u64,
    /// Packets dropped.
    pub drops: u64,
    /// Bytes waiting now.
    pub backlog: u64,
    /// Rate that the kernel reports now, bit/s; 0 in logs that do not have it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rate: u64,
}

/// What a link carried while nothing else was on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Calibration {
    /// Upload, counted where it arrived.
    pub up: Carried,
    /// Download.
    pub down: Carried,
    /// The link that was tried, if not the node's own: rates that it gets later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
}

/// Payload of one connection over a time in which its link was never without work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Carried {
    /// Bytes of TCP payload.
    pub bytes: u64,
    /// Over so many ns.
    pub ns: u64,
}

impl Carried {
    /// The rate on the link, headers included, bit/s: a full segment at MTU 1500 (IPv4, TCP with timestamps) carries
    /// 1,448 bytes in an Ethernet frame of 1,514. `None` if nothing came.
    #[must_use]
    pub fn link_rate(&self) -> Option<f64> {
        (self.ns > 0).then(|| self.bytes as f64 * 8e9 / self.ns as f64 * 1514.0 / 1448.0)
    }
}

/// What a kernel can do, found out by trying.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Kernel {
    /// Queueing disciplines, filters and interfaces, by the names that `tc` and `ip` know them by.
    pub parts: BTreeMap<String, bool>,
    /// Congestion controls that are loaded.
    pub congestion: Vec<String>,
    /// Most files that a node may have open.
    pub open_files: u64,
    /// Whether the kernel tells how long processes wait (`/proc/pressure`).
    pub pressure: bool,
    /// Most entries of the host's table of Ethernet neighbours (`gc_thresh3`), and how many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<(u32, u32)>,
}

/// What a host has done since it booted, all processors together that the tracker's node may use. Ratios of differences are
/// what counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Host {
    /// Processors of the host.
    pub cpus: u32,
    /// How many of them the tracker's node may use, if not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usable: Option<u32>,
    /// Processor time in all, ticks (`/proc/stat`, proc(5)).
    pub total: u64,
    /// Idle, or waiting for a disk.
    pub idle: u64,
    /// In soft interrupts: where the kernel shapes and forwards.
    pub softirq: u64,
    /// Taken by the hypervisor.
    pub steal: u64,
    /// Memory that processes could still have, bytes.
    pub memory_available: u64,
    /// All memory, bytes.
    pub memory_total: u64,
    /// Time in which somebody waited for a processor, µs (`/proc/pressure`); none where the kernel does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure_cpu: Option<u64>,
    /// The same for memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure_memory: Option<u64>,
    /// `CLOCK_REALTIME` less `CLOCK_MONOTONIC`, ns: changes when the clock is stepped.
    pub wall: i64,
    /// How often the table of Ethernet neighbours, which all on the host share, had no room for an entry (`table_fulls`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbours_full: Option<u64>,
}

/// Why a node left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Leave {
    /// As planned by the churn schedule.
    Planned,
    /// Done, and told to leave on completion (at once or after lingering).
    Completed,
    /// Its patience ended before it had the file.
    GaveUp,
    /// Told to stop (SIGTERM): the trial is over.
    Stopped,
}

/// What kind of failure ended a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The machine lacks something: a qdisc, a capability, memory.
    Machine,
    /// The trial went wrong: no gate, no tracker, no server.
    Trial,
    /// A mistake of ours.
    Internal,
}

/// Exit codes of the agent: the controller tells them apart when no line came through.
pub mod exit {
    /// Left as planned, completed and left, or stopped.
    pub const FINE: i32 = 0;
    /// [`super::ErrorKind::Internal`].
    pub const INTERNAL: i32 = 1;
    /// The node specification could not be read.
    pub const USAGE: i32 = 2;
    /// [`super::ErrorKind::Machine`].
    pub const MACHINE: i32 = 4;
    /// [`super::ErrorKind::Trial`].
    pub const TRIAL: i32 = 10;
}

/// Whether a role is to end with the whole file.
#[must_use]
pub fn is_to_complete(role: Role) -> bool {
    matches!(role, Role::HttpClient | Role::Leecher)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}
