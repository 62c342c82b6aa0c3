//! What this peer has, has begun and has asked for.
//!
//! **Invariant.** Every block of a piece that is begun is in exactly one state: open, asked for (from one
//! neighbour, outside endgame), or received. A piece is verified only when all its blocks are received, and is
//! had only when it is verified.

use std::collections::BTreeMap;

use super::NeighbourId;
use crate::wire::bitfield::Bitfield;
use crate::wire::geometry::{Block, Geometry, PieceIndex};

/// Where one block of a begun piece stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BlockState {
    /// Nobody was asked.
    Open,
    /// These neighbours were asked; more than one only in endgame.
    Asked(Vec<NeighbourId>),
    /// It came from this neighbour.
    Received(NeighbourId),
}

/// A piece that is begun and not yet verified.
#[derive(Debug, Clone)]
pub(super) struct Partial {
    pub(super) blocks: Vec<BlockState>,
    open: usize,
    received: usize,
    /// After a failed verification one neighbour alone is asked, so that the next failure has one author.
    exclusive: bool,
    /// That neighbour, once the first block was asked of it.
    sole: Option<NeighbourId>,
}

impl Partial {
    /// Blocks that nobody was asked for.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Blocks that came.
    pub(super) fn received(&self) -> usize {
        self.received
    }

    /// Whether that neighbour may be asked for blocks of this piece.
    pub(super) fn may_ask(&self, neighbour: NeighbourId) -> bool {
        !self.exclusive || self.sole.is_none_or(|sole| sole == neighbour)
    }
}

/// What a received block was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Receipt {
    /// Needed; these other neighbours had been asked for it too. `last` if the piece is now whole.
    Needed { others: Vec<NeighbourId>, last: bool },
    /// It had come before, or its piece is had.
    Duplicate,
}

/// What this peer has, has begun and has asked for.
#[derive(Debug, Clone)]
pub(super) struct Pieces {
    geometry: Geometry,
    have: Bitfield,
    begun: BTreeMap<PieceIndex, Partial>,
    /// Blocks of begun pieces that nobody was asked for.
    open: usize,
}

impl Pieces {
    pub(super) fn new(geometry: Geometry, have: Bitfield) -> Self {
        Self { geometry, have, begun: BTreeMap::new(), open: 0 }
    }

    pub(super) fn have(&self) -> &Bitfield {
        &self.have
    }

    pub(super) fn begun(&self) -> &BTreeMap<PieceIndex, Partial> {
        &self.begun
    }

    /// Whether that piece is neither had nor begun.
    pub(super) fn is_untouched(&self, piece: PieceIndex) -> bool {
        !self.have.has(piece) && !self.begun.contains_key(&piece)
    }

    /// Whether every block that is still missing has been asked for: Cohen's condition for endgame.
    pub(super) fn all_asked(&self) -> bool {
        self.open == 0 && self.have.count() as usize + self.begun.len() == self.geometry.pieces() as usize
    }

    /// Asks `neighbour` for the first open block of `piece`, beginning the piece if need be.
    pub(super) fn ask_next(&mut self, piece: PieceIndex, neighbour: NeighbourId) -> Option<Block> {
        let partial = self.begun.entry(piece).or_insert_with(|| {
            let blocks = vec![BlockState::Open; self.geometry.blocks_in(piece)];
            self.open += blocks.len();
            Partial { open: blocks.len(), received: 0, blocks, exclusive: false, sole: None }
        });
        let number = partial.blocks.iter().position(|state| *state == BlockState::Open)?;
        partial.blocks[number] = BlockState::Asked(vec![neighbour]);
        partial.sole = Some(neighbour);
        partial.open -= 1;
        self.open -= 1;
        self.geometry.nth_block(piece, number)
    }

    /// Asks `neighbour` for that block if it is open; whether it was.
    pub(super) fn ask(&mut self, block: Block, neighbour: NeighbourId) -> bool {
        let Some(partial) = self.begun.get_mut(&block.piece()) else { return false };
        let Some(state) = partial.blocks.get_mut(block.number()) else { return false };
        let open = *state == BlockState::Open;
        if open {
            *state = BlockState::Asked(vec![neighbour]);
            partial.open -= 1;
            self.open -= 1;
        }
        open
    }

