//! What became of each peer, and the sums over its lives.

use std::collections::BTreeMap;

use peer_image::event::{Counters, Leave, Progress, Queue};

use super::conclude::{completion, since};
use super::lives::{Exit, Life, NodeLog, Observed};
use super::metrics::{ChurnRow, PeerOutcome, PeerRow};
use crate::events::record::Outcome;
use crate::plan::{Action, Cell, How, Node, Trial};

/// The row of one peer; `horizon` is D, or the last sign of the trial if there is no D.
pub(super) fn row(
    cell: &Cell,
    trial: &Trial,
    node: &Node,
    observed: &Observed,
    churn: &[ChurnRow],
    horizon: f64,
) -> PeerRow {
    let log = observed.node(&node.name);
    let pieces_total = u32::try_from(trial.file.size.div_ceil(u64::from(trial.file.piece.max(1)))).unwrap_or(u32::MAX);
    let pieces = log.lives.iter().rev().find_map(pieces_of).unwrap_or(0);
    let (outcome, reason) = fate(cell, trial, node, observed, (pieces, pieces_total));
    let progress =
        |of: fn(&Progress) -> u64| log.lives.iter().filter_map(|life| Some(of(life.progress.as_ref()?))).sum();
    let completed = completion(observed, node);
    let first = log.lives.iter().find_map(|life| life.started).filter(|started| !started.rejoined);
    let arrived = first.map(|started| started.planned as f64 / 1e9);
    let counters = counters(log);
    let ([idle_uninterested_s, idle_choked_s, idle_unrequested_s], present_s) =
        upload_time(observed, &node.name, horizon);
    let removed = |row: &&ChurnRow| {
        row.node == node.name && matches!(row.action.as_str(), "leave" | "crash" | "freeze" | "cut off")
    };
    let departure = churn.iter().find(removed);
    let server = trial.nodes.iter().find(|node| node.role.is_server());
    PeerRow {
        cell: cell.id.clone(),
        repeat: trial.repeat,
        attempt: observed.attempt,
        node: node.name.clone(),
        class: node.class.clone(),
        to_complete: node.to_complete,
        outcome,
        reason,
        completed_at_s: completed,
        arrived_s: arrived,
        download_s: completed.zip(arrived).map(|(completed, arrived)| completed - arrived),
        start_late_s: first_lateness(log),
        rejoins: log.lives.iter().filter(|life| life.started.is_some_and(|started| started.rejoined)).map(|_| 1).sum(),
        pieces,
        pieces_total,
        down_bytes: progress(|progress| progress.down.values().sum()),
        down_from_server_bytes: server.map_or(0, |server| received_from(log, &server.name)),
        up_bytes: sent(log),
        duplicate_bytes: progress(|progress| progress.duplicate),
        discarded_bytes: progress(|progress| progress.discarded),
        unrequested_bytes: progress(|progress| progress.unrequested),
        lost_bytes: lost(trial, log),
        present_s,
        idle_uninterested_s,
        idle_choked_s,
        idle_unrequested_s,
        link_up_bytes: counters.up.bytes,
        link_down_bytes: counters.down.bytes,
        link_up_drops: counters.up.drops,
        link_down_drops: counters.down.drops,
        departure: departure.map(|row| row.action.clone()).unwrap_or_default(),
        departure_planned_s: departure.map(|row| row.planned_s),
        departure_actual_s: departure.and_then(|row| row.actual_s),
        banned: log.lives.iter().flat_map(|life| &life.banned).map(|_| 1).sum(),
        rejected: log.lives.iter().flat_map(|life| &life.rejected).map(|_| 1).sum(),
        lines_lost: log.lives.iter().map(|life| life.lost).sum(),
        clock_error_s: log.lives.iter().filter_map(|life| Some(life.ready?.1)).max().map(|ns| ns as f64 / 1e9),
    }
}

/// File bytes that a node sent, over its lives.
pub(super) fn sent(log: &NodeLog) -> u64 {
    sum_of_last(log, |progress| &progress.up, |_| true)
}

