//! Super-seeding (BEP 16): an initial seed shows each neighbour one piece at a time, and the next only when it has
//! seen the last one at somebody else, so that it sends little more than one copy before another seed exists.

use super::{NeighbourId, Output, Swarm};
use crate::wire::geometry::PieceIndex;
use crate::wire::message::Message;

impl Swarm {
    /// Shows `id` one more piece: one that fewest have, and that fewest were shown.
    pub(super) fn reveal(&mut self, id: NeighbourId) {
        let shown = |piece: PieceIndex| {
            self.neighbours.values().filter(|n| n.revealed.is_some_and(|(revealed, _)| revealed == piece)).count()
        };
        let Some(neighbour) = self.neighbours.get(&id) else { return };
        let lacking = || self.geometry.all().filter(|&piece| !neighbour.has.has(piece));
        let seen = |piece: &PieceIndex| self.availability[piece.index()] as usize + shown(*piece);
        let fewest = lacking().map(|piece| seen(&piece)).min();
        let candidates: Vec<PieceIndex> = lacking().filter(|piece| Some(seen(piece)) == fewest).collect();
        let Some(&piece) = self.random.pick(&candidates) else { return };
        let neighbour = self.neighbours.get_mut(&id).expect("it was there above");
        neighbour.revealed = Some((piece, self.now));
        neighbour.shown.push(piece);
        neighbour.last_sent = self.now;
        self.outbox.push_back(Output::Send(id, Message::Have(piece)));
    }

    /// `id` was seen to have `piece`: whoever was shown it may see the next, if that proves that it was passed on
    /// (or nobody is left to pass it on to).
    pub(super) fn reveal_after(&mut self, id: NeighbourId, piece: PieceIndex) {
        let nobody_lacks = self.neighbours.values().all(|n| n.has.has(piece));
        let due: Vec<NeighbourId> = self
            .neighbours
            .iter()
            .filter(|(other, n)| n.revealed.is_some_and(|(shown, _)| shown == piece) && (**other != id || nobody_lacks))
            .map(|(&other, _)| other)
            .collect();
        for other in due {
            self.reveal(other);
        }
    }

    /// `id` wants nothing more of what it was shown, so it has all of it. Its HAVE may never come: BEP 3 does not ask
    /// for one to somebody who has the piece.
    pub(super) fn sated(&mut self, id: NeighbourId) {
        if let Some(neighbour) = self.neighbours.get_mut(&id) {
            let shown = std::mem::take(&mut neighbour.shown);
            self.learn(id, shown);
        }
    }

    /// Who has waited too long for its piece to appear elsewhere sees another.
    pub(super) fn reveal_to_the_waiting(&mut self) {
        if !self.super_seeding {
            return;
        }
        let waiting: Vec<NeighbourId> = self
            .neighbours
            .iter()
            .filter(|(_, n)| {
                let seems_to_have = |piece| n.has.has(piece) || !n.is_interested;
                n.revealed.is_some_and(|(piece, at)| seems_to_have(piece) && self.now - at >= super::choker::ROUND)
            })
            .map(|(&id, _)| id)
            .collect();
        for id in waiting {
            if !self.neighbours[&id].is_interested {
                self.sated(id);
            }
            self.reveal(id);
        }
    }
}
