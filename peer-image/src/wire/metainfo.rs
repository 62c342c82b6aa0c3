//! Metainfo (BEP 3), single file, private (BEP 27).

use crate::content::PieceHash;

/// What a `.torrent` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metainfo {
    /// The tracker's announce URL.
    pub announce: String,
    /// Suggested file name.
    pub name: String,
    /// Length of the file, bytes.
    pub length: u64,
    /// Length of a piece, bytes.
    pub piece_length: u32,
    /// Peers only from the tracker (BEP 27).
    pub private: bool,
    /// SHA-1 of each piece.
    pub pieces: Vec<PieceHash>,
}
