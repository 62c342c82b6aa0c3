//! Who sent a bad block.
//!
//! When a piece fails and all its blocks came from one neighbour, that one did it. When they came from several,
//! the blocks' digests are kept, the piece is fetched again from one neighbour at a time, and once it is right,
//! those whose block was different did it.

use std::collections::BTreeMap;

use super::{BlockDigest, NeighbourId};
use crate::wire::geometry::PieceIndex;

/// One block of a failed piece: who sent it, and what it was.
#[derive(Debug, Clone, Copy)]
struct Evidence {
    number: usize,
    author: NeighbourId,
    digest: BlockDigest,
}

/// Evidence of pieces that failed and are not right yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Blame {
    cases: BTreeMap<PieceIndex, Vec<Evidence>>,
}

impl Blame {
    /// Whether that piece has failed before.
    pub(super) fn suspects(&self, piece: PieceIndex) -> bool {
        self.cases.contains_key(&piece)
    }

    /// The piece failed; whom does that convict at once?
    pub(super) fn accuse(
        &mut self,
        piece: PieceIndex,
        authors: &[NeighbourId],
        digests: &[BlockDigest],
    ) -> Vec<NeighbourId> {
        if let Some(&first) = authors.first()
            && authors.iter().all(|&author| author == first)
        {
            return vec![first];
        }
        let evidence = authors.iter().zip(digests).enumerate();
        self.cases.entry(piece).or_default().extend(evidence.map(|(number, (&author, &digest))| Evidence {
            number,
            author,
            digest,
        }));
        Vec::new()
    }

    /// The piece is right and these are its blocks; whom does that convict?
    pub(super) fn acquit(&mut self, piece: PieceIndex, digests: &[BlockDigest]) -> Vec<NeighbourId> {
        let evidence = self.cases.remove(&piece).unwrap_or_default();
        let mut culprits: Vec<NeighbourId> = evidence
            .into_iter()
            .filter(|e| digests.get(e.number).is_some_and(|&right| right != e.digest))
            .map(|e| e.author)
            .collect();
        culprits.sort_unstable();
        culprits.dedup();
        culprits
    }
}
