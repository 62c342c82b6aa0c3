//! What is told of a trial while it runs, and what is told to it.

use std::time::Duration;

use crate::events::record::{Outcome, Phase};
use crate::plan::Action;
use crate::runtime::Scope;

/// Who asked for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM, or SIGHUP: the terminal was closed.
    Terminate,
}

/// What an onlooker may want to show while a trial runs. It follows from the log; nothing is decided by it.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// A phase began.
    Phase(Phase),
    /// A node's process runs.
    Started {
        /// The node.
        node: String,
    },
    /// A node is ready at the gate.
    Ready {
        /// The node.
        node: String,
    },
    /// The gate opened.
    Open {
        /// Longest distribution time.
        timeout: Duration,
    },
    /// A node has so many pieces.
    Pieces {
        /// The node.
        node: String,
        /// Verified pieces.
        pieces: u32,
    },
    /// A node has the whole file.
    Completed {
        /// The node.
        node: String,
    },
    /// The controller crashed a peer or brought it back.
    Acted {
        /// The peer.
        node: String,
        /// What it did.
        action: Action,
    },
    /// A node's process ended.
    Exited {
        /// The node.
        node: String,
        /// Whether that was expected.
        expected: bool,
    },
    /// Something that the trial goes on after.
    Warning(String),
    /// The trial is over, and taken down.
    Over(Outcome),
}

/// Which attempt at which repeat of which run a trial is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What everything that it makes is labelled with.
    pub scope: Scope,
    /// Which repeat, from 1; 0 is the warm-up.
    pub repeat: u32,
    /// Which attempt at it, from 1.
    pub attempt: u32,
    /// What determines the trial, hashed.
    pub key: String,
}
