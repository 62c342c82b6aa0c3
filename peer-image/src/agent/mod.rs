//! What runs in each node, PID 1 of its container: shape, drop privileges, wait at the gate, run the role, report.
//!
//! Shaping, gate, completion and events do not depend on the built-in client, so that another client's program can
//! take its place in the same container.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`life`] | a node's life, from its argument to its exit code |
//! | [`failure`], [`started`] | why a node cannot go on; what every role starts from |
//! | [`clock`] | the machine's monotonic clock and the trial's |
//! | [`report`] | events on standard output |
//! | [`privileges`] | gives up all capabilities |
//! | [`gate`] | one common start for all nodes |
//! | [`surroundings`] | planned changes of the link |
//! | [`calibration`] | what a link carries before the gate opens |
//! | [`host`] | what the host does meanwhile |
//! | [`ending`] | when and why a node stops |
//! | [`storage`] | keeps and verifies what came |
//! | [`counters`] | reports what the link has carried |
//! | [`progress`] | what was moved from and to whom |
//! | [`tracker`] | the HTTP tracker |
//! | [`web`] | the little of HTTP that tracker, server and clients share |
//! | [`http_server`], [`http_client`] | the two sides of client-server |
//! | [`peer`], [`connection`] | the swarm core on real sockets |
//! | [`uplink`] | keeps the queue of a slow upload link short |

pub mod calibration;
pub mod clock;
pub mod connection;
pub mod counters;
pub mod ending;
pub mod failure;
pub mod gate;
pub mod host;
pub mod http_client;
pub mod http_server;
pub mod life;
pub mod peer;
pub mod privileges;
pub mod progress;
pub mod report;
pub mod started;
pub mod storage;
pub mod surroundings;
pub mod tracker;
pub mod uplink;
pub mod web;

pub use failure::Failure;
pub use life::main;
pub use started::Started;
