//! The gate: one common start for all nodes, and what their clocks are worth.
//!
//! Every node keeps one connection to the gate and speaks JSON lines on it. Nodes whose clock has the name of the gate's
//! share it; the others estimate the difference from a few round trips (the shortest counts, as in NTP, RFC 5905
//! §10). Those that share it look at it, too: a name that stands for two clocks would be an error of hours. One node of each kind of link tries what its link carries ([`super::calibration`]), off the trial's record:
//! as soon as it is ready, while others still start, and again while that disturbs it. When all
//! that are expected are ready and all links were tried, the gate names one absolute moment for all; who comes later gets
//! the same.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
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
use super::surroundings::Surroundings;
use super::{Failure, calibration, web};
use crate::event::{Calibration, Event};
use crate::node::{Link, NAME_MAX, NodeSpec, Role, Stay};

/// From the last node's `ready` to the start: long enough for the word to reach everybody.
const LEAD: Duration = Duration::from_millis(150);
/// And so much longer for each node, because the gate tells one after the other.
const LEAD_PER_NODE: Duration = Duration::from_millis(1);
/// And so long before that it does what need not wait.
const BEFORE: Duration = Duration::from_millis(50);
/// What all nodes would do first at the start, and need not, they do within so long for each of them: a processor that a
/// thousand of them want at once would make the last of them begin late.
pub const SPREAD: Duration = Duration::from_micros(200);
/// Longest line, bytes.
const LINE_MAX: u64 = 4096;
/// A link that carries its rate within this share was not disturbed by what still starts. The tolerance of the
/// experiment is wider, so that a trial is not INVALID for what this lets pass.
const UNDISTURBED: f64 = 0.005;
/// Round trips from which a clock's offset is estimated.
const PINGS: u32 = 8;
/// A clock with the name of the gate's is looked at until it is known so well, ns; often that is one round trip.
const SURE: u64 = 5_000_000;
/// And is another one, whatever it is called, if it is off by more than the estimate's error and so much, ns.
const UNEQUAL: u64 = 10_000_000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ToGate {
    Hello {
        node: String,
        role: Role,
    },
    Ping,
    Ready,
    /// Whether what was found is kept, and reported.
    Calibrated {
        kept: bool,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ToNode {
    Welcome(clock::Name),
    Pong {
        mono: u64,
    },
    /// Try the link; whatever is found is kept if it is `quiet`, for there will be no better moment.
    Calibrate {
        ns: u64,
        quiet: bool,
    },
    Go {
        at: u64,
        server: Option<IpAddr>,
    },
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

/// What the gate told a node.
#[derive(Debug)]
pub struct Passed {
    /// The trial's clock.
    pub epoch: Epoch,
    /// The server's address.
    pub server: Option<IpAddr>,
    /// Its place.
    pub seat: Seat,
}

/// Waits at the gate until the common start is known, trying the link meanwhile if it is asked to.
///
/// # Errors
/// If the gate cannot be reached, or breaks off.
pub async fn pass(
    gate: SocketAddr,
    spec: &NodeSpec,
    reporter: &Reporter,
    clock: clock::Name,
    surroundings: Option<&Surroundings>,
) -> Result<Passed, Failure> {
    let broken = |e: LineError| Failure::trial(format!("the gate at `{gate}` broke off: {e}"));
    let stream = web::connect_patiently(gate).await.map_err(|e| Failure::trial(format!("no gate at `{gate}`: {e}")))?;
    let mut lines = Lines::new(stream).map_err(|e| broken(e.into()))?;
    let hello = ToGate::Hello { node: spec.name.clone(), role: spec.role };
    lines.send(&hello).await.map_err(broken)?;
    let ToNode::Welcome(theirs) = lines.receive().await.map_err(broken)? else {
        return Err(Failure::trial(format!("the gate at `{gate}` did not say welcome")));
    };
    let is_shared = theirs == clock;
    let estimated = estimate(&mut lines, if is_shared { SURE } else { 0 }).await.map_err(broken)?;
    let (offset, offset_error) = settled(is_shared, estimated);
    reporter.emit(Event::Ready { offset, offset_error });
    lines.send(&ToGate::Ready).await.map_err(broken)?;
    let (at, server) = loop {
        match (lines.receive().await.map_err(broken)?, spec.link) {
            (ToNode::Go { at, server }, _) => break (at, server),
            (ToNode::Calibrate { ns, quiet }, Some(link)) => {
                let mut found = vec![(link, calibration::calibrate(gate.ip(), link, ns).await?)];
                if let (Some(later), Some(surroundings)) = (spec.fastest_later(), surroundings) {
                    surroundings.retune(later).await?;
                    let tried = calibration::calibrate(gate.ip(), later, ns).await?;
                    found.push((later, Calibration { link: Some(later), ..tried }));
                    surroundings.retune(link).await?;
                }
                let kept = quiet || found.iter().all(|(link, found)| is_undisturbed(found, *link));
                for (_, found) in found.into_iter().filter(|_| kept) {
                    reporter.emit(Event::Calibrated(found));
                }
                lines.send(&ToGate::Calibrated { kept }).await.map_err(broken)?;
            }
            _ => return Err(Failure::trial(format!("the gate at `{gate}` did not say when to go"))),
        }
    };
    Ok(Passed { epoch: Epoch { go: at.saturating_add_signed(-offset) }, server, seat: Seat { _lines: lines } })
}

/// Waits for the beginning of the stay that this life belongs to, and reports how late it began. Shortly before it, it
/// does `last_thing`: all nodes wake at one moment, and what can be done before it must not be done after it, when others
/// wait for the processors.
pub async fn begin(
    epoch: Epoch,
    spec: &NodeSpec,
    reporter: &Reporter,
    pieces: u32,
    last_thing: impl AsyncFnOnce(),
) -> Stay {
    let Epoch { go } = epoch;
    let (number, stay) = spec.stay_at(epoch.now().0);
    // A life that nobody planned, as of a node that somebody started again, begins when it is there.
    let unplanned = number > 0 && number == spec.stays.len() || (spec.stays.is_empty() && go < clock::monotonic());
    let begin = if unplanned { clock::monotonic() } else { go.saturating_add(stay.from) };
    // All of them wake.
    let early = clock::EARLY + LEAD_PER_NODE * spec.nodes;
    clock::sleep_until(begin.saturating_sub(nanos(early + BEFORE))).await;
    last_thing().await;
    clock::wait_exactly(begin, early).await;
    let late = clock::monotonic().saturating_sub(begin);
    let planned = begin.saturating_sub(go);
    // Whoever reads the line wants a processor, too.
    reporter.hold();
    reporter.emit(Event::Started { go, planned, late, rejoined: number > 0 || unplanned, pieces });
    stay
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("a short time")
}

/// Whether a link carried its rate, as well as can be told.
fn is_undisturbed(found: &Calibration, link: Link) -> bool {
    [(found.up, link.up), (found.down, link.down)].into_iter().all(|(carried, rate)| {
        carried.link_rate().is_some_and(|found| (found / rate as f64 - 1.0).abs() <= UNDISTURBED)
    })
}

/// What a clock is taken to be off by, and how well that is known, ns: where the gate's is shared, nothing, if that can be.
fn settled(is_shared: bool, (offset, error): (i64, u64)) -> (i64, u64) {
    let agrees = offset.unsigned_abs() <= error.saturating_add(UNEQUAL);
    if is_shared && agrees { (0, 0) } else { (offset, error) }
}

/// The gate's clock minus ours and half the shortest round trip, ns. It is content with an error of `enough`.
async fn estimate(lines: &mut Lines, enough: u64) -> Result<(i64, u64), LineError> {
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
        if best.is_some_and(|(_, error)| error <= enough) {
            break;
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
    clock: clock::Name,
    reporter: Rc<Reporter>,
    ready: RefCell<BTreeSet<String>>,
    /// Nodes that have still to try their links.
    untried: RefCell<BTreeSet<String>>,
    server: Cell<Option<IpAddr>>,
    stage: watch::Sender<Stage>,
}

/// How far the gate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Some are not ready.
    Waiting,
    /// All are; some have still to try their links.
    Quiet,
    /// The common start is named, ns.
    Open(u64),
}

impl Keeper {
    /// A closed gate that opens when `expect` nodes are ready and the `samples` among them have tried each direction of
    /// their links for `calibrate` ns.
    #[must_use]
    pub fn new(
        expect: u32,
        calibrate: u64,
        samples: BTreeSet<String>,
        clock: clock::Name,
        reporter: Rc<Reporter>,
    ) -> Self {
        let (stage, _) = watch::channel(Stage::Waiting);
        let (ready, untried) = (RefCell::default(), RefCell::new(samples));
        Self { expect, calibrate, clock, reporter, ready, untried, server: Cell::new(None), stage }
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
                ToGate::Hello { node, role } => {
                    if role.is_server() {
                        self.server.set(Some(from));
                    }
                    name = Some(node.chars().take(NAME_MAX).collect::<String>());
                    lines.send(&ToNode::Welcome(self.clock.clone())).await?;
                }
                ToGate::Ping => lines.send(&ToNode::Pong { mono: clock::monotonic() }).await?,
                ToGate::Ready => {
                    let Some(name) = name.take() else { return Ok(()) };
                    let mut stage = self.stage.subscribe();
                    self.ready.borrow_mut().insert(name.clone());
                    self.advance();
                    if self.untried.borrow().contains(&name) {
                        self.have_tried(&mut lines).await?;
                        self.untried.borrow_mut().remove(&name);
                        self.advance();
                    }
                    let opened = stage.wait_for(|stage| matches!(stage, Stage::Open(_))).await;
                    let Ok(Stage::Open(at)) = opened.map(|stage| *stage) else { return Ok(()) };
                    lines.send(&ToNode::Go { at, server: self.server.get() }).await?;
                }
                ToGate::Calibrated { .. } => return Ok(()),
            }
        }
    }

    /// Waits for the common start to be named; gives it, own clock, ns.
    pub async fn opened(&self) -> u64 {
        let mut stage = self.stage.subscribe();
        loop {
            if let Stage::Open(at) = *stage.borrow_and_update() {
                return at;
            }
            // It has a sender as long as the keeper is there.
            if stage.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Has a node try its link: at once, and as long as that is disturbed again, at the latest when all are there.
    async fn have_tried(&self, lines: &mut Lines) -> Result<(), LineError> {
        loop {
            let quiet = *self.stage.borrow() != Stage::Waiting;
            lines.send(&ToNode::Calibrate { ns: self.calibrate, quiet }).await?;
            match lines.receive().await? {
                ToGate::Calibrated { kept: false } if !quiet => {}
                ToGate::Calibrated { .. } => return Ok(()),
                _ => return Err(LineError::End),
            }
        }
    }

    /// Goes on if all are there, and opens if all links were tried.
    fn advance(&self) {
        let ready = self.ready.borrow().len();
        if ready < self.expect as usize || matches!(*self.stage.borrow(), Stage::Open(_)) {
            return;
        }
        if !self.untried.borrow().is_empty() {
            self.stage.send_replace(Stage::Quiet);
            return;
        }
        let nodes = u32::try_from(ready).expect("far fewer nodes than 2^32");
        let lead = LEAD + LEAD_PER_NODE * nodes;
        let at = clock::monotonic() + u64::try_from(lead.as_nanos()).expect("a lead of less than a minute");
        self.reporter.emit(Event::GateOpen { at, nodes });
        self.stage.send_replace(Stage::Open(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A gate on the loopback that expects two nodes, of which `a` tries its link.
    async fn gate() -> (SocketAddr, Rc<Keeper>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let samples = BTreeSet::from(["a".to_owned()]);
        let clock = clock::Name { boot_id: "boot".to_owned(), time_namespace: String::new() };
        let keeper = Rc::new(Keeper::new(2, 7, samples, clock, Rc::new(Reporter::new("tracker"))));
        tokio::task::spawn_local(Rc::clone(&keeper).serve(listener));
        (address, keeper)
    }

    async fn ready(gate: SocketAddr, node: &str) -> Lines {
        let mut lines = Lines::new(TcpStream::connect(gate).await.unwrap()).unwrap();
        lines.send(&ToGate::Hello { node: node.to_owned(), role: Role::Leecher }).await.unwrap();
        assert!(matches!(lines.receive().await.unwrap(), ToNode::Welcome(clock) if clock.boot_id == "boot"));
        lines.send(&ToGate::Ready).await.unwrap();
        lines
    }

    async fn is_asked_to_try(lines: &mut Lines, expected_quiet: bool) {
        let asked = lines.receive().await.unwrap();
        assert!(
            matches!(asked, ToNode::Calibrate { ns: 7, quiet } if quiet == expected_quiet),
            "{asked:?}, not quiet: {expected_quiet}"
        );
    }

    #[tokio::test]
    async fn a_sample_tries_while_others_start_and_again_if_that_was_disturbed() {
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let (address, keeper) = gate().await;
                let mut a = ready(address, "a").await;
                is_asked_to_try(&mut a, false).await;
                a.send(&ToGate::Calibrated { kept: false }).await.unwrap();
                is_asked_to_try(&mut a, false).await;
                assert_eq!(*keeper.stage.borrow(), Stage::Waiting);
                let mut b = ready(address, "b").await;
                while *keeper.stage.borrow() == Stage::Waiting {
                    tokio::task::yield_now().await;
                }
                a.send(&ToGate::Calibrated { kept: false }).await.unwrap();
                is_asked_to_try(&mut a, true).await;
                assert_eq!(*keeper.stage.borrow(), Stage::Quiet);
                // What is found now counts, whatever it is.
                a.send(&ToGate::Calibrated { kept: true }).await.unwrap();
                let (to_a, to_b) = (a.receive::<ToNode>().await.unwrap(), b.receive::<ToNode>().await.unwrap());
                let (ToNode::Go { at, .. }, ToNode::Go { at: same, .. }) = (to_a, to_b) else { panic!("no start") };
                assert_eq!(at, same);
                // Who comes later gets the same, and tries nothing.
                let ToNode::Go { at: later, .. } = ready(address, "a").await.receive().await.unwrap() else {
                    panic!("no start")
                };
                assert_eq!(later, at);
            })
            .await;
    }

    #[tokio::test]
    async fn what_was_found_undisturbed_is_not_tried_again() {
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let (address, _) = gate().await;
                let mut a = ready(address, "a").await;
                is_asked_to_try(&mut a, false).await;
                a.send(&ToGate::Calibrated { kept: true }).await.unwrap();
                let _b = ready(address, "b").await;
                assert!(matches!(a.receive().await.unwrap(), ToNode::Go { .. }));
            })
            .await;
    }

    #[test]
    fn a_link_off_by_more_than_half_a_percent_was_disturbed() {
        use crate::event::Carried;
        let link = Link { up: 4_000_000, down: 8_000_000 };
        let carried = |rate: f64| Carried { bytes: (rate / 8.0 * 1448.0 / 1514.0) as u64, ns: 1_000_000_000 };
        assert!(is_undisturbed(&Calibration { up: carried(3.99e6), down: carried(8.02e6), link: None }, link));
        assert!(!is_undisturbed(&Calibration { up: carried(3.9e6), down: carried(8e6), link: None }, link));
        assert!(!is_undisturbed(&Calibration { up: carried(4e6), ..Calibration::default() }, link));
    }

    /// A gate on the loopback whose clock has that name and is so far ahead of ours, ns.
    async fn gate_ahead(name: clock::Name, ahead: u64) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::task::spawn_local(async move {
            let mut lines = Lines::new(listener.accept().await.unwrap().0).unwrap();
            loop {
                let answer = match lines.receive().await.unwrap() {
                    ToGate::Hello { .. } => ToNode::Welcome(name.clone()),
                    ToGate::Ping => ToNode::Pong { mono: clock::monotonic() + ahead },
                    ToGate::Ready | ToGate::Calibrated { .. } => ToNode::Go { at: ahead + 77, server: None },
                };
                lines.send(&answer).await.unwrap();
            }
        });
        address
    }

    /// The common start on our clock, by a gate whose clock has a name and is so far ahead.
    async fn go_by(name: clock::Name, ahead: u64) -> u64 {
        let address = gate_ahead(name, ahead).await;
        let spec = NodeSpec {
            name: "peer-1".to_owned(),
            role: Role::Leecher,
            seed: 1,
            file: crate::node::FileSpec { name: "file".to_owned(), size: 1, piece: 16 << 10, seed: 1 },
            link: None,
            nodes: 2,
            congestion: "reno".to_owned(),
            gate: crate::node::Gate::At { address: address.to_string() },
            policy: crate::node::Policy::default(),
            on_complete: crate::node::OnComplete::Stay,
            behaviour: crate::node::Behaviour::Honest,
            storage: crate::node::Storage::None,
            state_dir: None,
            stays: Vec::new(),
            changes: Vec::new(),
            patience: None,
        };
        let own = clock::Name { boot_id: "boot".to_owned(), time_namespace: "time:[1]".to_owned() };
        pass(address, &spec, &Reporter::new("peer-1"), own, None).await.unwrap().epoch.go
    }

    #[tokio::test]
    async fn a_clock_is_told_by_what_it_says_and_not_by_its_name_alone() {
        const APART: u64 = 1_000_000_000_000_000;
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let name = |time: &str| clock::Name { boot_id: "boot".to_owned(), time_namespace: time.to_owned() };
                // The same clock is not estimated but taken as it is.
                assert_eq!(go_by(name("time:[1]"), 0).await, 77);
                // Another one is, whether its name says so or not.
                for other in ["time:[2]", "time:[1]"] {
                    let go = go_by(name(other), APART).await;
                    assert!(go.abs_diff(77) < UNEQUAL, "{go}");
                }
            })
            .await;
    }

    #[test]
    fn a_shared_clock_is_taken_as_it_is_unless_it_cannot_be_the_same() {
        assert_eq!(settled(true, (3_000, 20_000)), (0, 0));
        assert_eq!(settled(true, (60_000_000, 50_000_000)), (0, 0));
        assert_eq!(settled(true, (60_000_001, 50_000_000)), (60_000_001, 50_000_000));
        assert_eq!(settled(false, (3_000, 20_000)), (3_000, 20_000));
    }
}
