//! Which piece next.
//!
//! **Invariant.** Under `rarest-first` a piece that is begun is one that no other untouched piece on offer is rarer
//! than (once the first piece is had; the first is random, so that new peers do not all want the same one).

use super::pieces::Pieces;
use crate::node::Picker;
use crate::seeds::Stream;
use crate::wire::bitfield::Bitfield;
use crate::wire::geometry::{Geometry, PieceIndex};

/// The untouched piece to begin at a neighbour that has `offered`; `availability` counts the neighbours that have
/// each piece. `None` if it offers none.
pub(super) fn begin(
    picker: Picker,
    geometry: Geometry,
    pieces: &Pieces,
    offered: &Bitfield,
    availability: &[u32],
    random: &mut Stream,
) -> Option<PieceIndex> {
    let on_offer = || geometry.all().filter(|&piece| offered.has(piece) && pieces.is_untouched(piece));
    let candidates: Vec<PieceIndex> = match picker {
        Picker::Sequential => return on_offer().next(),
        Picker::Random => on_offer().collect(),
        Picker::RarestFirst if pieces.have().count() == 0 => on_offer().collect(),
        Picker::RarestFirst => {
            let rarest = on_offer().map(|piece| availability[piece.index()]).min()?;
            on_offer().filter(|piece| availability[piece.index()] == rarest).collect()
        }
    };
    random.pick(&candidates).copied()
}
