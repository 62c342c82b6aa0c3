//! Trials that are told line by line, and the rows that follow from them.

use peer_image::event::{ErrorKind, Event as NodeEvent, Leave, Progress};

use super::*;
use crate::analysis::bounds::Term;
use crate::analysis::findings::{Severity, What};
use crate::analysis::fixture::{GO, Log, S, cell};
use crate::analysis::validity::Invalid;
use crate::plan::{Action, Event, Keeps};

fn p2p(peers: u32) -> Cell {
    cell(Architecture::P2p, peers, 1)
}

fn at(at: u64, node: &str, action: Action) -> Event {
    Event { at, node: node.to_owned(), action }
}

fn peer<'a>(measured: &'a Measured, name: &str) -> &'a PeerRow {
    measured.peers.iter().find(|peer| peer.node == name).unwrap()
}

fn pieces(pieces: u32) -> Progress {
    Progress { pieces, ..Progress::default() }
}

#[test]
fn a_completed_trial_has_its_time_beside_its_bound() {
    let cell = p2p(10);
    let log = Log::complete(&cell.trials[0], 39.0);
    let measured = measure(&cell, &cell.trials[0], &log.lines);
    let row = &measured.trial;
    assert_eq!(row.outcome, TrialOutcome::Completed);
    assert_eq!(row.distribution_time_s, Some(39.0));
    assert!((row.bound_s.unwrap() - 33.55).abs() < 0.01);
    assert_eq!(row.binding_term, Some(Term::TotalUpload));
    assert!((row.ratio.unwrap() - 1.1623).abs() < 1e-3);
    assert!((row.payload_ratio.unwrap() - 1.1116).abs() < 1e-3);
    assert_eq!((row.to_complete, row.completed), (10, 10));
    assert_eq!(row.start_skew_max_s, Some(0.005));
    assert!((row.start_skew_p50_s.unwrap() - 0.0025).abs() < 1e-9);
    assert!((row.offload_share.unwrap() - 0.9).abs() < 1e-6);
    assert!((row.duplicate_share.unwrap() - 0.001).abs() < 1e-6);
    // 10 peers at 4 mbit idle for 1 s, the server at 40 mbit for 0.1 s, of 80 mbit over 39 s.
    assert!((row.idle_uninterested_share.unwrap() - (40.0 + 4.0) / (80.0 * 39.0)).abs() < 1e-4);
    assert_eq!(measured.findings, []);
}

#[test]
fn client_server_counts_only_the_servers_idle_time() {
    let cell = cell(Architecture::ClientServer, 5, 1);
    let log = Log::complete(&cell.trials[0], 36.0);
    let row = measure(&cell, &cell.trials[0], &log.lines).trial;
    assert_eq!(row.binding_term, Some(Term::ServerUpload));
    assert!((row.idle_uninterested_share.unwrap() - 0.1 / 36.0).abs() < 1e-4);
    assert_eq!(row.offload_share, Some(0.0));
}

#[test]
fn a_peer_whose_time_was_up_is_a_row_with_its_reason() {
    let cell = p2p(2);
    let mut log = Log::new();
    log.life("peer-1", GO - S).boot().started(GO, 0).completed(GO + 30 * S);
    log.life("peer-2", GO - S).boot().started(GO, 0).progress(GO + 299 * S, pieces(77));
    log.end(Outcome::Timeout { missing: vec!["peer-2".to_owned()] });
    let measured = measure(&cell, &cell.trials[0], &log.lines);
    assert_eq!(measured.trial.outcome, TrialOutcome::Timeout);
    assert_eq!(measured.trial.distribution_time_s, None);
    assert_eq!(measured.trial.reason, "not complete after 300 s: `peer-2` unfinished");
    assert_eq!(peer(&measured, "peer-1").completed_at_s, Some(30.0));
    let late = peer(&measured, "peer-2");
    assert_eq!(late.outcome, PeerOutcome::Unfinished);
    assert_eq!(late.reason, "the time (300 s) was up; it had 77 of 128 pieces");
    assert!(matches!(measured.findings[0].what, What::NoResult { .. }));
}

