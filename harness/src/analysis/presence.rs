//! The least time for peers that come and go, and for links that change.
//!
//! The textbook's argument ([`super::bounds`]) with capacities that vary over time. Let C be the peers that D waits for,
//! each of which has the whole file of F bits by then, and N their number. Let a link carry nothing while its node is not
//! there. Then by the time D
//!
//! - **the server has sent each bit once**, for nobody else had it: ∫u_s ≥ F (P2P); or a copy to each peer of C:
//!   ∫u_s ≥ N·F (client-server);
//! - **each peer of C has received the file** over its own link, while it was there: ∫d_i ≥ F. What it kept through an
//!   absence it had received before, and what it lost it had to receive again, so F is the least;
//! - **each of the N·F bits that peers of C have was sent by somebody**: ∫u_s + Σ∫u_i + (1 − 1/N)·Σ∫u_h ≥ N·F (P2P). A helper
//!   h, which D does not wait for, must itself have received a bit before it passes it on, and somebody sent it that: if
//!   helpers make a bit's U ≤ N deliveries to C and R ≥ 1 deliveries of it end at helpers, then of the sends of helpers and
//!   of those to them at most U − 1 ≤ (1 − 1/N)·U is a gain.
//!
//! Each integral grows with its upper end, so each line gives the least D at which it can hold, and the largest of these
//! is the bound. If everybody is there from the start and links do not change, ∫u = u·D, and this is the textbook's
//! formula, to the last bit.
//!
//! **What a link carries after its node's end** is part of ∫u, because the bits of a line are counted where they pass the
//! sender's shaper, or the receiver's:
//!
//! - *A node that leaves by itself* closes its connections, and the kernel sends what its sockets hold. Its link's counters
//!   are told as it leaves and once more at its end; between the two it uploads what they grew by, and at most its rate for
//!   that time. These bits are counted, as early as the rate allows. A log that has no counters of after it left gives it
//!   [`DRAIN`]. Nobody is left to receive, so nothing is added to d.
//! - *A killed node* has no process to send or to receive. What passed its shaper before is upload of before, even if it
//!   waits in the receiver's queue; and what a receiver's queue lets in is limited by that receiver's own d, while it is
//!   there. So nothing is added. When the kill took effect is known only to lie between the call and the engine's answer:
//!   the answer counts.
//! - *A cut* takes the interface down, and with it the kernel drops what waits in the upload queue: nothing is added to u.
//!   The cut is done when netlink answers, and that moment counts; that of a mend is the one at which it was begun. A new
//!   rate counts as the larger of both in between. (What waits in the download queue of a node that was cut off may
//!   still arrive: its mirror is up. It passed its sender's shaper before.)
//!
//! Three things a link may carry beyond its rate are no part of the bound; a time is called impossible only if they do not
//! explain it either ([`Member::buckets`]): the token bucket, full at the start of each life, after each change of its rate
//! and after a cut; the download queue at a cut; and the sockets of a killed node for the moment that an engine takes
//! after its answer to take the network away (`UNPLUGGED`).
//!
//! Where presence is not known exactly it is taken longer, which lowers the bound and keeps it true: a node begins at its
//! planned moment, and one that is frozen counts as there, because the kernel goes on sending what its sockets hold.
//! Where nodes go by kill or cut alone, all this is the plan's bound but for the lateness of engine and netlink.

use peer_image::event::Leave;
use peer_image::node::{Alteration, DRAIN, Link, Role};

use super::bounds::{Bound, PAYLOAD_SHARE, Term, useful_upload};
use super::lives::{Acted, Life, NodeLog, Observed, Started};
use crate::plan::{Action, Architecture, How, Node, Trial};

