//! The agent alone, for images that hold another client beside it.
fn main() {}
