//! When to ask the tracker again, whom to call and whom to let in, sans-IO: the caller brings the clock.
//!
//! **Invariant.** Who lacks something that its neighbours do not give asks again, at most `LONGEST` apart, whatever
//! interval the tracker names; who has the file and nobody to upload it to asks too, ever more rarely; who lacks nothing
//! asks at that interval and no sooner.
//!
//! `policy.neighbours`, K here, is how many the tracker names and a peer calls. Two rules keep the swarm in one piece
//! however small K is. A peer always calls somebody itself, even if so many called it that it has K neighbours: whom
//! the tracker names was there before, so each peer hangs on an earlier one. And a peer lets in more than it calls.

use super::time::{Span, Timestamp};
use super::{NeighbourId, Swarm};
use crate::seeds::Stream;

/// The first wait of a peer in need. Longer than it takes to hear what new neighbours have.
const FIRST: Span = Span::seconds(1);
/// The longest wait of a peer in need. Each is twice the one before.
const LONGEST: Span = Span::seconds(16);
/// A need that comes back within so long is the same one: its waits go on where they were.
const RELIEF: Span = Span::seconds(10);
/// A peer that was sent nothing for so long, at a pace of 1, is in need whatever its neighbours say they have: they may
/// never upload. A choke round, in which a slot passes on.
const UNFED: Span = Span::seconds(10);
/// A peer in need that has its K neighbours calls so many more of those that one answer names.
const SOUGHT: usize = 2;
/// A peer lets in half as many as it calls beyond those, so that late comers find room, or so many if that is more: the
/// first to announce is named to everybody when K is small.
const SPARE: usize = 8;
/// A neighbour is not replaced before both sides can have said what they have and want.
const TENURE: Span = Span::seconds(2);

/// What a peer lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: its neighbours have what it wants and give it, or it is complete and they want what it has.
    Nothing,
    /// It lacks part of the file, and its neighbours have none of that or give none.
    Source,
    /// It is complete, and no neighbour wants anything. Somebody else may, and has neighbours that upload more slowly: it
    /// does not know whom to call.
    Company,
}

/// How many neighbours there are, and those that are to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Engaged {
    /// All of them.
    pub all: usize,
    /// Those that this peer called.
    pub called: usize,
}

/// What to do about somebody who may become a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// There is room.
    Welcome,
    /// There is room once a neighbour that is of no use is gone ([`Swarm::of_no_use`]).
    Instead,
    /// There is none.
    Refused,
}

/// Looks out for better company.
#[derive(Debug)]
pub struct Lookout {
    neighbours: usize,
    random: Stream,
    need: Need,
    /// The next wait of a peer in need.
    wait: Span,
    relieved_at: Timestamp,
    /// When the tracker wants to hear again; `None` while an announce is under way.
    due: Option<Timestamp>,
    /// When a peer in need asks again.
    seek_at: Option<Timestamp>,
    /// How many more of the last answer may be called beyond K.
    sought: usize,
    /// How many have the file, and how many do not, by the last answer.
    seeds: u32,
    leechers: u32,
}

impl Lookout {
    /// A peer that announces itself at `first`.
    #[must_use]
    pub fn new(neighbours: u32, first: Timestamp, random: Stream) -> Self {
        Self {
            neighbours: neighbours as usize,
            random,
            need: Need::Nothing,
            wait: FIRST,
            relieved_at: Timestamp::default(),
            due: Some(first),
            seek_at: None,
            sought: 0,
            seeds: 0,
            leechers: 0,
        }
    }

    /// Takes note of what the peer lacks. Call after whatever may change it.
    pub fn look(&mut self, now: Timestamp, need: Need) {
        if need == self.need {
            return;
        }
        match (self.need, need) {
            (_, Need::Nothing) => {
                self.relieved_at = now;
                self.seek_at = None;
            }
            (Need::Nothing, Need::Source | Need::Company) => {
                if now - self.relieved_at >= RELIEF {
                    self.wait = FIRST;
                }
                self.seek(now);
            }
            (Need::Source | Need::Company, Need::Source | Need::Company) => {}
        }
        self.need = need;
    }

    /// An announce is under way.
    pub fn asked(&mut self) {
        self.due = None;
    }

