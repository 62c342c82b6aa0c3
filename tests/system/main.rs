//! System tests: the built `harness` on a real Docker engine, seen from outside by its exit code, its words and the
//! files that it leaves. They need an engine on this host and fail without one.
//!
//! | module | what it is |
//! | --- | --- |
//! | `binary` | where the program is |
//! | `bench` | a directory with an experiment, and the command at work in it |
//! | `engine` | the engine, seen by a bystander; and whose turn it is |
//! | `intermediary` | a relay between harness and engine that can spoil what passes |
//! | `swarm`, `churn`, `behaviour` | what a trial comes to |
//! | `validity` | what makes a trial INVALID, retries, resuming, repeating |
//! | `gate` | what results are held to, and what follows |
//! | `ending`, `cleaning` | what is left when something ends that should not |
//! | `refusal` | what cannot be run, and what is said about it |
//! | `netns` | runs without an engine, in network namespaces |
//! | `node` | one container of the peer's image |
//!
//! Waiting is for a condition, with a deadline; nothing asserts how long anything took.

mod behaviour;
mod bench;
mod binary;
mod churn;
mod cleaning;
mod ending;
mod engine;
mod fates;
mod gate;
mod intermediary;
mod netns;
mod node;
mod refusal;
mod swarm;
mod validity;
