//! One peer's side of a swarm: what happened goes in, what to do comes out.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::blame::Blame;
use super::choker::{self, Choker};
use super::idle::{Cause, IdleClock};
use super::ids::{BlockDigest, NeighbourId};
use super::neighbour::Neighbour;
use super::pieces::{Pieces, Receipt};
use super::rate::USUAL_RATE;
use super::time::{Span, Timestamp};
use crate::event::Idle;
use crate::node::Policy;
use crate::seeds::Stream;
use crate::wire::bitfield::Bitfield;
use crate::wire::geometry::{Block, Geometry, PieceIndex};
use crate::wire::message::Message;

/// How this peer takes part.
#[derive(Debug)]
pub struct Config {
    /// How the file is cut.
    pub geometry: Geometry,
    /// What it has from the start.
    pub have: Bitfield,
    /// How it picks, chokes and requests.
    pub policy: Policy,
    /// Whether it uploads at all (a free-rider does not).
    pub uploads: bool,
    /// Rate of its upload link, bit/s, if it is known.
    pub upload_rate: Option<u64>,
    /// All its random choices.
    pub random: Stream,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// A connection's handshake is done, both ways.
    Connected(NeighbourId),
    /// It is gone, whoever closed it.
    Disconnected(NeighbourId),
    /// A message came.
    Message(NeighbourId, Message),
    /// The block of the oldest unanswered [`Output::Upload`] to that neighbour was taken by its socket.
    Sent(NeighbourId),
    /// The answer to [`Output::Verify`].
    Verified {
        /// The piece.
        piece: PieceIndex,
        /// Whether its SHA-1 is right.
        ok: bool,
        /// SHA-1 of each of its blocks, in order; empty where [`Output::Verify`] did not ask for them and `ok`.
        digests: Vec<BlockDigest>,
    },
    /// The time that [`Swarm::next_wake`] named has come.
    Wake,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send that message; never a [`Message::Piece`].
    Send(NeighbourId, Message),
    /// Send that block, and say [`Input::Sent`] when its socket has taken it.
    Upload(NeighbourId, Block),
    /// Keep that block.
    Store(Block, Bytes),
    /// Compare the SHA-1 of that piece, all blocks of which were stored; answer with [`Input::Verified`].
    Verify {
        /// The piece.
        piece: PieceIndex,
        /// Whether the digests of its blocks are needed even if it is right.
        digests: bool,
    },
    /// The file is whole and verified. Comes once.
    Complete,
    /// Close that connection, because of what the neighbour did.
    Ban(NeighbourId, String),
}

/// Why [`Swarm::next_wake`] wants to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeReason {
    /// The choker's next round; also looks after silent neighbours and keep-alives.
    ChokeRound,
    /// Neighbours that wait to be told of new pieces.
    TellHaves,
    /// Slots that nobody uses while others wait.
    UnusedSlots,
    /// A socket that takes nothing while others could be served.
    Stall,
    /// In endgame: blocks that are owed by neighbours that fell silent.
    Owed,
}

/// Bytes that were received in vain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waste {
    /// Came a second time.
    pub duplicate: u64,
    /// Belonged to pieces that failed verification.
    pub discarded: u64,
    /// Were never asked for and not needed.
    pub unrequested: u64,
}

/// One peer's side of a swarm.
#[derive(Debug)]
pub struct Swarm {
    pub(super) geometry: Geometry,
    pub(super) policy: Policy,
    pub(super) uploads: bool,
    pub(super) upload_rate: Option<u64>,
    /// How many times as slow its link is as those for which the times in this module are made: at least 1.
    pub(super) pace: u64,
    pub(super) random: Stream,
    pub(super) now: Timestamp,
    pub(super) pieces: Pieces,
    /// How many neighbours have each piece.
    pub(super) availability: Vec<u32>,
    pub(super) neighbours: BTreeMap<NeighbourId, Neighbour>,
    pub(super) choker: Choker,
    next_round: Timestamp,
    pub(super) tell_at: Option<Timestamp>,
    /// Turns taken by neighbours in uploading.
    pub(super) turns: u64,
    /// Somebody's interest or a slot changed since slots were last filled.
    pub(super) slots_changed: bool,
    /// When slots that nobody uses pass on, if nothing is requested before.
    slots_unused_at: Option<Timestamp>,
    /// When endgame looks again at what is owed.
    owed_at: Option<Timestamp>,
    /// When a neighbour that blocks are in hand for counts as stalled, if others wait behind it.
    stalled_at: Option<Timestamp>,
    blame: Blame,
    pub(super) super_seeding: bool,
    idle: IdleClock,
    waste: Waste,
    /// When it last got a block that it needed.
    pub(super) fed_at: Timestamp,
    /// When it got the first of them, and how many bytes since.
    pub(super) fed_from: Timestamp,
    pub(super) fed: u64,
    pub(super) complete: bool,
    pub(super) outbox: VecDeque<Output>,
}

