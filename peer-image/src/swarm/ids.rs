//! Names of things in the core.

/// SHA-1 of one block: tells who sent the bad one.
pub type BlockDigest = [u8; 20];

/// One connection to another peer; the shell numbers them and never uses a number twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NeighbourId(pub u32);