/// What netlink may take to change a link, seconds, where the log does not say how long it took.
const NETLINK: f64 = 0.1;
/// For so long after the engine's answer a killed node's network may still be there, seconds: Docker 20.10 answers when the
/// process has ended, and clears the network away then. A namespace's cable is pulled within milliseconds.
const UNPLUGGED: f64 = 0.1;
/// What the download queue of a link that was cut may still let in, bits: what the sockets of four uploaders had handed on,
/// six blocks each.
const UNDER_WAY: f64 = 4.0 * 6.0 * 16_384.0 * 8.0;

/// A time in which a node's link has the same rates. Seconds after the common start, bit/s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// It begins.
    pub from: f64,
    /// It ends; infinite if nothing ends it.
    pub until: f64,
    /// Rates on the link.
    pub link: Link,
}

/// A node's part in the sum.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// When its link is there, ascending and apart.
    pub spans: Vec<Span>,
    /// Whether what it uploads can help.
    pub helps: bool,
    /// Whether D waits for it.
    pub to_complete: bool,
    /// What its token buckets may send and let in beyond the rates, over all its lives: (up, down), bits.
    pub buckets: (f64, f64),
}

/// A swarm whose nodes come and go.
#[derive(Debug, Clone, PartialEq)]
pub struct Swarm {
    /// F, bits.
    pub bits: f64,
    /// The server.
    pub server: Member,
    /// The peers.
    pub peers: Vec<Member>,
}

/// The lower limit on D, and how much shorter D may be for the token buckets (`harness` trials are judged by the
/// difference). `None` if D waits for nobody, or no time is long enough.
#[must_use]
pub fn bound(architecture: Architecture, swarm: &Swarm) -> Option<(Bound, f64)> {
    let with_buckets = terms(architecture, swarm, true)?;
    let terms = terms(architecture, swarm, false)?;
    let largest =
        |terms: &[(Term, f64)]| terms.iter().copied().reduce(|best, next| if next.1 > best.1 { next } else { best });
    let (term, seconds) = largest(&terms)?;
    let earliest = largest(&with_buckets)?.1;
    if !seconds.is_finite() {
        return None;
    }
    Some((
        Bound { seconds, payload_seconds: at_payload_rate(architecture, swarm, seconds)?, term, terms },
        seconds - earliest,
    ))
}

/// The same at payload rate. Headers make a transfer longer, but not the wait for whoever is not there yet: only where
/// all are there from the start is it the link-rate bound over the payload share.
fn at_payload_rate(architecture: Architecture, swarm: &Swarm, seconds: f64) -> Option<f64> {
    let is_still = |member: &Member| matches!(member.spans[..], [Span { from: 0.0, until: f64::INFINITY, .. }]);
    if std::iter::once(&swarm.server).chain(&swarm.peers).all(is_still) {
        return Some(seconds / PAYLOAD_SHARE);
    }
    let with_headers = Swarm { bits: swarm.bits / PAYLOAD_SHARE, ..swarm.clone() };
    let payload =
        terms(architecture, &with_headers, false)?.into_iter().map(|(_, seconds)| seconds).fold(0.0, f64::max);
    // Links that were there for the file and not for its headers say nothing: then what holds is the bound at link rate.
    Some(if payload.is_finite() { payload } else { seconds })
}