impl Swarm {
    /// A peer at `now`, connected to nobody.
    #[must_use]
    pub fn new(mut config: Config, now: Timestamp) -> Self {
        let complete = config.have.is_full();
        // A phase of its own: peers that start together must not all reshuffle their slots at the same moments.
        let phase = Span(config.random.below(choker::ROUND.0));
        let mut idle = IdleClock::default();
        idle.turn(now, Some(Cause::Uninterested));
        Self {
            geometry: config.geometry,
            availability: vec![0; config.geometry.pieces() as usize],
            pieces: Pieces::new(config.geometry, config.have),
            choker: Choker::new(config.policy.choker, config.policy.slots),
            super_seeding: config.policy.super_seeding && complete,
            policy: config.policy,
            uploads: config.uploads,
            upload_rate: config.upload_rate,
            pace: config.upload_rate.map_or(1, |rate| (USUAL_RATE / rate.max(1)).max(1)),
            random: config.random,
            now,
            neighbours: BTreeMap::new(),
            next_round: now + phase,
            tell_at: None,
            turns: 0,
            slots_changed: false,
            slots_unused_at: None,
            owed_at: None,
            stalled_at: None,
            blame: Blame::default(),
            idle,
            waste: Waste::default(),
            fed_at: now,
            fed_from: now,
            fed: 0,
            complete,
            outbox: VecDeque::new(),
        }
    }

