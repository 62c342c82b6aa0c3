//! A referee that sees everything that each node of the virtual network is told and does, keeps its own books, and
//! panics at the first breach of a rule. It knows nothing of the core's insides.
//!
//! | rule | kept where |
//! | --- | --- |
//! | nothing is requested while choked, or of somebody who does not have it | [`Referee::requests`] |
//! | no block is requested twice at a time, but in endgame: when every missing one has been asked for | [`Referee::requests`] |
//! | rarest first is rarest, sequential is sequential | [`Referee::begins`] |
//! | only what was asked for and not taken back is uploaded, and to nobody who is choked | [`Referee::does`] |
//! | who does not upload does not unchoke; who is honest is not banned | [`Referee::does`] |
//! | a piece is verified once all its blocks were stored, each once; the file is complete once all pieces are | [`Referee::does`] |
//! | at most `slots` + 1 are unchoked, but under `unlimited`; interest is told truthfully | [`Referee::settles`] |

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use peer_image::node::{Choker, Picker};
use peer_image::swarm::{Input, NeighbourId, Output, Swarm};
use peer_image::wire::geometry::{Block, Geometry, PieceIndex};
use peer_image::wire::message::Message;

use crate::network::{Glimpse, Network, Peer};

/// A neighbour that owes blocks for so long, ns, may find them asked of others too (Cohen 2003: it snubs).
const SNUB: u64 = 60_000_000_000;

/// One neighbour as a node must see it, from what passed between them.
#[derive(Debug, Default)]
struct View {
    has: BTreeSet<PieceIndex>,
    is_choking: bool,
    am_choking: bool,
    am_interested: bool,
    /// Blocks asked of it.
    outstanding: Vec<Block>,
    /// When it last sent a block, or began to serve, or the first of those blocks was asked for.
    last_block: u64,
    /// Blocks that it asked for.
    asked: Vec<Block>,
}

/// What a node must know, from what it was told.
#[derive(Debug, Default)]
struct Books {
    neighbours: BTreeMap<NeighbourId, View>,
    had: BTreeSet<PieceIndex>,
    begun: BTreeSet<PieceIndex>,
    stored: BTreeSet<Block>,
    /// Who sent at least one block that was stored.
    authors: BTreeSet<NeighbourId>,
    /// Who sent the block that is being dealt with.
    sender: Option<NeighbourId>,
    complete: bool,
}

/// Keeps everybody's books.
#[derive(Debug)]
pub(crate) struct Referee {
    geometry: Geometry,
    peers: Vec<Peer>,
    books: Vec<Books>,
    /// Pairs (node, neighbour) where node stored at least one block that the neighbour sent.
    pub(crate) served: BTreeSet<(usize, usize)>,
    /// When the leechers first had every piece between them, ns.
    pub(crate) spread_at: Option<u64>,
    /// Requests for a block that somebody else had been asked for.
    pub(crate) copies: u64,
}

/// A network of `peers`, all connected to all, under the eyes of a referee.
pub(crate) fn refereed<'a>(geometry: Geometry, peers: Vec<Peer>, seed: u64) -> (Network<'a>, Rc<RefCell<Referee>>) {
    let referee = Rc::new(RefCell::new(Referee::new(geometry, peers.clone())));
    let watching = Rc::clone(&referee);
    let watch = move |at, node, swarm: &Swarm, output: &Output| watching.borrow_mut().does(at, node, swarm, output);
    let mut network = Network::new(geometry, peers, seed, Box::new(watch));
    let listening = Rc::clone(&referee);
    network.listen = Box::new(move |at, node, swarm, glimpse| match glimpse {
        Glimpse::Told(input) => listening.borrow_mut().hears(at, node, input),
        Glimpse::Settled => listening.borrow_mut().settles(node, swarm),
    });
    (network, referee)
}

impl Referee {
    fn new(geometry: Geometry, peers: Vec<Peer>) -> Self {
        let count = u32::try_from(peers.len()).expect("few peers");
        let stranger = || View { is_choking: true, am_choking: true, ..View::default() };
        let books = (0..count).zip(&peers).map(|(own, peer)| Books {
            neighbours: (0..count).filter(|&n| n != own).map(|n| (NeighbourId(n), stranger())).collect(),
            had: if peer.seed { geometry.all().collect() } else { BTreeSet::new() },
            complete: peer.seed,
            ..Books::default()
        });
        Self { geometry, books: books.collect(), peers, served: BTreeSet::new(), spread_at: None, copies: 0 }
    }

