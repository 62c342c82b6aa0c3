//! Pieces and blocks of one file. A [`PieceIndex`] or a [`Block`] exists only inside the file it was checked against.

use std::fmt;

/// Length of a block, bytes: what every client requests (BEP 3).
pub const BLOCK: u32 = 16 * 1024;

/// Longest block that is served to anybody, bytes (as in common clients).
pub const BLOCK_MAX: u32 = 128 * 1024;

/// A piece of the file: below [`Geometry::pieces`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceIndex(u32);

impl PieceIndex {
    /// The index as BEP 3 sends it.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// The index into a table with one entry per piece.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for PieceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A range within one piece of the file; never empty, never across the piece's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    piece: PieceIndex,
    begin: u32,
    length: u32,
}

impl Block {
    /// The piece.
    #[must_use]
    pub fn piece(self) -> PieceIndex {
        self.piece
    }

    /// Offset within the piece, bytes.
    #[must_use]
    pub fn begin(self) -> u32 {
        self.begin
    }

    /// Length, bytes.
    #[must_use]
    pub fn length(self) -> u32 {
        self.length
    }

    /// Which of the piece's blocks this is, if it is one of those that [`Geometry::blocks`] lists.
    #[must_use]
    pub fn number(self) -> usize {
        (self.begin / BLOCK) as usize
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "piece {} from {} length {}", self.piece, self.begin, self.length)
    }
}

/// A piece index or a block that does not lie in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutOfFile {
    /// No such piece.
    #[error("piece `{piece}` of a file of {pieces} pieces")]
    Piece {
        /// The index that was sent.
        piece: u32,
        /// How many there are.
        pieces: u32,
    },
    /// The range leaves its piece, is empty or too long.
    #[error("block at `{begin}` of length `{length}` in piece {piece} of {piece_length} bytes")]
    Block {
        /// The piece.
        piece: u32,
        /// Offset that was sent.
        begin: u32,
        /// Length that was sent.
        length: u32,
        /// The piece's length.
        piece_length: u32,
    },
}

/// How a file is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    size: u64,
    piece: u32,
    pieces: u32,
}

impl Geometry {
    /// A file of `size` bytes in pieces of `piece` bytes; `None` if either is 0 or there are 2³² pieces or more.
    #[must_use]
    pub fn new(size: u64, piece: u32) -> Option<Self> {
        if size == 0 || piece == 0 {
            return None;
        }
        let pieces = u32::try_from(size.div_ceil(u64::from(piece))).ok()?;
        Some(Self { size, piece, pieces })
    }

    /// Length of the file, bytes.
    #[must_use]
    pub fn size(self) -> u64 {
        self.size
    }

    /// Number of pieces.
    #[must_use]
    pub fn pieces(self) -> u32 {
        self.pieces
    }

    /// Every piece, ascending.
    pub fn all(self) -> impl Iterator<Item = PieceIndex> {
        (0..self.pieces).map(PieceIndex)
    }

    /// The piece with that index.
    ///
    /// # Errors
    /// If there is none.
    pub fn piece(self, index: u32) -> Result<PieceIndex, OutOfFile> {
        if index < self.pieces {
            Ok(PieceIndex(index))
        } else {
            Err(OutOfFile::Piece { piece: index, pieces: self.pieces })
        }
    }

    /// Length of a piece, bytes: the last one may be shorter.
    #[must_use]
    pub fn piece_length(self, piece: PieceIndex) -> u32 {
        let rest = self.size - self.offset(piece);
        u32::try_from(rest.min(u64::from(self.piece))).expect("at most a piece length")
    }

    /// Where a piece begins in the file, bytes.
    #[must_use]
    pub fn offset(self, piece: PieceIndex) -> u64 {
        u64::from(piece.0) * u64::from(self.piece)
    }

    /// A block that somebody named.
    ///
    /// # Errors
    /// If it is empty, longer than [`BLOCK_MAX`] or leaves its piece.
    pub fn block(self, piece: u32, begin: u32, length: u32) -> Result<Block, OutOfFile> {
        let index = self.piece(piece)?;
        let piece_length = self.piece_length(index);
        let end = begin.checked_add(length);
        if length == 0 || length > BLOCK_MAX || end.is_none_or(|end| end > piece_length) {
            return Err(OutOfFile::Block { piece, begin, length, piece_length });
        }
        Ok(Block { piece: index, begin, length })
    }

    /// How many blocks a piece has.
    #[must_use]
    pub fn blocks_in(self, piece: PieceIndex) -> usize {
        self.piece_length(piece).div_ceil(BLOCK) as usize
    }

    /// The `number`th block of a piece, `None` past its end.
    #[must_use]
    pub fn nth_block(self, piece: PieceIndex, number: usize) -> Option<Block> {
        let begin = u32::try_from(number).ok()?.checked_mul(BLOCK)?;
        let length = self.piece_length(piece).checked_sub(begin)?.min(BLOCK);
        (length > 0).then_some(Block { piece, begin, length })
    }

    /// The blocks of a piece, ascending.
    pub fn blocks(self, piece: PieceIndex) -> impl Iterator<Item = Block> {
        (0..self.blocks_in(piece)).filter_map(move |n| self.nth_block(piece, n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_piece_and_its_last_block_may_be_short() {
        let g = Geometry::new(100_000, 65_536).expect("a file");
        assert_eq!(g.pieces(), 2);
        let last = g.piece(1).expect("there are two");
        assert_eq!(g.piece_length(last), 34_464);
        let lengths: Vec<u32> = g.blocks(last).map(Block::length).collect();
        assert_eq!(lengths, [16_384, 16_384, 1_696]);
        assert!(g.piece(2).is_err());
        assert!(g.block(1, 34_000, 465).is_err());
        assert!(g.block(1, u32::MAX, 2).is_err());
        assert!(g.block(1, 34_000, 464).is_ok());
    }
}
