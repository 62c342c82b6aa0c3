//! The swarm core on real sockets: initial seed and leechers.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::clock::Epoch;
use super::connection::{self, Connection, Incoming, Outgoing};
use super::ending::Ending;
use super::progress::Ledger;
use super::report::Reporter;
use super::storage::Storage;
use super::tracker::METAINFO_PATH;
use super::uplink::Uplink;
use super::{Failure, Started, gate, web};
use crate::content::Content;
use crate::event::{Event, Leave};
use crate::link::Place;
use crate::node::{Behaviour, Gate, NodeSpec, PEER_PORT, Role, TRACKER_PORT};
use crate::seeds;
use crate::swarm::lookout::{Admission, Engaged, Lookout};
use crate::swarm::time::{Span, Timestamp};
use crate::swarm::{Config, Input, NeighbourId, Output, Swarm};
use crate::wire::announce::{self, Reply, Request};
use crate::wire::bitfield::Bitfield;
use crate::wire::geometry::{Block, Geometry};
use crate::wire::handshake::{Handshake, PeerId};
use crate::wire::metainfo::{self, Metainfo};

/// Messages that wait for the core; a reader waits when they are this many.
const INBOX: usize = 64;
/// Time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// A peer that the tracker did not answer asks it again after so long.
const UNANSWERED: Span = Span::seconds(3);
/// A goodbye to the tracker may take so long.
const GOODBYE: Duration = Duration::from_secs(1);
/// Two connections with the same peer that were begun within this span crossed; a later one replaces an older.
const CROSSING: Span = Span::seconds(5);

/// A peer that listens and waits for the gate.
#[derive(Debug)]
pub struct Prepared {
    listener: TcpListener,
    metainfo: Metainfo,
    own: Handshake,
    storage: Storage,
    have: Bitfield,
}

/// Fetches the metainfo, opens the storage, listens.
///
/// # Errors
/// If the tracker has no metainfo, the storage cannot be opened, or the port is taken.
pub async fn prepare(spec: &NodeSpec, reporter: &Reporter) -> Result<Prepared, Failure> {
    let listener = web::listen(PEER_PORT).await?;
    let (metainfo, info_hash) = fetch_metainfo(spec, reporter).await?;
    let (storage, left) = Storage::open(spec, &metainfo)?;
    let geometry = metainfo.geometry().map_err(|e| Failure::trial(e.to_string()))?;
    let have = if spec.role == Role::InitialSeed { Bitfield::full(geometry) } else { left };
    let peer_id = PeerId::for_node(&spec.name).map_err(|e| Failure::trial(e.to_string()))?;
    Ok(Prepared { listener, metainfo, own: Handshake { info_hash, peer_id }, storage, have })
}

/// The metainfo, from the tracker's node.
///
/// # Errors
/// If it cannot be had within a minute.
pub async fn fetch_metainfo(
    spec: &NodeSpec,
    reporter: &Reporter,
) -> Result<(Metainfo, crate::wire::handshake::InfoHash), Failure> {
    let Gate::At { address } = &spec.gate else { return Err(Failure::trial("no tracker to ask for the metainfo")) };
    let gate: SocketAddr = address.parse().map_err(|e| Failure::trial(format!("gate address `{address}`: {e}")))?;
    let tracker = SocketAddr::new(gate.ip(), TRACKER_PORT);
    // Wait until it listens; the fetch itself then has one try.
    web::connect_patiently(tracker).await.map_err(|e| Failure::trial(format!("no tracker at `{tracker}`: {e}")))?;
    let bytes = web::fetch(tracker, METAINFO_PATH, metainfo::LENGTH_MAX)
        .await
        .map_err(|e| Failure::trial(format!("no metainfo from `{tracker}`: {e}")))?;
    Metainfo::decode(&bytes).map_err(|e| {
        reporter.emit(Event::Rejected { from: tracker.to_string(), reason: e.to_string() });
        Failure::trial(format!("the metainfo from `{tracker}` is malformed: {e}"))
    })
}

impl Prepared {
    /// Pieces that it has already.
    #[must_use]
    pub fn pieces(&self) -> u32 {
        self.have.count()
    }

