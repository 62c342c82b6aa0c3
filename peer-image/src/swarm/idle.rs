//! How long the upload link had nothing to send, by cause.
//!
//! The core sees a link as busy while a block is handed to the shell. What the sockets still hold then is not
//! counted as idle twice over: a block is handed over before the one before it has left.

use super::time::Timestamp;
use crate::event::Idle;

/// Why there is nothing to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Nobody wants what this peer has.
    Uninterested,
    /// Those who do are choked.
    Choked,
    /// Those who may have not asked.
    Unrequested,
}

/// Accumulates idle time.
#[derive(Debug, Clone, Default)]
pub(super) struct IdleClock {
    spent: Idle,
    since: Timestamp,
    cause: Option<Cause>,
}

impl IdleClock {
    /// From `now` on the link is busy (`None`) or idle for that cause.
    pub(super) fn turn(&mut self, now: Timestamp, cause: Option<Cause>) {
        self.settle(now);
        self.cause = cause;
    }

    /// Idle time up to `now`.
    pub(super) fn spent(&mut self, now: Timestamp) -> Idle {
        self.settle(now);
        self.spent
    }

    fn settle(&mut self, now: Timestamp) {
        let passed = (now - self.since).0;
        match self.cause {
            Some(Cause::Uninterested) => self.spent.uninterested += passed,
            Some(Cause::Choked) => self.spent.choked += passed,
            Some(Cause::Unrequested) => self.spent.unrequested += passed,
            None => {}
        }
        self.since = self.since.max(now);
    }
}
