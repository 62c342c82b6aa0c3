//! What runs in each node, and the words that the controller and its nodes share.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`node`] | what a node is told: its role, its link, its file, its policies |
//! | [`event`] | what a node reports: one JSON line each |
//! | [`content`] | the file: generated from a seed, piece by piece, and its piece hashes |
//! | [`seeds`] | random streams, derived by name from the experiment's one seed |
//! | [`swarm`] | the BitTorrent core, sans-IO: pieces, picker, choker, requests, timers |
//! | [`tracker`] | who is in the swarm, sans-IO |
//! | [`wire`] | bytes to messages and back: bencode, metainfo, handshake, peer wire |
//! | `link` | traffic control over netlink: shape the own interface, read it back, count |
//! | `agent` | the shell around all of it: shape, gate, client, events |
//!
//! The last two need the feature `agent`; without it the crate has no clock, no socket and no tokio.

pub mod content;
pub mod event;
pub mod node;
pub mod seeds;
pub mod swarm;
pub mod tracker;
pub mod wire;

#[cfg(feature = "agent")]
pub mod agent;
#[cfg(feature = "agent")]
pub mod link;
