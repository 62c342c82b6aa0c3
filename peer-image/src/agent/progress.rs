//! What was moved from and to whom, and when to say so.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::report::Reporter;
use crate::event::{Event, Idle, Progress};
use crate::swarm::Waste;

/// Counts what a node moves and reports it when it changed.
#[derive(Debug)]
pub struct Ledger {
    reporter: Rc<Reporter>,
    now: Progress,
    reported: Option<Progress>,
}

impl Ledger {
    /// Nothing moved yet; `pieces` are there.
    #[must_use]
    pub fn new(reporter: Rc<Reporter>, pieces: u32) -> Self {
        Self { reporter, now: Progress { pieces, ..Progress::default() }, reported: None }
    }

    /// So many bytes came from that neighbour.
    pub fn received(&mut self, from: &str, bytes: u64) {
        add(&mut self.now.down, from, bytes);
    }

    /// So many bytes went to that neighbour.
    pub fn sent(&mut self, to: &str, bytes: u64) {
        add(&mut self.now.up, to, bytes);
    }

    /// A connection with that neighbour ended.
    pub fn parted(&mut self, from: &str) {
        add(&mut self.now.parted, from, 1);
    }

    /// So many pieces are verified.
    pub fn pieces(&mut self, pieces: u32) {
        self.now.pieces = pieces;
    }

    /// Bytes of pieces that failed verification.
    pub fn discarded(&mut self, bytes: u64) {
        self.now.discarded += bytes;
    }

    /// What the swarm core knows beside that.
    pub fn swarm(&mut self, waste: Waste, neighbours: usize, idle: Idle) {
        self.now.duplicate = waste.duplicate;
        self.now.discarded = waste.discarded;
        self.now.unrequested = waste.unrequested;
        self.now.neighbours = neighbours as u64;
        self.now.idle = idle;
    }

    /// Reports where the node stands, if that is news.
    pub fn report(&mut self) {
        let is_news = self.reported.as_ref().is_none_or(|before| {
            let mut same = before.clone();
            // Idle time alone grows by itself.
            same.idle = self.now.idle;
            same != self.now
        });
        if is_news {
            self.report_anyway();
        }
    }

    /// Reports where the node stands.
    pub fn report_anyway(&mut self) {
        self.reporter.emit(Event::Progress(self.now.clone()));
        self.reported = Some(self.now.clone());
    }

    /// Bytes sent and received so far.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        (self.now.up.values().sum(), self.now.down.values().sum())
    }
}

fn add(table: &mut BTreeMap<String, u64>, key: &str, bytes: u64) {
    match table.get_mut(key) {
        Some(sum) => *sum += bytes,
        None => {
            table.insert(key.to_owned(), bytes);
        }
    }
}