fn terms(architecture: Architecture, swarm: &Swarm, buckets: bool) -> Option<Vec<(Term, f64)>> {
    let completing: Vec<&Member> = swarm.peers.iter().filter(|peer| peer.to_complete).collect();
    if completing.is_empty() {
        return None;
    }
    let peers = completing.len() as f64;
    let bucket = |bits: f64| if buckets { bits } else { 0.0 };
    let server = || up(&swarm.server, 1.0);
    let server_time = |bits: f64| earliest(&server().collect::<Vec<_>>(), bits - bucket(swarm.server.buckets.0));
    let download = completing.iter().map(|peer| {
        let spans = peer.spans.iter().map(|span| (span.from, span.until, span.link.down as f64));
        earliest(&spans.collect::<Vec<_>>(), swarm.bits - bucket(peer.buckets.1))
    });
    let download = (Term::PeerDownload, download.fold(0.0, f64::max));
    Some(match architecture {
        Architecture::ClientServer => vec![(Term::ServerUpload, server_time(peers * swarm.bits)), download],
        Architecture::P2p => {
            let gain = 1.0 - 1.0 / peers;
            let helping = || {
                let helping = swarm.peers.iter().filter(|peer| peer.helps);
                helping.map(move |peer| (peer, if peer.to_complete { 1.0 } else { gain }))
            };
            let extra: f64 = swarm.server.buckets.0 + helping().map(|(peer, gain)| peer.buckets.0 * gain).sum::<f64>();
            let links = server().chain(helping().flat_map(|(peer, gain)| up(peer, gain)));
            let total = earliest(&links.collect::<Vec<_>>(), peers * swarm.bits - bucket(extra));
            vec![(Term::ServerCopy, server_time(swarm.bits)), download, (Term::TotalUpload, total)]
        }
    })
}

/// A member's upload: (from, until, bit/s).
fn up(member: &Member, gain: f64) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
    member.spans.iter().map(move |span| (span.from, span.until, span.link.up as f64 * gain))
}

/// The earliest time by which capacities carry so many bits; infinite if they never do.
fn earliest(capacities: &[(f64, f64, f64)], bits: f64) -> f64 {
    if bits <= 0.0 {
        return 0.0;
    }
    let mut moments: Vec<f64> = capacities.iter().flat_map(|(from, until, _)| [*from, *until]).collect();
    moments.retain(|moment| moment.is_finite());
    moments.sort_by(f64::total_cmp);
    moments.dedup();
    let mut carried = 0.0;
    for (i, &from) in moments.iter().enumerate() {
        let rate: f64 = capacities.iter().filter(|it| it.0 <= from && from < it.1).map(|it| it.2).sum();
        let until = moments.get(i + 1).copied().unwrap_or(f64::INFINITY);
        if rate > 0.0 && carried + rate * (until - from) >= bits {
            return from + (bits - carried) / rate;
        }
        carried += if until.is_finite() { rate * (until - from) } else { 0.0 };
    }
    f64::INFINITY
}

/// The swarm of a trial as planned; peers that leave on completion, or when their patience ends, are taken to stay.
#[must_use]
pub fn planned(trial: &Trial) -> Option<Swarm> {
    swarm(trial, |node, link| Member {
        spans: planned_spans(trial, node, link),
        helps: useful_upload(link, node.behaviour) > 0,
        to_complete: node.to_complete,
        buckets: (0.0, 0.0),
    })
}

/// The swarm of a trial as its log tells it.
#[must_use]
pub fn realised(trial: &Trial, observed: &Observed) -> Option<Swarm> {
    swarm(trial, |node, link| {
        let log = observed.node(&node.name);
        let spans = match log.lives.iter().any(|life| life.started.is_some()) {
            true => realised_spans(node, link, log, observed),
            false => planned_spans(trial, node, link),
        };
        let bucket =
            |of: fn(&Life) -> Option<u64>| -> f64 { log.lives.iter().filter_map(of).map(|b| b as f64 * 8.0).sum() };
        // A bucket is full again after each change of its rate, and after a cut.
        let altered = log.lives.iter().flat_map(|life| &life.changed).filter(|change| change.error.is_none());
        let refilled = altered.fold((0.0, 0.0), |sum: (f64, f64), change| match change.what {
            Alteration::Rates(link) => (sum.0 + full(link.up), sum.1 + full(link.down)),
            Alteration::Mend => (sum.0 + full(link.up), sum.1 + full(link.down)),
            Alteration::Cut => (sum.0, sum.1 + UNDER_WAY),
            Alteration::Silent | Alteration::Answering => sum,
        });
        let most_up = spans.iter().map(|span| span.link.up).max().unwrap_or(0) as f64;
        let unplugged = kills(node, observed).count() as f64 * UNPLUGGED * most_up;
        Member {
            spans: drained(spans, log),
            helps: useful_upload(link, node.behaviour) > 0,
            to_complete: node.to_complete && !super::peers::gave_up(log),
            buckets: (
                bucket(|life| Some(life.shaped.as_ref()?.up.as_ref()?.burst)) + refilled.0 + unplugged,
                bucket(|life| Some(life.shaped.as_ref()?.down.as_ref()?.burst)) + refilled.1,
            ),
        }
    })
}

