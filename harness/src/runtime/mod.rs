//! A planned trial on real links.
//!
//! | | |
//! | --- | --- |
//! | `deployment` | [`Runtime`] and [`Deployment`]: all that a place to run nodes must offer |
//! | `node_specs` | a planned node to what it is told |
//! | `lines`, `processor`, `program` | a node's output; this machine's processor; a program's file |
//! | [`trial`] | drives one trial: launch, wait for the gate, act on the schedule, wait for completion, tear down |
//! | [`docker`], [`netns`] | the reference runtime, and the one that needs neither a daemon nor root |
//!
//! Nothing in the traits assumes one host.

mod deployment;
pub mod docker;
mod lines;
pub mod netns;
mod node_specs;
mod processor;
mod program;
pub mod trial;

pub use deployment::{Deployment, Notice, Runtime, RuntimeError, Scope, client_fact, raise_file_limit};
pub use peer_image::node::KNOWN_MAX;
