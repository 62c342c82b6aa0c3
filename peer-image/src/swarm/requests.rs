//! Which blocks to ask of whom, and how many at a time.
//!
//! **Invariant.** No block is asked of two neighbours at the same time, except in endgame: when every missing
//! block has been asked for (Cohen 2003). Before that, a block that waits at a slow neighbour may be taken over by a
//! faster one: the request is cancelled there and made here.

use super::neighbour::RATE_WINDOW;
use super::pieces::BlockState;
use super::rate::USUAL_RATE;
use super::time::Span;
use super::{NeighbourId, Swarm, picker};
use crate::node::Pipeline;
use crate::wire::geometry::{BLOCK, Block, PieceIndex};
use crate::wire::message::Message;

/// Blocks outstanding at a neighbour whose rate is not known yet: one piece at the usual piece length.
const DEPTH_MIN: usize = 16;
/// Most blocks outstanding at one neighbour.
const DEPTH_MAX: usize = 250;
/// The automatic pipeline holds, beyond [`DEPTH_MIN`], what a neighbour delivers in so many seconds: more than any
/// delay between a request and its block (both links' queues and the path), so that its link never waits for one. At a
/// pace of 1.
const DEPTH_SECONDS: u64 = 1;

/// So many bytes are to have come before their pace counts.
const EVIDENCE: u64 = 32 * BLOCK as u64;
/// So many blocks at the head of a neighbour's queue are not taken over: they may be on their way.
const ON_THE_WAY: usize = 8;
/// A block is taken over by a neighbour, or in endgame asked of it too, only if it could send it so much sooner,
/// milliseconds at a pace of 1: more than the delay of a request, which a forecast from rates does not know. With less,
/// more comes twice than is gained.
const SOONER_BY: u64 = 1000;
/// In endgame a block is asked of at most so many neighbours at a time, those not counted that are silent.
const ENDGAME_COPIES: usize = 2;
/// In endgame so many copies are asked of one neighbour at a time.
const ENDGAME_DEPTH: usize = 1;

/// A slow uplink is left to carry acknowledgements of what comes for so long, milliseconds: they wait in its queue, before
/// every request and every block, and a fast neighbour brings more than such a link acknowledges.
const ACKNOWLEDGED_IN: u64 = 800;
/// Bytes of the file that a byte of acknowledgement stands for: one of 66 bytes for every second segment of 1,448.
const ACKNOWLEDGED_BY_A_BYTE: u64 = 2 * 1448 / 66;

/// Which rate of a neighbour a forecast takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ability {
    /// That of the last seconds.
    Present,
    /// The best of the last 20 s: what it can do when it is asked. Lately it may have idled.
    Best,
}

impl Swarm {
    /// Fills the pipeline of every neighbour, of those that snub this peer last: what they owed goes to others first.
    pub(super) fn request_from_all(&mut self) {
        let mut ids: Vec<NeighbourId> =
            self.neighbours.iter().filter(|(_, n)| !n.is_choking && n.am_interested).map(|(&id, _)| id).collect();
        ids.sort_by_key(|id| self.neighbours[id].snubbed);
        for id in ids {
            self.request(id);
        }
    }

    /// Fills the pipeline of one neighbour.
    pub(super) fn request(&mut self, id: NeighbourId) {
        let (answers, behind) = (self.answers(), self.behind_a_block());
        loop {
            let Some(neighbour) = self.neighbours.get_mut(&id) else { return };
            if neighbour.is_choking
                || !neighbour.am_interested
                || neighbour.snubbed && !neighbour.outstanding.is_empty()
            {
                return;
            }
            let depth = match self.policy.pipeline {
                Pipeline::Blocks(depth) => depth.max(1) as usize,
                Pipeline::Auto => {
                    let bytes = neighbour.rate(self.now, answers) * (DEPTH_SECONDS * answers * 1000 + behind) / 1000;
                    let blocks = usize::try_from(bytes / u64::from(BLOCK)).unwrap_or(DEPTH_MAX);
                    (DEPTH_MIN + blocks).min(DEPTH_MAX)
                }
            };
            let outstanding = neighbour.outstanding.len();
            if outstanding >= depth || outstanding > 0 && self.is_all_that_is_acknowledged(id) {
                return;
            }
            let block = match self.next_block(id) {
                Some(block) => block,
                None if let Some(block) = self.take_over(id) => block,
                None if self.policy.endgame && outstanding < ENDGAME_DEPTH && self.pieces.all_asked() => {
                    let Some(block) = self.endgame_block(id) else { return };
                    self.pieces.ask_too(block, id);
                    block
                }
                None => return,
            };
            let neighbour = self.neighbours.get_mut(&id).expect("it was there above");
            if neighbour.outstanding.is_empty() {
                neighbour.last_block = self.now;
            }
            neighbour.outstanding.push_back(block);
            self.send(id, Message::Request(block));
        }
    }

