//! When the peers of a cell had the whole file: the empirical distribution of their completion times.

use std::collections::BTreeSet;

use super::metrics::{PeerRow, TrialRow, Verdict};

/// One step of a cell's empirical distribution function, over all its trials that are not INVALID.
#[derive(Debug, Clone, PartialEq)]
pub struct DistributionRow {
    /// The cell's id.
    pub cell: String,
    /// When so many had the file: `completed_at_s` in `peers.csv` of one or more peers.
    pub completed_at_s: f64,
    /// Peers that had the file by then.
    pub completed: u32,
    /// Peers that D waits for, of all those trials: whoever never completed is among them.
    pub peers: u32,
    /// The first of the two over the second: the distribution function.
    pub completed_share: f64,
}

/// The steps of a cell's distribution, ascending; none if nobody completed.
pub(super) fn steps(cell: &str, trials: &[TrialRow], peers: &[PeerRow]) -> Vec<DistributionRow> {
    let own = trials.iter().filter(|trial| trial.cell == cell && trial.verdict != Verdict::Invalid);
    let own: BTreeSet<(u32, u32)> = own.map(|trial| (trial.repeat, trial.attempt)).collect();
    let is_in = |peer: &&PeerRow| peer.cell == cell && peer.to_complete && own.contains(&(peer.repeat, peer.attempt));
    let population: Vec<&PeerRow> = peers.iter().filter(is_in).collect();
    let mut times: Vec<f64> = population.iter().filter_map(|peer| peer.completed_at_s).collect();
    times.sort_by(f64::total_cmp);
    let mut rows: Vec<DistributionRow> = Vec::new();
    for (before, time) in times.into_iter().enumerate() {
        if rows.last().is_some_and(|last| last.completed_at_s >= time) {
            rows.pop();
        }
        rows.push(DistributionRow {
            cell: cell.to_owned(),
            completed_at_s: time,
            completed: u32::try_from(before + 1).expect("a cell has far fewer peers than 2^32"),
            peers: u32::try_from(population.len()).expect("a cell has far fewer peers than 2^32"),
            completed_share: (before + 1) as f64 / population.len() as f64,
        });
    }
    rows
}

/// When that share of a cell's peers had the file, seconds: the least time by which at least so many had. `None` if so
/// many never did.
#[must_use]
pub fn reached(steps: &[DistributionRow], cell: &str, share: f64) -> Option<f64> {
    let mut own = steps.iter().filter(|row| row.cell == cell);
    own.find(|row| row.completed_share >= share - 1e-12).map(|row| row.completed_at_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::textbook;

    #[test]
    fn the_distribution_rises_to_the_share_that_completed() {
        let mut analysis = textbook();
        let cell = analysis.trials[0].cell.clone();
        let mut peer = analysis.peers[0].clone();
        peer.to_complete = true;
        let at = |time: Option<f64>| PeerRow { completed_at_s: time, ..peer.clone() };
        analysis.peers = [Some(3.0), Some(1.0), Some(3.0), None].map(at).into();
        let steps = steps(&cell, &analysis.trials, &analysis.peers);
        let told: Vec<(f64, u32, f64)> =
            steps.iter().map(|row| (row.completed_at_s, row.completed, row.completed_share)).collect();
        assert_eq!(told, [(1.0, 1, 0.25), (3.0, 3, 0.75)]);
        assert!(steps.iter().all(|row| row.peers == 4));
        assert_eq!(
            [0.1, 0.25, 0.5, 0.9].map(|share| reached(&steps, &cell, share)),
            [Some(1.0), Some(1.0), Some(3.0), None]
        );
    }

    #[test]
    fn what_is_invalid_or_not_waited_for_is_not_in_it() {
        let mut analysis = textbook();
        let cell = analysis.trials[0].cell.clone();
        let before = steps(&cell, &analysis.trials, &analysis.peers);
        let mut invalid = analysis.trials[0].clone();
        (invalid.attempt, invalid.verdict) = (2, Verdict::Invalid);
        let late = PeerRow { attempt: 2, completed_at_s: Some(9_999.0), ..analysis.peers[0].clone() };
        let gone = PeerRow { to_complete: false, completed_at_s: Some(0.1), ..analysis.peers[0].clone() };
        analysis.trials.push(invalid);
        analysis.peers.extend([late, gone]);
        assert_eq!(steps(&cell, &analysis.trials, &analysis.peers), before);
    }
}
