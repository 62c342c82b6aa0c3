//! What a person sees of a trial while it runs. It decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use peer_image::wire::geometry::Geometry;

use crate::events::record::Phase;
use crate::plan::Trial;
use crate::report::progress::Progress;
use crate::runtime::trial::Update;

/// Turns what happens in a trial into what a person sees.
pub(crate) struct Onlooker<'a> {
    progress: &'a mut Progress,
    nodes: u32,
    ready: BTreeSet<String>,
    /// Verified pieces of each peer.
    pieces: BTreeMap<String, u32>,
    pieces_of_one: u32,
    to_complete: BTreeSet<String>,
    completed: BTreeSet<String>,
}

impl<'a> Onlooker<'a> {
    pub(crate) fn new(trial: &Trial, progress: &'a mut Progress) -> Self {
        let to_complete: BTreeSet<String> =
            trial.nodes.iter().filter(|node| node.to_complete).map(|node| node.name.clone()).collect();
        let pieces_of_one = Geometry::new(trial.file.size, trial.file.piece).map_or(0, Geometry::pieces);
        Self {
            progress,
            nodes: u32::try_from(trial.nodes.len()).expect("far fewer nodes than 2^32"),
            ready: BTreeSet::new(),
            pieces: BTreeMap::new(),
            pieces_of_one,
            to_complete,
            completed: BTreeSet::new(),
        }
    }

    fn has(&mut self, node: String, pieces: u32) {
        if self.to_complete.contains(&node) {
            self.pieces.insert(node, pieces);
            let done = self.pieces.values().map(|&n| u64::from(n)).sum();
            self.progress.pieces(done, u64::from(self.pieces_of_one) * self.to_complete.len() as u64);
        }
    }

    pub(crate) fn update(&mut self, update: Update) {
        match update {
            Update::Phase(phase) => {
                let to_complete = u32::try_from(self.to_complete.len()).expect("few nodes");
                match phase {
                    Phase::Launch => self.progress.expect(self.nodes, to_complete),
                    // The gate opens when all are ready, and word of that may come before the last node's own.
                    Phase::Transfer => self.progress.ready(self.nodes, self.nodes),
                    Phase::Ready | Phase::Teardown => {}
                }
                self.progress.phase(match phase {
                    Phase::Launch => "launch",
                    Phase::Ready => "ready",
                    Phase::Transfer => "transfer",
                    Phase::Teardown => "teardown",
                });
            }
            Update::Ready { node } => {
                self.ready.insert(node);
                self.progress.ready(u32::try_from(self.ready.len()).expect("few nodes"), self.nodes);
            }
            Update::Pieces { node, pieces } => {
                self.has(node, pieces);
            }
            Update::Completed { node } => {
                if self.to_complete.contains(&node) && self.completed.insert(node.clone()) {
                    // Its last count may never come: it may leave at once.
                    self.has(node, self.pieces_of_one);
                    let completed = u32::try_from(self.completed.len()).expect("few nodes");
                    let of = u32::try_from(self.to_complete.len()).expect("few nodes");
                    self.progress.completed(completed, of);
                }
            }
            Update::Warning(message) => self.progress.note(&format!("warning: {message}")),
            Update::Exited { node, expected: false } => {
                self.progress.note(&format!("warning: `{node}` ended unexpectedly"));
            }
            Update::Started { .. }
            | Update::Open { .. }
            | Update::Acted { .. }
            | Update::Exited { .. }
            | Update::Over(_) => {}
        }
    }
}
