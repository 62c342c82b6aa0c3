//! Whether a trial is to be believed: what beside the swarm may have decided its time, with the number that says so.
//!
//! A trial is INVALID when a link was not what the plan says, when the host had no room for it, when its events came
//! late, or when its log is not whole. Each cause stands on the trial's own log and on the limits of the experiment
//! ([`Validity`]). What a log does not hold (it is older, or the kernel does not say) is not judged.

use peer_image::event::Host;
use peer_image::node::{Link, Role};

use super::conclude::since;
use super::findings::Direction;
use super::lives::{Life, Observed};
use super::metrics::{TrialOutcome, TrialRow};
use super::{conservation, identity, load, processes};
use crate::events::record::Outcome;
use crate::plan::{Action, Node, Trial, Validity};

pub use super::invalid::{Invalid, Load};

/// How far the clocks of a plan and of a look at a link may be apart, seconds.
pub(super) const CLOCKS_S: f64 = 0.1;
/// What a link may carry beyond its rate: the full bucket at the start, two looks at its counters apart from their
/// clock readings. Bytes, and a share.
const HEAD_START: f64 = 256.0 * 1024.0;

/// Everything that speaks against a trial, in a fixed order.
pub(super) fn judge(limits: &Validity, trial: &Trial, observed: &Observed, row: &TrialRow) -> Vec<Invalid> {
    let mut found = Vec::new();
    if let Some((measured, bound)) = row.distribution_time_s.zip(row.bound_s)
        && let head_start = row.head_start_s.unwrap_or_default()
        && measured < bound - head_start
    {
        found.push(Invalid::BelowBound { measured, bound, head_start });
    }
    for node in &trial.nodes {
        let log = observed.node(&node.name);
        // Peers wait for a tracker that stands still, too.
        processes::stillness(limits, observed, &node.name, &mut found);
        if node.role == Role::Tracker {
            continue;
        }
        let planned = planned_links(trial, node);
        for life in &log.lives {
            kernel_rates(limits, observed, node, &planned, life, &mut found);
            if let Some(link) = node.link {
                tried(limits, &node.name, link, life, &mut found);
                let most = planned
                    .iter()
                    .fold(link, |most, (_, it)| Link { up: most.up.max(it.up), down: most.down.max(it.down) });
                carried(limits, &node.name, most, life, &mut found);
                conservation::bypassed(&node.name, most, life, &mut found);
            }
        }
        waited(limits, observed, node, row, &mut found);
    }
    found.extend(processes::ends(limits, trial, observed, row));
    infrastructure(observed, &mut found);
    host(limits, row, &mut found);
    times(limits, observed, row, &mut found);
    found.extend(identity::clocks(trial, observed));
    found.extend(identity::strangers(trial, observed));
    if row.lines_lost > 0 {
        found.push(Invalid::LinesLost { lines: row.lines_lost });
    }
    for (node, reason) in &observed.unfollowed {
        found.push(Invalid::Unfollowed { node: node.clone(), reason: reason.clone() });
    }
    found.extend(conservation::broken(trial, observed));
    shortened(found)
}

/// Of the reasons of one kind, the first few and how many there are more: a swarm of hundreds on a host without room
/// would fill pages.
fn shortened(found: Vec<Invalid>) -> Vec<Invalid> {
    const SHOWN: usize = 3;
    let mut kinds: Vec<Vec<Invalid>> = Vec::new();
    for reason in found {
        let is_of = |kind: &&mut Vec<Invalid>| std::mem::discriminant(&kind[0]) == std::mem::discriminant(&reason);
        match kinds.iter_mut().find(is_of) {
            Some(kind) => kind.push(reason),
            None => kinds.push(vec![reason]),
        }
    }
    // Who stood still or waited longest goes first.
    let stood = |it: &Invalid| match it {
        Invalid::Stalled { seconds: most, .. }
        | Invalid::StalledOften { seconds: most, .. }
        | Invalid::Waited { share: most, .. } => *most,
        Invalid::BelowBound { .. }
        | Invalid::LinkOff { .. }
        | Invalid::LinkChanged { .. }
        | Invalid::CarriedMore { .. }
        | Invalid::Bypassed { .. }
        | Invalid::Host { .. }
        | Invalid::Throttled { .. }
        | Invalid::More { .. }
        | Invalid::StartSkew { .. }
        | Invalid::ChurnFailed { .. }
        | Invalid::ChurnLate { .. }
        | Invalid::ClockStepped { .. }
        | Invalid::ClocksDiffer { .. }
        | Invalid::ClockUnsure { .. }
        | Invalid::Stranger { .. }
        | Invalid::Silent { .. }
        | Invalid::Died { .. }
        | Invalid::NotStarted { .. }
        | Invalid::OutOfMemory { .. }
        | Invalid::NeighboursFull { .. }
        | Invalid::LinesLost { .. }
        | Invalid::Unfollowed { .. }
        | Invalid::NotConserved { .. } => 0.0,
    };
    for kind in &mut kinds {
        kind.sort_by(|a, b| stood(b).total_cmp(&stood(a)));
        let more = kind.len().saturating_sub(SHOWN);
        kind.truncate(SHOWN);
        kind.extend((more > 0).then_some(Invalid::More { reasons: more }));
    }
    kinds.concat()
}

