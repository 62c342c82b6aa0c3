//! The reference runtime: nodes are containers on an internal bridge network of a Docker engine.
//!
//! Everything goes over the engine's API, so the engine need not be on this host. The map:
//!
//! | module | what it is |
//! | --- | --- |
//! | `address` | where the engine is, from the environment |
//! | `client` | the API, verb by verb; it alone names bollard |
//! | `elf`, `image` | the peer's image and the binary in it |
//! | `engine` | an engine that answers, as a runtime |
//! | `labels` | what everything that a run makes is marked with |
//! | `deployment` | the containers and the network of one trial |
//! | `follow` | one container's output and end |
//! | `owner`, `clean` | whose things are whose, and removing what dead runs left |

mod address;
mod clean;
mod client;
mod deployment;
mod elf;
mod engine;
mod follow;
mod image;
mod labels;
mod owner;

pub use clean::{Cleaned, Leftovers, Things};
pub use deployment::DockerDeployment;
pub use engine::{Docker, Engine, is_named, nodes_per_network};
pub use labels::{LABEL_NODE, LABEL_RUN, LABEL_TRIAL};
