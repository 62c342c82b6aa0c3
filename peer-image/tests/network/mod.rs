//! A virtual network that drives the core in virtual time: every node has an upload and a download link, each a
//! FIFO; a connection has a congestion window that grows with its acknowledgements (slow start, and anew after a
//! rest) and keeps at most two offload packets in its sender's queue, as TCP's small queues do. Acknowledgements
//! wait in the receiver's upload queue like everything else. Deterministic; no clock, no socket.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use bytes::Bytes;
use peer_image::event::Idle;
use peer_image::node::Policy;
use peer_image::seeds;
use peer_image::swarm::time::Timestamp;
use peer_image::swarm::{Config, Input, NeighbourId, Output, Swarm, Waste};
use peer_image::wire::bitfield::Bitfield;
use peer_image::wire::geometry::{Block, Geometry};
use peer_image::wire::message::Message;

/// Payload of an offload packet: eleven segments.
const OFFLOAD: u64 = 11 * 1448;
/// Offload packets of one connection in its sender's queue.
const QUEUED: u32 = 2;
const HEADERS: u64 = 66;
/// First congestion window, and the largest (the receiver's), bytes.
const WINDOW: u64 = 10 * 1448;
const WINDOW_MAX: u64 = 512 * 1024;
/// A connection that rests so long starts anew, ns.
const REST: u64 = 300_000_000;
/// Bytes that a socket takes beyond what is on the wire.
const SOCKET: u64 = 16 * 1024;
/// Propagation, ns.
const DELAY: u64 = 100_000;

/// What a node is like.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) up: u64,
    pub(crate) down: u64,
    pub(crate) seed: bool,
    pub(crate) uploads: bool,
    pub(crate) corrupts: bool,
    pub(crate) policy: Policy,
}

#[derive(Debug, Clone)]
enum Item {
    Control(Message),
    Block(Block),
}

#[derive(Debug, Default)]
struct Flow {
    items: VecDeque<(u64, Item)>,
    bytes: u64,
    untaken: VecDeque<u64>,
    queued: u32,
    in_flight: u64,
    window: u64,
    last: u64,
}

/// Something on the wire. An acknowledgement has no items and acknowledges so many bytes.
#[derive(Debug)]
struct Packet {
    from: usize,
    to: usize,
    size: u64,
    payload: u64,
    acknowledges: u64,
    items: Vec<Item>,
}

struct Node {
    peer: Peer,
    swarm: Swarm,
    flows: BTreeMap<NeighbourId, Flow>,
    queue: VecDeque<usize>,
    up_busy: bool,
    down_free: u64,
    wake: Option<u64>,
    damaged: BTreeMap<u32, bool>,
    completed: Option<u64>,
    gone: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    UpFree(usize, usize),
    Wake(usize),
    Arrive(usize, usize),
    Deliver(usize, usize),
    Kill(usize),
}

/// Who saw what: tests look at every output of every node.
pub(crate) type Watch<'a> = dyn FnMut(u64, usize, &Swarm, &Output) + 'a;

/// What tests may look at besides the outputs.
pub(crate) enum Glimpse<'i> {
    /// A node is about to be told this. The outputs that follow are its answer.
    Told(&'i Input),
    /// A node has said all that it has to say for now.
    Settled,
}

/// Who was told what.
pub(crate) type Listen<'a> = dyn FnMut(u64, usize, &Swarm, Glimpse<'_>) + 'a;

pub(crate) struct Network<'a> {
    nodes: Vec<Node>,
    now: u64,
    order: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    transit: BTreeMap<usize, Packet>,
    next_transit: usize,
    watch: Box<Watch<'a>>,
    /// Hears every input of every node from now on (all are connected by then).
    pub(crate) listen: Box<Listen<'a>>,
    pub(crate) banned: Vec<(usize, usize)>,
    pub(crate) sent: Vec<u64>,
    /// Peers' idle upload time, summed, at each full second: by cause, ns.
    pub(crate) idle_by_second: Vec<[u64; 3]>,
    /// Share of the upload link in use in each second: the seed's, the others' mean.
    pub(crate) busy_by_second: Vec<[f64; 2]>,
    geometry: Geometry,
}