const DIRECTIONS: [Direction; 2] = [Direction::Up, Direction::Down];

/// The rates that a node's link gets by the schedule, beside its own: from when on, ns after the common start, and which.
fn planned_links(trial: &Trial, node: &Node) -> Vec<(u64, Link)> {
    let own = trial.schedule.iter().filter(|event| event.node == node.name);
    own.filter_map(|event| if let Action::Links(link) = event.action { Some((event.at, link)) } else { None }).collect()
}

/// The links that a node may have at a moment, seconds after the common start: the one that is planned for it, and those
/// that were until `late` seconds before or are from a moment later on.
fn planned_at(own: Link, changes: &[(u64, Link)], at: f64, late: f64) -> impl Iterator<Item = Link> {
    let from =
        std::iter::once((f64::NEG_INFINITY, own)).chain(changes.iter().map(|(at, link)| (*at as f64 / 1e9, *link)));
    let until = changes.iter().map(|(at, _)| *at as f64 / 1e9).chain([f64::INFINITY]);
    from.zip(until)
        .filter(move |((from, _), until)| *from <= at + CLOCKS_S && at <= until + late)
        .map(|((_, link), _)| link)
}

/// The kernel's rates, as the node looked each second, are those of the plan for that moment.
fn kernel_rates(
    limits: &Validity,
    observed: &Observed,
    node: &Node,
    changes: &[(u64, Link)],
    life: &Life,
    found: &mut Vec<Invalid>,
) {
    let pair = |link: Link| [link.up, link.down];
    let go = observed.go(&node.name, life);
    let at_first =
        life.shaped.as_ref().map(|it| [it.up.as_ref().map(|it| it.rate), it.down.as_ref().map(|it| it.rate)]);
    for (i, direction) in DIRECTIONS.into_iter().enumerate() {
        let own = node.link.map(|link| pair(link)[i]);
        let first = at_first.map(|rates| rates[i]).filter(|kernel| *kernel != own).map(|kernel| (own, kernel));
        let later = || {
            life.rates.iter().find_map(|(mono, rates)| {
                let kernel = Some(pair(*rates)[i]);
                let Some(link) = node.link else { return Some((None, kernel)) };
                // Without a common start it is not known which moment it was.
                let Some(at) = go.map(|go| since(*mono, go)) else {
                    let planned = std::iter::once(link).chain(changes.iter().map(|(_, link)| *link));
                    return (!planned.into_iter().any(|link| kernel == Some(pair(link)[i]))).then_some((own, kernel));
                };
                let mut planned = planned_at(link, changes, at, limits.churn_late).map(|link| pair(link)[i]);
                let is_planned = planned.any(|rate| kernel == Some(rate));
                let meant = planned_at(link, changes, at, 0.0).last().map(|link| pair(link)[i]);
                (!is_planned).then_some((meant, kernel))
            })
        };
        if let Some((planned, kernel)) = first.or_else(later) {
            found.push(Invalid::LinkChanged { node: node.name.clone(), direction, planned, kernel });
        }
    }
}

fn tried(limits: &Validity, node: &str, link: Link, life: &Life, found: &mut Vec<Invalid>) {
    let sides = life.calibrated.iter().flat_map(|calibrated| {
        let link = calibrated.link.unwrap_or(link);
        [(Direction::Up, link.up, calibrated.up), (Direction::Down, link.down, calibrated.down)]
    });
    for (direction, planned, carried) in sides {
        // Nothing at all is as far off as can be.
        let carried = carried.link_rate().unwrap_or(0.0);
        if (carried / planned as f64 - 1.0).abs() > limits.link_rate {
            found.push(Invalid::LinkOff { node: node.to_owned(), direction, planned, carried });
        }
    }
}