#[test]
fn planned_departures_are_set_beside_what_was_done() {
    let mut cell = p2p(3);
    let trial = &mut cell.trials[0];
    trial.nodes[3].to_complete = false;
    trial.nodes[4].to_complete = false;
    trial.schedule = vec![
        at(10 * S, "peer-2", Action::Leave),
        at(12 * S, "peer-3", Action::Crash),
        at(90 * S, "peer-1", Action::Leave),
    ];
    let mut log = Log::new();
    log.life("peer-1", GO - S).boot().started(GO, 0).completed(GO + 40 * S).left(GO + 40 * S, Leave::Completed);
    log.life("peer-2", GO - S)
        .boot()
        .started(GO, 0)
        .progress(GO + 9 * S, pieces(5))
        .left(GO + 10 * S + S / 100, Leave::Planned);
    log.life("peer-3", GO - S).boot().started(GO, 0).progress(GO + 11 * S, pieces(9));
    log.acted("peer-3", Action::Crash, 12 * S, 12 * S + S / 20, None);
    log.exited("peer-3", 137, true);
    log.end(Outcome::Completed);
    let measured = measure(&cell, &cell.trials[0], &log.lines);

    assert_eq!(measured.trial.distribution_time_s, Some(40.0));
    assert_eq!((measured.trial.churn_planned, measured.trial.churn_executed), (3, 2));
    assert!((measured.trial.churn_late_max_s.unwrap() - 0.05).abs() < 1e-9);
    let states: Vec<_> = measured.churn.iter().map(|row| row.status).collect();
    assert_eq!(states, [ChurnStatus::Executed, ChurnStatus::Executed, ChurnStatus::Skipped]);
    assert_eq!(measured.churn[2].why, "it had left on completion at 40.0 s");
    let left = peer(&measured, "peer-2");
    assert_eq!(left.outcome, PeerOutcome::Left);
    assert_eq!(left.reason, "it left at 10.0 s as planned; it had 5 of 128 pieces");
    assert_eq!(left.departure_planned_s, Some(10.0));
    let crashed = peer(&measured, "peer-3");
    assert_eq!(crashed.outcome, PeerOutcome::Crashed);
    assert_eq!(crashed.reason, "it was killed at 12.1 s as planned; it had 9 of 128 pieces");
    // Only peer-1 is waited for; the others are helpers.
    assert_eq!(measured.trial.to_complete, 1);
    assert_eq!(measured.findings, []);
}

#[test]
fn a_killed_peer_that_comes_back_counts_over_both_lives() {
    let mut cell = p2p(1);
    cell.trials[0].schedule =
        vec![at(10 * S, "peer-1", Action::Crash), at(15 * S, "peer-1", Action::Rejoin(Keeps::Pieces))];
    let received = |bytes| Progress { down: [("server".to_owned(), bytes)].into(), ..pieces(40) };
    let mut log = Log::new();
    log.life("peer-1", GO - S).boot().started(GO, 0).progress(GO + 9 * S, received(1000)).counters(GO + 9 * S, 2);
    log.acted("peer-1", Action::Crash, 10 * S, 10 * S, None);
    log.exited("peer-1", 137, true);
    log.acted("peer-1", Action::Rejoin(Keeps::Pieces), 15 * S, 15 * S, None);
    log.life("peer-1", GO + 15 * S)
        .boot()
        .rejoined(GO, 16 * S, 40)
        .progress(GO + 50 * S, received(500))
        .completed(GO + 50 * S)
        .counters(GO + 51 * S, 1);
    log.end(Outcome::Completed);
    let measured = measure(&cell, &cell.trials[0], &log.lines);
    let row = peer(&measured, "peer-1");
    assert_eq!(row.outcome, PeerOutcome::Completed);
    assert_eq!(row.completed_at_s, Some(50.0));
    assert_eq!((row.rejoins, row.down_bytes, row.link_up_drops), (1, 1500, 3));
    assert_eq!(row.start_late_s, Some(0.0));
    assert!((row.present_s - 43.0).abs() < 1e-6, "{}", row.present_s);
    assert_eq!(measured.trial.start_skew_max_s, Some(0.0));
    assert_eq!(measured.trial.rejoins, 1);
    assert_eq!(measured.trial.churn_executed, 2);
}

