//! The text of an experiment file to the model.
//!
//! | | |
//! | --- | --- |
//! | [`document`] | the YAML as a tree; alone names the YAML crate |
//! | `keys` | keys and words that several readers know |
//! | `reader` | the keys of the tree, one by one; mistakes |
//! | `values` | what one value may be |
//! | `factors`, `arms` | what varies |
//! | `peers`, `client`, `distribution`, `arrivals`, `churn`, `faults`, `trace`, `validity`, `gate` | a section each |
//! | [`experiment`] | the whole file |

mod arms;
mod arrivals;
mod churn;
mod client;
mod distribution;
pub(super) mod document;
pub(super) mod experiment;
mod factors;
mod faults;
mod gate;
pub(super) mod keys;
mod peers;
mod reader;
mod trace;
pub(super) mod validity;
mod values;
