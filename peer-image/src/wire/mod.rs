//! Bytes to messages and back; nothing here opens a socket.
//!
//! Everything from the network is hostile: a value is checked once, here, and then has a type
//! ([`geometry::PieceIndex`], [`geometry::Block`]). What is malformed is an error with the offending values.
//!
//! | module | format |
//! | --- | --- |
//! | [`bencode`] | BEP 3 bencoding |
//! | [`metainfo`] | BEP 3 metainfo, BEP 27 private |
//! | [`announce`] | BEP 3 and BEP 23 tracker requests and replies |
//! | [`handshake`] | BEP 3 handshake |
//! | [`message`] | BEP 3 peer messages |
//! | [`geometry`] | pieces and blocks of one file |
//! | [`bitfield`] | which pieces somebody has |

pub mod announce;
pub mod bencode;
pub mod bitfield;
pub mod geometry;
pub mod handshake;
pub mod message;
pub mod metainfo;