impl<'a> Network<'a> {
    /// All nodes are connected to all others at time 0.
    pub(crate) fn new(geometry: Geometry, peers: Vec<Peer>, seed: u64, watch: Box<Watch<'a>>) -> Self {
        let count = peers.len();
        let nodes = peers
            .into_iter()
            .enumerate()
            .map(|(i, peer)| Node {
                swarm: Swarm::new(
                    Config {
                        geometry,
                        have: if peer.seed { Bitfield::full(geometry) } else { Bitfield::empty(geometry) },
                        policy: peer.policy.clone(),
                        uploads: peer.uploads,
                        upload_rate: Some(peer.up),
                        random: seeds::stream(seed, &format!("swarm/{i}")),
                    },
                    Timestamp(0),
                ),
                peer,
                flows: BTreeMap::new(),
                queue: VecDeque::new(),
                up_busy: false,
                down_free: 0,
                wake: None,
                damaged: BTreeMap::new(),
                completed: None,
                gone: false,
            })
            .collect();
        let mut network = Self {
            nodes,
            now: 0,
            order: 0,
            events: BinaryHeap::new(),
            transit: BTreeMap::new(),
            next_transit: 0,
            watch,
            listen: Box::new(|_, _, _, _| {}),
            banned: Vec::new(),
            sent: vec![0; count],
            idle_by_second: Vec::new(),
            busy_by_second: Vec::new(),
            geometry,
        };
        for a in 0..count {
            for b in 0..count {
                if a != b {
                    network.nodes[a].flows.insert(id(b), Flow::default());
                    network.input(a, Input::Connected(id(b)));
                }
            }
        }
        network
    }

    /// Takes a node away without a goodbye at a moment, ns.
    pub(crate) fn kill_at(&mut self, node: usize, at: u64) {
        self.schedule(at, Event::Kill(node));
    }