/// The same spans, and for each life that left by itself what its link carried of what its sockets held.
fn drained(mut spans: Vec<Span>, log: &NodeLog) -> Vec<Span> {
    for life in &log.lives {
        let Some((mono, started)) =
            life.left.filter(|(_, why)| *why != Leave::Stopped).and_then(|(mono, _)| Some((mono, life.started?)))
        else {
            continue;
        };
        let left = super::conclude::since(mono, started.go);
        // Who was cut off before has nobody to send to.
        let Some(last) = spans.iter().find(|span| span.until == left && span.link.up > 0).copied() else { continue };
        let rate = last.link.up as f64;
        let before = life.carried.iter().rev().find(|(at, ..)| *at <= mono);
        let after = life.carried.last().filter(|(at, ..)| *at > mono);
        let held = match (before, after) {
            (Some((_, before, _)), Some((end, after, _))) => {
                let possible = rate * seconds(end - mono);
                (after.saturating_sub(*before) as f64 * 8.0).min(possible)
            }
            _ => rate * DRAIN.as_secs_f64(),
        };
        let next = spans.iter().map(|span| span.from).filter(|from| *from >= left).fold(f64::INFINITY, f64::min);
        let until = (left + held / rate).min(next);
        if until > left {
            spans.push(Span { from: left, until, link: Link { down: 0, ..last.link } });
        }
    }
    spans.sort_by(|a, b| a.from.total_cmp(&b.from));
    spans
}

/// What the bucket of a link of so many bit/s holds, bits.
fn full(rate: u64) -> f64 {
    peer_image::node::bucket_bytes(rate) as f64 * 8.0
}

fn swarm(trial: &Trial, member: impl Fn(&Node, Link) -> Member) -> Option<Swarm> {
    let of = |node: &Node| Some(member(node, node.link?));
    let server = trial.nodes.iter().find(|node| node.role.is_server())?;
    let peers = trial.nodes.iter().filter(|node| matches!(node.role, Role::HttpClient | Role::Leecher));
    Some(Swarm { bits: trial.file.size as f64 * 8.0, server: of(server)?, peers: peers.filter_map(of).collect() })
}

fn planned_spans(trial: &Trial, node: &Node, link: Link) -> Vec<Span> {
    let fate = trial.fate(&node.name);
    let mut there = vec![(seconds(fate.arrives), f64::INFINITY)];
    for absence in fate.absences.iter().filter(|absence| absence.how != How::Freeze) {
        if let Some(last) = there.last_mut() {
            last.1 = seconds(absence.from);
        }
        if let Some(until) = absence.until {
            there.push((seconds(until), f64::INFINITY));
        } else {
            break;
        }
    }
    let own = trial.schedule.iter().filter(|event| event.node == node.name);
    let rates = own.filter_map(|event| match event.action {
        Action::Links(link) => Some((seconds(event.at), link)),
        _ => None,
    });
    cut(there, link, &rates.collect::<Vec<_>>())
}

/// The kills of a node that were carried out.
fn kills<'o>(node: &'o Node, observed: &'o Observed) -> impl Iterator<Item = &'o Acted> {
    let own = observed.acted.iter().filter(move |acted| acted.node == node.name && acted.action == Action::Crash);
    own.filter(|acted| acted.error.is_none())
}