    /// Whether exactly one neighbour was asked for that block, and `neighbour` may be asked instead.
    pub(super) fn is_asked_of_one(&self, block: Block, neighbour: NeighbourId) -> bool {
        let Some(partial) = self.begun.get(&block.piece()) else { return false };
        let asked = |state: &BlockState| matches!(state, BlockState::Asked(asked) if asked.len() == 1);
        partial.may_ask(neighbour) && !partial.exclusive && partial.blocks.get(block.number()).is_some_and(asked)
    }

    /// Asks `neighbour` too for a block that others were asked for. Only for endgame.
    pub(super) fn ask_too(&mut self, block: Block, neighbour: NeighbourId) {
        if let Some(BlockState::Asked(asked)) = self.state_mut(block)
            && !asked.contains(&neighbour)
        {
            asked.push(neighbour);
        }
    }

    /// `neighbour` will not send that block.
    pub(super) fn release(&mut self, block: Block, neighbour: NeighbourId) {
        let Some(partial) = self.begun.get_mut(&block.piece()) else { return };
        let Some(state) = partial.blocks.get_mut(block.number()) else { return };
        if let BlockState::Asked(asked) = state {
            asked.retain(|&n| n != neighbour);
            if asked.is_empty() {
                *state = BlockState::Open;
                partial.open += 1;
                self.open += 1;
            }
        }
    }

    /// A block came.
    pub(super) fn receive(&mut self, block: Block, from: NeighbourId) -> Receipt {
        if Some(block) != self.geometry.nth_block(block.piece(), block.number()) {
            return Receipt::Duplicate; // not one of the blocks that we ask for
        }
        let Some(partial) = self.begun.get_mut(&block.piece()) else { return Receipt::Duplicate };
        let state = &mut partial.blocks[block.number()];
        let others = match std::mem::replace(state, BlockState::Received(from)) {
            BlockState::Received(first) => {
                *state = BlockState::Received(first);
                return Receipt::Duplicate;
            }
            BlockState::Open => {
                partial.open -= 1;
                self.open -= 1;
                Vec::new()
            }
            BlockState::Asked(asked) => asked.into_iter().filter(|&n| n != from).collect(),
        };
        partial.received += 1;
        Receipt::Needed { others, last: partial.received == partial.blocks.len() }
    }

    /// The piece's SHA-1 is right: it is had.
    pub(super) fn verified(&mut self, piece: PieceIndex) {
        self.begun.remove(&piece);
        self.have.set(piece);
    }

    /// The piece's SHA-1 is wrong: it starts anew, asked of one neighbour at a time.
    pub(super) fn failed(&mut self, piece: PieceIndex) {
        let Some(partial) = self.begun.get_mut(&piece) else { return };
        let count = partial.blocks.len();
        let blocks = vec![BlockState::Open; count];
        *partial = Partial { blocks, open: count, received: 0, exclusive: true, sole: None };
        self.open += count;
    }

    /// Whether all blocks of a begun piece came, so that it can be verified.
    pub(super) fn is_whole(&self, piece: PieceIndex) -> bool {
        self.begun.get(&piece).is_some_and(|partial| partial.received == partial.blocks.len())
    }

    /// Who sent each block of a piece that is whole.
    pub(super) fn authors(&self, piece: PieceIndex) -> Vec<NeighbourId> {
        self.begun.get(&piece).map(authors).unwrap_or_default()
    }

    /// A neighbour is gone or serves no more: nobody waits for it alone.
    pub(super) fn forget_sole(&mut self, neighbour: NeighbourId) {
        for partial in self.begun.values_mut() {
            partial.sole = partial.sole.filter(|&sole| sole != neighbour);
        }
    }

    fn state_mut(&mut self, block: Block) -> Option<&mut BlockState> {
        self.begun.get_mut(&block.piece())?.blocks.get_mut(block.number())
    }
}

fn authors(partial: &Partial) -> Vec<NeighbourId> {
    let author = |state: &BlockState| match state {
        BlockState::Received(from) => Some(*from),
        BlockState::Open | BlockState::Asked(_) => None,
    };
    partial.blocks.iter().filter_map(author).collect()
}
