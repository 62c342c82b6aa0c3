//! One connected neighbour, seen from here.

use std::collections::{BTreeMap, VecDeque};

use super::rate::Rate;
use super::time::{Span, Timestamp};
use crate::wire::bitfield::Bitfield;
use crate::wire::geometry::{BLOCK, Block, Geometry, PieceIndex};

/// One connected neighbour, seen from here.
#[derive(Debug, Clone)]
pub(super) struct Neighbour {
    pub(super) since: Timestamp,
    /// What it said it has.
    pub(super) has: Bitfield,
    /// How many of those this peer lacks.
    pub(super) wanted: u32,
    pub(super) am_choking: bool,
    pub(super) am_interested: bool,
    pub(super) is_choking: bool,
    pub(super) is_interested: bool,

    /// Blocks asked of it, in order.
    pub(super) outstanding: VecDeque<Block>,
    /// Blocks asked of it and no longer, and how often: so many may be on their way.
    pub(super) withdrawn: BTreeMap<Block, u32>,
    /// What it sends, at the pace of one's own uplink: by this it is ranked.
    pub(super) down: Rate,
    /// The same at a pace of 1.
    recent: Rate,
    pace: u64,
    /// When it last sent a block, or the oldest outstanding request was made.
    pub(super) last_block: Timestamp,
    pub(super) snubbed: bool,
    /// When it last unchoked this peer.
    pub(super) unchoked_at: Timestamp,

    /// Blocks that it asked for, in order.
    pub(super) queue: VecDeque<Block>,
    /// How often it asked for a block that it was not offered.
    pub(super) overreached: u32,
    /// Blocks handed to the shell and not yet sent.
    pub(super) sending: u32,
    /// When its socket last took a block, or the first of those in hand was handed over.
    pub(super) moved: Timestamp,
    /// The piece of its last turn, and when its turn was (turns are counted, not timed).
    pub(super) turn_piece: Option<PieceIndex>,
    pub(super) turn: u64,
    pub(super) up: Rate,
    /// Pieces that it will be told of when something else is sent to it, or soon.
    pub(super) untold: Vec<PieceIndex>,
    pub(super) last_sent: Timestamp,
    /// When this peer last unchoked it.
    pub(super) served_since: Timestamp,
    /// Whether it has asked for something since.
    pub(super) has_asked: bool,
    /// How long it took, last time, to ask once it was unchoked: both links' queues, and the path.
    pub(super) reply: Span,
    /// It had a slot and did not use it: others go first until then.
    pub(super) passed_over_until: Timestamp,
    /// The piece that a super-seed revealed to it last, and when.
    pub(super) revealed: Option<(PieceIndex, Timestamp)>,
    /// All that a super-seed revealed to it and does not know it to have.
    pub(super) shown: Vec<PieceIndex>,
}

impl Neighbour {
    pub(super) fn new(geometry: Geometry, pace: u64, now: Timestamp) -> Self {
        Self {
            since: now,
            has: Bitfield::empty(geometry),
            wanted: 0,
            am_choking: true,
            am_interested: false,
            is_choking: true,
            is_interested: false,
            outstanding: VecDeque::new(),
            withdrawn: BTreeMap::new(),
            down: Rate::new(pace),
            recent: Rate::new(1),
            pace,
            last_block: now,
            snubbed: false,
            unchoked_at: now,
            queue: VecDeque::new(),
            overreached: 0,
            sending: 0,
            moved: now,
            turn_piece: None,
            turn: 0,
            up: Rate::new(pace),
            untold: Vec::new(),
            last_sent: now,
            served_since: now,
            has_asked: false,
            reply: Span(0),
            passed_over_until: Timestamp::default(),
            revealed: None,
            shown: Vec::new(),
        }
    }

    /// `bytes` came from it.
    pub(super) fn brought(&mut self, now: Timestamp, bytes: u32) {
        self.down.add(now, bytes);
        self.recent.add(now, bytes);
    }

    /// What it sends, bytes per second, where neighbours answer at that pace.
    pub(super) fn rate(&mut self, now: Timestamp, answers: u64) -> u64 {
        if answers < self.pace {
            self.recent.over(now, RATE_WINDOW * answers)
        } else {
            self.down.over(now, RATE_WINDOW)
        }
    }

    /// The best of the last 20 s, or longer at the pace of one's own uplink, bytes per second.
    pub(super) fn peak(&mut self, now: Timestamp, answers: u64) -> u64 {
        if answers < self.pace { self.recent.peak(now) } else { self.down.peak(now) }
    }

    /// What may come of `asked` bytes within so many milliseconds, whatever the pace of one's own uplink: all if it sent two
    /// blocks in some second of the last 20, else what it sent on average; one block if it has sent nothing.
    pub(super) fn may_bring(&mut self, now: Timestamp, asked: u64, ms: u64) -> u64 {
        let block = u64::from(BLOCK);
        match self.recent.peak(now) {
            0 => asked.min(block),
            peak if peak >= 2 * block => asked,
            _ => asked.min(self.recent.over(now, 20) * ms / 1000),
        }
    }

    /// Takes note that a block was asked of it and is not wanted any more.
    pub(super) fn withdraw(&mut self, block: Block) {
        *self.withdrawn.entry(block).or_default() += 1;
    }

    /// Whether a block that came was asked of it and then withdrawn: it is once for each time.
    pub(super) fn was_withdrawn(&mut self, block: Block) -> bool {
        let Some(times) = self.withdrawn.get_mut(&block) else { return false };
        *times -= 1;
        if *times == 0 {
            self.withdrawn.remove(&block);
        }
        true
    }

    /// Whether it wants something, is choked, and may be given a free slot now.
    pub(super) fn waits(&self, now: Timestamp) -> bool {
        self.is_interested && self.am_choking && !self.is_passed_over(now)
    }

    /// Whether it left a slot unused lately.
    pub(super) fn is_passed_over(&self, now: Timestamp) -> bool {
        now < self.passed_over_until
    }

    /// Whether it waits for blocks and its socket may be handed one more.
    pub(super) fn can_be_handed(&self) -> bool {
        self.sending < SENDING_TO_ONE && !self.queue.is_empty()
    }

    /// Whether blocks are on their way to it.
    pub(super) fn is_served(&self) -> bool {
        self.sending > 0 || !self.queue.is_empty()
    }
}

/// … of which so many for one neighbour: so two are served at a time, the second because the first one's connection
/// may be slow to start.
pub(super) const SENDING_TO_ONE: u32 = 2;

/// Window over which a neighbour's rate is measured for that, seconds at a pace of 1.
pub(super) const RATE_WINDOW: u64 = 3;
