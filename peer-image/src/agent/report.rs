//! Events on standard output, one JSON line each, numbered.

use std::cell::Cell;
use std::io::Write as _;

use super::clock;
use crate::event::{Event, Record, VERSION};

/// Writes this node's events.
#[derive(Debug)]
pub struct Reporter {
    node: String,
    seq: Cell<u64>,
}

impl Reporter {
    /// Nothing written yet.
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self { node: node.to_owned(), seq: Cell::new(0) }
    }

    /// Writes one event. A reader that is gone is no reason to stop: the controller sees the gap in the numbers.
    pub fn emit(&self, event: Event) {
        let seq = self.seq.replace(self.seq.get() + 1);
        let record = Record { v: VERSION, node: self.node.clone(), seq, mono: clock::monotonic(), event };
        let mut line = serde_json::to_vec(&record).expect("an event has string keys and finite numbers");
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}
