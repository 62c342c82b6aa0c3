//! The BitTorrent core, sans-IO: one peer's side of a swarm.
//!
//! It knows no socket, no clock and no OS randomness: [`Swarm::handle`] takes what happened and when,
//! [`Swarm::poll`] gives what to do about it, [`Swarm::next_wake`] says when to come back if nothing happens.
//! Containers, namespaces and the tests' virtual network drive the same code.
//!
//! | module | what it keeps |
//! | --- | --- |
//! | `core` | [`Swarm`], what goes in and what comes out |
//! | `ids` | names of neighbours and of blocks' contents |
//! | [`time`] | the clock, told from outside |
//! | `neighbour`, `rate` | one neighbour, and how fast bytes come from it |
//! | `pieces` | what is had, begun and asked for |
//! | `picker` | which piece next |
//! | `requests` | which blocks to ask of whom, how many at a time, endgame |
//! | `choker` | whom to upload to |
//! | `uploads` | what was asked of this peer, and who hears of new pieces when |
//! | `superseed` | which pieces an initial seed reveals (BEP 16) |
//! | `blame` | who sent a bad block |
//! | [`lookout`] | when to ask the tracker again, whom to call and whom to let in |
//! | `idle` | how long the upload link had nothing to send, and why |

mod blame;
mod choker;
mod core;
mod idle;
mod ids;
pub mod lookout;
mod neighbour;
mod picker;
mod pieces;
mod rate;
mod requests;
mod superseed;
#[cfg(test)]
mod tests;
pub mod time;
mod uploads;

pub use core::{Config, Input, Output, Swarm, WakeReason, Waste};
pub use ids::{BlockDigest, NeighbourId};
