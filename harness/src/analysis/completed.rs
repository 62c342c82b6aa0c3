//! How many of the peers that were to complete did: whom a number is about, and what follows where two numbers are about
//! different ones.
//!
//! D, the bound and completion times are those of peers that completed. A client that loses its slow peers is therefore
//! quicker by all of them. So a comparison looks at the shares that completed before it looks at the times: a smaller share is
//! never an improvement, and one that chance does not explain is a regression, whatever the times say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{DiscreteCDF as _, Hypergeometric};

use super::compare::{Change, ComparisonRow, ERROR};
use super::metrics::{TrialRow, Verdict};

/// Peers that were to complete by the schedule, and those of them that did, over some trials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Completed {
    /// Peers that were to complete.
    pub to_complete: u64,
    /// Those of them that did.
    pub completed: u64,
}

/// Whether a trial says something of its swarm: it came to an end, and nothing beside the swarm is to blame for it.
#[must_use]
pub fn is_ended(trial: &TrialRow) -> bool {
    matches!(trial.verdict, Verdict::Valid | Verdict::Failed)
}

impl Completed {
    /// Over all of these trials that ended.
    #[must_use]
    pub fn of<'t>(trials: impl IntoIterator<Item = &'t TrialRow>) -> Self {
        let ended = trials.into_iter().filter(|trial| is_ended(trial));
        ended.fold(Self::default(), |sum, trial| Self {
            to_complete: sum.to_complete + u64::from(trial.to_complete),
            completed: sum.completed + u64::from(trial.completed),
        })
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { to_complete: self.to_complete + other.to_complete, completed: self.completed + other.completed }
    }

    /// The share that completed; none of nobody.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        (self.to_complete > 0).then(|| self.completed as f64 / self.to_complete as f64)
    }

    /// Whether a smaller share completed than of `other`, and how likely so small a number would be if both had the same
    /// chance: Fisher's exact test, one-sided (hypergeometric). `None` if it is not smaller.
    #[must_use]
    pub fn fewer_than(self, other: Self) -> Option<f64> {
        let smaller = self.share()? < other.share()?;
        let both = self.and(other);
        let chance = Hypergeometric::new(both.to_complete, both.completed, self.to_complete).ok()?;
        smaller.then(|| chance.cdf(self.completed))
    }
}

/// Lays the shares that completed over a comparison of times.
pub(super) fn lay_over(row: &mut ComparisonRow, base: Completed, own: Completed) {
    let (Some(base_share), Some(share)) = (base.share(), own.share()) else { return };
    (row.base_completed_share, row.completed_share) = (Some(base_share), Some(share));
    let Some(chance) = own.fewer_than(base) else { return };
    let why = if chance <= ERROR {
        row.verdict = Change::Regressed;
        "fewer peers completed, and that is a regression whatever the times"
    } else if matches!(row.verdict, Change::Improved | Change::Equivalent) {
        row.verdict = Change::Inconclusive;
        "fewer peers completed, so the times are of others"
    } else {
        return;
    };
    row.why = if row.why.is_empty() { why.to_owned() } else { format!("{why}; {}", row.why) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::{NIGHTLY, compared, nightly, reference};
    use crate::analysis::history;

    fn of(completed: u64, to_complete: u64) -> Completed {
        Completed { to_complete, completed }
    }

    #[test]
    fn the_chance_is_fishers() {
        // Fisher's tea (The Design of Experiments, 1935), 4 of 4 against 0 of 4: 1/70; R: fisher.test(alternative = "less").
        assert!((of(0, 4).fewer_than(of(4, 4)).unwrap() - 1.0 / 70.0).abs() < 1e-12);
        // R: phyper(8, 18, 2, 10).
        assert!((of(8, 10).fewer_than(of(10, 10)).unwrap() - 0.236_842_105).abs() < 1e-8);
        assert_eq!(of(10, 10).fewer_than(of(10, 10)), None);
        assert_eq!(of(0, 0).fewer_than(of(10, 10)), None);
    }

    #[test]
    fn who_loses_peers_is_never_better() {
        let laid_over = |verdict, own, base| {
            let mut row = compared().comparisons.remove(0);
            (row.verdict, row.ratio) = (verdict, Some(0.44));
            lay_over(&mut row, base, own);
            (row.verdict, row.populations())
        };
        let quick = |own, base| laid_over(Change::Improved, own, base);
        let said = |text: &str| Some(text.to_owned());
        let lost = quick(of(100, 140), of(140, 140));
        assert_eq!(lost, (Change::Regressed, said("71.4 % of the peers completed, of the base 100 %")));
        assert_eq!(quick(of(139, 140), of(140, 140)).0, Change::Inconclusive);
        // Nor as good, and what was worse stays so.
        assert_eq!(laid_over(Change::Equivalent, of(139, 140), of(140, 140)).0, Change::Inconclusive);
        assert_eq!(laid_over(Change::Regressed, of(139, 140), of(140, 140)).0, Change::Regressed);
        // More of them is no reason to believe less in it, and is said.
        let more = quick(of(140, 140), of(139, 140));
        assert_eq!(more, (Change::Improved, said("100 % of the peers completed, of the base 99.3 %")));
        assert_eq!(quick(of(140, 140), of(140, 140)), (Change::Improved, None));
    }

    #[test]
    fn a_night_that_loses_peers_is_a_regression_beside_baseline_and_nights() {
        let mut analysis = nightly();
        analysis.comparisons.clear();
        let mut reference = reference(&[36.0, 36.3, 35.8, 36.1, 36.2, 35.9, 36.0, 36.2], 20.0);
        let keep = |night: &mut history::Night, it| {
            night.completed.insert(NIGHTLY.to_owned(), it);
        };
        reference.nights.iter_mut().for_each(|night| keep(night, of(50, 50)));
        keep(reference.baseline.as_mut().unwrap(), of(50, 50));
        keep(&mut reference.tonight, of(30, 50));
        history::look_back(&mut analysis, &reference);
        let verdicts: Vec<Change> = analysis.comparisons.iter().map(|row| row.verdict).collect();
        assert_eq!(verdicts, [Change::Regressed; 2]);
        assert!(analysis.comparisons.iter().all(|row| row.populations().is_some_and(|it| it.starts_with("60.0 %"))));
    }
}
