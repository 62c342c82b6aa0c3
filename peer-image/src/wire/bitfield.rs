//! Which pieces somebody has.

use super::geometry::{Geometry, PieceIndex};

/// One bit per piece of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitfield {
    bytes: Vec<u8>,
    ones: u32,
    pieces: u32,
}

/// A bitfield that does not fit the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBitfield {
    /// Wrong number of bytes.
    #[error("a bitfield of `{got}` bytes where the file needs {want}")]
    Length {
        /// Bytes that came.
        got: usize,
        /// Bytes that the file needs.
        want: usize,
    },
    /// One of the spare bits at the end is set.
    #[error("a spare bit is set in a bitfield's last byte `{last:#010b}`")]
    Spare {
        /// The last byte.
        last: u8,
    },
}

impl Bitfield {
    /// Nothing yet.
    #[must_use]
    pub fn empty(geometry: Geometry) -> Self {
        let pieces = geometry.pieces();
        Self { bytes: vec![0; pieces.div_ceil(8) as usize], ones: 0, pieces }
    }

    /// Everything.
    #[must_use]
    pub fn full(geometry: Geometry) -> Self {
        let mut field = Self::empty(geometry);
        geometry.all().for_each(|piece| {
            field.set(piece);
        });
        field
    }

    /// The field that came as `bytes`, high bit first (BEP 3).
    ///
    /// # Errors
    /// If its length is wrong or a spare bit is set.
    pub fn from_bytes(geometry: Geometry, bytes: &[u8]) -> Result<Self, BadBitfield> {
        let want = geometry.pieces().div_ceil(8) as usize;
        if bytes.len() != want {
            return Err(BadBitfield::Length { got: bytes.len(), want });
        }
        let spare = want * 8 - geometry.pieces() as usize;
        if let Some(&last) = bytes.last()
            && last & ((1_u16 << spare) - 1) as u8 != 0
        {
            return Err(BadBitfield::Spare { last });
        }
        let ones = bytes.iter().map(|byte| byte.count_ones()).sum();
        Ok(Self { bytes: bytes.to_vec(), ones, pieces: geometry.pieces() })
    }

    /// As BEP 3 sends it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether that piece is there.
    #[must_use]
    pub fn has(&self, piece: PieceIndex) -> bool {
        self.bytes[piece.index() / 8] & mask(piece) != 0
    }

    /// Adds a piece; whether it was new.
    pub fn set(&mut self, piece: PieceIndex) -> bool {
        // Not `ones += u32::from(new)`: rustc 1.95 (LLVM 22.1.2) then drops the addition in optimised builds.
        if self.has(piece) {
            return false;
        }
        self.bytes[piece.index() / 8] |= mask(piece);
        self.ones += 1;
        true
    }

    /// How many pieces are there.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.ones
    }

    /// Whether all are.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.ones == self.pieces
    }

    /// Whether this has a piece that `other` lacks.
    #[must_use]
    pub fn offers(&self, other: &Self) -> bool {
        self.bytes.iter().zip(&other.bytes).any(|(mine, theirs)| mine & !theirs != 0)
    }
}

fn mask(piece: PieceIndex) -> u8 {
    0x80 >> (piece.index() % 8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn geometry(pieces: u32) -> Geometry {
        Geometry::new(u64::from(pieces), 1).unwrap()
    }

    proptest! {
        #[test]
        fn a_field_has_what_was_set_and_comes_back_from_its_bytes(bits in prop::collection::vec(any::<bool>(), 1..70)) {
            let geometry = geometry(u32::try_from(bits.len()).unwrap());
            let mut field = Bitfield::empty(geometry);
            for piece in geometry.all().filter(|piece| bits[piece.index()]) {
                prop_assert!(field.set(piece), "new");
                prop_assert!(!field.set(piece), "no longer new");
            }
            prop_assert!(geometry.all().all(|piece| field.has(piece) == bits[piece.index()]));
            prop_assert_eq!(field.count() as usize, bits.iter().filter(|&&bit| bit).count());
            prop_assert_eq!(field.is_full(), bits.iter().all(|&bit| bit));
            prop_assert_eq!(Bitfield::from_bytes(geometry, field.as_bytes()), Ok(field));
        }

        #[test]
        fn arbitrary_bytes_are_a_field_that_spells_them_or_an_error(
            pieces in 1_u32..40, bytes in prop::collection::vec(any::<u8>(), 0..6)
        ) {
            if let Ok(field) = Bitfield::from_bytes(geometry(pieces), &bytes) {
                prop_assert_eq!(field.as_bytes(), &bytes[..]);
                prop_assert!(field.count() <= pieces);
            }
        }

        #[test]
        fn one_field_offers_another_what_that_one_lacks(pieces in 1_u32..40, mine: u64, theirs: u64) {
            let geometry = geometry(pieces);
            let field = |bits: u64| {
                let mut field = Bitfield::empty(geometry);
                geometry.all().filter(|piece| bits >> piece.number() & 1 == 1).for_each(|piece| {
                    field.set(piece);
                });
                field
            };
            let (mine, theirs) = (field(mine), field(theirs));
            let want = geometry.all().any(|piece| mine.has(piece) && !theirs.has(piece));
            prop_assert_eq!(mine.offers(&theirs), want);
        }
    }

    #[test]
    fn the_first_piece_is_the_high_bit_and_spare_bits_are_zero() {
        let geometry = geometry(10);
        let mut field = Bitfield::empty(geometry);
        field.set(geometry.piece(0).unwrap());
        field.set(geometry.piece(9).unwrap());
        assert_eq!(field.as_bytes(), [0x80, 0x40]);
        assert_eq!(Bitfield::full(geometry).as_bytes(), [0xff, 0xc0]);
        assert!(Bitfield::full(geometry).is_full());
        assert_eq!(
            Bitfield::from_bytes(geometry, &[0xff, 0xe0]).unwrap_err().to_string(),
            "a spare bit is set in a bitfield's last byte `0b11100000`"
        );
        assert_eq!(Bitfield::from_bytes(geometry, &[0xff]), Err(BadBitfield::Length { got: 1, want: 2 }));
    }
}
