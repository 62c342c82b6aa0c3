//! The uploading side: slots, queues of asked blocks, and who hears of a new piece when.

use super::idle::Cause;
use super::time::Span;
use super::{NeighbourId, Output, Swarm};
use crate::wire::geometry::{Block, PieceIndex};
use crate::wire::message::Message;

/// Blocks handed to the shell at a time for one neighbour: one to send, one so that the socket never waits.
const SENDING: u32 = 2;

/// Most blocks that one neighbour may have asked for; more are ignored, as BEP 3 allows.
const QUEUE_MAX: usize = 512;

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
            self.outbox.push_back(Output::Ban(id, format!("asked for a block never offered: {block}")));
            return;
        }
        if !neighbour.am_choking && neighbour.queue.len() < QUEUE_MAX && !neighbour.queue.contains(&block) {
            neighbour.queue.push_back(block);
            self.pump(id);
        }
    }

    /// One handed block has left.
    pub(super) fn sent(&mut self, id: NeighbourId) {
        if let Some(neighbour) = self.neighbours.get_mut(&id) {
            neighbour.sending = neighbour.sending.saturating_sub(1);
            neighbour.last_sent = self.now;
            self.pump(id);
        }
    }

    fn pump(&mut self, id: NeighbourId) {
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
        while neighbour.sending < SENDING
            && let Some(block) = neighbour.queue.pop_front()
        {
            neighbour.sending += 1;
            neighbour.up.add(self.now, block.length());
            self.outbox.push_back(Output::Upload(id, block));
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
            ranked.into_iter().filter(|id| self.neighbours[id].am_choking).take(free).collect();
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
        neighbour.served_since = self.now;
        if neighbour.am_choking {
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
