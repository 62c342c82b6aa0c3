//! What happens to nodes, and when: arrivals, churn and incidents, drawn before anything starts.
//!
//! Invariant: what is drawn for a peer depends on the trial's seed, the peer's number and the settings alone. Each peer
//! has streams named after what they decide and its number (`churn/<number>`, `arrive/<number>`; the number and not the
//! name, whose padding depends on N), and draws from them in the same order, whatever becomes of it. So one more peer
//! changes no other's fate, and a longer mean session makes each session longer by the same factor. The one exception is
//! asked for by the file: `churn.at_most` lets a peer go or stay by how many others are away. What is too short for any
//! runtime is lengthened ([`Fate::lengthen`]), whatever runtime the file names, and counted.

use std::collections::BTreeSet;

use peer_image::node::{Link, OnComplete, Role};
use peer_image::seeds;

use super::{Action, Event, Node, Trial};
use crate::spec::{
    Absence, Arrivals, Churn, Class, Fate, How, Incident, Keeps, Settings, What, Who, Whom, whole_kilobits,
};

/// Moments are whole milliseconds: no runtime acts on a schedule more exactly.
const STEP: u64 = 1_000_000;

/// What happens to the nodes of a trial.
pub(super) struct Fates {
    /// To each, in their order.
    pub(super) of: Vec<Fate>,
    /// Moments that are later than they were drawn or written, because something was too short to be carried out.
    pub(super) lengthened: u32,
    /// Of each incident by which nodes go, those that do.
    gone: Vec<Vec<bool>>,
}

/// What happens to each of `nodes`.
pub(super) fn fates(settings: &Settings, seed: u64, nodes: &[Node]) -> Fates {
    let end = moment(settings.timeout);
    let mut arrivals = arrivals(settings.arrivals, seed);
    let mut fates: Vec<Fate> = nodes.iter().map(|node| drawn(settings, seed, node, end, &mut arrivals)).collect();
    let mut later: Vec<BTreeSet<u64>> = vec![BTreeSet::new(); nodes.len()];
    lengthen(nodes, &mut fates, &mut later);
    if let Some(most) = settings.churn.as_ref().and_then(|churn| churn.at_most) {
        limit(&mut fates, most);
    }
    let mut gone: Vec<Vec<bool>> = Vec::new();
    for incident in &settings.events {
        let go = |(node, fate): (&Node, &mut Fate)| match incident.what {
            What::Go(how, keeps) if strikes(incident, seed, node) => {
                let until = incident.lasts.map(|lasts| incident.at.saturating_add(lasts));
                fate.interrupt(Absence { from: incident.at, until, how, keeps })
            }
            What::Go(..) | What::Links(_) => false,
        };
        gone.push(nodes.iter().zip(&mut fates).map(go).collect());
    }
    // What another incident took the place of does not happen.
    for (incident, gone) in settings.events.iter().zip(&mut gone) {
        for (gone, fate) in gone.iter_mut().zip(&fates) {
            *gone &= fate.absences.iter().any(|absence| absence.from == incident.at);
        }
    }
    lengthen(nodes, &mut fates, &mut later);
    for fate in &mut fates {
        // What is to come after the timeout does not happen.
        fate.absences.retain(|absence| absence.from < end);
        for absence in &mut fate.absences {
            absence.until = absence.until.filter(|until| *until < end);
        }
    }
    let happens = |(fate, later): (&Fate, &BTreeSet<u64>)| {
        let moments = fate.absences.iter().flat_map(|absence| [Some(absence.from), absence.until]);
        moments.flatten().filter(|at| later.contains(at)).count()
    };
    let lengthened = fates.iter().zip(&later).map(happens).sum::<usize>();
    Fates { of: fates, lengthened: u32::try_from(lengthened).unwrap_or(u32::MAX), gone }
}

/// Has everything last as long as it must to be carried out, and notes what is later for it. The tracker's process never
/// ends, it only falls silent.
fn lengthen(nodes: &[Node], fates: &mut [Fate], later: &mut [BTreeSet<u64>]) {
    for ((node, fate), later) in nodes.iter().zip(fates).zip(later) {
        if node.role != Role::Tracker {
            later.append(&mut fate.lengthen());
        }
    }
}

