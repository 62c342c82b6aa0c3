//! Events on standard output, one JSON line each, numbered.

use std::cell::{Cell, RefCell};
use std::io::Write as _;

use super::clock;
use crate::event::{Event, Record, VERSION};

/// Writes this node's events.
#[derive(Debug)]
pub struct Reporter {
    node: String,
    seq: Cell<u64>,
    /// Lines that are held back, if they are.
    held: RefCell<Option<Vec<u8>>>,
}

impl Reporter {
    /// Nothing written yet.
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self { node: node.to_owned(), seq: Cell::new(0), held: RefCell::new(None) }
    }

    /// Writes one event. A reader that is gone is no reason to stop: the controller sees the gap in the numbers.
    pub fn emit(&self, event: Event) {
        let seq = self.seq.replace(self.seq.get() + 1);
        let record = Record { v: VERSION, node: self.node.clone(), seq, mono: clock::monotonic(), event };
        let mut line = serde_json::to_vec(&record).expect("an event has string keys and finite numbers");
        line.push(b'\n');
        match &mut *self.held.borrow_mut() {
            Some(held) => held.append(&mut line),
            None => write(&line),
        }
    }

    /// Holds lines back until [`Reporter::release`]: they keep the moments at which they were emitted.
    pub fn hold(&self) {
        self.held.borrow_mut().get_or_insert_default();
    }

    /// Writes what was held back, and every line at once from now on.
    pub fn release(&self) {
        if let Some(held) = self.held.take() {
            write(&held);
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.release();
    }
}

fn write(lines: &[u8]) {
    let mut out = std::io::stdout().lock();
    // See `emit`: a gap tells.
    let _ = out.write_all(lines).and_then(|()| out.flush());
}
