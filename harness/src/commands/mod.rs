//! Commands: the only place where the stages are joined.

pub mod plan;