#[test]
fn a_return_that_failed_is_told() {
    let mut cell = p2p(1);
    cell.trials[0].schedule =
        vec![at(10 * S, "peer-1", Action::Crash), at(15 * S, "peer-1", Action::Rejoin(Keeps::Nothing))];
    let mut log = Log::new();
    log.life("peer-1", GO - S).boot().started(GO, 0);
    log.acted("peer-1", Action::Crash, 10 * S, 10 * S, None);
    log.exited("peer-1", 137, true);
    log.acted("peer-1", Action::Rejoin(Keeps::Nothing), 15 * S, 15 * S, Some("no such container"));
    log.end(Outcome::Failed { reason: "`peer-1` could not be brought back".to_owned() });
    let measured = measure(&cell, &cell.trials[0], &log.lines);
    let row = peer(&measured, "peer-1");
    assert_eq!(row.outcome, PeerOutcome::Crashed);
    assert!(row.reason.contains("its return failed: no such container"), "{}", row.reason);
    assert!(measured.findings.iter().any(|finding| matches!(finding.what, What::Churn { .. })));
}

#[test]
fn an_unexpected_death_is_told_with_its_last_line() {
    let cell = p2p(2);
    let mut log = Log::new();
    log.life("peer-1", GO - S).boot().started(GO, 0).progress(GO + S, pieces(1));
    log.exited("peer-1", 101, false);
    log.life("peer-2", GO - S)
        .boot()
        .event(NodeEvent::Error { kind: ErrorKind::Machine, message: "no tbf in this kernel".to_owned() });
    log.exited("peer-2", 4, false);
    log.end(Outcome::Failed { reason: "`peer-1` died".to_owned() });
    let measured = measure(&cell, &cell.trials[0], &log.lines);
    let died = peer(&measured, "peer-1");
    assert_eq!(died.outcome, PeerOutcome::Died);
    assert_eq!(died.reason, "ended with exit code 101, last line: `thread main panicked`; it had 1 of 128 pieces");
    let never = peer(&measured, "peer-2");
    assert_eq!((never.outcome, never.reason.as_str()), (PeerOutcome::NeverStarted, "no tbf in this kernel"));
    let deaths = measured.findings.iter().filter(|finding| matches!(finding.what, What::Death { .. }));
    assert_eq!(deaths.count(), 2);
}

#[test]
fn a_peer_that_never_spoke_is_a_row_too() {
    let cell = p2p(1);
    let mut log = Log::new();
    log.end(Outcome::Failed { reason: "`peer-1` was never ready".to_owned() });
    let measured = measure(&cell, &cell.trials[0], &log.lines);
    let row = peer(&measured, "peer-1");
    assert_eq!((row.outcome, row.reason.as_str()), (PeerOutcome::NeverStarted, "not one line of it is in the log"));
}

#[test]
fn lost_lines_are_counted_and_a_lost_completion_is_no_time() {
    let cell = p2p(1);
    let mut log = Log::new();
    log.life("peer-1", GO - S).boot().started(GO, 0).lose(1).progress(GO + 31 * S, pieces(128));
    log.end(Outcome::Completed);
    let measured = measure(&cell, &cell.trials[0], &log.lines);
    assert_eq!(measured.trial.lines_lost, 1);
    assert_eq!(measured.trial.outcome, TrialOutcome::LogIncomplete);
    assert_eq!(measured.trial.distribution_time_s, None);
    assert_eq!(measured.trial.verdict, Verdict::Invalid);
    assert!(measured.trial.invalid.contains("1 lines are missing from the log"), "{}", measured.trial.invalid);
}

