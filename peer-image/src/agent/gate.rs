//! The gate: one common start for all nodes, and what their clocks are worth.
//!
//! Every node keeps one connection to the gate and speaks JSON lines on it. Nodes whose boot id is the gate's share
//! its clock; the others estimate the difference from a few round trips (the shortest counts, as in NTP, RFC 5905
//! §10). When all that are expected are ready, one node of each kind of link tries what its link carries
//! ([`super::calibration`]), off the trial's record; then the gate names one absolute moment for all; who comes later
//! gets the same.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::clock::{self, Epoch};
use super::report::Reporter;
use super::{Failure, calibration, web};
use crate::event::Event;
use crate::node::{Link, NAME_MAX, NodeSpec, Role};

/// From the last node's `ready` to the start: long enough for the word to reach everybody.
const LEAD: Duration = Duration::from_millis(150);
/// And so much longer for each node, because the gate tells one after the other.
const LEAD_PER_NODE: Duration = Duration::from_millis(1);
/// Longest line, bytes.
const LINE_MAX: u64 = 4096;
/// At most so many kinds of links are tried, evenly spread over the rates.
const KINDS_MAX: usize = 8;
/// Round trips from which a clock's offset is estimated.
const PINGS: u32 = 8;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ToGate {
    Hello { node: String, role: Role, link: Option<Link> },
    Ping,
    Ready,
    Calibrated,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ToNode {
    Welcome { boot_id: String },
    Pong { mono: u64 },
    Calibrate { ns: u64 },
    Go { at: u64, server: Option<IpAddr> },
}

/// A connection that speaks JSON lines.
#[derive(Debug)]
struct Lines {
    from: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
}

#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("the connection ended")]
    End,
    #[error("a line of more than {LINE_MAX} bytes")]
    TooLong,
    #[error("`{line}` is not understood: {why}")]
    Malformed { line: String, why: serde_json::Error },
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Lines {
    fn new(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        let (from, to) = stream.into_split();
        Ok(Self { from: BufReader::with_capacity(512, from), to })
    }

    async fn send(&mut self, message: &impl Serialize) -> Result<(), LineError> {
        let mut line = serde_json::to_vec(message).expect("gate messages have string keys");
        line.push(b'\n');
        Ok(self.to.write_all(&line).await?)
    }

    async fn receive<T: DeserializeOwned>(&mut self) -> Result<T, LineError> {
        let mut line = Vec::new();
        (&mut self.from).take(LINE_MAX).read_until(b'\n', &mut line).await?;
        match line.last() {
            None => Err(LineError::End),
            Some(b'\n') => serde_json::from_slice(&line).map_err(|why| LineError::Malformed {
                line: String::from_utf8_lossy(&line).trim_end().chars().take(80).collect(),
                why,
            }),
            Some(_) if line.len() as u64 == LINE_MAX => Err(LineError::TooLong),
            Some(_) => Err(LineError::End),
        }
    }
}

/// A node's place at the gate: dropping it leaves.
#[derive(Debug)]
pub struct Seat {
    _lines: Lines,
}

/// Waits at the gate for the common start, and reports how late this node was. Gives the trial's clock and the
/// server's address. When the start is known, and still ahead, it does `last_thing`.
///
/// # Errors
/// If the gate cannot be reached, or breaks off.
pub async fn pass(
    gate: SocketAddr,
    spec: &NodeSpec,
    reporter: &Reporter,
    boot_id: String,
    pieces: u32,
    last_thing: impl AsyncFnOnce(),
) -> Result<(Epoch, Option<IpAddr>, Seat), Failure> {
    let broken = |e: LineError| Failure::trial(format!("the gate at `{gate}` broke off: {e}"));
    let stream = web::connect_patiently(gate).await.map_err(|e| Failure::trial(format!("no gate at `{gate}`: {e}")))?;
    let mut lines = Lines::new(stream).map_err(|e| broken(e.into()))?;
    let hello = ToGate::Hello { node: spec.name.clone(), role: spec.role, link: spec.link };
    lines.send(&hello).await.map_err(broken)?;
    let ToNode::Welcome { boot_id: theirs } = lines.receive().await.map_err(broken)? else {
        return Err(Failure::trial(format!("the gate at `{gate}` did not say welcome")));
    };
    let (offset, offset_error) = if theirs == boot_id { (0, 0) } else { estimate(&mut lines).await.map_err(broken)? };
    reporter.emit(Event::Ready { offset, offset_error });
    lines.send(&ToGate::Ready).await.map_err(broken)?;
    let (at, server) = loop {
        match (lines.receive().await.map_err(broken)?, spec.link) {
            (ToNode::Go { at, server }, _) => break (at, server),
            (ToNode::Calibrate { ns }, Some(link)) => {
                reporter.emit(Event::Calibrated(calibration::calibrate(gate.ip(), link, ns).await?));
                lines.send(&ToGate::Calibrated).await.map_err(broken)?;
            }
            _ => return Err(Failure::trial(format!("the gate at `{gate}` did not say when to go"))),
        }
    };
    // All nodes wake at one moment: what can be done before it must not be done after it, when others wait for the
    // processors.
    last_thing().await;
    let go = at.saturating_add_signed(-offset);
    let rejoined = go < clock::monotonic();
    clock::wait_exactly(go).await;
    let late = clock::monotonic().saturating_sub(go);
    reporter.emit(Event::Started { go, late, rejoined, pieces });
    Ok((Epoch { go }, server, Seat { _lines: lines }))
}

/// The gate's clock minus ours and half the shortest round trip, ns.
async fn estimate(lines: &mut Lines) -> Result<(i64, u64), LineError> {
    let mut best: Option<(i64, u64)> = None;
    for _ in 0..PINGS {
        let sent = clock::monotonic();
        lines.send(&ToGate::Ping).await?;
        let ToNode::Pong { mono } = lines.receive().await? else { continue };
        let received = clock::monotonic();
        let half = (received - sent) / 2;
        if best.is_none_or(|(_, error)| half < error) {
            best = Some((mono.cast_signed() - (sent + half).cast_signed(), half));
        }
    }
    Ok(best.unwrap_or((0, u64::MAX)))
}

/// The gate's own side.
#[derive(Debug)]
pub struct Keeper {
    expect: u32,
    /// How long each direction of a link is tried, ns.
    calibrate: u64,
    boot_id: String,
    reporter: Rc<Reporter>,
    ready: RefCell<BTreeSet<String>>,
    /// Each kind of link, by its rates, and the first node that has it.
    kinds: RefCell<BTreeMap<(u64, u64), String>>,
    server: Cell<Option<IpAddr>>,
    stage: watch::Sender<Stage>,
}

/// How far the gate is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Some are not ready.
    Waiting,
    /// All are; these have still to try their links.
    Trying(BTreeSet<String>),
    /// The common start is named, ns.
    Open(u64),
}