    /// Takes part until the node is to stop.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn run(self, started: Started, ending: &mut Ending) -> Result<(), Failure> {
        let (incoming, inbox) = mpsc::channel(INBOX);
        let spec = started.spec;
        let geometry = self.metainfo.geometry().map_err(|e| Failure::trial(e.to_string()))?;
        let is_seed = self.have.is_full();
        let config = Config {
            geometry,
            have: self.have,
            policy: spec.policy.clone(),
            uploads: spec.behaviour != Behaviour::FreeRider,
            upload_rate: spec.link.map(|link| link.up),
            random: seeds::stream(spec.seed, &format!("swarm/{}", spec.name)),
        };
        // A flash crowd is not one in the same microsecond; and first all are to have begun.
        let spread = u64::try_from(gate::SPREAD.as_nanos()).expect("a short time") * u64::from(spec.nodes);
        let wait = seeds::stream(spec.seed, &format!("announce/{}", spec.name)).below(spread.max(1));
        let first = started.epoch.now() + Span(spread / 2 + wait);
        let random = seeds::stream(spec.seed, &format!("lookout/{}", spec.name));
        let mut peer = Peer {
            lookout: Lookout::new(spec.policy.neighbours, first, random),
            uplink: started.uplink,
            swarm: Swarm::new(config, started.epoch.now()),
            ledger: Ledger::new(Rc::clone(&started.reporter)),
            tracker: SocketAddr::new(started.tracker, TRACKER_PORT),
            epoch: started.epoch,
            reporter: started.reporter,
            own: self.own,
            geometry,
            storage: self.storage,
            incoming,
            inbox,
            neighbours: BTreeMap::new(),
            banned: BTreeSet::new(),
            calling: BTreeSet::new(),
            answering: 0,
            next_id: 0,
            unannounced: Some(announce::Event::Started),
            newly_complete: false,
            place: started.place,
            _gate: started.gate,
            spec,
        };
        if is_seed && peer.spec.role == Role::Leecher {
            // It came back with all of it.
            peer.completed(ending);
        }
        let why = peer.take_part(self.listener, ending).await?;
        peer.report();
        peer.ledger.report_at_last();
        ending.last_look().await;
        peer.reporter.emit(Event::Left { why });
        // It is gone for its neighbours at once, however long the goodbye takes on a link full of blocks.
        peer.neighbours.clear();
        if why != Leave::Stopped {
            let event = Some(announce::Event::Stopped);
            let _ = tokio::time::timeout(GOODBYE, announce_to(peer.tracker, peer.request(event))).await;
        }
        Ok(())
    }
}

/// One connected neighbour.
#[derive(Debug)]
struct Neighbour {
    connection: Connection,
    peer_id: PeerId,
    address: SocketAddr,
    /// The node's name if it is one of ours, else its address.
    label: Rc<str>,
    outgoing: bool,
    since: Timestamp,
}

#[derive(Debug)]
struct Peer {
    spec: NodeSpec,
    reporter: Rc<Reporter>,
    epoch: Epoch,
    tracker: SocketAddr,
    own: Handshake,
    geometry: Geometry,
    swarm: Swarm,
    lookout: Lookout,
    uplink: Rc<Uplink>,
    storage: Storage,
    ledger: Ledger,
    incoming: mpsc::Sender<Incoming>,
    inbox: mpsc::Receiver<Incoming>,
    neighbours: BTreeMap<NeighbourId, Neighbour>,
    /// Whoever sent something bad: nobody there is let in or called again.
    banned: BTreeSet<IpAddr>,
    /// Addresses that are being called.
    calling: BTreeSet<SocketAddr>,
    /// Callers whose handshake is under way.
    answering: usize,
    next_id: u32,
    /// What the next announce is to say.
    unannounced: Option<announce::Event>,
    /// Complete, and the tracker does not know yet.
    newly_complete: bool,
    place: Place,
    _gate: super::gate::Seat,
}

/// The tracker's answer, or that there was none.
type Announced = Result<Reply, String>;

