//! What every role starts from.

use std::rc::Rc;

use super::clock::Epoch;
use super::gate;
use super::report::Reporter;
use super::uplink::Uplink;
use crate::link;
use crate::node::NodeSpec;

/// A node that passed the gate: what every role starts from.
#[derive(Debug)]
pub struct Started {
    /// What it was told.
    pub spec: NodeSpec,
    /// Where it reports.
    pub reporter: Rc<Reporter>,
    /// The trial's clock.
    pub epoch: Epoch,
    /// Where the tracker (and gate) is.
    pub tracker: std::net::IpAddr,
    /// Where the server is, if the gate knows one.
    pub server: Option<std::net::IpAddr>,
    /// Its upload link, and what waits there.
    pub uplink: Rc<Uplink>,
    /// Where it is in its network.
    pub place: link::Place,
    /// The connection to the gate, kept so that the gate sees who is there.
    pub gate: gate::Seat,
}
