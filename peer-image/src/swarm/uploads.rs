//! The uploading side: slots, queues of asked blocks, and who hears of a new piece when.

use super::idle::Cause;
use super::neighbour::Neighbour;
use super::time::{Span, Timestamp};
use super::{NeighbourId, Output, Swarm};
use crate::wire::geometry::{BLOCK, Block, PieceIndex};
use crate::wire::message::Message;

/// Blocks handed to the shell at a time …
const SENDING: u32 = 3;

/// Where one block takes longer than this on the link, there is one at a time: requests to a neighbour wait behind the
/// blocks that go to it, and no connection is that slow to start.
const LONG: Span = Span::seconds(1);

/// A neighbour whose socket has not taken a block for as long as the link needs for so many no longer counts against
/// [`SENDING`]: others are served beside it. Few at a time keep the link's own queue short, in which requests and
/// acknowledgements wait too.
const STALLED_BLOCKS: u64 = 6;

/// The same where the link's rate is not known.
const STALLED: Span = Span::millis(200);

/// A slot that its holder has not used for so long passes on to somebody who waits. Longer than a request takes to
/// come through a peer's full queue, at a pace of 1; a neighbour that took longer last time is given twice that.
pub(super) const UNUSED: Span = Span::millis(600);

/// A neighbour that did not use its slot is passed over for so long, at a pace of 1.
const PASSED_OVER: Span = Span::seconds(1);

/// Most blocks that one neighbour may have asked for; more are ignored, as BEP 3 allows.
const QUEUE_MAX: usize = 512;

/// So many requests for blocks that were never offered are ignored; who makes more is banned: what a pipeline may hold.
const OVERREACHED_MAX: u32 = 512;

/// A neighbour for whom a new piece changes nothing at once hears of it this much later at the latest.
const TELL_WITHIN: Span = Span::millis(500);

/// Silence after which a keep-alive is sent (BEP 3: two minutes, less one choke round).
const KEEP_ALIVE: Span = Span::seconds(110);

/// A neighbour that owes blocks and sends none for so long is snubbing (Cohen 2003).
const SNUB: Span = Span::seconds(60);

impl Swarm {
    /// `id` asks for a block.
    pub(super) fn asked(&mut self, id: NeighbourId, block: Block) {
        let has = self.pieces.have().has(block.piece());
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        if !has {
            // An honest client may take over pieces without a look at who has them; nobody does for ever.
            neighbour.overreached += 1;
            if neighbour.overreached > OVERREACHED_MAX {
                let reason = format!("asked for {} blocks never offered, the last {block}", neighbour.overreached);
                self.outbox.push_back(Output::Ban(id, reason));
            }
            return;
        }
        if !neighbour.has_asked {
            neighbour.has_asked = true;
            neighbour.reply = self.now - neighbour.served_since;
        }
        if !neighbour.am_choking && neighbour.queue.len() < QUEUE_MAX && !neighbour.queue.contains(&block) {
            neighbour.queue.push_back(block);
        }
    }

    /// One handed block has left.
    pub(super) fn sent(&mut self, id: NeighbourId) {
        if let Some(neighbour) = self.neighbours.get_mut(&id) {
            neighbour.sending = neighbour.sending.saturating_sub(1);
            neighbour.last_sent = self.now;
            neighbour.moved = self.now;
        }
    }

    /// Hands blocks to the shell: piece after piece rather than all at once, because a piece can be passed on only
    /// when it is whole. Neighbours take turns, a turn is one piece.
    pub(super) fn pump(&mut self) {
        let stalled = self.stalled();
        let at_a_time = if self.blocks_take(1) > LONG { 1 } else { SENDING };
        loop {
            let handed: u32 =
                self.neighbours.values().filter(|n| self.now - n.moved < stalled).map(|n| n.sending).sum();
            if handed >= at_a_time {
                return;
            }
            let next = self
                .neighbours
                .iter()
                .filter(|(_, n)| n.can_be_handed())
                .min_by_key(|(_, n)| {
                    let goes_on = n.queue.front().map(|block| block.piece()) == n.turn_piece;
                    (!goes_on, n.turn)
                })
                .map(|(&id, _)| id);
            let Some(id) = next else { return };
            self.turns += 1;
            let turn = self.turns;
            let neighbour = self.neighbours.get_mut(&id).expect("it was chosen from there");
            let block = neighbour.queue.pop_front().expect("its queue is not empty");
            if neighbour.turn_piece != Some(block.piece()) {
                neighbour.turn_piece = Some(block.piece());
                neighbour.turn = turn;
            }
            if neighbour.sending == 0 {
                neighbour.moved = self.now;
            }
            neighbour.sending += 1;
            neighbour.up.add(self.now, block.length());
            let had_none = neighbour.has.count() == 0;
            self.outbox.push_back(Output::Upload(id, block));
            let piece = block.piece();
            if self.complete && had_none && block.number() + 1 == self.geometry.blocks_in(piece) {
                self.pass_to_newcomer(id);
            }
        }
    }