#[test]
fn a_log_cut_short_leaves_rows_and_no_time() {
    let cell = p2p(2);
    let mut log = Log::new();
    log.life("peer-1", GO - S).boot().started(GO, 0).completed(GO + 30 * S);
    log.life("peer-2", GO - S).boot().started(GO, 0);
    let measured = measure(&cell, &cell.trials[0], &log.lines);
    assert_eq!(measured.trial.outcome, TrialOutcome::LogIncomplete);
    assert_eq!(peer(&measured, "peer-1").outcome, PeerOutcome::Completed);
    assert_eq!(peer(&measured, "peer-2").outcome, PeerOutcome::Interrupted);
    assert_eq!(measure(&cell, &cell.trials[0], []).peers.len(), 2);
}

#[test]
fn what_is_odd_is_found_and_errors_come_first() {
    let mut cell = p2p(2);
    cell.trials[0].nodes[2].link.as_mut().unwrap().up = 5_000_000;
    let mut log = Log::complete(&cell.trials[0], 5.0);
    log.life("peer-2", GO + 50 * S)
        .boot()
        .started(GO, S / 2)
        .counters(GO + 60 * S, 7)
        .event(NodeEvent::Warning { message: "the tracker did not answer".to_owned() });
    log.controller(crate::events::record::Event::Unreadable { node: "peer-1".to_owned(), line: "boo".to_owned() });
    let measured = measure(&cell, &cell.trials[0], &log.lines);
    let found: Vec<Severity> = measured.findings.iter().map(|finding| finding.what.severity()).collect();
    assert!(found.is_sorted());
    let has = |of: fn(&What) -> bool| measured.findings.iter().any(|finding| of(&finding.what));
    assert!(has(|what| matches!(what, What::Invalid(Invalid::BelowBound { measured: 5.0, .. }))));
    assert!(has(|what| matches!(
        what,
        What::Invalid(Invalid::LinkChanged { planned: Some(5_000_000), kernel: Some(4_000_000), .. })
    )));
    assert!(has(|what| matches!(what, What::Drops { drops: 7, links: 1, .. })));
    assert!(has(|what| matches!(what, What::Unreadable { lines: 1, .. })));
    assert!(has(|what| matches!(what, What::Warned { times: 1, .. })));
}

#[test]
fn the_same_log_twice_gives_the_same() {
    let cell = p2p(10);
    let log = Log::complete(&cell.trials[0], 39.0);
    let once = measure(&cell, &cell.trials[0], &log.lines);
    assert_eq!(once, measure(&cell, &cell.trials[0], &log.lines));
}

/// `left` peers of four leave as planned at 10 s, and the next `gave_up` of them lose patience; the rest complete at 40 s.
fn of_four(left: usize, gave_up: usize) -> (Cell, Log) {
    let mut cell = p2p(4);
    let trial = &mut cell.trials[0];
    let mut log = Log::new();
    log.gate_open(GO);
    for i in 0..4 {
        let name = format!("peer-{}", i + 1);
        let mut life = log.life(&name, GO - S);
        life.boot().started(GO, 0).progress(GO + 9 * S, pieces(5));
        if i < left {
            life.left(GO + 10 * S, Leave::Planned);
            trial.nodes[i + 2].to_complete = false;
            trial.schedule.push(at(10 * S, &name, Action::Leave));
        } else if i < left + gave_up {
            life.left(GO + 20 * S, Leave::GaveUp);
        } else {
            life.completed(GO + 40 * S);
        }
    }
    log.end(Outcome::Completed);
    (cell, log)
}

#[test]
fn d_names_whom_it_is_about() {
    let (cell, log) = of_four(1, 1);
    let row = measure(&cell, &cell.trials[0], &log.lines).trial;
    assert_eq!((row.to_complete, row.completed, row.gave_up, row.left_before), (3, 2, 1, 1));
    assert_eq!((row.verdict, row.distribution_time_s), (Verdict::Valid, Some(40.0)));
}

