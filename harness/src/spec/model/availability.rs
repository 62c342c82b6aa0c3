//! When one node is there and when it is away: the common form of what models draw and what traces tell.

use std::collections::BTreeSet;

use peer_image::node::DRAIN;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to one node. Moments are ns after the common start.
///
/// Invariant: absences are ascending and apart, each after the arrival; only the last may have no end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fate {
    /// When it arrives; 0 is the common start.
    pub arrives: u64,
    /// When it is away.
    pub absences: Vec<Absence>,
}

/// A time away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Absence {
    /// It goes.
    pub from: u64,
    /// It is back; none if it does not come back.
    pub until: Option<u64>,
    /// How it goes.
    pub how: How,
    /// What it comes back with after [`How::Leave`] and [`How::Crash`].
    pub keeps: Keeps,
}

/// In this time, ns, every runtime can end a process and start it again: an engine takes about 0.4 s for both. A stay that
/// begins with a process that was started for it is as long at least, or a return that is a little late would pass over it.
pub const RESTART: u64 = 500_000_000;
/// Nothing is told apart, or done, more exactly, ns.
const STEP: u64 = 1_000_000;

/// How a node goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Of its own accord, with a goodbye.
    Leave,
    /// Killed (SIGKILL).
    Crash,
    /// Its process stands still; the kernel still answers for it.
    Freeze,
    /// Its link carries nothing.
    CutOff,
}

/// The words in files.
pub(crate) const HOWS: [(&str, How); 4] =
    [("leave", How::Leave), ("crash", How::Crash), ("freeze", How::Freeze), ("cut-off", How::CutOff)];

/// What a peer comes back with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keeps {
    /// The pieces that it had verified.
    Pieces,
    /// Nothing.
    Nothing,
}

impl How {
    /// The word for it in files.
    #[must_use]
    pub fn word(self) -> &'static str {
        HOWS.iter().find(|(_, how)| *how == self).map_or("", |(word, _)| word)
    }

    /// Whether its process ends.
    #[must_use]
    pub fn ends_the_process(self) -> bool {
        match self {
            Self::Leave | Self::Crash => true,
            Self::Freeze | Self::CutOff => false,
        }
    }

    /// The shortest absence that every runtime can carry out, ns. Who leaves of its own accord goes on sending for a while.
    #[must_use]
    pub fn shortest(self) -> u64 {
        match self {
            Self::Leave => RESTART + u64::try_from(DRAIN.as_nanos()).unwrap_or(u64::MAX),
            Self::Crash => RESTART,
            Self::Freeze | Self::CutOff => STEP,
        }
    }
}

impl Fate {
    /// Whether it is there at a moment.
    #[must_use]
    pub fn is_there(&self, at: u64) -> bool {
        let away = |it: &Absence| it.from <= at && it.until.is_none_or(|until| at < until);
        self.arrives <= at && !self.absences.iter().any(away)
    }

    /// Adds an absence that nobody drew, if the node is there when it begins: what would have begun within it does not
    /// happen, and what would have ended the absence before it stays as it is. Says whether it was there.
    pub fn interrupt(&mut self, absence: Absence) -> bool {
        if !self.is_there(absence.from) {
            return false;
        }
        let begins_within =
            |it: &Absence| it.from >= absence.from && absence.until.is_none_or(|until| it.from <= until);
        self.absences.retain(|it| !begins_within(it));
        let place = self.absences.partition_point(|it| it.from < absence.from);
        self.absences.insert(place, absence);
        true
    }

    /// Lengthens the absences in which a process cannot be ended and started again, and the stays after them that a return
    /// might pass over; what follows comes later only where it must. Returns the moments that are later than they were.
    pub fn lengthen(&mut self) -> BTreeSet<u64> {
        let mut later = BTreeSet::new();
        let mut earliest = 0;
        for absence in &mut self.absences {
            if absence.from < earliest {
                absence.from = earliest;
                later.insert(absence.from);
            }
            let Some(until) = &mut absence.until else { break };
            let shortest = absence.from.saturating_add(absence.how.shortest());
            if *until < shortest {
                *until = shortest;
                later.insert(*until);
            }
            earliest = until.saturating_add(if absence.how.ends_the_process() { RESTART } else { STEP });
        }
        later
    }

    /// Whether it is away at the end of all times.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.absences.last().is_some_and(|it| it.until.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away(from: u64, until: impl Into<Option<u64>>) -> Absence {
        Absence { from, until: until.into(), how: How::Crash, keeps: Keeps::Pieces }
    }

    #[test]
    fn an_incident_takes_the_place_of_what_would_begin_within_it() {
        let fate = Fate { arrives: 5, absences: vec![away(10, 20), away(30, 40), away(50, None)] };
        let after = |absence: Absence| {
            let mut fate = fate.clone();
            fate.interrupt(absence);
            fate.absences
        };
        assert_eq!(after(away(25, 35)), [away(10, 20), away(25, 35), away(50, None)]);
        assert_eq!(after(away(25, None)), [away(10, 20), away(25, None)]);
        assert_eq!(after(away(15, 16)), fate.absences, "it is away already");
        assert_eq!(after(away(1, 2)), fate.absences, "it has not arrived");
        assert_eq!(after(away(45, 60)), [away(10, 20), away(30, 40), away(45, 60)]);
    }

    #[test]
    fn what_is_too_short_for_any_runtime_lasts_as_long_as_it_must() {
        const MS: u64 = 1_000_000;
        let away = |how, from: u64, until: Option<u64>| Absence {
            from: from * MS,
            until: until.map(|until| until * MS),
            how,
            keeps: Keeps::Pieces,
        };
        let mut fate = Fate {
            arrives: 0,
            absences: vec![
                // A first session may be short: its process was there before.
                away(How::Crash, 20, Some(70)),
                away(How::Freeze, 580, Some(590)),
                away(How::Leave, 1_100, Some(1_900)),
                away(How::CutOff, 9_000, Some(9_001)),
                away(How::Leave, 9_002, Some(20_000)),
                away(How::Crash, 20_001, None),
            ],
        };
        let later = fate.lengthen();
        let expected = vec![
            away(How::Crash, 20, Some(520)),
            away(How::Freeze, 1_020, Some(1_021)),
            away(How::Leave, 1_100, Some(2_600)),
            away(How::CutOff, 9_000, Some(9_001)),
            away(How::Leave, 9_002, Some(20_000)),
            away(How::Crash, 20_500, None),
        ];
        assert_eq!(fate.absences, expected);
        assert_eq!(later.len(), 5, "{later:?}");
        assert!(fate.lengthen().is_empty(), "nothing is moved twice");
    }
}
