//! When and why a node stops: its planned leave, its completion, the end of its patience, or a signal.

use std::io;
use std::rc::Rc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::clock::Epoch;
use super::counters::count;
use super::report::Reporter;
use super::uplink::Uplink;
use crate::event::Leave;
use crate::node::{OnComplete, Stay};
use crate::swarm::time::{Span, Timestamp};

/// When and why a node stops.
#[derive(Debug)]
pub struct Ending {
    term: Signal,
    int: Signal,
    epoch: Option<Epoch>,
    planned: Option<Timestamp>,
    patience: Option<Timestamp>,
    after_completion: Option<Timestamp>,
    /// Whether the node leaves of its own accord.
    leaves: bool,
    /// By whom its link's counters are told, and read.
    counters: Option<(Rc<Reporter>, Rc<Uplink>)>,
}

impl Ending {
    /// Only signals end the node so far.
    ///
    /// # Errors
    /// If no signal handler can be set.
    pub fn new() -> io::Result<Self> {
        let term = signal(SignalKind::terminate())?;
        let int = signal(SignalKind::interrupt())?;
        Ok(Self {
            term,
            int,
            epoch: None,
            planned: None,
            patience: None,
            after_completion: None,
            leaves: false,
            counters: None,
        })
    }

    /// The node leaves at the end of its stay if that is its own to do, and earlier if its patience, ns, ends before it
    /// has the file.
    pub fn schedule(&mut self, stay: Stay, patience: Option<u64>, epoch: Epoch) {
        self.epoch = Some(epoch);
        self.planned = stay.until.filter(|_| stay.leaves).map(Timestamp);
        self.patience = patience.map(|patience| Timestamp(stay.from.saturating_add(patience)));
    }

    /// Who tells of the link's counters when the node leaves.
    pub fn count_by(&mut self, reporter: Rc<Reporter>, uplink: Rc<Uplink>) {
        self.counters = Some((reporter, uplink));
    }

    /// Tells what the link has counted, of a node that leaves of its own accord: what it counts from then on is what its
    /// sockets still held. To be called just before it says that it left.
    pub async fn last_look(&self) {
        if let Some((reporter, uplink)) = self.counters.as_ref().filter(|_| self.leaves) {
            count(reporter, uplink).await;
        }
    }

    /// The node has the whole file now.
    pub fn completed(&mut self, on_complete: OnComplete) {
        let now = self.epoch.map(Epoch::now).unwrap_or_default();
        self.patience = None;
        self.after_completion = match on_complete {
            OnComplete::Stay => None,
            OnComplete::Leave => Some(now),
            OnComplete::Linger(nanos) => Some(now + Span(nanos)),
        };
    }

    /// Waits until the node is to stop. May be dropped and called again.
    pub async fn wait(&mut self) -> Leave {
        let epoch = self.epoch;
        let until = |at: Option<Timestamp>| async move {
            match (epoch, at) {
                (Some(epoch), Some(at)) => epoch.sleep_until(at).await,
                _ => std::future::pending().await,
            }
        };
        let why = tokio::select! {
            biased;
            _ = self.term.recv() => Leave::Stopped,
            _ = self.int.recv() => Leave::Stopped,
            () = until(self.planned) => Leave::Planned,
            () = until(self.after_completion) => Leave::Completed,
            () = until(self.patience) => Leave::GaveUp,
        };
        self.leaves = why != Leave::Stopped;
        why
    }

    /// Whether the node left of its own accord: nobody asked for its end.
    #[must_use]
    pub fn leaves(&self) -> bool {
        self.leaves
    }
}
