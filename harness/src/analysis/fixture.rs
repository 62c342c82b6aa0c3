//! Plans and logs written by hand, for tests of this stage and of reports.

use std::collections::BTreeMap;

use peer_image::event::{
    Counters, Event as NodeEvent, Idle, Leave, Progress, Queue, Record as NodeRecord, Shape, Shaped,
};
use peer_image::node::{Behaviour, FileSpec, Gate, Link, NodeSpec, OnComplete, Policy, Role, Storage};

use super::bounds;
use super::conclude::measure;
use super::history::{self, Night, Reference, Values};
use super::summary::{Analysis, analyse};
use crate::events::record::{Event, Line, Outcome, Record};
use crate::plan::gate::Metric;
use crate::plan::{Action, Architecture, Cell, Class, Keeps, Node, Plan, Settings, Trial};

/// A second, ns.
pub(crate) const S: u64 = 1_000_000_000;
/// The common start in every log here, ns.
pub(crate) const GO: u64 = 100 * S;
const MIB: u64 = 1 << 20;

/// The textbook's links: u_s = 40, u = 4, d = 40 mbit, 32 MiB.
pub(crate) fn cell(architecture: Architecture, peers: u32, repeats: u32) -> Cell {
    let link = Link { up: 4_000_000, down: 40_000_000 };
    let settings = Settings {
        runtime: crate::plan::RuntimeName::Docker,
        architecture,
        size: 32 * MIB,
        piece: 256 << 10,
        server: Link { up: 40_000_000, down: 40_000_000 },
        classes: vec![Class {
            name: "peers".to_owned(),
            count: peers,
            link,
            spread: crate::plan::LinkSpread::default(),
            on_complete: OnComplete::Stay,
            linger: None,
            give_up: None,
            behaviour: Behaviour::Honest,
        }],
        policy: Policy::default(),
        client: crate::plan::Client::default(),
        storage: Storage::None,
        congestion: "cubic".to_owned(),
        arrivals: crate::plan::Arrivals::AtOnce,
        churn: None,
        events: Vec::new(),
        trace: None,
        start_timeout: 60.0,
        timeout: 300.0,
        validity: crate::plan::Validity::default(),
    };
    let name = super::summary::name(architecture);
    let p2p = architecture == Architecture::P2p;
    let node = |name: String, role, link| Node {
        name,
        role,
        class: String::new(),
        link,
        on_complete: OnComplete::Stay,
        behaviour: Behaviour::Honest,
        to_complete: false,
        keeps_state: false,
        patience: None,
    };
    let trial = |repeat| {
        let server_role = if p2p { Role::InitialSeed } else { Role::HttpServer };
        let peer_role = if p2p { Role::Leecher } else { Role::HttpClient };
        let mut nodes = vec![
            node("tracker".to_owned(), Role::Tracker, None),
            node("server".to_owned(), server_role, Some(settings.server)),
        ];
        nodes.extend((1..=peers).map(|i| Node {
            class: "peers".to_owned(),
            to_complete: true,
            ..node(format!("peer-{i}"), peer_role, Some(link))
        }));
        let file = FileSpec { name: "file".to_owned(), size: 32 * MIB, piece: 256 << 10, seed: 1 };
        Trial { repeat, seed: 1, file, nodes, schedule: Vec::new(), lengthened: 0 }
    };
    Cell {
        id: format!("{name}-n{peers}"),
        levels: vec![name.to_owned(), peers.to_string()],
        trials: (1..=repeats).map(trial).collect(),
        settings,
    }
}

pub(crate) fn plan(cells: Vec<Cell>) -> Plan {
    Plan {
        version: crate::plan::VERSION,
        name: "textbook".to_owned(),
        question: "How does the distribution time grow with N?".to_owned(),
        seed: 1,
        factors: vec!["architecture".to_owned(), "peers".to_owned()],
        retries: 0,
        cells,
        order: Vec::new(),
        gate: crate::plan::Gate::default(),
    }
}

