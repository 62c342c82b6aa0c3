//! Whom to upload to.
//!
//! **Invariant.** At most `slots` + 1 neighbours are unchoked at any time, except under `unlimited`.
//!
//! Between the rounds nobody who wants something waits while a slot is free: a neighbour that no longer wants
//! anything gives its slot to the next in rank.

use std::collections::BTreeMap;

use super::NeighbourId;
use super::neighbour::Neighbour;
use super::time::{Span, Timestamp};
use crate::node::Choker as Kind;
use crate::seeds::Stream;

/// Time between two rounds (Cohen 2003).
pub(super) const ROUND: Span = Span::seconds(10);
/// Rounds between two optimistic unchokes (Cohen 2003: 30 s).
const OPTIMISTIC_ROUNDS: u64 = 3;
/// A new neighbour is so many times more likely to be unchoked optimistically (Cohen 2003) …
const NEW_WEIGHT: usize = 3;
/// … for so long.
const NEW_FOR: Span = Span::seconds(60);

/// Whom to upload to.
#[derive(Debug, Clone)]
pub(super) struct Choker {
    kind: Kind,
    slots: usize,
    rounds: u64,
    optimistic: Option<NeighbourId>,
}

impl Choker {
    pub(super) fn new(kind: Kind, slots: u32) -> Self {
        Self { kind, slots: slots as usize, rounds: 0, optimistic: None }
    }

    /// Most neighbours that may be unchoked at a time.
    pub(super) fn limit(&self) -> usize {
        match self.kind {
            Kind::Unlimited => usize::MAX,
            Kind::TitForTat | Kind::RoundRobin => self.slots + 1,
        }
    }

    /// A round: who is to be unchoked now, of those who want something. `complete` if this peer has the whole file.
    pub(super) fn round(
        &mut self,
        now: Timestamp,
        neighbours: &mut BTreeMap<NeighbourId, Neighbour>,
        complete: bool,
        random: &mut Stream,
    ) -> Vec<NeighbourId> {
        let round = self.rounds;
        self.rounds += 1;
        let mut ranked = self.rank(now, neighbours, complete, random);
        if self.kind == Kind::Unlimited {
            return ranked;
        }
        if self.kind == Kind::TitForTat && complete {
            // One slot passes on, the others go on: a connection that has just been unchoked is slow at first, so
            // that passing on all slots at once would leave the link half empty after each round.
            let mut served: Vec<NeighbourId> = ranked.iter().copied().filter(|id| !neighbours[id].am_choking).collect();
            served.sort_by_key(|id| neighbours[id].served_since);
            let waiting = ranked.iter().any(|id| neighbours[id].am_choking);
            if waiting && served.len() >= self.limit() {
                served.remove(0);
            }
            let rest: Vec<NeighbourId> = ranked.into_iter().filter(|id| neighbours[id].am_choking).collect();
            served.extend(rest);
            served.truncate(self.limit());
            return served;
        }
        if self.kind == Kind::TitForTat && !complete {
            if round.is_multiple_of(OPTIMISTIC_ROUNDS) || !self.optimistic.is_some_and(|n| ranked.contains(&n)) {
                self.optimistic = draw_optimist(now, neighbours, &ranked[self.slots.min(ranked.len())..], random);
            }
            if let Some(optimist) = self.optimistic {
                ranked.retain(|&n| n != optimist);
                ranked.insert(self.slots.min(ranked.len()), optimist);
            }
        }
        ranked.truncate(self.limit());
        ranked
    }

    /// Everybody who wants something, the one to serve first in front.
    pub(super) fn rank(
        &self,
        now: Timestamp,
        neighbours: &mut BTreeMap<NeighbourId, Neighbour>,
        complete: bool,
        random: &mut Stream,
    ) -> Vec<NeighbourId> {
        let mut wanting: Vec<NeighbourId> =
            neighbours.iter().filter(|(_, n)| n.is_interested).map(|(&id, _)| id).collect();
        random.shuffle(&mut wanting);
        match self.kind {
            Kind::Unlimited => {}
            // A complete peer has nothing to be paid with: it serves those first that it has served least.
            Kind::TitForTat if complete => wanting.sort_by_key(|id| neighbours[id].up.total()),
            Kind::TitForTat => wanting.sort_by_cached_key(|id| {
                let neighbour = neighbours.get_mut(id).expect("it was listed from there");
                std::cmp::Reverse(if neighbour.snubbed { 0 } else { neighbour.down.over(now, 20) })
            }),
            // Those who waited longest go first; those who are served went last.
            Kind::RoundRobin => {
                wanting.sort_by_key(|id| (!neighbours[id].am_choking, neighbours[id].served_since));
            }
        }
        wanting
    }
}

/// One of the rest at random, new neighbours more likely.
fn draw_optimist(
    now: Timestamp,
    neighbours: &BTreeMap<NeighbourId, Neighbour>,
    rest: &[NeighbourId],
    random: &mut Stream,
) -> Option<NeighbourId> {
    let mut urn = Vec::new();
    for &id in rest {
        let is_new = now - neighbours[&id].since < NEW_FOR;
        urn.extend(std::iter::repeat_n(id, if is_new { NEW_WEIGHT } else { 1 }));
    }
    random.pick(&urn).copied()
}
