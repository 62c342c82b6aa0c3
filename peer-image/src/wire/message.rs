//! Peer messages (BEP 3).

use bytes::Bytes;

use super::bitfield::Bitfield;
use super::geometry::{Block, PieceIndex};

/// One peer message, checked against the file that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Nothing, so that the connection lives.
    KeepAlive,
    /// The sender will not serve.
    Choke,
    /// The sender will serve.
    Unchoke,
    /// The sender wants something that the receiver has.
    Interested,
    /// It no longer does.
    NotInterested,
    /// The sender has that piece.
    Have(PieceIndex),
    /// All that the sender has.
    Bitfield(Bitfield),
    /// Please send that block.
    Request(Block),
    /// That block.
    Piece(Block, Bytes),
    /// That block is no longer wanted.
    Cancel(Block),
}
