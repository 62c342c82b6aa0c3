//! Drives one trial over any [`Runtime`](super::Runtime): launch, gate, schedule, completion, and always the teardown.
//!
//! | | |
//! | --- | --- |
//! | `driver` | one trial from launch to teardown |
//! | `actions`, `due` | what the schedule has the controller do |
//! | `notices`, `roster` | what is noticed of nodes, and what is known of each |
//! | `survival` | whether the file can still be completed |
//! | `update` | what onlookers are told, and who asks for the end |
//! | `clock` | one clock for deadlines and for the log |
//!
//! Everything that is seen or done goes to the trial's log in the order in which it came. It judges how the trial
//! ended, and nothing else: what the times mean is for the analysis.

mod actions;
mod clock;
mod driver;
mod due;
mod notices;
mod roster;
mod survival;
#[cfg(test)]
pub(super) mod tests;
mod update;

pub use driver::run;
pub use update::{Identity, Signal, Update};