    /// The tracker answered, or did not; it is to be asked again in `interval`. What the answer names can be called.
    /// `counts` are those who have the file and those who do not, if it said so.
    pub fn answered(&mut self, now: Timestamp, interval: Span, counts: Option<(u32, u32)>) {
        self.due = Some(now + interval);
        (self.seeds, self.leechers) = counts.unwrap_or_default();
        self.sought = SOUGHT;
        match self.need {
            Need::Nothing => {}
            Need::Source => self.seek_longer(now, LONGEST),
            Need::Company => self.seek_longer(now, interval),
        }
    }

    /// When to ask the tracker, `None` while an announce is under way.
    #[must_use]
    pub fn next_ask(&self) -> Option<Timestamp> {
        self.due.map(|due| self.seek_at.map_or(due, |at| at.min(due)))
    }

    /// Whether to call somebody whom the tracker named.
    ///
    /// Where seeds are many, all of them together call each leecher about once in a round: hundreds that look for company
    /// call the last few else, whose uplinks then carry nothing but refusals.
    pub fn calls(&mut self, engaged: Engaged) -> Admission {
        let is_crowd = self.need == Need::Company && self.leechers < self.seeds;
        if is_crowd && self.random.below(u64::from(self.seeds)) >= u64::from(self.leechers) {
            return Admission::Refused;
        }
        if engaged.all < self.neighbours || engaged.called == 0 {
            return Admission::Welcome;
        }
        if self.need == Need::Nothing || self.sought == 0 {
            return Admission::Refused;
        }
        self.sought -= 1;
        self.lets_in(engaged)
    }

    /// Whether to let in somebody who calls.
    #[must_use]
    pub fn lets_in(&self, engaged: Engaged) -> Admission {
        let most = self.neighbours + (self.neighbours / 2).max(SPARE);
        if engaged.all < most { Admission::Welcome } else { Admission::Instead }
    }

    fn seek_longer(&mut self, now: Timestamp, longest: Span) {
        self.seek(now);
        self.wait = Span((self.wait.0 * 2).min(longest.0));
    }

    /// Peers that got into need together are not to ask together.
    fn seek(&mut self, now: Timestamp) {
        let later = self.random.below(self.wait.0 / 4 + 1);
        self.seek_at = Some(now + Span(self.wait.0 + later));
    }
}

impl Swarm {
    /// What this peer lacks at `now`.
    #[must_use]
    pub fn need(&self, now: Timestamp) -> Need {
        if self.complete {
            let is_wanted = !self.uploads || self.neighbours.values().any(|n| n.is_interested);
            return if is_wanted { Need::Nothing } else { Need::Company };
        }
        let offered = self.neighbours.values().any(|n| n.wanted > 0);
        let is_fed = now - self.fed_at < Span(UNFED.0 * self.answers());
        if offered && is_fed { Need::Nothing } else { Need::Source }
    }

