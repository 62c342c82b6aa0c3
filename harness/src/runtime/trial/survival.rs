//! Whether the file can still be completed: a piece of which no copy is left, and none is to come back, is lost for all
//! who lack it.
//!
//! In P2P every node with a verified piece is a copy of it, there or to return with it; in client-server the server alone
//! is. What is under way when the last copy goes may still arrive, so a file counts as dead only after it was so for a
//! while.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::plan::{Architecture, Cell, Fate, Keeps, Trial};

/// So long after the last copy went the file is taken for dead: longer than the second in which a node reports what it
/// got, and than the tracker's and the choker's rounds take to bring together who has what.
const GRACE: Duration = Duration::from_secs(5);
/// And so much longer as the slowest uplink needs for what sockets and queues may hold of a node that is gone.
const UNDER_WAY: u64 = 512 << 10;

/// Which pieces are where, as far as nodes told.
#[derive(Debug)]
pub(super) struct Survival {
    /// Pieces of the file.
    pieces: u32,
    architecture: Architecture,
    server: String,
    held: BTreeMap<String, BTreeSet<u32>>,
    /// How long a file must have been dead.
    grace: Duration,
    /// Since when it is.
    since: Option<Instant>,
}

/// Peers that can no longer complete, each with how many of the pieces that it lacks are nowhere.
pub(super) type Doomed = BTreeMap<String, u32>;

impl Survival {
    pub(super) fn new(cell: &Cell, trial: &Trial) -> Self {
        let server = trial.nodes.iter().find(|node| node.role.is_server());
        let slowest = trial.nodes.iter().filter_map(|node| Some(node.link?.up)).min().unwrap_or(1);
        Self {
            pieces: u32::try_from(trial.file.size.div_ceil(u64::from(trial.file.piece.max(1)))).unwrap_or(u32::MAX),
            architecture: cell.settings.architecture,
            server: server.map(|node| node.name.clone()).unwrap_or_default(),
            held: BTreeMap::new(),
            grace: GRACE + Duration::from_secs((UNDER_WAY * 8).div_ceil(slowest.max(1))),
            since: None,
        }
    }

    /// A node told of pieces.
    pub(super) fn got(&mut self, node: &str, pieces: &[u32]) {
        if !pieces.is_empty() {
            self.held.entry(node.to_owned()).or_default().extend(pieces);
        }
    }

    /// A node told that it has them all: that may come before its word of each.
    pub(super) fn has_all(&mut self, node: &str) {
        self.held.insert(node.to_owned(), (0..self.pieces).collect());
    }

    /// A node begins with so many pieces.
    pub(super) fn begins(&mut self, node: &str, pieces: u32) {
        match pieces {
            0 => self.forget(node),
            all if all == self.pieces => self.has_all(node),
            _ => {}
        }
    }

    /// A node begins without what it had.
    fn forget(&mut self, node: &str) {
        self.held.remove(node);
    }

    /// Those of `missing` that can no longer complete, if that is so for all of them, and has been for a while.
    /// `will_serve` tells of a node whether it is there for others, or will be.
    pub(super) fn doomed<'a>(
        &mut self,
        missing: impl Iterator<Item = &'a str>,
        will_serve: impl Fn(&str) -> bool,
        now: Instant,
    ) -> Option<Doomed> {
        let doomed = if will_serve(&self.server) { None } else { self.without_server(missing, &will_serve) };
        let Some(doomed) = doomed else {
            self.since = None;
            return None;
        };
        let since = *self.since.get_or_insert(now);
        (now.duration_since(since) >= self.grace).then_some(doomed)
    }

    fn without_server<'a>(
        &self,
        missing: impl Iterator<Item = &'a str>,
        will_serve: &impl Fn(&str) -> bool,
    ) -> Option<Doomed> {
        let mut copies: BTreeSet<u32> = BTreeSet::new();
        if self.architecture == Architecture::P2p {
            let there = self.held.iter().filter(|(node, _)| will_serve(node));
            copies.extend(there.flat_map(|(_, pieces)| pieces));
        }
        let lacks = |node: &str| {
            let own = self.held.get(node);
            let nowhere = |piece: &u32| !copies.contains(piece) && !own.is_some_and(|own| own.contains(piece));
            u32::try_from((0..self.pieces).filter(nowhere).count()).unwrap_or(u32::MAX)
        };
        let doomed: Doomed = missing.map(|node| (node.to_owned(), lacks(node))).collect();
        // Some can still be helped, or nobody is missing.
        (!doomed.is_empty() && doomed.values().all(|nowhere| *nowhere > 0)).then_some(doomed)
    }
}

/// Whether a node is there for others or will be, by its fate: not if it is away, cut off or frozen for good, or comes back
/// with nothing. The server makes the file anew, whatever it kept. `elapsed` is ns after the common start.
pub(super) fn serves_by_plan(fate: &Fate, is_server: bool, is_alive: bool, elapsed: u64) -> bool {
    let current = fate.absences.iter().rev().find(|absence| absence.from <= elapsed);
    match current {
        Some(absence) if absence.until.is_none() => is_alive && absence.how.ends_the_process(),
        Some(absence) if absence.until.is_some_and(|until| until > elapsed) => {
            is_server || !absence.how.ends_the_process() || absence.keeps == Keeps::Pieces
        }
        _ => is_alive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survival(architecture: Architecture) -> Survival {
        let held = BTreeMap::from([("a".to_owned(), BTreeSet::from([0, 1])), ("b".to_owned(), BTreeSet::from([1, 2]))]);
        Survival { pieces: 4, architecture, server: "server".to_owned(), held, grace: GRACE, since: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_that_is_nowhere_dooms_all_who_lack_it_after_a_while() {
        let mut survival = survival(Architecture::P2p);
        let missing = || ["a", "b"].into_iter();
        let now = Instant::now();
        assert_eq!(survival.doomed(missing(), |_| true, now), None, "the server is there");
        assert_eq!(survival.doomed(missing(), |node| node != "server", now), None, "it may be under way");
        let later = now + GRACE;
        let doomed = survival.doomed(missing(), |node| node != "server", later);
        assert_eq!(doomed, Some(BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 1)])));
        survival.got("b", &[3]);
        assert_eq!(survival.doomed(missing(), |node| node != "server", later), None, "it came");
    }

    #[test]
    fn who_is_away_serves_if_it_comes_back_with_what_it_had_and_the_server_in_any_case() {
        let away = |until, keeps| Fate {
            arrives: 0,
            absences: vec![crate::plan::Absence { from: 10, until, how: crate::plan::How::Crash, keeps }],
        };
        let serves = |until, keeps, is_server| serves_by_plan(&away(until, keeps), is_server, false, 20);
        assert!(serves(Some(30), Keeps::Pieces, false) && serves(Some(30), Keeps::Nothing, true));
        assert!(!serves(Some(30), Keeps::Nothing, false) && !serves(None, Keeps::Pieces, true));
    }

    #[test]
    fn who_completed_has_them_all_whatever_it_told_of() {
        let mut survival = survival(Architecture::P2p);
        survival.has_all("a");
        assert_eq!(survival.without_server(["b"].into_iter(), &|_| true), None);
    }

    #[tokio::test(start_paused = true)]
    async fn without_its_server_client_server_ends() {
        let mut survival = survival(Architecture::ClientServer);
        let now = Instant::now();
        assert_eq!(survival.doomed(["a"].into_iter(), |node| node != "server", now), None);
        let doomed = survival.doomed(["a"].into_iter(), |node| node != "server", now + GRACE);
        assert_eq!(doomed, Some(BTreeMap::from([("a".to_owned(), 2)])));
    }
}
