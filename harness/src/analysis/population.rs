//! Who was there, and which pieces were to be had, second by second.
//!
//! A copy of a piece counts while a node that has it verified is there and serves: in p2p every node that uploads at
//! all; in client-server the server alone.

use std::collections::BTreeSet;

use peer_image::event::is_to_complete;
use peer_image::node::Role;

use super::bounds::useful_upload;
use super::conclude::since;
use super::lives::Observed;
use super::presence;
use crate::plan::{Architecture, Cell, Node, Trial};

/// One second of one trial.
#[derive(Debug, Clone, PartialEq)]
pub struct PopulationRow {
    /// The cell's id.
    pub cell: String,
    /// Which repeat, from 1.
    pub repeat: u32,
    /// Which attempt at it, from 1.
    pub attempt: u32,
    /// Seconds after the common start.
    pub at_s: u32,
    /// Peers that are there and lack part of the file: from `started` to `left`, `acted` or the next life, less planned
    /// freezes and cuts.
    pub leechers: u32,
    /// Peers that are there and have the whole file.
    pub seeds: u32,
    /// Peers that have had the whole file by then, there or not: `completed`.
    pub completed: u32,
    /// Copies of the piece of which there are fewest, the server's included: `progress.got`. Not known from logs of
    /// before version 3.
    pub rarest_piece_copies: Option<u32>,
    /// Copies of a piece on average.
    pub mean_piece_copies: Option<f64>,
}

/// What a trial's log tells of its population.
#[derive(Debug, Default)]
pub(super) struct Followed {
    pub(super) rows: Vec<PopulationRow>,
    /// When the last copy of some piece left for good, seconds after the common start, and of how many pieces none was
    /// left at last.
    pub(super) lost: Option<(f64, u32)>,
}

/// What changes at a moment; at one moment in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Gone,
    Begins,
    There,
    Got(Vec<u32>),
    Has,
    Completed,
}

/// One node as far as was read.
#[derive(Debug, Clone, Default)]
struct Member {
    is_there: bool,
    serves: bool,
    is_peer: bool,
    pieces: BTreeSet<u32>,
}

/// Copies of each piece.
#[derive(Debug)]
struct Copies {
    of: Vec<u32>,
    all: u64,
    nowhere: u32,
}

impl Copies {
    fn add(&mut self, piece: u32) {
        if let Some(copies) = self.of.get_mut(piece as usize) {
            self.nowhere -= u32::from(*copies == 0);
            *copies += 1;
            self.all += 1;
        }
    }

    fn remove(&mut self, piece: u32) {
        if let Some(copies) = self.of.get_mut(piece as usize) {
            *copies -= 1;
            self.nowhere += u32::from(*copies == 0);
            self.all -= 1;
        }
    }
}

/// Follows a trial until `horizon` seconds after its start.
pub(super) fn follow(cell: &Cell, trial: &Trial, observed: &Observed, horizon: f64) -> Followed {
    let pieces = u32::try_from(trial.file.size.div_ceil(u64::from(trial.file.piece.max(1)))).unwrap_or(u32::MAX);
    let nodes: Vec<&Node> = trial.nodes.iter().filter(|node| node.role != Role::Tracker).collect();
    let mut members: Vec<Member> = nodes.iter().map(|node| member(cell, node)).collect();
    let mut steps: Vec<(f64, usize, Step)> = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        steps.extend(steps_of(node, observed, pieces).into_iter().map(|(at, step)| (at, i, step)));
    }
    steps.retain(|(at, ..)| at.is_finite() && *at <= horizon);
    steps.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| (&a.2, a.1).cmp(&(&b.2, b.1))));
    let is_told = nodes.iter().any(|node| observed.node(&node.name).lives.iter().any(|life| !life.got.is_empty()));

    let mut copies = Copies { of: vec![0; pieces as usize], all: 0, nowhere: pieces };
    let mut followed = Followed::default();
    let (mut completed, mut lost_since): (u32, Option<f64>) = (0, None);
    let mut steps = steps.into_iter().peekable();
    // The last second is the one in which it ends: what came by then is in its row.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a trial")]
    let last = horizon.max(0.0).ceil() as u32;
    for second in 0..=last {
        let until = f64::from(second);
        while let Some((at, i, step)) = steps.next_if(|(at, ..)| *at <= until) {
            completed += u32::from(step == Step::Completed);
            members[i].take(step, pieces, &mut copies);
            match copies.nowhere {
                0 => lost_since = None,
                _ => lost_since = lost_since.or(Some(at)),
            }
        }
        let there = |whole: bool| {
            let own = members.iter().filter(|it| it.is_peer && it.is_there);
            count(own.filter(|it| (it.pieces.len() == pieces as usize) == whole).count())
        };
        followed.rows.push(PopulationRow {
            cell: cell.id.clone(),
            repeat: trial.repeat,
            attempt: observed.attempt,
            at_s: second,
            leechers: there(false),
            seeds: there(true),
            completed,
            rarest_piece_copies: copies.of.iter().min().copied().filter(|_| is_told),
            mean_piece_copies: (is_told && pieces > 0).then(|| copies.all as f64 / f64::from(pieces)),
        });
    }
    followed.lost = lost_since.filter(|_| is_told).map(|at| (at, copies.nowhere));
    followed
}