    /// Takes what happened at `now`. May be called at any time; a `now` before an earlier one counts as that one.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Connected(id) => self.connected(id),
            Input::Disconnected(id) => self.disconnected(id),
            Input::Message(id, message) => self.message(id, message),
            Input::Sent(id) => self.sent(id),
            Input::Verified { piece, ok, digests } => self.verified(piece, ok, &digests),
            Input::Wake => {}
        }
        self.wake();
        if std::mem::take(&mut self.slots_changed) {
            self.fill_slots();
        }
        self.pump();
        let cause = self.idle_cause();
        self.idle.turn(self.now, cause);
        self.slots_unused_at = self.next_unused_slot();
        self.stalled_at = self.next_stall();
        self.owed_at = self.is_owed().then(|| self.owed_at.unwrap_or(self.now + Span::seconds(self.answers())));
    }

    /// The next thing to do, `None` when all is done. Call until then after each [`Swarm::handle`].
    pub fn poll(&mut self) -> Option<Output> {
        self.outbox.pop_front()
    }

    /// When to call [`Swarm::handle`] with [`Input::Wake`] if nothing else happens. Changes with each `handle`.
    #[must_use]
    pub fn next_wake(&self) -> Option<(Timestamp, WakeReason)> {
        let round = (self.next_round, WakeReason::ChokeRound);
        let tell = self.tell_at.map(|at| (at, WakeReason::TellHaves));
        let unused = self.slots_unused_at.map(|at| (at, WakeReason::UnusedSlots));
        let stall = self.stalled_at.map(|at| (at, WakeReason::Stall));
        let owed = self.owed_at.map(|at| (at, WakeReason::Owed));
        [Some(round), tell, unused, stall, owed].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// What this peer has, verified.
    #[must_use]
    pub fn have(&self) -> &Bitfield {
        self.pieces.have()
    }

    /// Bytes received in vain so far.
    #[must_use]
    pub fn waste(&self) -> Waste {
        self.waste
    }

    /// How long the upload link had nothing to send, up to `now`.
    pub fn idle(&mut self, now: Timestamp) -> Idle {
        self.idle.spent(now)
    }

    /// Neighbours that are unchoked now.
    #[must_use]
    pub fn unchoked(&self) -> usize {
        self.neighbours.values().filter(|n| !n.am_choking).count()
    }

    fn connected(&mut self, id: NeighbourId) {
        self.neighbours.insert(id, Neighbour::new(self.geometry, self.pace, self.now));
        if self.super_seeding {
            self.reveal(id);
        } else if self.pieces.have().count() > 0 {
            let have = self.pieces.have().clone();
            self.send(id, Message::Bitfield(have));
        }
    }

    fn disconnected(&mut self, id: NeighbourId) {
        let Some(gone) = self.neighbours.remove(&id) else { return };
        for piece in self.geometry.all().filter(|&piece| gone.has.has(piece)) {
            self.availability[piece.index()] -= 1;
        }
        for block in gone.outstanding {
            self.pieces.release(block, id);
        }
        self.pieces.forget_sole(id);
        self.slots_changed = true;
        self.request_from_all();
    }

    fn message(&mut self, id: NeighbourId, message: Message) {
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        match message {
            Message::KeepAlive => {}
            Message::Choke => {
                neighbour.is_choking = true;
                for block in std::mem::take(&mut neighbour.outstanding) {
                    neighbour.withdraw(block);
                    self.pieces.release(block, id);
                }
                self.pieces.forget_sole(id);
                self.request_from_all();
            }
            Message::Unchoke => {
                neighbour.is_choking = false;
                neighbour.unchoked_at = self.now;
                neighbour.last_block = self.now;
                self.request(id);
            }
            Message::Interested => {
                neighbour.is_interested = true;
                self.slots_changed = true;
            }
            Message::NotInterested => {
                neighbour.is_interested = false;
                self.slots_changed = true;
                if self.super_seeding {
                    self.sated(id);
                }
            }
            Message::Have(piece) => self.learn(id, [piece]),
            Message::Bitfield(field) => {
                let has: Vec<PieceIndex> = self.geometry.all().filter(|&piece| field.has(piece)).collect();
                self.learn(id, has);
            }
            Message::Request(block) => self.asked(id, block),
            Message::Cancel(block) => neighbour.queue.retain(|&queued| queued != block),
            Message::Piece(block, data) => self.received(id, block, data),
        }
    }

    /// `id` has these pieces.
    pub(super) fn learn(&mut self, id: NeighbourId, pieces: impl IntoIterator<Item = PieceIndex>) {
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        let mut new = Vec::new();
        for piece in pieces {
            if neighbour.has.set(piece) {
                self.availability[piece.index()] += 1;
                neighbour.wanted += u32::from(!self.pieces.have().has(piece));
                neighbour.untold.retain(|&untold| untold != piece);
                new.push(piece);
            }
        }
        if self.super_seeding {
            for piece in new {
                self.reveal_after(id, piece);
            }
        }
        self.settle_interest(id);
        self.request(id);
    }

    /// Says whether this peer wants something of `id`, if that changed.
    pub(super) fn settle_interest(&mut self, id: NeighbourId) {
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        let wants = neighbour.wanted > 0;
        if wants != neighbour.am_interested {
            neighbour.am_interested = wants;
            self.send(id, if wants { Message::Interested } else { Message::NotInterested });
        }
    }

    /// A block came.
    fn received(&mut self, id: NeighbourId, block: Block, data: Bytes) {
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        neighbour.brought(self.now, block.length());
        neighbour.last_block = self.now;
        neighbour.snubbed = false;
        let position = neighbour.outstanding.iter().position(|&asked| asked == block);
        if let Some(position) = position {
            neighbour.outstanding.remove(position);
        }
        let asked = position.is_some() || neighbour.was_withdrawn(block);
        match self.pieces.receive(block, id) {
            Receipt::Duplicate if asked => self.waste.duplicate += u64::from(block.length()),
            Receipt::Duplicate => self.waste.unrequested += u64::from(block.length()),
            Receipt::Needed { others, last } => {
                self.fed_at = self.now;
                if self.fed == 0 {
                    self.fed_from = self.now;
                }
                self.fed += u64::from(block.length());
                self.outbox.push_back(Output::Store(block, data));
                for &other in &others {
                    if let Some(neighbour) = self.neighbours.get_mut(&other) {
                        neighbour.outstanding.retain(|&asked| asked != block);
                        neighbour.withdraw(block);
                        self.send(other, Message::Cancel(block));
                    }
                }
                if last {
                    let piece = block.piece();
                    self.outbox.push_back(Output::Verify { piece, digests: self.blame.suspects(piece) });
                }
                for other in others {
                    self.request(other);
                }
            }
        }
        self.request(id);
    }

    fn verified(&mut self, piece: PieceIndex, ok: bool, digests: &[BlockDigest]) {
        if !self.pieces.is_whole(piece) {
            return; // an answer to no question of ours
        }
        let authors = self.pieces.authors(piece);
        let culprits = if ok {
            self.pieces.verified(piece);
            self.tell(piece);
            self.blame.acquit(piece, digests)
        } else {
            self.waste.discarded += u64::from(self.geometry.piece_length(piece));
            self.pieces.failed(piece);
            self.blame.accuse(piece, &authors, digests)
        };
        for culprit in culprits {
            if self.neighbours.contains_key(&culprit) {
                let reason = format!("sent a bad block of piece `{piece}`");
                self.outbox.push_back(Output::Ban(culprit, reason));
            }
        }
        if ok && self.pieces.have().is_full() && !self.complete {
            self.complete = true;
            self.outbox.push_back(Output::Complete);
        }
        if !ok {
            self.request_from_all();
        }
    }

    /// Does what is due at `now`.
    fn wake(&mut self) {
        if self.tell_at.is_some_and(|at| at <= self.now) {
            self.tell_all_untold();
        }
        if self.slots_unused_at.is_some_and(|at| at <= self.now) {
            self.pass_unused_slots();
        }
        if self.owed_at.is_some_and(|at| at <= self.now) {
            self.owed_at = None;
            self.request_from_all();
        }
        if self.next_round <= self.now {
            while self.next_round <= self.now {
                self.next_round = self.next_round + choker::ROUND;
            }
            self.snub_the_silent();
            self.keep_alive();
            self.reveal_to_the_waiting();
            self.choke_round();
        }
    }

    pub(super) fn send(&mut self, id: NeighbourId, message: Message) {
        if let Some(neighbour) = self.neighbours.get_mut(&id) {
            neighbour.last_sent = self.now;
            // What waited to be told goes along, in the same packet.
            for piece in std::mem::take(&mut neighbour.untold) {
                self.outbox.push_back(Output::Send(id, Message::Have(piece)));
            }
            self.outbox.push_back(Output::Send(id, message));
        }
    }
}
