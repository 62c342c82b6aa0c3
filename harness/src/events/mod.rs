//! The log of a trial: versioned, append-only JSON lines, the only link from what ran to what is concluded.
//!
//! [`record`] is one line; [`log`] writes and reads files of them. Nodes' own lines are kept as they came
//! ([`peer_image::event::Record`]), the controller adds what it saw and did.

pub mod log;
pub mod record;
