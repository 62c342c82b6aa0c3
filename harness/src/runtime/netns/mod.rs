//! The embedded runtime: nodes are processes in network namespaces of their own, made by an ordinary user or by root,
//! without any daemon.
//!
//! ```text
//! controller ═ pipes ═ harness-namespaces ── harness-switch (process 1) ──┬── peer (tracker)
//!                      makes the namespaces  forwards, starts, follows    ├── peer (server)
//!                                                                         └── peer, peer, …
//! ```
//!
//! All of these are this program under other names. The agent in the nodes and what it does to its link are the same as
//! in a container. Nothing outlives the processes: no file, no interface, no namespace.
//!
//! | module | what it is |
//! | --- | --- |
//! | `runtime` | the machine, as a runtime |
//! | `deployment` | one trial, seen by the controller |
//! | `protocol` | what controller and switch say to each other |
//! | `namespaces` | making the namespaces and entering them |
//! | `switch` | process 1 in them |
//! | `network` | the cables |

mod deployment;
mod namespaces;
mod network;
mod protocol;
mod runtime;
mod switch;

pub use deployment::NetnsDeployment;
pub use namespaces::{ENTER, SWITCH, enter};
pub use runtime::Netns;
pub use switch::switch;