/// Whom an incident of the file strikes in a trial.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Struck {
    /// Nodes that it means.
    pub meant: u32,
    /// Those of them that it strikes when it comes.
    pub at_once: u32,
    /// Those that are away then and whose links change when they are back.
    pub later: u32,
    /// Those that have the very rates already that it would give their links.
    pub unchanged: u32,
}

/// Whom each incident of the file strikes in a trial, in the file's order.
#[must_use]
pub fn struck(settings: &Settings, trial: &Trial) -> Vec<Struck> {
    let Fates { of, gone, .. } = fates(settings, trial.seed, &trial.nodes);
    let count = |(incident, gone): (&Incident, &Vec<bool>)| {
        let mut struck = Struck::default();
        for ((node, fate), gone) in trial.nodes.iter().zip(&of).zip(gone) {
            if !strikes(incident, trial.seed, node) {
                continue;
            }
            struck.meant += 1;
            let What::Links(link) = incident.what else {
                struck.at_once += u32::from(*gone);
                continue;
            };
            let until = incident.lasts.map_or(u64::MAX, |lasts| incident.at.saturating_add(lasts));
            match able(fate, incident.at).filter(|at| *at < until.min(moment(settings.timeout))) {
                // Another incident, or the node's own link, may have the same rates.
                Some(at) if !changes_to(trial, node, link, at) => struck.unchanged += 1,
                Some(at) if at == incident.at => struck.at_once += 1,
                Some(_) => struck.later += 1,
                None => {}
            }
        }
        struck
    };
    settings.events.iter().zip(&gone).map(count).collect()
}

/// Whether the schedule gives a node's link these rates at a moment.
fn changes_to(trial: &Trial, node: &Node, link: Link, at: u64) -> bool {
    trial.schedule.iter().any(|it| it.at == at && it.node == node.name && it.action == Action::Links(link))
}

/// The events of a trial before its timeout, ascending by time, ties by node name.
pub(super) fn events(settings: &Settings, seed: u64, nodes: &[Node], fates: &[Fate]) -> Vec<Event> {
    let end = moment(settings.timeout);
    let mut events = Vec::new();
    for (node, fate) in nodes.iter().zip(fates) {
        let mut add = |at: u64, action: Action| events.push(Event { at, node: node.name.clone(), action });
        if fate.arrives > 0 {
            add(fate.arrives, Action::Arrive);
        }
        for absence in &fate.absences {
            let (go, back) = match absence.how {
                How::Leave => (Action::Leave, Action::Rejoin(absence.keeps)),
                How::Crash => (Action::Crash, Action::Rejoin(absence.keeps)),
                How::Freeze => (Action::Freeze, Action::Thaw),
                How::CutOff => (Action::CutOff, Action::Reconnect),
            };
            add(absence.from, go);
            if let Some(until) = absence.until {
                add(until, back);
            }
        }
        for (at, link) in when_it_can(node.link, links(settings, seed, node), fate) {
            if at < end {
                add(at, Action::Links(link));
            }
        }
    }
    events.sort_by(|a, b| (a.at, &a.node).cmp(&(b.at, &b.node)));
    events
}

/// Tells each node what its fate means for it, and what else is drawn for it.
pub(super) fn mark(settings: &Settings, seed: u64, nodes: &mut [Node], fates: &[Fate]) {
    let end = moment(settings.timeout);
    for (node, fate) in nodes.iter_mut().zip(fates) {
        node.to_complete &= !fate.is_gone();
        let keeps = |absence: &Absence| {
            absence.how.ends_the_process() && absence.until.is_some() && absence.keeps == Keeps::Pieces
        };
        node.keeps_state = node.role != Role::Tracker && fate.absences.iter().any(keeps);
        let (Some(class), Some(number)) = (class_of(settings, node), number(node)) else { continue };
        if let Some(linger) = class.linger {
            let drawn = linger.at(seeds::stream(seed, &format!("linger/{number}")).unit());
            // Beyond the timeout nothing happens.
            node.on_complete = OnComplete::Linger(moment(drawn).min(end));
        }
        if let Some(give_up) = class.give_up {
            let drawn = give_up.at(seeds::stream(seed, &format!("patience/{number}")).unit());
            node.patience = Some(moment(drawn).min(end).max(STEP));
        }
        if let Some(link) = &mut node.link {
            let draw = |what: &str| seeds::stream(seed, &format!("{what}/{number}")).unit();
            link.up = class.spread.up.map_or(link.up, |spread| whole_kilobits(spread.at(draw("up"))));
            link.down = class.spread.down.map_or(link.down, |spread| whole_kilobits(spread.at(draw("down"))));
        }
    }
}

