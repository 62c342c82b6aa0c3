//! What the controller asks of the switch, and what it is told: one JSON value per line, on the switch's standard input
//! and output.

use std::net::Ipv4Addr;

use peer_image::node::NodeSpec;
use serde::{Deserialize, Serialize};

use crate::runtime::Notice;

/// From the controller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Request {
    /// Start a node, in a namespace of its own; if it ran before, once that life has ended.
    Start {
        /// Names the request in its answer.
        id: u64,
        /// What the node is told.
        node: Box<NodeSpec>,
        /// Without what it had kept.
        fresh: bool,
    },
    /// Send a signal to a node that runs.
    Signal {
        /// Names the request in its answer.
        id: u64,
        /// The node.
        node: String,
        /// Which.
        signal: Signal,
    },
}

/// What a node can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
}

/// From the switch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// It is there: the first word, unless the second form of it is.
    Up,
    /// The machine does not let it be.
    Refused {
        /// Why, and the cure.
        why: String,
    },
    /// A request was carried out: the node's address, for a start.
    Done {
        /// Of the request.
        id: u64,
        /// The node's address.
        address: Option<Ipv4Addr>,
    },
    /// A request could not be carried out.
    Failed {
        /// Of the request.
        id: u64,
        /// Why, and the cure.
        why: String,
        /// The machine's doing?
        machine: bool,
    },
    /// What was noticed of a node: each line, and after the last one its end.
    Notice(Notice),
}
