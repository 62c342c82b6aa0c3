//! A checked experiment, as values.
//!
//! | | |
//! | --- | --- |
//! | `experiment` | [`Spec`], [`Settings`] of a cell, factors |
//! | `peers` | [`Class`], its links, its program |
//! | [`distribution`] | what is drawn, and from what |
//! | `churn` | [`Arrivals`], [`Churn`] |
//! | `availability` | when one node is there: what models and traces come to |
//! | `faults` | what strikes several nodes at once |
//! | [`trace`] | who is there when, from a file |
//! | `validity` | limits beyond which a trial is INVALID |
//! | [`gate`] | what results are held to |

mod availability;
mod churn;
mod distribution;
mod experiment;
mod faults;
pub mod gate;
mod peers;
pub mod trace;
mod validity;

pub(in crate::spec) use availability::HOWS;
pub use availability::{Absence, Fate, How, Keeps, RESTART};
pub use churn::{Arrivals, Churn, Rejoin};
pub use distribution::Distribution;
pub use experiment::{ARM, Architecture, Combination, Factor, Order, RuntimeName, Settings, Spec, room};
pub(in crate::spec) use experiment::{PEERS_MAX, PEERS_ON_A_BRIDGE};
pub use faults::{Incident, What, Who};
pub use gate::Gate;
pub(in crate::spec) use peers::whole_bytes;
pub(crate) use peers::whole_kilobits;
pub use peers::{Class, Client, LinkSpread};
pub(in crate::spec) use peers::{RATE_MAX, RATE_MIN};
pub use trace::{Trace, Whom};
pub use validity::Validity;