fn class_of<'s>(settings: &'s Settings, node: &Node) -> Option<&'s Class> {
    settings.classes.iter().find(|class| class.name == node.class)
}

/// A peer's number, from 1.
fn number(node: &Node) -> Option<u32> {
    node.name.strip_prefix("peer-")?.parse().ok()
}

/// What models or the trace say of one node, without regard to incidents.
fn drawn(settings: &Settings, seed: u64, node: &Node, end: u64, arrivals: &mut impl Iterator<Item = u64>) -> Fate {
    let whom = match node.role {
        Role::Tracker => Whom::Tracker,
        Role::HttpServer | Role::InitialSeed => Whom::Server,
        Role::HttpClient | Role::Leecher => Whom::Peer(number(node).unwrap_or(0)),
    };
    if let Some(trace) = &settings.trace {
        return trace.fates.get(&whom).cloned().unwrap_or_default();
    }
    let Whom::Peer(number) = whom else { return Fate::default() };
    let arrives = arrivals.next().unwrap_or(0);
    let absences = settings.churn.as_ref().map_or_else(Vec::new, |churn| absences(churn, seed, number, arrives, end));
    Fate { arrives, absences }
}

/// When peers arrive, ns, in the order of their numbers.
fn arrivals(arrivals: Arrivals, seed: u64) -> impl Iterator<Item = u64> {
    let mut last = 0.0;
    (1_u32..).map(move |number| {
        let draw = || seeds::stream(seed, &format!("arrive/{number}")).unit();
        match arrivals {
            Arrivals::AtOnce => 0,
            // Each gap is drawn by the peer that ends it; the first is waited for, too.
            Arrivals::Poisson { every } => {
                last -= every * draw().ln();
                moment(last)
            }
            Arrivals::Stagger { every } => moment(f64::from(number - 1) * every),
            Arrivals::Uniform { within } => moment(within * draw()),
            Arrivals::Waves { size, every } => moment(f64::from((number - 1) / size) * every),
            Arrivals::Decaying { mean } => moment(-mean * draw().ln()),
        }
    })
}

/// When a peer is away, from its arrival on.
fn absences(churn: &Churn, seed: u64, number: u32, arrives: u64, end: u64) -> Vec<Absence> {
    let mut absences = Vec::new();
    let mut since = arrives;
    for session in 0_u32.. {
        // Of the first session the stream has the name that it always had.
        let name = if session == 0 { format!("churn/{number}") } else { format!("churn/{number}/{session}") };
        let mut stream = seeds::stream(seed, &name);
        let [churns, length, how, returns, away] = std::array::from_fn(|_| stream.unit());
        // Whether it churns at all is decided once.
        if session == 0 && churns >= churn.share {
            break;
        }
        let from =
            since.saturating_add(moment(churn.warm_up)).saturating_add(moment(churn.session.at(length)).max(STEP));
        if from >= end {
            break;
        }
        let how = if how < churn.crash {
            How::Crash
        } else if how < churn.crash + churn.freeze {
            How::Freeze
        } else if how < churn.crash + churn.freeze + churn.cut_off {
            How::CutOff
        } else {
            How::Leave
        };
        let rejoin = churn.rejoin.filter(|rejoin| returns < rejoin.share);
        let until = rejoin.map(|rejoin| from.saturating_add(moment(rejoin.after.at(away)).max(STEP)));
        absences.push(Absence { from, until, how, keeps: rejoin.map_or(Keeps::Pieces, |rejoin| rejoin.keeps) });
        match until {
            Some(until) if rejoin.is_some_and(|rejoin| rejoin.again) => since = until,
            _ => break,
        }
    }
    absences
}