    /// Whether that node has the whole file, by what it verified.
    pub(crate) fn is_complete(&self, node: usize) -> bool {
        self.books[node].complete
    }

    /// Whether everybody has, but those who were killed.
    pub(crate) fn all_complete(&self) -> bool {
        self.books.iter().all(|books| books.complete)
    }

    fn hears(&mut self, at: u64, node: usize, input: &Input) {
        let books = &mut self.books[node];
        books.sender = None;
        match input {
            Input::Connected(_) | Input::Sent(_) | Input::Wake => {}
            Input::Disconnected(from) => {
                books.neighbours.remove(from);
            }
            Input::Message(from, message) => self.is_sent(at, node, *from, message),
            Input::Verified { piece, ok, .. } => {
                assert!(!books.had.contains(piece), "node {node} verified piece {piece} twice");
                if *ok {
                    books.had.insert(*piece);
                    self.note_spread(at);
                } else {
                    books.stored.retain(|block| block.piece() != *piece);
                }
            }
        }
    }

    fn note_spread(&mut self, at: u64) {
        let leechers = self.books.iter().zip(&self.peers).filter(|(_, peer)| !peer.seed && !peer.corrupts);
        let held: BTreeSet<&PieceIndex> = leechers.flat_map(|(books, _)| &books.had).collect();
        if self.spread_at.is_none() && held.len() == self.geometry.pieces() as usize {
            self.spread_at = Some(at);
        }
    }

    fn is_sent(&mut self, at: u64, node: usize, from: NeighbourId, message: &Message) {
        let books = &mut self.books[node];
        let view = books.neighbours.get_mut(&from).expect("messages come over connections");
        match message {
            Message::Choke => {
                view.is_choking = true;
                view.outstanding.clear();
            }
            Message::Unchoke => {
                view.is_choking = false;
                view.last_block = at;
            }
            Message::Have(piece) => {
                view.has.insert(*piece);
            }
            Message::Bitfield(field) => view.has.extend(self.geometry.all().filter(|&piece| field.has(piece))),
            Message::Request(block) if !view.am_choking => view.asked.push(*block),
            Message::Cancel(block) => view.asked.retain(|asked| asked != block),
            Message::Piece(block, _) => {
                view.outstanding.retain(|asked| asked != block);
                view.last_block = at;
                books.sender = Some(from);
            }
            Message::KeepAlive | Message::Interested | Message::NotInterested | Message::Request(_) => {}
        }
    }

    fn does(&mut self, at: u64, node: usize, swarm: &Swarm, output: &Output) {
        match output {
            Output::Send(to, message) => self.sends(at, node, *to, message),
            Output::Upload(to, block) => {
                let books = &mut self.books[node];
                assert!(books.had.contains(&block.piece()), "node {node} uploads {block}, which it does not have");
                let Some(view) = books.neighbours.get_mut(to) else { return };
                assert!(!view.am_choking, "node {node} uploads {block} to {to:?}, which it chokes");
                let asked = view.asked.iter().position(|asked| asked == block);
                view.asked.remove(asked.unwrap_or_else(|| panic!("node {node} uploads {block} unasked")));
            }
            Output::Store(block, _) => {
                let books = &mut self.books[node];
                assert!(!books.had.contains(&block.piece()), "node {node} stores {block} of a piece that it has");
                assert!(books.stored.insert(*block), "node {node} stores {block} twice");
                let sender = books.sender.expect("a block is stored when it comes");
                books.authors.insert(sender);
                self.served.insert((node, sender.0 as usize));
            }
            Output::Verify { piece, .. } => {
                let stored = &self.books[node].stored;
                let missing = self.geometry.blocks(*piece).find(|block| !stored.contains(block));
                assert!(missing.is_none(), "node {node} verifies piece {piece} without {missing:?}");
            }
            Output::Complete => {
                let books = &mut self.books[node];
                assert!(!books.complete, "node {node} completes twice");
                assert_eq!(books.had.len(), self.geometry.pieces() as usize, "node {node} completes too soon");
                assert!(swarm.have().is_full(), "node {node} completes without having all");
                books.complete = true;
            }
            Output::Ban(other, reason) => {
                assert!(self.peers[other.0 as usize].corrupts, "node {node} bans an honest peer: {reason}");
            }
        }
    }