impl Peer {
    async fn take_part(&mut self, listener: TcpListener, ending: &mut Ending) -> Result<Leave, Failure> {
        let (answers, mut answered) = mpsc::unbounded_channel::<Announced>();
        let mut tick = tokio::time::interval(REPORT_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = self.epoch.now();
            self.lookout.look(now, self.swarm.need(now));
            let wake = self.swarm.next_wake().map(|(at, _)| at);
            let announce_at = self.lookout.next_ask();
            let epoch = self.epoch;
            tokio::select! {
                biased;
                why = ending.wait() => return Ok(why),
                Some(incoming) = self.inbox.recv() => {
                    self.take(incoming, ending)?;
                    // What is there already goes first: one look at the clock and the timers for all of it.
                    while let Ok(incoming) = self.inbox.try_recv() {
                        self.take(incoming, ending)?;
                    }
                }
                () = until(epoch, wake) => self.input(Input::Wake, ending)?,
                Some(answer) = answered.recv() => self.heard_of_peers(answer, ending)?,
                accepted = listener.accept() => self.accepted(accepted, ending).await?,
                () = until(epoch, announce_at) => {
                    let event = self.unannounced.take();
                    self.announce(event, &answers);
                }
                _ = tick.tick() => self.report(),
            }
            // The tracker hears of the start first.
            if self.unannounced.is_none() && std::mem::take(&mut self.newly_complete) {
                self.announce(Some(announce::Event::Completed), &answers);
            }
        }
    }

    fn take(&mut self, incoming: Incoming, ending: &mut Ending) -> Result<(), Failure> {
        match incoming {
            Incoming::Handshaken { stream, rest, peer_id, address, outgoing } => {
                self.over_with(address, outgoing);
                self.shaken(stream, rest, peer_id, address, outgoing, ending)?;
            }
            Incoming::Refused { address, outgoing, malformed } => {
                self.over_with(address, outgoing);
                if let Some(reason) = malformed {
                    self.reporter.emit(Event::Rejected { from: address.to_string(), reason });
                }
            }
            Incoming::Message(id, message) => {
                if let Some(neighbour) = self.neighbours.get(&id) {
                    if let crate::wire::message::Message::Piece(block, _) = &message {
                        self.ledger.received(&neighbour.label, u64::from(block.length()));
                    }
                    self.input(Input::Message(id, message), ending)?;
                }
            }
            Incoming::Sent(id, length) => {
                if let Some(neighbour) = self.neighbours.get(&id) {
                    self.ledger.sent(&neighbour.label, u64::from(length));
                    self.input(Input::Sent(id), ending)?;
                }
            }
            Incoming::Closed(id, malformed) => {
                if let Some(gone) = self.neighbours.remove(&id) {
                    self.ledger.parted(&gone.label);
                    if let Some(reason) = malformed {
                        self.reporter.emit(Event::Rejected { from: gone.label.to_string(), reason });
                    }
                    self.input(Input::Disconnected(id), ending)?;
                }
            }
        }
        Ok(())
    }

    fn input(&mut self, input: Input, ending: &mut Ending) -> Result<(), Failure> {
        self.swarm.handle(self.epoch.now(), input);
        while let Some(output) = self.swarm.poll() {
            match output {
                Output::Send(id, message) => self.send(id, Outgoing::Message(message)),
                Output::Upload(id, block) => {
                    let data = self.block(block).map_err(disk)?;
                    self.send(id, Outgoing::Block(block, data));
                }
                Output::Store(block, data) => self.storage.write(block, &data).map_err(disk)?,
                Output::Verify { piece, digests } => {
                    let ok = self.storage.verify(piece).map_err(disk)?;
                    let digests = if digests || !ok { self.storage.digests(piece).map_err(disk)? } else { Vec::new() };
                    if !ok {
                        self.storage.discard(piece);
                    }
                    self.swarm.handle(self.epoch.now(), Input::Verified { piece, ok, digests });
                }
                Output::Complete => self.completed(ending),
                Output::Ban(id, reason) => {
                    if let Some(banned) = self.neighbours.remove(&id) {
                        self.ledger.parted(&banned.label);
                        self.banned.insert(banned.address.ip());
                        self.reporter.emit(Event::Banned { neighbour: banned.label.to_string(), reason });
                        self.swarm.handle(self.epoch.now(), Input::Disconnected(id));
                    }
                }
            }
        }
        Ok(())
    }