/// Has at most so many be away at once: in the order of time, who would be one too many stays. Ties go to who comes
/// first in the trial's order.
fn limit(fates: &mut [Fate], most: u32) {
    let mut all: Vec<(u64, usize)> =
        fates.iter().enumerate().flat_map(|(i, fate)| fate.absences.iter().map(move |it| (it.from, i))).collect();
    all.sort_unstable();
    let mut away: Vec<Option<u64>> = Vec::new();
    for (from, i) in all {
        away.retain(|until| until.is_none_or(|until| until > from));
        let fate = &mut fates[i];
        let Some(place) = fate.absences.iter().position(|it| it.from == from) else { continue };
        if away.len() < most as usize {
            away.push(fate.absences[place].until);
        } else {
            fate.absences.remove(place);
        }
    }
}

/// Whether an incident strikes a node.
fn strikes(incident: &Incident, seed: u64, node: &Node) -> bool {
    match &incident.who {
        Who::Server => node.role.is_server(),
        Who::Tracker => node.role == Role::Tracker,
        Who::Peers => number(node).is_some(),
        Who::All => node.link.is_some(),
        Who::Class(class) => number(node).is_some() && node.class == *class,
        Who::Share(share) => number(node)
            .is_some_and(|number| seeds::stream(seed, &format!("event/{}/{number}", incident.name)).unit() < *share),
    }
}

/// The rates that a node's link gets, and when: where an incident ends it gets its own again.
fn links(settings: &Settings, seed: u64, node: &Node) -> Vec<(u64, Link)> {
    let Some(own) = node.link else { return Vec::new() };
    let links = settings.events.iter().filter(|incident| strikes(incident, seed, node)).filter_map(|incident| {
        let What::Links(link) = incident.what else { return None };
        Some((incident.at, incident.lasts.map_or(u64::MAX, |lasts| incident.at.saturating_add(lasts)), link))
    });
    in_force(own, &links.collect::<Vec<_>>())
}

/// The rates of a link over time, given which others (from, until, which) are in force when: of several the one that began
/// last counts, of those that began together the last in the file.
fn in_force(own: Link, others: &[(u64, u64, Link)]) -> Vec<(u64, Link)> {
    let times: BTreeSet<u64> =
        others.iter().flat_map(|(from, until, _)| [*from, *until]).filter(|at| *at < u64::MAX).collect();
    let mut before = own;
    let mut changes = Vec::new();
    for now in times {
        let current = others.iter().filter(|(from, until, _)| *from <= now && now < *until);
        let link = current.max_by_key(|(from, ..)| *from).map_or(own, |(.., link)| *link);
        if link != before {
            changes.push((now, link));
            before = link;
        }
    }
    changes
}

/// The same, with what would come while the node's process is away, or stands still, put off until it is back: there is
/// nobody who could do it. Of several that fall together the last counts, and what changes nothing is none.
fn when_it_can(own: Option<Link>, changes: Vec<(u64, Link)>, fate: &Fate) -> Vec<(u64, Link)> {
    let mut put_off: Vec<(u64, Link)> = Vec::new();
    for (at, link) in changes {
        let Some(at) = able(fate, at) else { continue };
        put_off.retain(|(earlier, _)| *earlier < at);
        put_off.push((at, link));
    }
    let mut before = own;
    put_off.retain(|(_, link)| before.replace(*link) != Some(*link));
    put_off
}

/// From when on a node can change its link, if it is to at a moment: while its process is away, or stands still, there is
/// nobody who could. None if it does not come back.
fn able(fate: &Fate, at: u64) -> Option<u64> {
    let during = |absence: &&Absence| {
        absence.how != How::CutOff && absence.from <= at && absence.until.is_none_or(|until| at < until)
    };
    fate.absences.iter().find(during).map_or(Some(at), |absence| absence.until)
}

