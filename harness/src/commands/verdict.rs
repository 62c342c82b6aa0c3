//! What a run comes to, as an exit code.

use crate::analysis::checks::Check;
use crate::analysis::compare::Change;
use crate::analysis::metrics::{TrialRow, Verdict};
use crate::analysis::summary::Analysis;
use crate::exit::Exit;

/// The worst of what there is to say of a run: first of the swarm, then of the measurement. `strict` is whether it is a
/// failure that a comparison decided nothing.
pub(super) fn of(analysis: &Analysis, strict: bool) -> Exit {
    let compared = |change| analysis.comparisons.iter().any(|row| row.verdict == change);
    let ends = |verdict| last(&analysis.trials).any(|row| row.verdict == verdict);
    let checked = |outcome| analysis.checks.iter().any(|row| row.outcome == outcome);
    let found = [
        (compared(Change::Regressed), Exit::Regressed),
        (checked(Check::Crossed), Exit::Threshold),
        (ends(Verdict::Failed) || ends(Verdict::BrokenOff), Exit::Trial),
        (ends(Verdict::Invalid), Exit::Invalid),
        (checked(Check::NoData), Exit::Threshold),
        (compared(Change::NoData), Exit::NotComparable),
        (strict && compared(Change::Inconclusive), Exit::Inconclusive),
    ];
    found.into_iter().find(|(is, _)| *is).map_or(Exit::Fine, |(_, exit)| exit)
}

/// The last attempt at each trial.
fn last(trials: &[TrialRow]) -> impl Iterator<Item = &TrialRow> {
    trials.iter().filter(|row| {
        !trials.iter().any(|it| it.cell == row.cell && it.repeat == row.repeat && it.attempt > row.attempt)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::textbook;

    #[test]
    fn what_is_said_of_the_swarm_comes_before_what_is_said_of_the_measurement() {
        let mut run = textbook();
        assert_eq!(of(&run, true), Exit::Fine);
        run.trials[0].verdict = Verdict::Invalid;
        assert_eq!(of(&run, true), Exit::Invalid);
        run.trials[1].verdict = Verdict::Failed;
        assert_eq!(of(&run, true), Exit::Trial);
        // A later attempt takes the place of an earlier one.
        let again = crate::analysis::metrics::TrialRow { attempt: 2, verdict: Verdict::Valid, ..run.trials[1].clone() };
        run.trials.push(again);
        assert_eq!(of(&run, true), Exit::Invalid);
    }
}