    fn completed(&mut self, ending: &mut Ending) {
        self.newly_complete = true;
        // What it had sent by then is known to the byte, not to the second.
        self.report();
        self.reporter.emit(Event::Completed { bytes: self.geometry.size() });
        ending.completed(self.spec.on_complete);
    }

    /// The bytes to upload for a block.
    fn block(&self, block: Block) -> io::Result<Bytes> {
        let mut data = if self.spec.role == Role::InitialSeed {
            let mut data = vec![0; block.length() as usize];
            let offset = self.geometry.offset(block.piece()) + u64::from(block.begin());
            Content::new(self.spec.file.seed).read(offset, &mut data);
            data
        } else {
            self.storage.read(block)?
        };
        if self.spec.behaviour == Behaviour::Corrupting {
            data[0] ^= 0xff;
        }
        Ok(data.into())
    }

    fn send(&self, id: NeighbourId, outgoing: Outgoing) {
        if let Some(neighbour) = self.neighbours.get(&id) {
            neighbour.connection.send(outgoing);
        }
    }

    fn report(&mut self) {
        // The initial seed has them all, and everybody knows.
        if self.spec.role == Role::Leecher {
            self.ledger.have(self.swarm.have(), self.geometry);
        }
        let idle = self.swarm.idle(self.epoch.now());
        self.ledger.swarm(self.swarm.waste(), self.neighbours.len(), idle);
        self.ledger.report();
    }

    // Connections.

    /// Neighbours, those to be among them.
    fn engaged(&self) -> Engaged {
        let called = self.neighbours.values().filter(|n| n.outgoing).count() + self.calling.len();
        Engaged { all: self.neighbours.len() + self.calling.len() + self.answering, called }
    }

    /// Whether there is room, if need be made by parting from a neighbour that is of no use.
    fn makes_room(&mut self, admission: Admission, ending: &mut Ending) -> Result<bool, Failure> {
        match admission {
            Admission::Welcome => Ok(true),
            Admission::Refused => Ok(false),
            Admission::Instead => {
                let Some(id) = self.swarm.of_no_use(self.epoch.now()) else { return Ok(false) };
                if let Some(gone) = self.neighbours.remove(&id) {
                    self.ledger.parted(&gone.label);
                }
                self.input(Input::Disconnected(id), ending)?;
                Ok(true)
            }
        }
    }

    async fn accepted(
        &mut self,
        accepted: io::Result<(TcpStream, SocketAddr)>,
        ending: &mut Ending,
    ) -> Result<(), Failure> {
        match accepted {
            Ok((_, address)) if self.banned.contains(&address.ip()) => {}
            Ok((stream, address)) => {
                if self.makes_room(self.lookout.lets_in(self.engaged()), ending)? {
                    self.answering += 1;
                    let (own, incoming) = (self.own, self.incoming.clone());
                    tokio::task::spawn_local(connection::answer(stream, address, own, incoming));
                }
            }
            Err(error) => web::accept_failed(&self.reporter, &error).await,
        }
        Ok(())
    }

    fn over_with(&mut self, address: SocketAddr, outgoing: bool) {
        if outgoing {
            self.calling.remove(&address);
        } else {
            self.answering -= 1;
        }
    }

