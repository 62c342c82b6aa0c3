//! commands
pub mod clean;