fn member(cell: &Cell, node: &Node) -> Member {
    let is_peer = is_to_complete(node.role);
    let uploads = node.link.is_some_and(|link| useful_upload(link, node.behaviour) > 0);
    let serves = !is_peer || (uploads && cell.settings.architecture == Architecture::P2p);
    Member { is_there: false, serves, is_peer, pieces: BTreeSet::new() }
}

impl Member {
    fn take(&mut self, step: Step, pieces: u32, copies: &mut Copies) {
        let counts = |it: &Self| it.is_there && it.serves;
        match step {
            Step::There if !self.is_there => {
                self.is_there = true;
                if counts(self) {
                    self.pieces.iter().for_each(|piece| copies.add(*piece));
                }
            }
            Step::Gone if self.is_there => {
                if counts(self) {
                    self.pieces.iter().for_each(|piece| copies.remove(*piece));
                }
                self.is_there = false;
            }
            Step::There | Step::Gone | Step::Completed => {}
            Step::Begins => {
                if counts(self) {
                    self.pieces.iter().for_each(|piece| copies.remove(*piece));
                }
                self.pieces.clear();
            }
            Step::Got(new) => {
                for piece in new.into_iter().filter(|piece| *piece < pieces) {
                    if self.pieces.insert(piece) && counts(self) {
                        copies.add(piece);
                    }
                }
            }
            Step::Has => self.take(Step::Got((0..pieces).collect()), pieces, copies),
        }
    }
}

/// What the log tells of one node, as moments in seconds after the common start.
fn steps_of(node: &Node, observed: &Observed, pieces: u32) -> Vec<(f64, Step)> {
    let mut steps = Vec::new();
    for (from, until) in presence::there(node, observed) {
        steps.extend([(from, Step::There), (until, Step::Gone)]);
    }
    let mut has_completed = false;
    for life in &observed.node(&node.name).lives {
        let (Some(started), Some(go)) = (life.started, observed.go(&node.name, life)) else { continue };
        let begins = presence::begins(started);
        steps.push((begins, Step::Begins));
        if !is_to_complete(node.role) || started.pieces == pieces {
            steps.push((begins, Step::Has));
        }
        steps.extend(life.got.iter().map(|(mono, got)| (since(*mono, go).max(begins), Step::Got(got.clone()))));
        if let Some(completed) = life.completed {
            steps.push((since(completed, go), Step::Has));
            if !has_completed {
                has_completed = true;
                steps.push((since(completed, go), Step::Completed));
            }
        }
    }
    steps
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use crate::analysis::conclude::measure;
    use crate::analysis::fixture::{Log, cell};
    use crate::plan::Architecture;

    #[test]
    fn the_last_row_is_that_of_the_end() {
        let cell = cell(Architecture::P2p, 4, 1);
        let log = Log::complete(&cell.trials[0], 40.5);
        let rows = measure(&cell, &cell.trials[0], &log.lines).population;
        let last = rows.last().unwrap();
        assert_eq!((last.at_s, last.completed), (41, 4));
    }
}
