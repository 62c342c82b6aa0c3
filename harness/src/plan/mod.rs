//! A [`Spec`](crate::spec::Spec) to a [`Plan`]: every cell, trial, node and scheduled event, fixed before anything starts.
//!
//! | | |
//! | --- | --- |
//! | `model` | what a plan is |
//! | `matrix` | the combinations of a spec as cells, each repeated |
//! | `nodes` | the nodes of a trial |
//! | [`schedule`] | who comes and goes, and when |
//! | [`timeline`] | a schedule as a trace |
//!
//! The same spec gives the same bytes. Random choices come from streams named after what they decide
//! (`churn/<peer's number>`), so that one more peer changes no other peer's schedule. This stage knows nothing of
//! engines, and computes no bounds.

mod matrix;
mod model;
mod nodes;
pub mod schedule;
pub mod timeline;

pub use matrix::plan;
pub use model::{Action, Actor, Cell, Event, Node, Plan, Trial, Turn, VERSION, latecomer};

// What a plan's reader needs to name without knowing the stage before it.
pub use crate::spec::ARM;
pub use crate::spec::{
    Absence, Architecture, Arrivals, Class, Client, Distribution, Fate, Gate, How, Incident, Keeps, LinkSpread, Order,
    RESTART, RuntimeName, Settings, Validity, gate, trace,
};