fn realised_spans(node: &Node, link: Link, log: &NodeLog, observed: &Observed) -> Vec<Span> {
    let mut there = Vec::new();
    let mut rates: Vec<(f64, Link)> = Vec::new();
    for (i, life) in log.lives.iter().enumerate() {
        let Some(started) = life.started else { continue };
        let from = begins(started);
        let left = life.left.filter(|(_, why)| *why != Leave::Stopped);
        let left = left.map(|(mono, _)| super::conclude::since(mono, started.go));
        // Killed: it had no time to say so. A kill that was planned before this life was to begin is that of the life before,
        // even if the engine was done with it later. A life that another one followed has ended by then in any case.
        let killed = || {
            let own = |acted: &&Acted| acted.planned >= started.planned && acted.done as f64 / 1e9 >= from;
            kills(node, observed).find(own).map(|acted| acted.done as f64 / 1e9).filter(|_| life.left.is_none())
        };
        let followed = log.lives[i + 1..].iter().find_map(|next| Some(begins(next.started?))).unwrap_or(f64::INFINITY);
        let until = left.or_else(killed).unwrap_or(f64::INFINITY).min(followed.max(from));
        there.push((from, until));
        // A later life finds the link as the one before left it.
        let mut before = rates.last().map_or(link, |(_, link)| *link);
        for change in life.changed.iter().filter(|change| change.error.is_none()) {
            let at = seconds(change.planned + change.late);
            let done = at + change.took.map_or(NETLINK, seconds);
            match change.what {
                Alteration::Cut => {
                    if let Some(last) = there.last_mut() {
                        last.1 = done.min(until);
                    }
                }
                Alteration::Mend => there.push((at.min(until), until)),
                // Until it is done the larger of both rates counts.
                Alteration::Rates(link) => {
                    rates.push((at, Link { up: link.up.max(before.up), down: link.down.max(before.down) }));
                    rates.push((done, link));
                    before = link;
                }
                Alteration::Silent | Alteration::Answering => {}
            }
        }
    }
    cut(there, link, &rates)
}

/// When a node's link was there, and its rates, as the log tells it.
pub(super) fn spans(node: &Node, observed: &Observed) -> Vec<Span> {
    node.link.map_or_else(Vec::new, |link| realised_spans(node, link, observed.node(&node.name), observed))
}

/// What a link can carry in a time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Carries {
    /// How long it was there, seconds.
    pub(super) seconds: f64,
    /// Upload, bits.
    pub(super) up: f64,
    /// Download, bits.
    pub(super) down: f64,
}

/// What a link with these spans can carry between two moments, seconds after the common start.
pub(super) fn carries(spans: &[Span], from: f64, until: f64) -> Carries {
    spans.iter().fold(Carries::default(), |sum, span| {
        let seconds = (span.until.min(until) - span.from.max(from)).max(0.0);
        Carries {
            seconds: sum.seconds + seconds,
            up: sum.up + seconds * span.link.up as f64,
            down: sum.down + seconds * span.link.down as f64,
        }
    })
}

/// When a node was there and could act, seconds after the common start: its spans, less planned freezes.
pub(super) fn there(node: &Node, observed: &Observed) -> Vec<(f64, f64)> {
    let Some(link) = node.link else { return Vec::new() };
    let log = observed.node(&node.name);
    let mut there: Vec<(f64, f64)> =
        realised_spans(node, link, log, observed).into_iter().map(|span| (span.from, span.until)).collect();
    let acted = |action: Action| {
        let own = observed.acted.iter().filter(move |it| it.node == node.name && it.action == action);
        own.filter(|it| it.error.is_none()).map(|it| it.done as f64 / 1e9)
    };
    for frozen in acted(Action::Freeze) {
        let thawed = acted(Action::Thaw).find(|at| *at >= frozen).unwrap_or(f64::INFINITY);
        there = there
            .into_iter()
            .flat_map(|(from, until)| [(from, until.min(frozen)), (from.max(thawed), until)])
            .filter(|(from, until)| from < until)
            .collect();
    }
    there
}