    /// How long a socket may take nothing before its blocks no longer count against [`SENDING`].
    fn stalled(&self) -> Span {
        if self.upload_rate.is_some() { self.blocks_take(STALLED_BLOCKS) } else { STALLED }
    }

    /// How long the upload link needs for so many blocks; no time if its rate is not known.
    pub(super) fn blocks_take(&self, blocks: u64) -> Span {
        let at = |rate: u64| Span(blocks * u64::from(BLOCK) * 8 * 1_000_000_000 / rate.max(1));
        self.upload_rate.map_or(Span(0), at)
    }

    /// When the first of the sockets that hold others up will have taken nothing for too long; `None` while nobody
    /// waits behind them.
    pub(super) fn next_stall(&self) -> Option<Timestamp> {
        if !self.neighbours.values().any(Neighbour::can_be_handed) {
            return None;
        }
        let stalled = self.stalled();
        let moving = self.neighbours.values().filter(|n| n.sending > 0 && self.now - n.moved < stalled);
        moving.map(|n| n.moved + stalled).min()
    }

    /// A neighbour was sent its first piece by a complete peer: if another has none yet, it takes over the slot, so
    /// that as many as possible have something to upload as soon as possible.
    fn pass_to_newcomer(&mut self, from: NeighbourId) {
        let newcomer = self
            .neighbours
            .iter()
            .filter(|(_, n)| n.is_interested && n.am_choking && n.has.count() == 0)
            .min_by_key(|(_, n)| n.up.total());
        if let Some((&to, _)) = newcomer
            && self.uploads
        {
            self.choke(from);
            self.unchoke(to);
        }
    }

    /// How long a neighbour may leave its slot unused.
    fn patience(&self, neighbour: &Neighbour) -> Span {
        Span((UNUSED.0 * self.pace).max(2 * neighbour.reply.0))
    }

    /// When the first slot that is not used now is to pass on; `None` while nobody waits for one.
    pub(super) fn next_unused_slot(&self) -> Option<Timestamp> {
        if !self.uploads || !self.neighbours.values().any(|n| n.waits(self.now)) {
            return None;
        }
        let unused = self.neighbours.values().filter(|n| !n.am_choking && !n.is_served());
        unused.map(|n| n.served_since.max(n.moved) + self.patience(n)).min()
    }

    /// Takes back slots that have not been used for a while, for others who wait.
    pub(super) fn pass_unused_slots(&mut self) {
        let now = self.now;
        let is_unused =
            |n: &Neighbour| !n.am_choking && !n.is_served() && now - n.served_since.max(n.moved) >= self.patience(n);
        let unused: Vec<NeighbourId> =
            self.neighbours.iter().filter(|(_, n)| is_unused(n)).map(|(&id, _)| id).collect();
        let waiting = self.neighbours.values().filter(|n| n.waits(now)).count();
        let passed_over = Span(PASSED_OVER.0 * self.pace);
        for id in unused.into_iter().take(waiting) {
            self.neighbours.get_mut(&id).expect("it was listed from there").passed_over_until = now + passed_over;
            self.choke(id);
            self.slots_changed = true;
        }
    }

    pub(super) fn choke_round(&mut self) {
        if !self.uploads {
            return;
        }
        let chosen = self.choker.round(self.now, &mut self.neighbours, self.complete, &mut self.random);
        let dropped: Vec<NeighbourId> =
            self.neighbours.iter().filter(|(id, n)| !n.am_choking && !chosen.contains(id)).map(|(&id, _)| id).collect();
        for id in dropped {
            self.choke(id);
        }
        for id in chosen {
            self.unchoke(id);
        }
    }

