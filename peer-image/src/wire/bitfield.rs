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
        let byte = &mut self.bytes[piece.index() / 8];
        let new = *byte & mask(piece) == 0;
        *byte |= mask(piece);
        self.ones += u32::from(new);
        new
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