/// File bytes that a node sent to one neighbour, over its lives.
pub(super) fn sent_to(log: &NodeLog, neighbour: &str) -> u64 {
    sum_of_last(log, |progress| &progress.up, |name| name == neighbour)
}

/// Whether a peer left because its patience ended before it had the file.
pub(super) fn gave_up(log: &NodeLog) -> bool {
    log.lives.iter().any(|life| matches!(life.left, Some((_, Leave::GaveUp))))
}

/// File bytes that a peer had and that nobody has from it any more: what each life had, less what the next came with, or all
/// of it if the peer went for good.
fn lost(trial: &Trial, log: &NodeLog) -> u64 {
    let piece = u64::from(trial.file.piece);
    let mut lost = 0;
    for (i, life) in log.lives.iter().enumerate() {
        let Some(started) = life.started else { continue };
        // Who has the whole file takes nothing away that it could have used.
        if life.completed.is_some() {
            continue;
        }
        let got = life.progress.as_ref().map_or(0, |it| {
            let down: u64 = it.down.values().sum();
            down.saturating_sub(it.duplicate + it.discarded)
        });
        let had = u64::from(started.pieces) * piece + got;
        let kept = match log.lives.get(i + 1).and_then(|next| next.started) {
            Some(next) => u64::from(next.pieces) * piece,
            // Whoever was there at the end of the trial still has it.
            None if life.left.is_none() && i >= log.exits.len() => had,
            None if matches!(life.left, Some((_, Leave::Stopped))) => had,
            None => 0,
        };
        lost += had.saturating_sub(kept);
    }
    lost
}

/// Connections with one neighbour that ended while a node lived.
pub(super) fn parted_from(log: &NodeLog, neighbour: &str) -> u64 {
    sum_of_last(log, |progress| &progress.parted, |name| name == neighbour)
}

/// File bytes that a node received from one neighbour, over its lives.
pub(super) fn received_from(log: &NodeLog, neighbour: &str) -> u64 {
    sum_of_last(log, |progress| &progress.down, |name| name == neighbour)
}

fn sum_of_last(log: &NodeLog, of: fn(&Progress) -> &BTreeMap<String, u64>, which: impl Fn(&str) -> bool) -> u64 {
    let last = log.lives.iter().filter_map(|life| life.progress.as_ref());
    last.flat_map(of).filter(|(name, _)| which(name)).map(|(_, bytes)| bytes).sum()
}

/// What a node's links counted over its lives, as far as they reported.
pub(super) fn counters(log: &NodeLog) -> Counters {
    let add = |a: Queue, b: Queue| Queue {
        bytes: a.bytes + b.bytes,
        packets: a.packets + b.packets,
        drops: a.drops + b.drops,
        backlog: b.backlog,
        rate: b.rate,
    };
    let each = log.lives.iter().filter_map(Life::counted);
    each.fold(Counters::default(), |sum, next| Counters {
        up: add(sum.up, next.up),
        down: add(sum.down, next.down),
        throttled: next.throttled.map(|ns| ns + sum.throttled.unwrap_or(0)).or(sum.throttled),
        waited: next.waited.map(|ns| ns + sum.waited.unwrap_or(0)).or(sum.waited),
    })
}

/// How late the first life began, seconds.
pub(super) fn first_lateness(log: &NodeLog) -> Option<f64> {
    let first = log.lives.iter().filter_map(|life| life.started).find(|started| !started.rejoined);
    first.map(|started| started.late as f64 / 1e9)
}

/// Idle upload time by cause and time present, until `horizon` seconds after the common start, over all lives.
pub(super) fn upload_time(observed: &Observed, name: &str, horizon: f64) -> ([f64; 3], f64) {
    let (mut idle, mut present) = ([0.0; 3], 0.0);
    for life in &observed.node(name).lives {
        let Some(go) = observed.go(name, life) else { continue };
        let until = go.saturating_add((horizon * 1e9) as u64);
        for (sum, more) in idle.iter_mut().zip(life.idle_until(until)) {
            *sum += more;
        }
        present += life.present_until(until);
    }
    (idle, present)
}