    fn shaken(
        &mut self,
        stream: TcpStream,
        rest: BytesMut,
        peer_id: PeerId,
        address: SocketAddr,
        outgoing: bool,
        ending: &mut Ending,
    ) -> Result<(), Failure> {
        // It may have been banned while hands were shaken.
        if peer_id == self.own.peer_id || self.banned.contains(&address.ip()) {
            return Ok(());
        }
        // What it says counts where a node can be; a stranger is neither booked as a node nor takes its place.
        let name = peer_id.node_name().filter(|_| self.place.can_be_a_nodes(address.ip()));
        let label: Rc<str> = name.map_or_else(|| address.ip().to_string(), ToOwned::to_owned).into();
        let now = self.epoch.now();
        let elsewhere = |n: &&Neighbour| n.peer_id == peer_id && n.label == label && n.address.ip() != address.ip();
        if let Some(known) = self.neighbours.values().find(elsewhere) {
            // A node keeps its address: somebody else goes by its name.
            let reason = format!("its peer id is that of `{}` at `{}`", known.label, known.address);
            self.reporter.emit(Event::Rejected { from: address.to_string(), reason });
            return Ok(());
        }
        let same = |n: &Neighbour| n.peer_id == peer_id && n.label == label;
        if let Some((&old, known)) = self.neighbours.iter().find(|(_, n)| same(n)) {
            // Two calls that crossed: both sides keep the one that the lower id made. Otherwise the peer came back,
            // and what is left of its earlier life goes.
            let crossed = now - known.since < CROSSING && known.outgoing != outgoing;
            if crossed && outgoing != (self.own.peer_id.0 < peer_id.0) {
                return Ok(());
            }
            if let Some(before) = self.neighbours.remove(&old) {
                self.ledger.parted(&before.label);
            }
            self.input(Input::Disconnected(old), ending)?;
        }
        let id = NeighbourId(self.next_id);
        self.next_id += 1;
        let connection = Connection::start(id, stream, rest, self.geometry, &self.incoming, Rc::clone(&self.uplink));
        self.neighbours.insert(id, Neighbour { connection, peer_id, address, label, outgoing, since: now });
        self.input(Input::Connected(id), ending)
    }

    // The tracker.

    fn request(&self, event: Option<announce::Event>) -> Request {
        let (uploaded, downloaded) = self.ledger.totals();
        let have: u64 = self
            .geometry
            .all()
            .filter(|&p| self.swarm.have().has(p))
            .map(|p| u64::from(self.geometry.piece_length(p)))
            .sum();
        Request {
            info_hash: self.own.info_hash,
            peer_id: self.own.peer_id,
            port: PEER_PORT,
            uploaded,
            downloaded,
            left: self.geometry.size() - have,
            event,
            numwant: Some(self.spec.policy.neighbours),
            compact: true,
        }
    }

    fn announce(&mut self, event: Option<announce::Event>, answers: &mpsc::UnboundedSender<Announced>) {
        self.lookout.asked();
        let (tracker, request, answers) = (self.tracker, self.request(event), answers.clone());
        tokio::task::spawn_local(async move {
            // If nobody listens any more, the node is about to end.
            let _ = answers.send(announce_to(tracker, request).await);
        });
    }

    fn heard_of_peers(&mut self, answer: Announced, ending: &mut Ending) -> Result<(), Failure> {
        let (mut named, mut counts) = (Vec::new(), None);
        let wait = match answer {
            Ok(Reply::Peers(list)) => {
                named = list.peers;
                counts = list.complete.zip(list.incomplete);
                Span::seconds(u64::from(list.interval))
            }
            Ok(Reply::Failure(reason)) => {
                self.reporter.emit(Event::Warning { message: format!("the tracker refuses: {reason}") });
                UNANSWERED
            }
            Err(reason) => {
                self.reporter.emit(Event::Warning { message: format!("the tracker does not answer: {reason}") });
                UNANSWERED
            }
        };
        self.lookout.answered(self.epoch.now(), wait, counts);
        for peer in &named {
            self.call(peer.address, ending)?;
        }
        Ok(())
    }

    fn call(&mut self, address: SocketAddr, ending: &mut Ending) -> Result<(), Failure> {
        let known = self.neighbours.values().any(|n| n.address.ip() == address.ip());
        if known || self.calling.contains(&address) || self.banned.contains(&address.ip()) {
            return Ok(());
        }
        let admission = self.lookout.calls(self.engaged());
        if self.makes_room(admission, ending)? {
            self.calling.insert(address);
            tokio::task::spawn_local(connection::call(address, self.own, self.incoming.clone()));
        }
        Ok(())
    }
}

async fn announce_to(tracker: SocketAddr, request: Request) -> Announced {
    let target = format!("/announce?{}", request.to_query());
    let bytes = web::fetch(tracker, &target, announce::REPLY_MAX).await.map_err(|e| e.to_string())?;
    Reply::decode(&bytes).map_err(|e| e.to_string())
}

async fn until(epoch: Epoch, at: Option<Timestamp>) {
    match at {
        Some(at) => epoch.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
fn disk(error: io::Error) -> Failure {
    Failure::machine(format!("the file cannot be kept: {error} (hint: is there room?)"))
}