/// More than its rate is impossible; less is what the swarm made of it.
fn carried(limits: &Validity, node: &str, link: Link, life: &Life, found: &mut Vec<Invalid>) {
    let (Some(first), Some(last)) = (life.carried.first(), life.carried.last()) else { return };
    let seconds = last.0.saturating_sub(first.0) as f64 / 1e9;
    let sides = [
        (Direction::Up, link.up, last.1.saturating_sub(first.1)),
        (Direction::Down, link.down, last.2.saturating_sub(first.2)),
    ];
    for (direction, planned, bytes) in sides {
        let allowed = planned as f64 / 8.0 * seconds * (1.0 + limits.link_rate) + HEAD_START;
        if seconds > 0.0 && bytes as f64 > allowed {
            let carried = bytes as f64 * 8.0 / seconds;
            found.push(Invalid::CarriedMore { node: node.to_owned(), direction, planned, carried });
        }
    }
}

/// What failed before there was a swarm, and what was killed in it.
fn infrastructure(observed: &Observed, found: &mut Vec<Invalid>) {
    let mut lives = observed.nodes.values().flat_map(|log| &log.lives);
    let began = observed.gate_open.is_some() || lives.any(|life| life.started.is_some());
    if let Some(Outcome::Failed { reason }) = observed.outcome.as_ref().filter(|_| !began) {
        found.push(Invalid::NotStarted { reason: reason.clone() });
    }
    let killed = observed.nodes.iter().filter(|(_, log)| log.exits.iter().any(|exit| exit.oom));
    found.extend(killed.map(|(node, _)| Invalid::OutOfMemory { node: node.clone() }));
}

/// Whether a node was ready to run and had no processor: others had it, or a quota that may be out of sight.
fn waited(limits: &Validity, observed: &Observed, node: &Node, row: &TrialRow, found: &mut Vec<Invalid>) {
    let share = load::run_delay(observed, &node.name, row.distribution_time_s.unwrap_or(f64::INFINITY));
    if let Some(share) = share.filter(|share| *share > limits.run_delay) {
        found.push(Invalid::Waited { node: node.name.clone(), share, limit: limits.run_delay });
    }
}

fn host(limits: &Validity, row: &TrialRow, found: &mut Vec<Invalid>) {
    let loads = [
        (Load::Busy, row.host_busy_max_share, limits.host_busy),
        (Load::Softirq, row.host_softirq_max_share, limits.host_softirq),
        (Load::Steal, row.host_steal_share, limits.host_steal),
        (Load::Memory, row.memory_pressure_share, limits.memory_pressure),
    ];
    for (what, share, limit) in loads {
        if let Some(share) = share.filter(|share| *share > limit) {
            found.push(Invalid::Host { what, share, limit });
        }
    }
}

fn times(limits: &Validity, observed: &Observed, row: &TrialRow, found: &mut Vec<Invalid>) {
    if let Some(seconds) = row.start_skew_max_s.filter(|it| *it > limits.start_skew) {
        found.push(Invalid::StartSkew { seconds, limit: limits.start_skew });
    }
    // What a trial that broke off did not get to is no surprise.
    let missing = if row.outcome == TrialOutcome::Completed { row.churn_missing } else { 0 };
    if row.churn_failed + missing > 0 {
        found.push(Invalid::ChurnFailed { events: row.churn_failed + missing });
    }
    if let Some(seconds) = row.churn_late_max_s.filter(|it| *it > limits.churn_late) {
        found.push(Invalid::ChurnLate { seconds, limit: limits.churn_late });
    }
    // From one look to the next: what a clock is disciplined by over minutes is no jump.
    let jumps = observed.host.windows(2).map(|pair| (pair[1].1.wall - pair[0].1.wall) as f64 / 1e9);
    if let Some(seconds) = jumps.max_by(|a, b| a.abs().total_cmp(&b.abs())).filter(|it| it.abs() > limits.clock_step) {
        found.push(Invalid::ClockStepped { seconds });
    }
    // Nodes of ours need no entry in it, but somebody else's may have wanted to reach them.
    let fulls = |look: Option<&(u64, Host)>| look.and_then(|(_, host)| host.neighbours_full);
    let risen =
        fulls(observed.host.last()).zip(fulls(observed.host.first())).map(|(last, first)| last - first.min(last));
    if let Some(times) = risen.filter(|times| *times > 0) {
        found.push(Invalid::NeighboursFull { times });
    }
}

#[cfg(test)]
#[path = "validity_tests.rs"]
mod tests;
