//! Whether what one node says it sent is what the other says it received, with what may be under way between them.

use peer_image::event::Leave;
use peer_image::node::{Alteration, DRAIN, Link};

use super::findings::Direction;
use super::lives::{Life, NodeLog, Observed};
use super::peers;
use super::validity::Invalid;
use crate::events::record::Outcome;
use crate::plan::{Action, Trial};

/// File bytes that may be under way on a connection when it ends and both of its nodes stay, or are stopped.
const UNDER_WAY: u64 = 64 << 10;
/// File bytes that may be lost when a connection is cut: what sockets and queues hold.
const CUT: u64 = 1 << 20;
/// File bytes that may lie in a node's sockets when it ends: what the kernel lets a few connections hold.
const IN_SOCKETS: u64 = 1 << 20;
/// A node that is killed has not told of its last moments: so many seconds of its link.
const UNTOLD_S: u64 = 2;

/// The pair of nodes whose books differ most, if they differ by more than can be under way.
pub(super) fn broken(trial: &Trial, observed: &Observed) -> Option<Invalid> {
    if !matches!(observed.outcome, Some(Outcome::Completed | Outcome::Timeout { .. } | Outcome::Unfinishable { .. })) {
        return None;
    }
    let mut worst: Option<(u64, Invalid)> = None;
    for from in &trial.nodes {
        for to in trial.nodes.iter().filter(|to| to.name != from.name) {
            let (sender, receiver) = (observed.node(&from.name), observed.node(&to.name));
            let sent = peers::sent_to(sender, &to.name);
            let received = peers::received_from(receiver, &from.name);
            let untold = |log: &NodeLog, rate: Option<u64>| killed(log) * UNTOLD_S * rate.unwrap_or(0) / 8;
            let stopped = stopped(observed, &from.name) + stopped(observed, &to.name);
            let stayed =
                stayed(sender) && stayed(receiver) && stopped == 0 && observed.outcome == Some(Outcome::Completed);
            let cuts = (sender.lives.len() + receiver.lives.len()).saturating_sub(1) as u64 + stopped;
            // Both sides see most ends of connections; one that is cut off sees none.
            let parted = peers::parted_from(sender, &to.name).max(peers::parted_from(receiver, &from.name));
            let under_way = if stayed { UNDER_WAY * (1 + parted) + queued(sender, receiver) } else { cuts * CUT };
            let allowed = if sent >= received {
                under_way + untold(receiver, to.link.map(|link| link.down))
            } else {
                // Of what a socket took, the last blocks may not be booked yet; and who left sends on what its sockets hold.
                let drained = departed(sender) * DRAIN.as_secs() * from.link.map_or(0, |link| link.up) / 8;
                UNDER_WAY * cuts.max(1) + untold(sender, from.link.map(|link| link.up)) + drained
            };
            let off = sent.abs_diff(received);
            if off > allowed && worst.as_ref().is_none_or(|(most, _)| off > *most) {
                let (from, to) = (from.name.clone(), to.name.clone());
                worst = Some((off, Invalid::NotConserved { from, to, sent, received }));
            }
        }
    }
    worst.map(|(_, invalid)| invalid)
}

/// What lay in the queues between two nodes when they were stopped, as each looked last: of one whose link is slow it is far
/// more than what sockets hold. Bytes, headers included.
fn queued(sender: &NodeLog, receiver: &NodeLog) -> u64 {
    peers::counters(sender).up.backlog + peers::counters(receiver).down.backlog
}

/// Whether a node was there from the common start to the trial's end.
fn stayed(log: &NodeLog) -> bool {
    let is_stop = |life: &Life| matches!(life.left, Some((_, Leave::Stopped)));
    log.lives.len() == 1 && log.lives.iter().all(is_stop)
}

/// How often a node's link was cut, or its process frozen: what is under way then may never come.
fn stopped(observed: &Observed, node: &str) -> u64 {
    let changed = observed.node(node).lives.iter().flat_map(|life| &life.changed);
    let cuts = changed.filter(|it| it.what == Alteration::Cut && it.error.is_none()).count();
    let freezes = observed.acted.iter().filter(|it| it.node == node && it.action == Action::Freeze).count();
    (cuts + freezes) as u64
}