/// Seconds to nanoseconds on the grid of [`STEP`]: what is too far in the future to count is at its end.
fn moment(seconds: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; the cast saturates")]
    let steps = (seconds * 1_000.0).round() as u64;
    steps.saturating_mul(STEP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Distribution, Rejoin};

    fn churn(share: f64) -> Churn {
        Churn {
            session: Distribution::Exponential { mean: 30.0 },
            share,
            crash: 0.25,
            freeze: 0.25,
            cut_off: 0.25,
            warm_up: 5.0,
            at_most: None,
            rejoin: Some(Rejoin {
                after: Distribution::Exponential { mean: 5.0 },
                share: 0.8,
                keeps: Keeps::Pieces,
                again: true,
            }),
        }
    }

    const END: u64 = 600_000_000_000;

    #[test]
    fn absences_are_ascending_and_apart_and_after_the_warm_up() {
        for number in 1..500 {
            let absences = absences(&churn(1.0), 7, number, 3_000_000_000, END);
            let mut last = 8_000_000_000;
            for (i, absence) in absences.iter().enumerate() {
                assert!(absence.from > last, "{absences:?}");
                match absence.until {
                    Some(until) => {
                        assert!(until > absence.from);
                        last = until + 5_000_000_000;
                    }
                    None => assert_eq!(i + 1, absences.len()),
                }
            }
        }
    }

    #[test]
    fn poisson_gaps_have_their_mean_and_no_peer_depends_on_later_ones() {
        let arrivals = Arrivals::Poisson { every: 4.0 };
        let all: Vec<u64> = super::arrivals(arrivals, 1).take(5_000).collect();
        let last = all[4_999] as f64 / 1e9;
        assert!((last / 5_000.0 - 4.0).abs() < 0.2, "{last}");
        assert!(all.is_sorted());
        let waves = super::arrivals(Arrivals::Waves { size: 3, every: 10.0 }, 1);
        assert_eq!(waves.take(7).map(|at| at / 1_000_000_000).collect::<Vec<_>>(), [0, 0, 0, 10, 10, 10, 20]);
    }

    #[test]
    fn the_end_of_one_change_of_links_leaves_another_in_force() {
        let link = |up| Link { up, down: up };
        let changes =
            in_force(link(8), &[(5, 13, link(1)), (6, 9, link(2)), (13, 13, link(3)), (20, u64::MAX, link(4))]);
        assert_eq!(changes, [(5, link(1)), (6, link(2)), (9, link(1)), (13, link(8)), (20, link(4))]);
    }

    #[test]
    fn a_link_changes_when_there_is_somebody_to_change_it() {
        let away = |from, until, how| Absence { from, until, how, keeps: Keeps::Pieces };
        let fate = Fate {
            arrives: 0,
            absences: vec![
                away(10, Some(20), How::Freeze),
                away(30, Some(40), How::CutOff),
                away(50, Some(60), How::Crash),
                away(70, None, How::Leave),
            ],
        };
        let link = |up| Link { up, down: up };
        let changes = vec![(5, link(1)), (12, link(2)), (15, link(3)), (35, link(4)), (50, link(5)), (75, link(6))];
        let expected = vec![(5, link(1)), (20, link(3)), (35, link(4)), (60, link(5))];
        assert_eq!(when_it_can(Some(link(8)), changes, &fate), expected);
        // What began and ended while it was away is nothing to it.
        assert_eq!(when_it_can(Some(link(8)), vec![(12, link(2)), (15, link(8))], &fate), []);
    }

    #[test]
    fn never_more_than_so_many_are_away() {
        let mut fates: Vec<Fate> =
            (1..=40).map(|n| Fate { arrives: 0, absences: absences(&churn(1.0), 3, n, 0, END) }).collect();
        let away = |fates: &[Fate], at: u64| fates.iter().filter(|fate| !fate.is_there(at)).count();
        let mut moments = (0..END).step_by(500_000_000);
        assert!(moments.clone().any(|at| away(&fates, at) > 5));
        limit(&mut fates, 5);
        assert!(moments.clone().all(|at| away(&fates, at) <= 5));
        assert!(moments.any(|at| away(&fates, at) == 5));
    }
}