    fn sends(&mut self, at: u64, node: usize, to: NeighbourId, message: &Message) {
        // What is said over a connection that has just gone is lost.
        let Some(view) = self.books[node].neighbours.get_mut(&to) else { return };
        match message {
            Message::Choke => {
                view.am_choking = true;
                view.asked.clear();
            }
            Message::Unchoke => {
                assert!(self.peers[node].uploads, "node {node} uploads nothing, but unchokes {to:?}");
                view.am_choking = false;
            }
            Message::Interested => view.am_interested = true,
            Message::NotInterested => view.am_interested = false,
            Message::Request(block) => self.requests(at, node, to, *block),
            Message::Cancel(block) => view.outstanding.retain(|asked| asked != block),
            Message::Have(piece) => {
                assert!(self.books[node].had.contains(piece), "node {node} claims piece {piece}");
            }
            Message::Bitfield(_) | Message::KeepAlive => {}
            Message::Piece(..) => panic!("node {node} sends a block as a message"),
        }
    }

    fn requests(&mut self, at: u64, node: usize, to: NeighbourId, block: Block) {
        let books = &self.books[node];
        let view = &books.neighbours[&to];
        assert!(!view.is_choking, "node {node} asks {to:?} for {block}, but is choked there");
        assert!(view.has.contains(&block.piece()), "node {node} asks {to:?} for {block}, which that does not have");
        assert!(!books.had.contains(&block.piece()), "node {node} asks for {block}, which it has");
        assert!(!books.stored.contains(&block), "node {node} asks for {block}, which came");
        let snubs = at - view.last_block >= SNUB;
        assert!(snubs || !view.outstanding.contains(&block), "node {node} asks {to:?} for {block} twice");
        if !books.begun.contains(&block.piece()) {
            self.begins(node, view, block.piece());
        }
        let others = books.neighbours.values();
        if others.clone().any(|other| other.outstanding.contains(&block) && at - other.last_block < SNUB) {
            assert!(self.peers[node].policy.endgame, "node {node} asks for {block} twice without endgame");
            let missing = self.geometry.all().filter(|piece| !books.had.contains(piece));
            let unasked = missing.flat_map(|piece| self.geometry.blocks(piece)).find(|block| {
                !books.stored.contains(block) && !others.clone().any(|other| other.outstanding.contains(block))
            });
            assert!(unasked.is_none(), "node {node} asks for {block} twice, and for {unasked:?} not at all");
            self.copies += 1;
        }
        let books = &mut self.books[node];
        books.begun.insert(block.piece());
        let view = books.neighbours.get_mut(&to).expect("it was there above");
        if view.outstanding.is_empty() {
            view.last_block = at;
        }
        view.outstanding.push(block);
    }

    /// `piece` is the one to begin among what that neighbour has.
    fn begins(&self, node: usize, from: &View, piece: PieceIndex) {
        let books = &self.books[node];
        let mut untouched = from.has.iter().filter(|p| !books.had.contains(p) && !books.begun.contains(p));
        match self.peers[node].policy.picker {
            Picker::Random => {}
            Picker::Sequential => assert_eq!(untouched.next(), Some(&piece), "node {node} begins out of order"),
            Picker::RarestFirst if books.had.is_empty() => {}
            Picker::RarestFirst => {
                let copies = |p: &PieceIndex| books.neighbours.values().filter(|view| view.has.contains(p)).count();
                let rarest = untouched.min_by_key(|p| copies(p)).expect("at least the one that is begun");
                assert!(
                    copies(rarest) == copies(&piece),
                    "node {node} begins piece {piece}, of which it sees {} copies, where it sees {} of {rarest}",
                    copies(&piece),
                    copies(rarest)
                );
            }
        }
    }

    fn settles(&self, node: usize, swarm: &Swarm) {
        let policy = &self.peers[node].policy;
        let limit = match policy.choker {
            Choker::Unlimited => usize::MAX,
            Choker::TitForTat | Choker::RoundRobin => policy.slots as usize + 1,
        };
        assert!(swarm.unchoked() <= limit, "node {node} unchokes {} with {limit} slots", swarm.unchoked());
        let books = &self.books[node];
        let unchoked = books.neighbours.values().filter(|view| !view.am_choking).count();
        assert_eq!(swarm.unchoked(), unchoked, "node {node} has told {unchoked} that they are unchoked");
        for (id, view) in &books.neighbours {
            let wants = view.has.iter().any(|piece| !books.had.contains(piece));
            assert_eq!(view.am_interested, wants, "node {node} told {id:?} of an interest of {}", view.am_interested);
        }
    }
}