fn pieces_of(life: &Life) -> Option<u32> {
    let brought = life.started.map(|started| started.pieces);
    life.progress.as_ref().map(|progress| progress.pieces).max(brought)
}

/// How a peer ended and why: empty if it completed.
fn fate(
    cell: &Cell,
    trial: &Trial,
    node: &Node,
    observed: &Observed,
    (pieces, pieces_total): (u32, u32),
) -> (PeerOutcome, String) {
    let log = observed.node(&node.name);
    if log.lives.iter().any(|life| life.completed.is_some()) {
        let reason = match completion(observed, node) {
            Some(_) => String::new(),
            None => "it completed, but the log does not say when its common start was".to_owned(),
        };
        return (PeerOutcome::Completed, reason);
    }
    let had = format!("it had {pieces} of {pieces_total} pieces");
    // Whatever became of its process then: nobody waits for it any more.
    if let Some((outcome, why)) = patience_ended(node, observed) {
        return (outcome, format!("{why}; {had}"));
    }
    let began = log.lives.iter().any(|life| life.started.is_some());
    // Exits and lives come in the same order; a process that never spoke has an exit without a life.
    let exit = log.exits.last().filter(|exit| !exit.expected && log.exits.len() >= log.lives.len());
    let last = log.lives.last();

    if let Some(death) = death(last, exit) {
        return if began { (PeerOutcome::Died, format!("{death}; {had}")) } else { (PeerOutcome::NeverStarted, death) };
    }
    // Whoever was waited for at last: it may have been away, to return.
    if let Some(Outcome::Unfinishable { missing }) = &observed.outcome
        && let Some(pieces) = missing.get(&node.name)
    {
        let what = if *pieces == 1 { "piece that it lacked was" } else { "pieces that it lacked were" };
        return (PeerOutcome::Unfinishable, format!("{pieces} {what} nowhere any more; {had}"));
    }
    if let (true, Some(departed)) = (began, departure(trial, node, observed, last)) {
        return (departed.0, format!("{}; {had}", departed.1));
    }
    match &observed.outcome {
        Some(Outcome::Interrupted) => (PeerOutcome::Interrupted, format!("the trial was stopped; {had}")),
        None => (PeerOutcome::Interrupted, format!("the log stops before the trial's end; {had}")),
        Some(Outcome::Failed { reason }) if began => {
            (PeerOutcome::Unfinished, format!("the trial failed: {reason}; {had}"))
        }
        _ if !began => (PeerOutcome::NeverStarted, silence(last)),
        Some(Outcome::Unfinishable { .. }) => {
            (PeerOutcome::Unfinished, format!("the trial ended, for the file could not be completed any more; {had}"))
        }
        Some(Outcome::Timeout { .. }) => {
            (PeerOutcome::Unfinished, format!("the time ({} s) was up; {had}", cell.settings.timeout))
        }
        Some(Outcome::Completed) if !node.to_complete => {
            (PeerOutcome::Unfinished, format!("the trial was over before it was done, and did not wait for it; {had}"))
        }
        Some(Outcome::Completed) => {
            (PeerOutcome::Unfinished, format!("the trial ended as complete, but the log has no completion; {had}"))
        }
        Some(Outcome::Failed { reason }) => (PeerOutcome::Unfinished, format!("the trial failed: {reason}; {had}")),
    }
}

/// Why a process ended that nobody wanted to end: what it said, else how it exited.
fn death(life: Option<&Life>, exit: Option<&Exit>) -> Option<String> {
    if let Some((_, message)) = life.and_then(|life| life.error.as_ref()) {
        return Some(message.clone());
    }
    exit.map(describe)
}