    /// Whether what is soon to come, with one more block of `id`, is more than the uplink can acknowledge in time.
    fn is_all_that_is_acknowledged(&mut self, id: NeighbourId) -> bool {
        let Some(rate) = self.upload_rate else { return false };
        let most = rate * ACKNOWLEDGED_IN / 8_000 * ACKNOWLEDGED_BY_A_BYTE;
        let now = self.now;
        let mut soon = u64::from(BLOCK);
        for (&other, neighbour) in self.neighbours.iter_mut().filter(|(_, neighbour)| !neighbour.snubbed) {
            let asked = neighbour.outstanding.len() as u64 * u64::from(BLOCK);
            // All of what is asked of this one may come, whatever is known of it.
            soon += if other == id { asked } else { neighbour.may_bring(now, asked, ACKNOWLEDGED_IN) };
        }
        soon > most
    }

    /// The pace at which neighbours answer: that of one's own uplink, for theirs may be like it, until it is known that
    /// blocks come faster. Who uploads slowly may download fast.
    pub(super) fn answers(&self) -> u64 {
        if self.pace == 1 || self.fed < EVIDENCE {
            return self.pace;
        }
        let usual = u128::from(self.fed) * 8_000_000_000 / u128::from(USUAL_RATE);
        let took = u128::from((self.now - self.fed_from).0);
        u64::try_from(took / usual.max(1)).unwrap_or(self.pace).clamp(1, self.pace)
    }

    /// How long to wait for what takes so many milliseconds at a pace of 1, milliseconds: with the way of a request.
    fn after(&self, ms: u64) -> u64 {
        ms * self.answers() + self.behind_a_block()
    }

    /// How long a request may wait behind a block that goes to the same neighbour, milliseconds: nothing where links are as
    /// fast as those for which the times in this module are made.
    fn behind_a_block(&self) -> u64 {
        let usual = u64::from(BLOCK) * 8 * 1000 / USUAL_RATE;
        (self.blocks_take(1).0 / 1_000_000).saturating_sub(usual)
    }

    /// The next block to ask of `id`: of a begun piece first, the fullest in front, then of a new one.
    fn next_block(&mut self, id: NeighbourId) -> Option<Block> {
        let offered = &self.neighbours[&id].has;
        let begun = self
            .pieces
            .begun()
            .iter()
            .filter(|(piece, partial)| partial.open() > 0 && offered.has(**piece) && partial.may_ask(id))
            .min_by_key(|(_, partial)| partial.blocks.len() - partial.received())
            .map(|(&piece, _)| piece);
        let piece = match begun {
            Some(piece) => piece,
            None => picker::begin(
                self.policy.picker,
                self.geometry,
                &self.pieces,
                offered,
                &self.availability,
                &mut self.random,
            )?,
        };
        self.pieces.ask_next(piece, id)
    }

    /// A block that waits at a slower neighbour and that `id` could send sooner: it is asked of `id` instead. So no
    /// neighbour idles because all that it has was asked of others, and nothing is sent twice.
    fn take_over(&mut self, id: NeighbourId) -> Option<Block> {
        let own = self.wait(id, None, Ability::Best);
        let sooner_by = self.after(SOONER_BY);
        let offered = self.neighbours[&id].has.clone();
        let others: Vec<NeighbourId> = self.neighbours.keys().copied().filter(|&other| other != id).collect();
        let mut latest: Option<(u64, NeighbourId, Block)> = None;
        for other in others {
            let queue = &self.neighbours[&other].outstanding;
            // The last of its queue that `id` has, but none that may be on its way already.
            let Some(&block) = queue
                .iter()
                .skip(ON_THE_WAY)
                .rev()
                .find(|block| offered.has(block.piece()) && self.pieces.is_asked_of_one(**block, id))
            else {
                continue;
            };
            let wait = self.wait(other, Some(block), Ability::Present);
            if wait > own + sooner_by && latest.is_none_or(|(longest, _, _)| wait > longest) {
                latest = Some((wait, other, block));
            }
        }
        let (_, other, block) = latest?;
        self.pieces.release(block, other);
        let slower = self.neighbours.get_mut(&other)?;
        slower.outstanding.retain(|&asked| asked != block);
        slower.withdraw(block);
        self.send(other, Message::Cancel(block));
        self.pieces.ask(block, id).then_some(block)
    }

