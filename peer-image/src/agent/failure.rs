//! Why a node cannot go on.

use crate::event::ErrorKind;
use crate::link::LinkError;

/// Why a node cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Decides the exit code.
    pub kind: ErrorKind,
    /// What, and the cure.
    pub message: String,
}

impl Failure {
    /// The trial went wrong.
    pub fn trial(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Trial, message: message.into() }
    }

    /// The machine lacks something.
    pub fn machine(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Machine, message: message.into() }
    }
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        Self::machine(error.to_string())
    }
}
