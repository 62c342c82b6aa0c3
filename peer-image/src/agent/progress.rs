//! What was moved from and to whom, and when to say so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::report::Reporter;
use crate::event::{Event, Idle, Progress};
use crate::swarm::Waste;
use crate::wire::bitfield::Bitfield;
use crate::wire::geometry::{Geometry, PieceIndex};

/// Counts what a node moves and reports it when it changed.
#[derive(Debug)]
pub struct Ledger {
    reporter: Rc<Reporter>,
    now: Progress,
    reported: Option<Progress>,
    /// Pieces that were told of.
    told: BTreeSet<u32>,
    /// Pieces that are still to be told of, in order.
    news: VecDeque<u32>,
}

/// Most pieces in one report: lines stay short, and the rest follows in the next ones.
const NEWS_MAX: usize = 500;
/// Most lines of one report.
const LINES_MAX: usize = 10;

impl Ledger {
    /// Nothing moved yet.
    #[must_use]
    pub fn new(reporter: Rc<Reporter>) -> Self {
        let now = Progress::default();
        Self { reporter, now, reported: None, told: BTreeSet::new(), news: VecDeque::new() }
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

    /// One more piece is verified; `pieces` are so in all.
    pub fn got(&mut self, piece: PieceIndex, pieces: u32) {
        self.now.pieces = pieces;
        if self.told.insert(piece.number()) {
            self.news.push_back(piece.number());
        }
    }

    /// These pieces are verified.
    pub fn have(&mut self, have: &Bitfield, geometry: Geometry) {
        if self.now.pieces == have.count() {
            return;
        }
        self.now.pieces = have.count();
        for piece in geometry.all().filter(|piece| have.has(*piece)).map(PieceIndex::number) {
            if self.told.insert(piece) {
                self.news.push_back(piece);
            }
        }
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
        let is_news = is_news || !self.news.is_empty();
        if is_news {
            self.report_anyway();
        }
        // A node that learns faster than one line holds is not to fall behind: others are judged by what it has.
        for _ in 1..LINES_MAX {
            if self.news.is_empty() {
                break;
            }
            self.report_anyway();
        }
    }

    /// Reports where the node stands.
    pub fn report_anyway(&mut self) {
        let got = self.news.drain(..self.news.len().min(NEWS_MAX)).collect();
        self.reporter.emit(Event::Progress(Progress { got, ..self.now.clone() }));
        self.reported = Some(self.now.clone());
    }

    /// Reports where the node stands at its end: everything that it has not told yet.
    pub fn report_at_last(&mut self) {
        self.report_anyway();
        while !self.news.is_empty() {
            self.report_anyway();
        }
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
