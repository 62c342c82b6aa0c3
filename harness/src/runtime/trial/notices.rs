//! How a trial takes in what is noticed of its nodes: every line into the log, its meaning into the roster, and what
//! ends the trial out as a [`Cut`].

use peer_image::event as node_event;
use peer_image::event::ErrorKind;
use peer_image::node::Role;

use super::Update;
use super::driver::{Cut, Driver};
use crate::events::record::{Event, Outcome};
use crate::runtime::{Notice, RuntimeError};

/// Longest part that is kept of a line that is no event, characters.
const SHORTENED: usize = 300;
/// A clock that is off by so much from the controller's is another one, whatever it is called, ns: a line may be late, but
/// not so late.
const UNEQUAL: u64 = 60_000_000_000;

impl Driver<'_> {
    /// Takes in a notice.
    pub(super) fn take(&mut self, notice: Notice) -> Result<(), Cut> {
        match notice {
            Notice::Line { node, stderr: true, line } => {
                if let Some(known) = self.roster.node_mut(&node) {
                    known.remember(shortened(line));
                }
                Ok(())
            }
            Notice::Line { node, stderr: false, line } => {
                let record = serde_json::from_str::<node_event::Record>(&line).ok();
                match record.filter(|record| record.v <= node_event::VERSION && record.node == node) {
                    Some(record) => self.report(record),
                    None => {
                        let line = shortened(line);
                        if let Some(known) = self.roster.node_mut(&node) {
                            known.remember(line.clone());
                        }
                        self.note(Event::Unreadable { node, line });
                        Ok(())
                    }
                }
            }
            Notice::Exited { node, code, oom } => self.exited(node, code, oom),
            Notice::Lost { node, reason } => {
                let why = format!("the output of `{node}` can no longer be followed: {reason}");
                self.note(Event::Lost { node: node.clone(), reason });
                (self.observer)(Update::Warning(why.clone()));
                let Some(known) = self.roster.node_mut(&node) else { return Ok(()) };
                known.lose(why.clone());
                let fatal = self.gate.is_none() || !known.is_peer();
                if fatal && !self.over { Err(Cut::Over(Outcome::Failed { reason: why })) } else { Ok(()) }
            }
        }
    }

    fn report(&mut self, record: node_event::Record) -> Result<(), Cut> {
        use node_event::Event as E;
        let node = record.node.clone();
        let Some(known) = self.roster.node_mut(&node) else { return Ok(()) };
        let is_tracker = known.is_tracker();
        let gap = known.report(&record);
        let mut cut = None;
        match &record.event {
            E::Boot { boot_id, time_namespace, spec, .. } if spec.role == Role::Tracker => {
                let same = *boot_id == self.boot_id && *time_namespace == self.time_namespace;
                self.gate_shares_clock = !boot_id.is_empty() && same;
            }
            E::Ready { .. } => (self.observer)(Update::Ready { node: node.clone() }),
            E::GateOpen { at, .. } if is_tracker && self.gate.is_none() => {
                // On another host the gate's clock is not ours. What its line says is how far ahead the start is;
                // when the line was written we can only know by when it came.
                let ahead = at.saturating_sub(record.mono);
                let by_line = self.clock.mono().saturating_add(ahead);
                // Two machines that were made from one image may give their clocks one name.
                let is_same = self.gate_shares_clock && at.abs_diff(by_line) < UNEQUAL;
                self.gate = Some(if is_same { *at } else { by_line });
            }
            E::Started { pieces, .. } => self.survival.begins(&node, *pieces),
            E::Progress(progress) => {
                self.survival.got(&node, &progress.got);
                (self.observer)(Update::Pieces { node: node.clone(), pieces: progress.pieces });
            }
            E::Completed { .. } => {
                self.survival.has_all(&node);
                (self.observer)(Update::Completed { node: node.clone() });
            }
            E::Error { kind, message } if self.gate.is_none() && !self.over => {
                let reason = format!("`{node}`: {message}");
                cut = Some(match kind {
                    ErrorKind::Machine => Cut::Error(RuntimeError::Machine(reason)),
                    ErrorKind::Trial | ErrorKind::Internal => Cut::Over(Outcome::Failed { reason }),
                });
            }
            _ => {}
        }
        if let Some((first, last)) = gap {
            self.warn(format!("lines {first} to {last} of `{node}` were lost"));
        }
        if self.log_error.is_none() {
            self.log_error = self.log.node(record).err();
        }
        cut.map_or(Ok(()), Err)
    }

    /// That a program is not one that can be a node, as far as can be told of one that says nothing.
    pub(super) fn no_client(&self, why: &str) -> RuntimeError {
        RuntimeError::Machine(format!(
            "{why} without a word, so `{}` is no client that this harness can run (hint: a client takes a node's \
             specification and reports as the harness's own peer does)",
            self.cell.settings.client.label()
        ))
    }

    fn exited(&mut self, node: String, code: i64, oom: bool) -> Result<(), Cut> {
        let Some(known) = self.roster.node_mut(&node) else { return Ok(()) };
        let (is_peer, is_silent) = (known.is_peer(), known.is_silent() && !oom);
        let end = known.end(&node, code, oom, self.over);
        (self.observer)(Update::Exited { node: node.clone(), expected: end.expected });
        self.note(Event::Exited { node, code, oom, expected: end.expected, last: end.last });
        // The server may go by the schedule; the gate's own process never does.
        if self.over || (self.gate.is_some() && (is_peer || end.expected)) {
            Ok(())
        } else if self.gate.is_none() && is_silent && !self.cell.settings.client.is_own() {
            Err(Cut::Error(self.no_client(&end.why)))
        } else if self.gate.is_none() && end.machine {
            Err(Cut::Error(RuntimeError::Machine(end.why)))
        } else {
            Err(Cut::Over(Outcome::Failed { reason: end.why }))
        }
    }
}

/// As much of a line as is worth keeping.
fn shortened(mut line: String) -> String {
    if let Some((end, _)) = line.char_indices().nth(SHORTENED) {
        line.truncate(end);
        line.push('…');
    }
    line
}