/// Two arms in seven pairs, of which the head is a tenth slower, and two thresholds, one of which is crossed.
pub(crate) fn compared() -> Analysis {
    use crate::plan::gate::{Aggregate, Asserted, Assertion, Compare, Gate, Of, Relation, Threshold};
    let arm = |name: &str| {
        let mut cell = cell(Architecture::P2p, 10, 7);
        cell.id = format!("p2p-n10-arm-{name}");
        cell.levels = vec![name.to_owned()];
        cell
    };
    let threshold = |limit, text: &str| Threshold {
        metric: Metric::DistributionTime,
        of: Of::Value,
        aggregate: Aggregate::Median,
        relation: Relation::Below,
        limit,
        cells: "*-head".to_owned(),
        text: text.to_owned(),
        line: 12,
    };
    let mut plan = plan(vec![arm("base"), arm("head")]);
    plan.factors = vec![crate::plan::ARM.to_owned()];
    plan.gate = Gate {
        arms: vec!["base".to_owned(), "head".to_owned()],
        compare: Compare { base: "base".to_owned(), line: 9, ..Compare::default() },
        thresholds: vec![threshold(90.0, "median < 90 s in *-head"), threshold(36.0, "median < 36 s in *-head")],
        assertions: vec![Asserted { what: Assertion::AllCompleted, line: 14 }],
    };
    let mut measured = Vec::new();
    for (cell, slower) in plan.cells.iter().zip([1.0, 1.1]) {
        for trial in &cell.trials {
            let luck = 1.0 + 0.004 * f64::from(trial.repeat * trial.repeat % 5);
            let own = 1.0 + 0.001 * slower * f64::from(trial.repeat % 3);
            measured.push(measure(cell, trial, &Log::complete(trial, 36.0 * slower * luck * own).lines));
        }
    }
    analyse(&plan, measured)
}

/// The textbook's figure, as if measured: three repeats of each cell, a little above its bound.
pub(crate) fn textbook() -> Analysis {
    let mut cells = Vec::new();
    for architecture in [Architecture::ClientServer, Architecture::P2p] {
        cells.extend([5, 10, 20, 35].map(|n| cell(architecture, n, 3)));
    }
    let plan = plan(cells);
    let mut measured = Vec::new();
    for cell in &plan.cells {
        let architecture = cell.settings.architecture;
        let bound = bounds::bound(architecture, &bounds::Swarm::of_settings(&cell.settings)).unwrap();
        for trial in &cell.trials {
            let ratio = if architecture == Architecture::P2p { 1.06 } else { 1.01 };
            let log = Log::complete(trial, bound.payload_seconds * (ratio + 0.012 * f64::from(trial.repeat - 1)));
            measured.push(measure(cell, trial, &log.lines));
        }
    }
    analyse(&plan, measured)
}

/// The cell that has a history.
pub(crate) const NIGHTLY: &str = "p2p-n10";

/// Five trials within a percent, in the `at`th night of November.
fn night(at: u32, seconds: f64) -> Night {
    let values: Vec<f64> = [0.0, 0.004, -0.004, 0.002, -0.002].map(|luck| seconds * (1.0 + luck)).into();
    let cells = Values::from([(NIGHTLY.to_owned(), BTreeMap::from([(Metric::DistributionTime, values)]))]);
    Night {
        run: format!("run-{at}"),
        commit: format!("c{at}00000"),
        at: format!("2026-11-{:02}T03:00:00Z", at + 1),
        cells,
        ..Night::default()
    }
}

/// Tonight after other nights, beside a baseline of 36 s.
pub(crate) fn reference(nights: &[f64], tonight: f64) -> Reference {
    let nights: Vec<Night> = (0..).zip(nights).map(|(at, seconds)| night(at, *seconds)).collect();
    Reference {
        name: "main".to_owned(),
        baseline: Some(night(0, 36.0)),
        tonight: night(u32::try_from(nights.len()).unwrap(), tonight),
        nights,
        ..Reference::default()
    }
}

/// One cell of the textbook's after eight quiet nights and three slower ones, tonight as slow.
pub(crate) fn nightly() -> Analysis {
    let mut analysis = textbook();
    analysis.summary.retain(|row| row.cell == NIGHTLY);
    let nights = [36.0, 36.3, 35.8, 36.1, 36.2, 35.9, 36.0, 36.2, 39.6, 39.9, 39.5];
    history::look_back(&mut analysis, &reference(&nights, 39.7));
    analysis
}