impl Keeper {
    /// A closed gate that opens when `expect` nodes are ready and each direction of each kind of link was tried for
    /// `calibrate` ns.
    #[must_use]
    pub fn new(expect: u32, calibrate: u64, boot_id: String, reporter: Rc<Reporter>) -> Self {
        let (stage, _) = watch::channel(Stage::Waiting);
        let (ready, kinds) = (RefCell::default(), RefCell::default());
        Self { expect, calibrate, boot_id, reporter, ready, kinds, server: Cell::new(None), stage }
    }

    /// Serves nodes until it is dropped.
    pub async fn serve(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    let keeper = Rc::clone(&self);
                    tokio::task::spawn_local(async move {
                        match keeper.attend(stream, from.ip()).await {
                            Ok(()) | Err(LineError::End | LineError::Io(_)) => {}
                            Err(error) => keeper.reporter.emit(Event::Rejected {
                                from: from.to_string(),
                                reason: format!("at the gate: {error}"),
                            }),
                        }
                    });
                }
                Err(error) => web::accept_failed(&self.reporter, &error).await,
            }
        }
    }

    async fn attend(&self, stream: TcpStream, from: IpAddr) -> Result<(), LineError> {
        let mut lines = Lines::new(stream)?;
        let mut name = None;
        loop {
            match lines.receive().await? {
                ToGate::Hello { node, role, link } => {
                    if matches!(role, Role::HttpServer | Role::InitialSeed) {
                        self.server.set(Some(from));
                    }
                    let node = node.chars().take(NAME_MAX).collect::<String>();
                    if let Some(link) = link {
                        self.kinds.borrow_mut().entry((link.up, link.down)).or_insert_with(|| node.clone());
                    }
                    name = Some(node);
                    lines.send(&ToNode::Welcome { boot_id: self.boot_id.clone() }).await?;
                }
                ToGate::Ping => lines.send(&ToNode::Pong { mono: clock::monotonic() }).await?,
                ToGate::Ready => {
                    let Some(name) = name.take() else { return Ok(()) };
                    self.arrived(&name);
                    let mut stage = self.stage.subscribe();
                    let mine = |stage: &Stage| match stage {
                        Stage::Waiting => false,
                        Stage::Trying(nodes) => nodes.contains(&name),
                        Stage::Open(_) => true,
                    };
                    let Ok(turn) = stage.wait_for(mine).await.map(|stage| stage.clone()) else { return Ok(()) };
                    if matches!(turn, Stage::Trying(_)) {
                        lines.send(&ToNode::Calibrate { ns: self.calibrate }).await?;
                        let ToGate::Calibrated = lines.receive().await? else { return Ok(()) };
                        self.tried(&name);
                    }
                    let opened = stage.wait_for(|stage| matches!(stage, Stage::Open(_))).await;
                    let Ok(Stage::Open(at)) = opened.map(|stage| stage.clone()) else { return Ok(()) };
                    lines.send(&ToNode::Go { at, server: self.server.get() }).await?;
                }
                ToGate::Calibrated => return Ok(()),
            }
        }
    }

    /// A node is ready; if it is the last one, links are tried.
    fn arrived(&self, name: &str) {
        let mut ready = self.ready.borrow_mut();
        ready.insert(name.to_owned());
        if ready.len() < self.expect as usize || *self.stage.borrow() != Stage::Waiting {
            return;
        }
        let kinds = self.kinds.borrow();
        let chosen = kinds.len().min(if self.calibrate == 0 { 0 } else { KINDS_MAX });
        let chosen = (0..chosen).filter_map(|i| kinds.values().nth(i * kinds.len() / chosen)).cloned().collect();
        self.advance(chosen, ready.len());
    }

    /// A node has tried its link.
    fn tried(&self, name: &str) {
        let Stage::Trying(mut left) = self.stage.borrow().clone() else { return };
        left.remove(name);
        self.advance(left, self.ready.borrow().len());
    }

    /// Waits for those that have still to try their links, or opens.
    fn advance(&self, left: BTreeSet<String>, ready: usize) {
        if !left.is_empty() {
            self.stage.send_replace(Stage::Trying(left));
            return;
        }
        let nodes = u32::try_from(ready).expect("far fewer nodes than 2^32");
        let lead = LEAD + LEAD_PER_NODE * nodes;
        let at = clock::monotonic() + u64::try_from(lead.as_nanos()).expect("a lead of less than a minute");
        self.reporter.emit(Event::GateOpen { at, nodes });
        self.stage.send_replace(Stage::Open(at));
    }
}