    /// Gives free slots to those who wait, between rounds.
    pub(super) fn fill_slots(&mut self) {
        if !self.uploads || !self.neighbours.values().any(|n| n.is_interested && n.am_choking) {
            return;
        }
        let serving = self.neighbours.values().filter(|n| n.is_interested && !n.am_choking).count();
        let free = self.choker.limit().saturating_sub(serving);
        if free == 0 {
            return;
        }
        let ranked = self.choker.rank(self.now, &mut self.neighbours, self.complete, &mut self.random);
        let next: Vec<NeighbourId> =
            ranked.into_iter().filter(|id| self.neighbours[id].waits(self.now)).take(free).collect();
        for id in next {
            if self.unchoked() >= self.choker.limit() {
                let spare = self.neighbours.iter().find(|(_, n)| !n.am_choking && !n.is_interested);
                let spare = *spare.expect("more slots than interested neighbours that are served").0;
                self.choke(spare);
            }
            self.unchoke(id);
        }
    }

    fn choke(&mut self, id: NeighbourId) {
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        if !neighbour.am_choking {
            neighbour.am_choking = true;
            neighbour.queue.clear();
            self.send(id, Message::Choke);
        }
    }

    fn unchoke(&mut self, id: NeighbourId) {
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        if neighbour.am_choking {
            neighbour.served_since = self.now;
            neighbour.has_asked = false;
            neighbour.am_choking = false;
            self.send(id, Message::Unchoke);
        }
    }

    /// This peer has a new piece: interest falls at those who have it, the others hear of it. At once, if it may
    /// make them ask for something; otherwise together with the next message, to spare the packets.
    pub(super) fn tell(&mut self, piece: PieceIndex) {
        let ids: Vec<NeighbourId> = self.neighbours.keys().copied().collect();
        for id in ids {
            let neighbour = self.neighbours.get_mut(&id).expect("it was listed from there");
            if neighbour.has.has(piece) {
                neighbour.wanted = neighbour.wanted.saturating_sub(1);
                if neighbour.has.is_full() {
                    // A seed learns from it who is new.
                    neighbour.untold.push(piece);
                    self.tell_at.get_or_insert(self.now + TELL_WITHIN);
                }
                self.settle_interest(id);
            } else if neighbour.is_interested && neighbour.am_choking {
                neighbour.untold.push(piece);
                self.tell_at.get_or_insert(self.now + TELL_WITHIN);
            } else {
                self.send(id, Message::Have(piece));
            }
        }
    }

    pub(super) fn tell_all_untold(&mut self) {
        self.tell_at = None;
        for (&id, neighbour) in &mut self.neighbours {
            for piece in std::mem::take(&mut neighbour.untold) {
                neighbour.last_sent = self.now;
                self.outbox.push_back(Output::Send(id, Message::Have(piece)));
            }
        }
    }

    pub(super) fn keep_alive(&mut self) {
        let silent: Vec<NeighbourId> =
            self.neighbours.iter().filter(|(_, n)| self.now - n.last_sent >= KEEP_ALIVE).map(|(&id, _)| id).collect();
        for id in silent {
            self.send(id, Message::KeepAlive);
        }
    }

    /// Gives the blocks that silent neighbours owe to others.
    pub(super) fn snub_the_silent(&mut self) {
        for (&id, neighbour) in &mut self.neighbours {
            if !neighbour.outstanding.is_empty() && self.now - neighbour.last_block >= SNUB {
                neighbour.snubbed = true;
                for block in std::mem::take(&mut neighbour.outstanding) {
                    self.pieces.release(block, id);
                }
            }
        }
        self.request_from_all();
    }

    /// Why there is nothing to send, `None` if there is.
    pub(super) fn idle_cause(&self) -> Option<Cause> {
        if self.neighbours.values().any(|n| n.is_served()) {
            None
        } else if !self.neighbours.values().any(|n| n.is_interested) {
            Some(Cause::Uninterested)
        } else if !self.neighbours.values().any(|n| n.is_interested && !n.am_choking) {
            Some(Cause::Choked)
        } else {
            Some(Cause::Unrequested)
        }
    }
}