/// Lives that ended of the node's own accord.
fn departed(log: &NodeLog) -> u64 {
    log.lives.iter().filter(|life| life.left.is_some_and(|(_, why)| why != Leave::Stopped)).map(|_| 1).sum()
}

/// Lives that ended without a goodbye.
fn killed(log: &NodeLog) -> u64 {
    log.lives.iter().filter(|life| life.left.is_none()).count() as u64
}

/// Whether a node sent or received more of the file than its link carried, headers included: its shaping was removed, or
/// packets bypassed it. The rate that the kernel reports does not show that.
pub(super) fn bypassed(node: &str, link: Link, life: &Life, found: &mut Vec<Invalid>) {
    let (Some(progress), Some(last), 2..) = (&life.progress, life.counters, life.carried.len()) else { return };
    // What was carried before the start, where that was looked at.
    let looked = life.carried.first().zip(life.started).is_some_and(|(first, began)| first.0 <= began.mono);
    let before = life.counters_before.filter(|_| looked).unwrap_or_default();
    // Of a node that was killed the books may be a second younger than the counters.
    let second = u64::from(life.left.is_none());
    let sides = [
        // What a socket took is booked, and may never be sent.
        (Direction::Up, &progress.up, last.up.bytes.saturating_sub(before.up.bytes), link.up, IN_SOCKETS),
        (Direction::Down, &progress.down, last.down.bytes.saturating_sub(before.down.bytes), link.down, 0),
    ];
    for (direction, booked, carried, rate, unsent) in sides {
        let file = booked.values().sum::<u64>();
        if file > carried + unsent + rate / 8 * second {
            found.push(Invalid::Bypassed { node: node.to_owned(), direction, file, link: carried });
        }
    }
}

#[cfg(test)]
mod tests {
    use peer_image::event::{Counters, Progress, Queue};

    use super::*;
    use crate::analysis::fixture::{GO, S};

    #[test]
    fn a_node_that_got_more_of_the_file_than_its_link_carried() {
        let link = Link { up: 8_000_000, down: 8_000_000 };
        // So many bytes of the file, and so many on the link, of which a tenth came before the start.
        let found = |file: [u64; 2], carried: [u64; 2], looked_at: u64| {
            let of = |bytes: u64| [("server".to_owned(), bytes)].into();
            let queue = |bytes| Queue { bytes, ..Queue::default() };
            let counters = |[up, down]: [u64; 2]| Counters { up: queue(up), down: queue(down), ..Counters::default() };
            let mut life = Life::default();
            life.started = Some(crate::analysis::lives::Started {
                mono: GO,
                go: GO,
                planned: 0,
                late: 0,
                rejoined: false,
                pieces: 0,
            });
            life.progress = Some(Progress { up: of(file[0]), down: of(file[1]), ..Progress::default() });
            life.counters_before = Some(counters([carried[0] / 10, carried[1] / 10]));
            life.counters = Some(counters(carried));
            life.carried = vec![(looked_at, 0, 0), (GO + S, 0, 0)];
            life.left = Some((GO + S, Leave::Stopped));
            let mut found = Vec::new();
            bypassed("peer-1", link, &life, &mut found);
            let all = found.len();
            life.left = None;
            bypassed("peer-1", link, &life, &mut found);
            (found.first().map(ToString::to_string), [all, found.len() - all])
        };
        assert_eq!(found([0, 9_000_000], [0, 10_000_000], GO), (None, [0, 0]));
        let said = "`peer-1` received 9000001 bytes of the file, and its download link carried only 9000000: the rest bypassed it";
        // Who was killed may have told of its last second in one of the two books alone.
        assert_eq!(found([0, 9_000_001], [0, 10_000_000], GO), (Some(said.to_owned()), [1, 0]));
        assert_eq!(found([0, 10_000_001], [0, 10_000_000], GO).1, [1, 1]);
        // What lies in sockets is booked and may never be sent.
        assert_eq!(found([9_000_000 + (1 << 20), 0], [10_000_000, 0], GO).1, [0, 0]);
        assert_eq!(found([9_000_001 + (1 << 20), 0], [10_000_000, 0], GO).1, [1, 0]);
        // A log of old has its first look after the start: what was counted by then is of the trial.
        assert_eq!(found([0, 10_000_000], [0, 10_000_000], GO + 1).1, [0, 0]);
    }
}