/// An exit in words, with the last line that the process left.
pub(super) fn describe(exit: &Exit) -> String {
    let how = match (exit.oom, exit.code) {
        (true, _) => "killed by the kernel for its memory".to_owned(),
        (false, 137) => "killed (exit code 137)".to_owned(),
        (false, code) => format!("ended with exit code {code}"),
    };
    match exit.last.last() {
        Some(line) => format!("{how}, last line: `{line}`"),
        None => how,
    }
}

/// Whether and how a peer left before it was done, and did not come back.
fn departure(trial: &Trial, node: &Node, observed: &Observed, last: Option<&Life>) -> Option<(PeerOutcome, String)> {
    let acted: Vec<_> = observed.acted.iter().filter(|acted| acted.node == node.name).collect();
    let lost_return = acted.last().filter(|acted| matches!(acted.action, Action::Rejoin(_)));
    let lost_return = lost_return.and_then(|acted| Some(format!("; its return failed: {}", acted.error.as_ref()?)));
    let lost_return = lost_return.unwrap_or_default();
    if let Some((mono, Leave::Planned)) = last.and_then(|life| life.left) {
        let when = last.map(|life| moment(node, observed, life, mono)).unwrap_or_default();
        return Some((PeerOutcome::Left, format!("it left{when} as planned{lost_return}")));
    }
    let for_good = trial.fate(&node.name).absences.last().copied().filter(|absence| absence.until.is_none());
    if let Some(absence) = for_good.filter(|absence| !absence.how.ends_the_process()) {
        let at = absence.from as f64 / 1e9;
        let happened = observed.last_sign().is_none_or(|last| last >= at);
        return match absence.how {
            _ if !happened => None,
            How::Freeze => Some((PeerOutcome::Frozen, format!("it was frozen at {at:.1} s as planned"))),
            _ => Some((PeerOutcome::CutOff, format!("its link was cut at {at:.1} s as planned"))),
        };
    }
    let mut kills = acted.iter().filter(|acted| acted.action == Action::Crash && acted.error.is_none());
    let kill = kills.next_back()?;
    // A life that began after the kill shows that it came back; both are counted in seconds after the common start.
    let came_back = last.is_some_and(|life| {
        let began = life.started.map(|started| started.mono).zip(observed.go(&node.name, life));
        began.is_some_and(|(mono, go)| since(mono, go) > kill.actual as f64 / 1e9)
    });
    if came_back {
        return None;
    }
    let at = kill.actual as f64 / 1e9;
    let planned_return = trial
        .schedule
        .iter()
        .any(|event| event.node == node.name && event.at >= kill.planned && matches!(event.action, Action::Rejoin(_)));
    let unseen = if planned_return && lost_return.is_empty() { "; its return was not seen" } else { "" };
    Some((PeerOutcome::Crashed, format!("it was killed at {at:.1} s as planned{lost_return}{unseen}")))
}

/// When a peer's patience ended before it had the file, if it did.
fn patience_ended(node: &Node, observed: &Observed) -> Option<(PeerOutcome, String)> {
    let lives = &observed.node(&node.name).lives;
    let (life, mono) = lives.iter().find_map(|life| match life.left {
        Some((mono, Leave::GaveUp)) => Some((life, mono)),
        _ => None,
    })?;
    Some((PeerOutcome::GaveUp, format!("its patience ended{}", moment(node, observed, life, mono))))
}

/// ` at 12.3 s`; nothing if the common start is not known.
fn moment(node: &Node, observed: &Observed, life: &Life, mono: u64) -> String {
    observed.go(&node.name, life).map(|go| format!(" at {:.1} s", since(mono, go))).unwrap_or_default()
}

/// How far a node came that never began.
fn silence(life: Option<&Life>) -> String {
    match life {
        None => "not one line of it is in the log".to_owned(),
        Some(life) if life.ready.is_some() => "it was ready, but never began".to_owned(),
        Some(life) if life.shaped.is_some() => "its link was shaped, but it was never ready".to_owned(),
        Some(_) => "it booted, but its link was never shaped".to_owned(),
    }
}