    /// A neighbour that could be replaced: it wants nothing of this peer, which wants nothing of it. The one that has been
    /// there longest.
    #[must_use]
    pub fn of_no_use(&self, now: Timestamp) -> Option<NeighbourId> {
        let idle = self.neighbours.iter().filter(|(_, n)| !n.am_interested && !n.is_interested && !n.is_served());
        idle.filter(|(_, n)| now - n.since >= TENURE).min_by_key(|(_, n)| n.since).map(|(&id, _)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds::stream;

    const INTERVAL: Span = Span::seconds(60);

    fn at(seconds: u64) -> Timestamp {
        Timestamp(0) + Span::seconds(seconds)
    }

    fn lookout(neighbours: u32) -> Lookout {
        Lookout::new(neighbours, at(0), stream(1, "lookout"))
    }

    /// When a peer that lacks that from the start asks, within five minutes; each question is answered at once.
    fn asks(need: Need) -> Vec<f64> {
        let mut lookout = lookout(2);
        let mut asks = Vec::new();
        while let Some(now) = lookout.next_ask().filter(|now| *now < at(300)) {
            asks.push((now - at(0)).as_seconds());
            lookout.asked();
            assert_eq!(lookout.next_ask(), None, "one question at a time");
            lookout.look(now, need);
            lookout.answered(now, INTERVAL, None);
        }
        asks
    }

    #[test]
    fn who_lacks_nothing_asks_at_the_interval() {
        assert_eq!(asks(Need::Nothing), [0.0, 60.0, 120.0, 180.0, 240.0]);
    }

    #[test]
    fn who_lacks_a_source_asks_soon_and_then_ever_more_rarely_but_never_waits_for_the_interval() {
        let asks = asks(Need::Source);
        let waits: Vec<f64> = asks.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (wait, least) in waits.iter().zip([1.0, 2.0, 4.0, 8.0].into_iter().chain(std::iter::repeat(16.0))) {
            assert!((least..=least * 1.25).contains(wait), "{asks:?}");
        }
        assert!(asks.len() > 15, "{asks:?}");
    }

    #[test]
    fn a_complete_peer_that_is_alone_comes_down_to_the_interval() {
        let asks = asks(Need::Company);
        assert!(asks.len() < 11, "{asks:?}");
        let last = asks[asks.len() - 1] - asks[asks.len() - 2];
        assert!((last - 60.0).abs() < 1e-9, "{asks:?}");
    }

    #[test]
    fn a_need_that_comes_back_at_once_is_the_same_and_one_that_comes_later_is_new() {
        let mut lookout = lookout(2);
        lookout.look(at(0), Need::Source);
        for now in [2, 6] {
            lookout.asked();
            lookout.answered(at(now), INTERVAL, None);
        }
        lookout.look(at(7), Need::Nothing);
        assert_eq!(lookout.next_ask(), Some(at(66)));
        lookout.look(at(8), Need::Source);
        assert!(lookout.next_ask() >= Some(at(12)), "{lookout:?}");
        lookout.look(at(9), Need::Nothing);
        lookout.look(at(30), Need::Source);
        assert!(lookout.next_ask() < Some(at(32)), "{lookout:?}");
    }

    #[test]
    fn a_peer_always_calls_somebody_itself_and_in_need_two_more_of_each_answer() {
        for need in [Need::Source, Need::Company] {
            let mut lookout = lookout(2);
            let engaged = |all, called| Engaged { all, called };
            assert_eq!(lookout.calls(engaged(5, 0)), Admission::Welcome, "five called it, it called nobody");
            assert_eq!(lookout.calls(engaged(1, 1)), Admission::Welcome);
            assert_eq!(lookout.calls(engaged(2, 1)), Admission::Refused);
            lookout.look(at(0), need);
            lookout.answered(at(0), INTERVAL, None);
            let more = [2, 3, 4].map(|all| lookout.calls(engaged(all, 2)));
            assert_eq!(more, [Admission::Welcome, Admission::Welcome, Admission::Refused]);
            lookout.answered(at(2), INTERVAL, None);
            assert_eq!(lookout.calls(engaged(10, 2)), Admission::Instead);
        }
    }

    #[test]
    fn seeds_that_are_many_together_call_each_leecher_about_once() {
        let called = |seeds: u32, leechers: u32, need| {
            let calls = (0..seeds).map(|seed| {
                let mut lookout = Lookout::new(20, at(0), stream(u64::from(seed), "lookout"));
                lookout.look(at(0), need);
                lookout.answered(at(0), INTERVAL, Some((seeds, leechers)));
                (0..leechers).filter(|_| lookout.calls(Engaged { all: 10, called: 5 }) == Admission::Welcome).count()
            });
            calls.sum::<usize>()
        };
        let calls = called(997, 3, Need::Company);
        assert!((1..30).contains(&calls), "{calls} calls of three");
        assert_eq!(called(2, 8, Need::Company), 16, "few seeds call all");
        assert_eq!(called(100, 3, Need::Source), 300, "who lacks a source calls");
    }

    #[test]
    fn late_comers_find_room_however_few_neighbours_a_peer_calls() {
        for (neighbours, most) in [(1, 9), (2, 10), (3, 11), (50, 75)] {
            let lookout = lookout(neighbours);
            let engaged = |all| Engaged { all, called: 0 };
            assert_eq!(lookout.lets_in(engaged(most - 1)), Admission::Welcome);
            assert_eq!(lookout.lets_in(engaged(most)), Admission::Instead);
        }
    }
}
