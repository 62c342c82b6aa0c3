//! Nodes' processes that did not run all the time, planted in a log.

use std::collections::BTreeMap;

use peer_image::event::{Event as NodeEvent, Leave};

use super::*;
use crate::analysis::conclude::measure;
use crate::analysis::fixture::{GO, Log, S, cell};
use crate::analysis::metrics::Verdict;
use crate::events::record::Outcome;
use crate::plan::{Architecture, Cell, Event, Keeps};

/// What becomes of the first of two peers; the other one completes at 40 s, above its bound of 26.8 s.
fn log(first: impl FnOnce(&mut Log)) -> Log {
    let mut log = Log::new();
    let progress = |down| peer_image::event::Progress { down, ..peer_image::event::Progress::default() };
    log.life("server", GO - S).boot().started(GO, 0).left(GO + 41 * S, Leave::Stopped);
    first(&mut log);
    let mut last = log.life("peer-2", GO - S);
    last.boot().started(GO, 0).progress(GO + S, progress(BTreeMap::new())).completed(GO + 40 * S);
    last.left(GO + 41 * S, Leave::Stopped);
    log.end(Outcome::Completed);
    log
}

fn two() -> Cell {
    cell(Architecture::ClientServer, 2, 1)
}

fn judged(cell: &Cell, log: &Log) -> (Verdict, String) {
    let measured = measure(cell, &cell.trials[0], &log.lines);
    (measured.trial.verdict, measured.trial.invalid)
}

#[test]
fn one_that_was_there_to_the_end_is_fine_and_one_that_fell_silent_is_not() {
    let ended_at = |at: u64| {
        log(|log| {
            log.life("peer-1", GO - S).boot().started(GO, 0).completed(GO + 10 * S).counters(GO + at, 0);
        })
    };
    assert_eq!(judged(&two(), &ended_at(41 * S)), (Verdict::Valid, String::new()));
    let reason = "`peer-1` was not heard of after 39.50 s, and was to be there to the end";
    assert_eq!(judged(&two(), &ended_at(39 * S + S / 2)), (Verdict::Invalid, reason.to_owned()));
    // Who left said so, and who is away by plan need not speak.
    let left = log(|log| {
        log.life("peer-1", GO - S).boot().started(GO, 0).completed(GO + 10 * S).left(GO + 10 * S, Leave::Completed);
    });
    assert_eq!(judged(&two(), &left), (Verdict::Valid, String::new()));
    for (until, is_valid) in [(None, true), (Some(45), true), (Some(36), false)] {
        let mut cell = two();
        let own = |at: u64, action| Event { at: at * S, node: "peer-1".to_owned(), action };
        cell.trials[0].schedule.push(own(20, Action::Crash));
        cell.trials[0].schedule.extend(until.map(|at| own(at, Action::Rejoin(Keeps::Pieces))));
        let log = log(|log| {
            log.life("peer-1", GO - S).boot().started(GO, 0).completed(GO + 10 * S).counters(GO + 20 * S, 0);
            log.acted("peer-1", Action::Crash, 20 * S, 20 * S, None);
            log.exited("peer-1", 137, true);
            if let Some(at) = until {
                log.acted("peer-1", Action::Rejoin(Keeps::Pieces), at * S, at * S, None);
            }
        });
        let (_, reason) = judged(&cell, &log);
        assert_eq!(!reason.contains("was not heard of"), is_valid, "{until:?}: {reason}");
    }
}

#[test]
fn one_that_died_when_it_was_complete_makes_it_invalid_and_one_that_was_killed_as_planned_does_not() {
    let died = |expected| {
        log(|log| {
            log.life("peer-1", GO - S).boot().started(GO, 0).completed(GO + 10 * S).counters(GO + 41 * S, 0);
            log.exited("peer-1", 137, expected);
        })
    };
    assert_eq!(judged(&two(), &died(true)), (Verdict::Valid, String::new()));
    let cell = two();
    let told = measure(&cell, &cell.trials[0], &died(false).lines).findings;
    let of_it = told.iter().filter(|finding| finding.what.to_string().contains("died")).count();
    assert_eq!(of_it, 1, "it is told once: {told:?}");
    let reason =
        "`peer-1` died, and the others went on without it: killed (exit code 137), last line: `thread main panicked`";
    assert_eq!(judged(&two(), &died(false)), (Verdict::Invalid, reason.to_owned()));
}

#[test]
fn several_short_stops_within_five_seconds_are_one_long_one() {
    let stood = |every: u64| {
        log(|log| {
            let mut life = log.life("peer-1", GO - S);
            life.boot().started(GO, 0).completed(GO + 10 * S);
            for n in 0..4 {
                life.at(GO + 12 * S + n * every, NodeEvent::Stalled { ns: 3 * S / 10 });
            }
            life.left(GO + 41 * S, Leave::Stopped);
        })
    };
    let reason = "`peer-1` stood still for 1.20 s of 5 s, in several stops";
    assert_eq!(judged(&two(), &stood(S)), (Verdict::Invalid, reason.to_owned()));
    assert_eq!(judged(&two(), &stood(2 * S)), (Verdict::Valid, String::new()), "0.9 s of any 5 s");
}

#[test]
fn a_freeze_that_failed_makes_none_before_it_longer() {
    let mut log = Log::new();
    log.acted("peer-1", Action::Freeze, 10 * S, 10 * S, None);
    log.acted("peer-1", Action::Thaw, 14 * S, 14 * S, None);
    log.acted("peer-1", Action::Freeze, 20 * S, 20 * S, Some("no such container"));
    log.acted("peer-1", Action::Thaw, 24 * S, 24 * S, None);
    let observed = crate::analysis::lives::fold(&log.lines);
    assert_eq!(freezes(&observed, "peer-1"), [(9.9, 14.2)]);
}

#[test]
fn one_that_stood_still_as_planned_is_fine_and_no_longer() {
    let stood = |stalls: &[(u64, u64)]| {
        let mut cell = two();
        let log = log(|log| {
            for (at, action) in [(10 * S, Action::Freeze), (14 * S, Action::Thaw)] {
                cell.trials[0].schedule.push(Event { at, node: "peer-1".to_owned(), action });
                log.acted("peer-1", action, at, at, None);
            }
            let mut life = log.life("peer-1", GO - S);
            life.boot().started(GO, 0);
            for (at, ns) in stalls {
                life.at(GO + at, NodeEvent::Stalled { ns: *ns });
            }
            life.completed(GO + 30 * S).left(GO + 41 * S, Leave::Stopped);
        });
        judged(&cell, &log).1
    };
    assert_eq!(stood(&[(15 * S, 4 * S + S / 2)]), "");
    // From 9 s to 15 s, and 9.9 s to 14.2 s of it planned: the action took a tenth, and clocks may be a tenth apart.
    assert_eq!(stood(&[(15 * S, 6 * S)]), "`peer-1` stood still for 1.70 s");
    // A freeze that was planned excuses no other time.
    assert_eq!(stood(&[(14 * S, 4 * S), (25 * S, 3 * S)]), "`peer-1` stood still for 3.00 s");
}
