//! What people read. Recomputes nothing.

pub mod plan;