    /// A block that others were asked for and that `id` has: the one that is to come last, if `id` could be sooner.
    fn endgame_block(&mut self, id: NeighbourId) -> Option<Block> {
        let mut candidates: Vec<(Block, Vec<NeighbourId>)> = Vec::new();
        for (&piece, partial) in self.pieces.begun() {
            if !self.neighbours[&id].has.has(piece) || !partial.may_ask(id) {
                continue;
            }
            candidates.extend(self.asked_blocks(piece, &partial.blocks, id));
        }
        let own = self.wait(id, None, Ability::Present);
        let sooner_by = SOONER_BY * self.answers();
        let mut last: Option<(u64, Block)> = None;
        for (block, asked) in candidates {
            let soonest = asked.iter().map(|&other| self.wait(other, Some(block), Ability::Present)).min()?;
            if soonest > own + sooner_by && last.is_none_or(|(wait, _)| soonest > wait) {
                last = Some((soonest, block));
            }
        }
        last.map(|(_, block)| block)
    }

    fn asked_blocks(
        &self,
        piece: PieceIndex,
        blocks: &[BlockState],
        id: NeighbourId,
    ) -> impl Iterator<Item = (Block, Vec<NeighbourId>)> {
        blocks.iter().enumerate().filter_map(move |(number, state)| match state {
            BlockState::Asked(asked) if !asked.contains(&id) => {
                let answering = asked.iter().filter(|&&other| !self.is_silent(other)).count();
                (answering < ENDGAME_COPIES).then_some((self.geometry.nth_block(piece, number)?, asked.clone()))
            }
            _ => None,
        })
    }

    /// Whether a neighbour owes blocks and sent none in the whole window: its machine may be gone.
    fn is_silent(&self, id: NeighbourId) -> bool {
        self.neighbours.get(&id).is_none_or(|neighbour| {
            !neighbour.outstanding.is_empty()
                && self.now - neighbour.last_block >= Span::millis(self.after(RATE_WINDOW * 1000))
        })
    }

    /// Whether endgame waits for blocks: nothing else may happen that makes it ask others for them.
    pub(super) fn is_owed(&self) -> bool {
        let owes = |neighbour: &super::neighbour::Neighbour| !neighbour.outstanding.is_empty();
        self.policy.endgame && !self.complete && self.pieces.all_asked() && self.neighbours.values().any(owes)
    }

    /// Milliseconds until `id` will have sent `block`, or a block asked of it now.
    fn wait(&mut self, id: NeighbourId, block: Option<Block>, ability: Ability) -> u64 {
        let (now, answers, behind) = (self.now, self.answers(), self.behind_a_block());
        let Some(neighbour) = self.neighbours.get_mut(&id) else { return u64::MAX };
        let ahead = match block {
            Some(block) => neighbour.outstanding.iter().position(|&asked| asked == block).unwrap_or(0),
            None => neighbour.outstanding.len(),
        };
        let rate = match ability {
            Ability::Present => neighbour.rate(now, answers),
            Ability::Best => neighbour.peak(now, answers),
        };
        // One that is silent is taken to be so for as long again: its rate, which is then that of a neighbour that has not
        // sent yet, says nothing of that.
        let silence = (now - neighbour.last_block).0 / 1_000_000;
        // A neighbour that has not sent yet is taken to send one block a second, at a pace of 1.
        let rate = rate.max(u64::from(BLOCK) / answers);
        // What is asked of a neighbour that is being sent a block waits behind that.
        let unheard = if neighbour.sending > 0 { behind } else { 0 };
        let silent = if block.is_some() && self.is_silent(id) { silence } else { 0 };
        ((ahead as u64 + 1) * u64::from(BLOCK) * 1000 / rate + unheard).max(silent)
    }
}