/// A churned cell of four peers: one leaves for good, one is killed and comes back, one is too slow.
pub(crate) fn churned() -> Analysis {
    let mut cell = cell(Architecture::P2p, 4, 2);
    for trial in &mut cell.trials {
        trial.nodes[3].to_complete = false;
        let event = |at, node: &str, action| crate::plan::Event { at, node: node.to_owned(), action };
        trial.schedule = vec![
            event(10 * S, "peer-2", Action::Leave),
            event(12 * S, "peer-3", Action::Crash),
            event(17 * S, "peer-3", Action::Rejoin(Keeps::Pieces)),
        ];
    }
    let plan = Plan { name: "churn".to_owned(), question: "How much does churn cost?".to_owned(), ..plan(vec![cell]) };
    let cell = &plan.cells[0];
    let pieces = |pieces| Progress { pieces, ..Progress::default() };
    let log = |slow: Option<u64>| {
        let mut log = Log::new();
        let mut server = log.life("server", GO - S);
        server.boot().shaped(40_000_000, 40_000_000).ready(0).started(GO, 0).left(GO + 46 * S, Leave::Stopped);
        log.life("peer-1", GO - S)
            .boot()
            .started(GO, 1_000_000)
            .completed(GO + 38 * S)
            .left(GO + 46 * S, Leave::Stopped);
        log.life("peer-2", GO - S)
            .boot()
            .started(GO, 0)
            .progress(GO + 9 * S, pieces(21))
            .left(GO + 10 * S + 3_000_000, Leave::Planned);
        log.life("peer-3", GO - S).boot().started(GO, 0).progress(GO + 11 * S, pieces(30));
        log.acted("peer-3", Action::Crash, 12 * S, 12 * S + 4_000_000, None);
        log.exited("peer-3", 137, true);
        log.acted("peer-3", Action::Rejoin(Keeps::Pieces), 17 * S, 17 * S + 2_000_000, None);
        log.life("peer-3", GO + 17 * S).boot().rejoined(GO, 17 * S + S / 2, 30).completed(GO + 45 * S);
        let mut last = log.life("peer-4", GO - S);
        last.boot().started(GO, 0);
        match slow {
            Some(at) => last.progress(GO + at, pieces(99)),
            None => last.completed(GO + 41 * S).left(GO + 46 * S, Leave::Stopped),
        };
        log
    };
    let mut complete = log(None);
    complete.end(Outcome::Completed);
    let mut timeout = log(Some(299 * S));
    timeout.end(Outcome::Timeout { missing: vec!["peer-4".to_owned()] });
    let measured =
        [complete, timeout].into_iter().zip(&cell.trials).map(|(log, trial)| measure(cell, trial, &log.lines));
    analyse(&plan, measured)
}

/// Lines of one trial.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) lines: Vec<Line>,
    controller_seq: u64,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A node begins a life; its first line is at `mono`.
    pub(crate) fn life(&mut self, node: &str, mono: u64) -> Writer<'_> {
        Writer { log: self, node: node.to_owned(), seq: 0, mono }
    }

    pub(crate) fn controller(&mut self, event: Event) {
        let (v, seq) = (crate::events::record::VERSION, self.controller_seq);
        self.controller_seq += 1;
        self.lines.push(Line::Controller(Record { v, seq, mono: GO, event }));
    }

    pub(crate) fn end(&mut self, outcome: Outcome) {
        self.controller(Event::End { outcome });
    }

    pub(crate) fn gate_open(&mut self, at: u64) {
        self.life("tracker", 0).event(NodeEvent::GateOpen { at, nodes: 3 });
    }

    pub(crate) fn acted(&mut self, node: &str, action: Action, planned: u64, actual: u64, error: Option<&str>) {
        let (node, error) = (node.to_owned(), error.map(str::to_owned));
        self.controller(Event::Acted { node, action, planned, actual, done: actual + S / 10, error });
    }

    pub(crate) fn exited(&mut self, node: &str, code: i64, expected: bool) {
        let last = vec!["thread main panicked".to_owned()];
        self.controller(Event::Exited { node: node.to_owned(), code, oom: false, expected, last });
    }

    /// A trial in which every peer completes: the last after `seconds`, the others in steps of 1 % before it.
    pub(crate) fn complete(trial: &Trial, seconds: f64) -> Self {
        let mut log = Self::new();
        let peers: Vec<&Node> = trial.nodes.iter().filter(|node| !node.class.is_empty()).collect();
        let p2p = trial.nodes.iter().any(|node| node.role == Role::Leecher);
        let size = trial.file.size;
        let from_server = if p2p { size / peers.len() as u64 } else { size };
        log.life("server", GO - S).boot().shaped(40_000_000, 40_000_000).ready(0).started(GO, 1_000_000).progress(
            GO + (seconds * 1e9) as u64,
            Progress {
                up: peers.iter().map(|peer| (peer.name.clone(), from_server)).collect(),
                idle: Idle { uninterested: S / 10, choked: 0, unrequested: S / 5 },
                ..Progress::default()
            },
        );
        for (i, peer) in peers.iter().enumerate() {
            let at = GO + (seconds * 1e9 * (1.0 - 0.01 * (peers.len() - 1 - i) as f64)) as u64;
            let mut down = BTreeMap::from([("server".to_owned(), from_server)]);
            let mut up = BTreeMap::new();
            if p2p && peers.len() > 1 {
                let (next, before) = (peers[(i + 1) % peers.len()], peers[(i + peers.len() - 1) % peers.len()]);
                down.insert(before.name.clone(), size - from_server);
                up.insert(next.name.clone(), size - from_server);
            }
            let pieces = u32::try_from(size / u64::from(trial.file.piece)).unwrap();
            let idle = Idle { uninterested: S, choked: S / 2, unrequested: S / 4 };
            log.life(&peer.name, GO - S)
                .boot()
                .shaped(4_000_000, 40_000_000)
                .ready(0)
                .started(GO, 500_000 * (i as u64 + 1))
                .completed(at)
                .progress(at + 1, Progress { pieces, down, up, idle, duplicate: size / 1000, ..Progress::default() })
                .counters(at + 2, 0)
                .event(NodeEvent::Left { why: Leave::Stopped });
        }
        log.end(Outcome::Completed);
        log
    }
}

