//! The node's access link: shape the own interface, read back what the kernel took, count.
//!
//! Everything goes over netlink in the network namespace of the calling thread; no `tc` program is needed. It must
//! not know of roles, trials or events' transport.
//!
//! | module | what it is |
//! | --- | --- |
//! | `shape` | shaping, changing, cutting and counting |
//! | `interface` | which interface is the link |
//! | `tbf` | how large bucket and queue are, and their bytes on netlink (pure) |
//! | `congestion` | which congestion control later connections get |
//! | `pin` | the other nodes' Ethernet addresses, so that a large swarm does not overflow the kernel's table |
//! | `table` | how full that table is |
//! | `probe` | which parts the kernel has |
//! | `netlink` | a connection to the kernel |
//! | [`LinkError`] | what can be missing, and the cure |
//!
//! ```text
//! upload     sockets ──▶ eth0: tbf (up) ──▶ network
//! download   network ──▶ eth0: ingress ── u32, mirred ──▶ ifb-down: tbf (down) ──▶ sockets
//! ```
//!
//! [`shape`], [`retune`], [`cut`] and [`mend`] need the capability NET_ADMIN; a [`Gauge`] needs none, so it
//! works after the capabilities are dropped.

mod congestion;
mod error;
mod interface;
mod netlink;
mod pin;
mod probe;
mod shape;
mod table;
mod tbf;
#[cfg(test)]
mod tests;

pub use congestion::SYSTEM as SYSTEM_CONGESTION;
pub use congestion::available as available_congestion;
pub use error::{Doing, LinkError, Part};
pub use pin::Place;
pub use probe::probe;
pub use shape::{Gauge, Ways, cut, mend, pin_neighbours, place, retune, shape};
pub use table::{Neighbours, Table};