    /// Runs until every leecher that is still there has the file, or `deadline` ns; when each completed.
    pub(crate) fn run(&mut self, deadline: u64) -> Vec<Option<u64>> {
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            if at > deadline || self.nodes.iter().all(|n| n.peer.seed || n.gone || n.completed.is_some()) {
                break;
            }
            while self.idle_by_second.len() as u64 <= at / 1_000_000_000 {
                self.now = self.idle_by_second.len() as u64 * 1_000_000_000;
                let sum = self.sum_idle();
                self.idle_by_second.push(sum);
            }
            self.now = at;
            match event {
                Event::UpFree(node, packet) => {
                    self.nodes[node].up_busy = false;
                    let to = self.transit[&packet].to;
                    if self.transit[&packet].acknowledges == 0
                        && let Some(flow) = self.nodes[node].flows.get_mut(&id(to))
                    {
                        flow.queued -= 1;
                    }
                    self.push(node, id(to));
                    self.transmit(node);
                }
                Event::Wake(node) => {
                    if self.nodes[node].wake == Some(at) {
                        self.nodes[node].wake = None;
                        self.input(node, Input::Wake);
                    }
                }
                Event::Arrive(node, packet) => {
                    let size = self.transit[&packet].size;
                    let receiver = &mut self.nodes[node];
                    let done = receiver.down_free.max(at) + nanos(size, receiver.peer.down);
                    receiver.down_free = done;
                    self.schedule(done, Event::Deliver(node, packet));
                }
                Event::Deliver(node, packet) => {
                    let packet = self.transit.remove(&packet).expect("it was sent");
                    if packet.acknowledges > 0 {
                        if let Some(flow) = self.nodes[node].flows.get_mut(&id(packet.from)) {
                            flow.in_flight = flow.in_flight.saturating_sub(packet.acknowledges);
                            flow.window = (flow.window + packet.acknowledges).min(WINDOW_MAX);
                        }
                        self.push(node, id(packet.from));
                        self.transmit(node);
                        continue;
                    }
                    if !self.nodes[node].gone {
                        let acknowledgement = Packet {
                            from: node,
                            to: packet.from,
                            size: 66,
                            payload: 0,
                            acknowledges: packet.payload,
                            items: Vec::new(),
                        };
                        self.put(node, acknowledgement);
                        self.transmit(node);
                    }
                    for item in packet.items {
                        self.deliver(node, packet.from, item);
                    }
                }
                Event::Kill(node) => {
                    self.nodes[node].gone = true;
                    self.nodes[node].flows.clear();
                    for other in 0..self.nodes.len() {
                        if other != node && self.nodes[other].flows.remove(&id(node)).is_some() {
                            self.input(other, Input::Disconnected(id(node)));
                        }
                    }
                }
            }
        }
        self.nodes.iter().map(|n| n.completed).collect()
    }

    fn sum_idle(&mut self) -> [u64; 3] {
        let leechers: Vec<usize> = (0..self.nodes.len()).filter(|&n| !self.nodes[n].peer.seed).collect();
        leechers
            .into_iter()
            .map(|n| self.idle(n))
            .fold([0; 3], |sum, idle| [sum[0] + idle.uninterested, sum[1] + idle.choked, sum[2] + idle.unrequested])
    }

    pub(crate) fn idle(&mut self, node: usize) -> Idle {
        let now = Timestamp(self.now);
        self.nodes[node].swarm.idle(now)
    }

    pub(crate) fn waste(&self, node: usize) -> Waste {
        self.nodes[node].swarm.waste()
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    fn deliver(&mut self, node: usize, from: usize, item: Item) {
        if self.nodes[node].gone || !self.nodes[node].flows.contains_key(&id(from)) {
            return;
        }
        let message = match item {
            Item::Control(message) => message,
            Item::Block(block) => {
                if self.nodes[from].peer.corrupts {
                    self.nodes[node].damaged.insert(block.piece().number(), true);
                }
                // One byte stands for the data: whether it is damaged, and by whom.
                let mark = if self.nodes[from].peer.corrupts { u8::try_from(from).expect("few nodes") + 1 } else { 0 };
                Message::Piece(block, Bytes::from(vec![mark]))
            }
        };
        self.input(node, Input::Message(id(from), message));
    }

    fn input(&mut self, node: usize, input: Input) {
        if self.nodes[node].gone {
            return;
        }
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = Timestamp(self.now);
            (self.listen)(self.now, node, &self.nodes[node].swarm, Glimpse::Told(&input));
            self.nodes[node].swarm.handle(now, input);
            while let Some(output) = self.nodes[node].swarm.poll() {
                (self.watch)(self.now, node, &self.nodes[node].swarm, &output);
                match output {
                    Output::Send(to, message) => self.enqueue(node, to, length(&message), Item::Control(message)),
                    Output::Upload(to, block) => {
                        self.enqueue(node, to, u64::from(block.length()) + 13, Item::Block(block));
                        self.sent[node] += u64::from(block.length());
                    }
                    Output::Store(block, data) => {
                        let key = block.piece().number() * 1024 + block.number() as u32;
                        self.nodes[node].damaged.insert(key | 1 << 31, data[0] != 0);
                    }
                    Output::Verify { piece, .. } => {
                        let blocks = self.geometry.blocks_in(piece);
                        let damaged = &self.nodes[node].damaged;
                        let digests: Vec<[u8; 20]> = (0..blocks)
                            .map(|b| [u8::from(damaged[&((piece.number() * 1024 + b as u32) | 1 << 31)]); 20])
                            .collect();
                        let ok = digests.iter().all(|d| d[0] == 0);
                        inputs.push_back(Input::Verified { piece, ok, digests });
                    }
                    Output::Complete => self.nodes[node].completed = Some(self.now),
                    Output::Ban(other, _) => {
                        let other = other.0 as usize;
                        self.banned.push((node, other));
                        self.nodes[node].flows.remove(&id(other));
                        self.nodes[other].flows.remove(&id(node));
                        inputs.push_back(Input::Disconnected(id(other)));
                        self.input(other, Input::Disconnected(id(node)));
                    }
                }
            }
            (self.listen)(self.now, node, &self.nodes[node].swarm, Glimpse::Settled);
        }
        let wake = self.nodes[node].swarm.next_wake().map(|(at, _)| at.0.max(self.now));
        if wake != self.nodes[node].wake {
            self.nodes[node].wake = wake;
            if let Some(at) = wake {
                self.schedule(at, Event::Wake(node));
            }
        }
    }

    fn enqueue(&mut self, node: usize, to: NeighbourId, size: u64, item: Item) {
        let Some(flow) = self.nodes[node].flows.get_mut(&to) else { return };
        let is_block = matches!(item, Item::Block(_));
        flow.items.push_back((size, item));
        flow.bytes += size;
        if is_block {
            flow.untaken.push_back(flow.bytes);
        }
        self.push(node, to);
        self.transmit(node);
    }

    /// Puts a packet at the end of a node's upload queue.
    fn put(&mut self, node: usize, packet: Packet) {
        let number = self.next_transit;
        self.next_transit += 1;
        self.transit.insert(number, packet);
        self.nodes[node].queue.push_back(number);
    }

    /// Moves what a connection may send into its sender's upload queue.
    fn push(&mut self, node: usize, to: NeighbourId) {
        let now = self.now;
        loop {
            let Some(flow) = self.nodes[node].flows.get_mut(&to) else { return };
            if flow.items.is_empty() || flow.queued >= QUEUED {
                break;
            }
            if flow.in_flight == 0 && (flow.window == 0 || now - flow.last > REST) {
                flow.window = WINDOW;
            }
            let mut room = OFFLOAD.min(flow.window.saturating_sub(flow.in_flight));
            if room == 0 {
                break;
            }
            let mut items = Vec::new();
            let before = room;
            while room > 0
                && let Some((left, _)) = flow.items.front_mut()
            {
                let part = room.min(*left);
                *left -= part;
                room -= part;
                if *left == 0 {
                    items.push(flow.items.pop_front().expect("it is in front").1);
                }
            }
            let payload = before - room;
            flow.bytes -= payload;
            for end in &mut flow.untaken {
                *end = end.saturating_sub(payload);
            }
            flow.queued += 1;
            flow.in_flight += payload;
            flow.last = now;
            let size = payload + payload.div_ceil(1448) * HEADERS;
            self.put(node, Packet { from: node, to: to.0 as usize, size, payload, acknowledges: 0, items });
        }
        self.acknowledge(node, to);
    }

    /// Tells the core which blocks that socket has taken.
    fn acknowledge(&mut self, node: usize, to: NeighbourId) {
        let mut taken = 0;
        if let Some(flow) = self.nodes[node].flows.get_mut(&to) {
            while flow.untaken.front().is_some_and(|&end| end <= SOCKET) {
                flow.untaken.pop_front();
                taken += 1;
            }
        }
        for _ in 0..taken {
            self.input(node, Input::Sent(to));
        }
    }

    fn transmit(&mut self, node: usize) {
        let sender = &mut self.nodes[node];
        if sender.up_busy || sender.gone {
            return;
        }
        let Some(number) = sender.queue.pop_front() else { return };
        let packet = &self.transit[&number];
        let size = packet.size;
        let done = self.now + nanos(packet.size, sender.peer.up);
        let to = packet.to;
        sender.up_busy = true;
        let second = usize::try_from(self.now / 1_000_000_000).expect("seconds");
        if self.busy_by_second.len() <= second {
            self.busy_by_second.resize(second + 1, [0.0; 2]);
        }
        let busy = nanos(size, sender.peer.up) as f64 / 1e9;
        let leechers = self.nodes.iter().filter(|n| !n.peer.seed).count();
        let is_seed = self.nodes[node].peer.seed;
        self.busy_by_second[second][usize::from(!is_seed)] += if is_seed { busy } else { busy / leechers as f64 };
        self.schedule(done, Event::UpFree(node, number));
        self.schedule(done + DELAY, Event::Arrive(to, number));
    }
}

fn id(node: usize) -> NeighbourId {
    NeighbourId(u32::try_from(node).expect("few nodes"))
}

fn nanos(bytes: u64, rate: u64) -> u64 {
    bytes * 8 * 1_000_000_000 / rate
}

fn length(message: &Message) -> u64 {
    match message {
        Message::KeepAlive => 4,
        Message::Choke | Message::Unchoke | Message::Interested | Message::NotInterested => 5,
        Message::Have(_) => 9,
        Message::Bitfield(field) => 5 + field.as_bytes().len() as u64,
        Message::Request(_) | Message::Cancel(_) => 17,
        Message::Piece(block, _) => 13 + u64::from(block.length()),
    }
}