/// When a life was to begin; of a return in an old log, which does not say, when it did.
pub(super) fn begins(started: Started) -> f64 {
    let told = !started.rejoined || started.planned > 0;
    if told { seconds(started.planned) } else { super::conclude::since(started.mono, started.go) }
}

/// Spans of presence cut at the moments at which the link got other rates.
fn cut(there: Vec<(f64, f64)>, own: Link, rates: &[(f64, Link)]) -> Vec<Span> {
    let mut spans = Vec::new();
    for (from, until) in there {
        let mut link = rates.iter().rev().find(|(at, _)| *at <= from).map_or(own, |(_, link)| *link);
        let mut begins = from;
        for (at, next) in rates.iter().filter(|(at, _)| *at > from && *at < until) {
            spans.push(Span { from: begins, until: *at, link });
            (begins, link) = (*at, *next);
        }
        spans.push(Span { from: begins, until, link });
    }
    spans
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::bounds;

    const ALWAYS: f64 = f64::INFINITY;

    fn there(from: f64, until: f64, up: u64, down: u64) -> Member {
        let link = Link { up, down };
        Member { spans: vec![Span { from, until, link }], helps: up > 0, to_complete: true, buckets: (0.0, 0.0) }
    }

    fn seconds_of(architecture: Architecture, swarm: &Swarm) -> f64 {
        bound(architecture, swarm).map_or(f64::INFINITY, |it| it.0.seconds)
    }

    #[test]
    fn who_comes_late_is_waited_for() {
        let mut swarm =
            Swarm { bits: 100.0, server: there(0.0, ALWAYS, 50, 0), peers: vec![there(0.0, ALWAYS, 10, 20)] };
        assert_eq!(seconds_of(Architecture::P2p, &swarm), 5.0);
        swarm.peers.push(there(30.0, ALWAYS, 10, 20));
        assert_eq!(seconds_of(Architecture::P2p, &swarm), 35.0);
        swarm.peers[1].spans = vec![
            Span { from: 30.0, until: 32.0, link: Link { up: 10, down: 20 } },
            Span { from: 40.0, until: ALWAYS, link: Link { up: 10, down: 10 } },
        ];
        assert_eq!(seconds_of(Architecture::P2p, &swarm), 46.0);
    }

    #[test]
    fn headers_do_not_make_anybody_come_later() {
        let mut swarm =
            Swarm { bits: 100.0, server: there(0.0, ALWAYS, 50, 0), peers: vec![there(0.0, ALWAYS, 10, 20)] };
        let payload = |swarm: &Swarm| bound(Architecture::P2p, swarm).unwrap().0.payload_seconds;
        assert_eq!(payload(&swarm), 5.0 / PAYLOAD_SHARE);
        swarm.peers.push(there(30.0, ALWAYS, 10, 20));
        assert!((payload(&swarm) - (30.0 + 5.0 / PAYLOAD_SHARE)).abs() < 1e-9, "{}", payload(&swarm));
        // It goes with the last bit of the file, and headers would have taken longer.
        swarm.server.spans[0].until = 2.0;
        assert_eq!(payload(&swarm), 35.0);
    }

    #[test]
    fn a_server_that_leaves_before_one_copy_leaves_no_bound() {
        let swarm = Swarm { bits: 100.0, server: there(0.0, 1.0, 50, 0), peers: vec![there(0.0, ALWAYS, 10, 20)] };
        assert_eq!(bound(Architecture::P2p, &swarm), None);
    }

    #[test]
    fn buckets_make_it_sooner() {
        let mut swarm =
            Swarm { bits: 100.0, server: there(0.0, ALWAYS, 10, 0), peers: vec![there(0.0, ALWAYS, 0, 100)] };
        swarm.server.buckets.0 = 5.0;
        let (bound, sooner) = bound(Architecture::ClientServer, &swarm).unwrap();
        assert_eq!((bound.seconds, sooner), (10.0, 0.5));
    }

    /// The same by brute force: time in small steps, until every line holds.
    fn stepped(architecture: Architecture, swarm: &Swarm, step: f64) -> f64 {
        let peers = swarm.peers.len() as f64;
        let (mut server, mut total) = (0.0, 0.0);
        let mut down = vec![0.0; swarm.peers.len()];
        let mut now = 0.0;
        while now < 1000.0 {
            let at = |member: &Member| {
                let is_now = |span: &&Span| span.from <= now + step / 2.0 && now + step / 2.0 < span.until;
                member.spans.iter().find(is_now).map_or(Link { up: 0, down: 0 }, |span| span.link)
            };
            server += at(&swarm.server).up as f64 * step;
            total += at(&swarm.server).up as f64 * step;
            for (sum, peer) in down.iter_mut().zip(&swarm.peers) {
                *sum += at(peer).down as f64 * step;
                total += at(peer).up as f64 * step;
            }
            now += step;
            let holds = match architecture {
                Architecture::ClientServer => server >= peers * swarm.bits,
                Architecture::P2p => server >= swarm.bits && total >= peers * swarm.bits,
            };
            if holds && down.iter().all(|sum| *sum >= swarm.bits) {
                return now;
            }
        }
        f64::INFINITY
    }

    proptest! {
        #[test]
        fn without_churn_it_is_the_textbooks(
            size in 1_u64..1 << 30, server in 1_u64..1 << 30, links in proptest::collection::vec((0_u64..1 << 30, 1_u64..1 << 30), 1..6),
        ) {
            let groups = links.iter().map(|(up, down)| bounds::Group { count: 1.0, up: *up, down: *down, to_complete: true });
            let textbook = bounds::Swarm { size, server_up: server, groups: groups.collect() };
            let swarm = Swarm {
                bits: size as f64 * 8.0,
                server: there(0.0, ALWAYS, server, 1),
                peers: links.iter().map(|(up, down)| there(0.0, ALWAYS, *up, *down)).collect(),
            };
            for architecture in [Architecture::ClientServer, Architecture::P2p] {
                let here = bound(architecture, &swarm).unwrap().0;
                prop_assert_eq!(here, bounds::bound(architecture, &textbook).unwrap());
            }
        }

        #[test]
        fn it_is_what_brute_force_finds(
            server in (0_u32..20, 20_u32..200, 1_u64..50),
            peers in proptest::collection::vec((0_u32..50, 1_u32..100, 0_u32..50, 0_u64..20, 1_u64..50), 1..4),
            drains in 0_u32..5,
        ) {
            let member = |(from, long, away, up, down): (u32, u32, u32, u64, u64)| {
                let link = Link { up, down };
                let (first, second) = (f64::from(from), f64::from(from + long));
                let mut member = there(first, second, up, down);
                // What its sockets held goes out while it is away, and nothing comes in.
                let drained = second + f64::from(drains.min(away));
                member.spans.push(Span { from: second, until: drained, link: Link { up, down: 0 } });
                member.spans.push(Span { from: second + f64::from(away), until: ALWAYS, link });
                member
            };
            let swarm = Swarm {
                bits: 300.0,
                server: there(f64::from(server.0), f64::from(server.0 + server.1), server.2, 1),
                peers: peers.into_iter().map(member).collect(),
            };
            let step = 1.0 / 64.0;
            for architecture in [Architecture::ClientServer, Architecture::P2p] {
                let (exact, found) = (seconds_of(architecture, &swarm), stepped(architecture, &swarm, step));
                if exact < 990.0 || found.is_finite() {
                    prop_assert!(found >= exact - 1e-6 && found <= exact + step + 1e-6, "{exact} and {found}");
                }
            }
        }
    }
}