#[test]
fn where_nobody_completes_nothing_is_measured() {
    let of = |left, gave_up| {
        let (cell, log) = of_four(left, gave_up);
        let row = measure(&cell, &cell.trials[0], &log.lines).trial;
        (row.verdict, row.outcome, row.reason)
    };
    let failed = |reason: &str| (Verdict::Failed, TrialOutcome::NothingMeasured, reason.to_owned());
    assert_eq!(of(0, 4), failed("all 4 peers that were to complete gave up"));
    assert_eq!(of(3, 1), failed("the one peer that was to complete gave up"));
    let nobody = "the schedule removes every peer for good: nobody was to complete";
    assert_eq!(of(4, 0), failed(nobody));
    // Whoever completes before it goes has a download time, and D is of nobody.
    let mut cell = p2p(1);
    cell.trials[0].nodes[2].to_complete = false;
    cell.trials[0].schedule.push(at(50 * S, "peer-1", Action::Leave));
    let mut log = Log::new();
    log.life("peer-1", GO - S).boot().started(GO, 0).completed(GO + 40 * S).left(GO + 50 * S, Leave::Planned);
    log.end(Outcome::Completed);
    let row = measure(&cell, &cell.trials[0], &log.lines).trial;
    assert_eq!((row.verdict, row.outcome, row.distribution_time_s), (Verdict::Valid, TrialOutcome::Completed, None));
    assert_eq!((row.reason.as_str(), row.download_mean_s, row.left_before), (nobody, Some(40.0), 0));
    // But where D was to be of somebody, and all of those gave up, that is no measurement of them.
    let mut cell = p2p(2);
    cell.trials[0].nodes[2].to_complete = false;
    cell.trials[0].schedule.push(at(50 * S, "peer-1", Action::Leave));
    let mut log = Log::new();
    log.life("peer-1", GO - S).boot().started(GO, 0).completed(GO + 40 * S).left(GO + 50 * S, Leave::Planned);
    log.life("peer-2", GO - S).boot().started(GO, 0).left(GO + 20 * S, Leave::GaveUp);
    log.end(Outcome::Completed);
    let row = measure(&cell, &cell.trials[0], &log.lines).trial;
    assert_eq!(row.outcome, TrialOutcome::NothingMeasured);
    assert_eq!(row.reason, "the one peer that was to complete gave up");
}

#[test]
fn what_never_began_or_was_killed_for_its_memory_says_nothing_of_the_swarm() {
    let cell = p2p(2);
    let ended = |log: &mut Log| {
        log.end(Outcome::Failed { reason: "not ready within 60s: `peer-2` (not started)".to_owned() });
        let row = measure(&cell, &cell.trials[0], &log.lines).trial;
        (row.verdict, row.invalid)
    };
    let mut log = Log::new();
    log.life("peer-1", GO - S).boot();
    let never = "it never came to the common start: not ready within 60s: `peer-2` (not started)";
    assert_eq!(ended(&mut log), (Verdict::Invalid, never.to_owned()));
    let mut log = Log::new();
    log.gate_open(GO);
    log.life("peer-1", GO - S).boot().started(GO, 0);
    let (node, last) = ("peer-1".to_owned(), Vec::new());
    log.controller(crate::events::record::Event::Exited { node, code: 137, oom: true, expected: false, last });
    assert_eq!(ended(&mut log), (Verdict::Invalid, "the kernel killed `peer-1` for its memory".to_owned()));
    // A peer that dies by itself is the swarm's doing.
    let mut log = Log::new();
    log.gate_open(GO);
    log.life("peer-1", GO - S).boot().started(GO, 0);
    log.exited("peer-1", 101, false);
    assert_eq!(ended(&mut log).0, Verdict::Failed);
}