/// Writes one life of a node.
pub(crate) struct Writer<'a> {
    log: &'a mut Log,
    node: String,
    seq: u64,
    mono: u64,
}

impl Writer<'_> {
    pub(crate) fn event(&mut self, event: NodeEvent) -> &mut Self {
        let record = NodeRecord {
            v: peer_image::event::VERSION,
            node: self.node.clone(),
            seq: self.seq,
            mono: self.mono,
            event,
        };
        self.log.lines.push(Line::Node(record));
        self.seq += 1;
        self.mono += 1;
        self
    }

    pub(crate) fn at(&mut self, mono: u64, event: NodeEvent) -> &mut Self {
        self.mono = mono;
        self.event(event)
    }

    /// The next lines never arrive.
    pub(crate) fn lose(&mut self, lines: u64) -> &mut Self {
        self.seq += lines;
        self
    }

    pub(crate) fn boot(&mut self) -> &mut Self {
        let spec = NodeSpec {
            name: self.node.clone(),
            role: Role::Leecher,
            seed: 1,
            file: FileSpec { name: "file".to_owned(), size: 32 * MIB, piece: 256 << 10, seed: 1 },
            link: None,
            nodes: 0,
            congestion: "cubic".to_owned(),
            gate: Gate::At { address: "10.0.0.2:6970".to_owned() },
            policy: Policy::default(),
            on_complete: OnComplete::Stay,
            behaviour: Behaviour::Honest,
            storage: Storage::None,
            state_dir: None,
            stays: Vec::new(),
            changes: Vec::new(),
            patience: None,
        };
        self.event(NodeEvent::Boot {
            agent: "0.1.0".to_owned(),
            spec: Box::new(spec),
            boot_id: "one-host".to_owned(),
            kernel: "6.18.0".to_owned(),
            time_namespace: String::new(),
            processors: None,
        })
    }

    pub(crate) fn shaped(&mut self, up: u64, down: u64) -> &mut Self {
        let shape = |rate| Some(Shape { asked: rate, rate, burst: 16_000, limit: 500_000 });
        self.event(NodeEvent::Shaped(Shaped {
            interface: "eth0".to_owned(),
            mtu: 1500,
            congestion: "cubic".to_owned(),
            up: shape(up),
            down: shape(down),
        }))
    }

    pub(crate) fn ready(&mut self, offset: i64) -> &mut Self {
        self.event(NodeEvent::Ready { offset, offset_error: 0 })
    }

    pub(crate) fn started(&mut self, go: u64, late: u64) -> &mut Self {
        self.at(go + late, NodeEvent::Started { go, planned: 0, late, rejoined: false, pieces: 0 })
    }

    pub(crate) fn rejoined(&mut self, go: u64, late: u64, pieces: u32) -> &mut Self {
        self.at(go + late, NodeEvent::Started { go, planned: 0, late, rejoined: true, pieces })
    }

    pub(crate) fn progress(&mut self, mono: u64, progress: Progress) -> &mut Self {
        self.at(mono, NodeEvent::Progress(progress))
    }

    pub(crate) fn completed(&mut self, mono: u64) -> &mut Self {
        self.at(mono, NodeEvent::Completed { bytes: 32 * MIB })
    }

    pub(crate) fn left(&mut self, mono: u64, why: Leave) -> &mut Self {
        self.at(mono, NodeEvent::Left { why })
    }

    pub(crate) fn counters(&mut self, mono: u64, drops: u64) -> &mut Self {
        let up = Queue { bytes: 1_000_000, packets: 1_000, drops, backlog: 0, rate: 0 };
        self.at(mono, NodeEvent::Counters(Counters { up, down: Queue { drops: 0, ..up }, ..Counters::default() }))
    }
}
