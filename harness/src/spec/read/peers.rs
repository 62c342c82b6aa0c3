//! Peers by class: shares or counts to whole peers, each class with its link.

use peer_image::node::{Behaviour, Link, OnComplete};

use super::distribution::{self, RATE, TIME};
use super::document::Value;
use super::keys::EVERYBODY;
use super::reader::{Fault, Section, View};
use super::values;
use crate::quantity::{WHOLE, show_share};
use crate::spec::model::{Class, Distribution, LinkSpread, PEERS_MAX, PEERS_ON_A_BRIDGE, whole_bytes, whole_kilobits};

const BEHAVIOURS: &[(&str, Behaviour)] =
    &[("honest", Behaviour::Honest), ("corrupting", Behaviour::Corrupting), ("free-rider", Behaviour::FreeRider)];

/// How many belong to a class, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Share(u64),
    Count(u32),
}

/// N, as a value, where there is room for so many.
fn peers(most: u32) -> impl Fn(&Value) -> Result<u32, Fault> + Copy {
    move |value| match value {
        Value::Integer(n) if *n > i128::from(most) => Err(too_many(*n, most)),
        Value::Integer(n) if *n < 1 => Err(Fault::new(format!("`{n}` peers")).hint(format!("from 1 to {most} peers"))),
        other => values::whole(other, 1..=most),
    }
}

fn too_many(n: i128, most: u32) -> Fault {
    if most == PEERS_ON_A_BRIDGE {
        let what =
            format!("`{n}` peers, a tracker and a server are more than the 1000 nodes that one Docker bridge holds");
        Fault::new(what).hint(format!("at most {most} peers, or `runtime: netns`"))
    } else {
        Fault::new(format!("`{n}` peers are more than one machine has room for")).hint(format!("at most {most} peers"))
    }
}

/// The classes of the file; a single one called `peers` if it has none.
pub(super) fn classes<'a>(view: &mut View<'a, '_>, root: &Section<'a>, most: u32) -> Option<Vec<Class>> {
    let links = view.section(root, "links", &["up", "down"]);
    let up = links.as_ref().and_then(|links| rate(view, links, "up"));
    let down = links.as_ref().and_then(|links| rate(view, links, "down"));
    let conduct = Conduct::default().or_own(view, root);
    let has_links = root.entries.iter().any(|entry| entry.key == "links");
    let has_peers = root.entries.iter().any(|entry| entry.key == "peers");
    let n = view.read(root, "peers", peers(most));

    if !root.entries.iter().any(|entry| entry.key == "classes") {
        if !has_peers {
            view.need(root, "peers", peers(most));
        }
        if !has_links {
            view.need_section(root, "links", &[]);
        }
        return Some(vec![class("peers", n?, up?, down?, conduct, Behaviour::Honest)]);
    }

    let section = view.names(root, "classes")?;
    if section.entries.is_empty() {
        view.fault(root, "classes", Fault::new("no class").hint("name at least one, or leave `classes` out"));
        return None;
    }
    let mut classes = Vec::new();
    let mut parts = Vec::new();
    for entry in section.entries {
        if !values::is_name(&entry.key) {
            let fault = Fault::new(format!("`{}` cannot name a class", entry.key)).hint("1 to 48 of a-z, 0-9 and `-`");
            view.findings.add(entry.id, &section.path_of(&entry.key), fault);
        }
        if EVERYBODY.contains(&entry.key.as_str()) {
            let fault = Fault::new(format!("`{}` means somebody else in `events`", entry.key)).hint("another name");
            view.findings.add(entry.id, &section.path_of(&entry.key), fault);
        }
        let known = ["share", "count", "up", "down", "on_complete", "give_up", "behaviour"];
        let Some(own) = view.section(&section, &entry.key, &known) else { continue };
        let up = own_or(view, &own, "up", has_links, up);
        let down = own_or(view, &own, "down", has_links, down);
        let conduct = conduct.or_own(view, &own);
        let behaviour = view.read(&own, "behaviour", |v| values::word(v, BEHAVIOURS)).unwrap_or(Behaviour::Honest);
        if let Some(part) = part(view, &own, most) {
            parts.push((own.clone(), part));
        }
        if let (Some(up), Some(down)) = (up, down) {
            classes.push(class(&entry.key, 0, up, down, conduct, behaviour));
        }
    }
    if parts.len() < section.entries.len() {
        return None;
    }
    let counts = match parts[0].1 {
        Part::Share(_) => by_share(view, root, &parts, has_peers, n),
        Part::Count(_) => by_count(view, root, &parts, n, most),
    }?;
    if classes.len() < counts.len() {
        return None;
    }
    for (class, count) in classes.iter_mut().zip(counts) {
        class.count = count;
    }
    Some(classes)
}

/// A rate: one for all peers, or one for each.
type Rate = (u64, Option<Distribution>);

/// The rate at a key; of one that is drawn, its median, which must be one that can be shaped.
fn rate<'a>(view: &mut View<'a, '_>, within: &Section<'a>, key: &str) -> Option<Rate> {
    match distribution::read(view, within, key, &RATE)? {
        Distribution::Fixed { after } => Some((whole_bytes(after), None)),
        spread => Some((whole_kilobits(spread.median()), Some(spread))),
    }
}

/// What peers do that is not their link: once they have the file, and if they wait too long for it.
#[derive(Debug, Clone, Copy)]
struct Conduct {
    on_complete: OnComplete,
    linger: Option<Distribution>,
    give_up: Option<Distribution>,
}

impl Default for Conduct {
    fn default() -> Self {
        Self { on_complete: OnComplete::Stay, linger: None, give_up: None }
    }
}

impl Conduct {
    /// As the section has it; what it does not have stays.
    fn or_own<'a>(mut self, view: &mut View<'a, '_>, section: &Section<'a>) -> Self {
        if let Some(found) = view.find(section, "on_complete") {
            if matches!(found.node.value, Value::Map(_)) {
                let inner = view.section(section, "on_complete", &["linger"]);
                self.linger = inner.and_then(|inner| distribution::read(view, &inner, "linger", &TIME));
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of the file")]
                let median = self.linger.map_or(0, |linger| (linger.median() * 1e9) as u64);
                self.on_complete = OnComplete::Linger(median);
            } else if let Some(on_complete) = view.read(section, "on_complete", values::on_complete) {
                (self.on_complete, self.linger) = (on_complete, None);
            }
        }
        if view.find(section, "give_up").is_some() {
            self.give_up = distribution::read(view, section, "give_up", &TIME);
        }
        self
    }
}

fn class(name: &str, count: u32, up: Rate, down: Rate, conduct: Conduct, behaviour: Behaviour) -> Class {
    let Conduct { on_complete, linger, give_up } = conduct;
    Class {
        name: name.to_owned(),
        count,
        link: Link { up: up.0, down: down.0 },
        spread: LinkSpread { up: up.1, down: down.1 },
        on_complete,
        linger,
        give_up,
        behaviour,
    }
}

/// A class's own rate, or that of `links`.
fn own_or<'a>(
    view: &mut View<'a, '_>,
    class: &Section<'a>,
    key: &str,
    has_links: bool,
    common: Option<Rate>,
) -> Option<Rate> {
    if class.entries.iter().any(|entry| entry.key == key) {
        return rate(view, class, key);
    }
    if !has_links {
        view.fault(
            class,
            key,
            Fault::new("missing").hint(format!("give the class its own `{key}`, or all peers `links`")),
        );
    }
    common
}

fn part<'a>(view: &mut View<'a, '_>, class: &Section<'a>, most: u32) -> Option<Part> {
    let has = |key: &str| class.entries.iter().any(|entry| entry.key == key);
    match (has("share"), has("count")) {
        (true, true) => {
            view.fault(class, "count", Fault::new("both `share` and `count`").hint("keep one of them"));
            None
        }
        (false, false) => {
            view.fault(class, "share", Fault::new("missing").hint("add `share: 30 %` or `count: 3`"));
            None
        }
        (true, false) => match view.read(class, "share", values::share)? {
            0 => {
                view.fault(class, "share", Fault::new("`0 %` is a class without peers").hint("leave the class out"));
                None
            }
            share => Some(Part::Share(share)),
        },
        (false, true) => view.read(class, "count", peers(most)).map(Part::Count),
    }
}

fn by_share<'a>(
    view: &mut View<'a, '_>,
    root: &Section<'a>,
    parts: &[(Section<'a>, Part)],
    has_peers: bool,
    n: Option<u32>,
) -> Option<Vec<u32>> {
    let mut shares = Vec::new();
    for (class, part) in parts {
        match part {
            Part::Share(share) => shares.push(*share),
            Part::Count(_) => mixed(view, class, "count"),
        }
    }
    if !has_peers {
        // It is missing: nothing is parsed.
        view.need(root, "peers", peers(PEERS_MAX));
    }
    if shares.len() < parts.len() {
        return None;
    }
    let sum: u64 = shares.iter().sum();
    if sum != WHOLE {
        let fault = Fault::new(format!("the shares add up to {}", show_share(sum))).hint("they must add up to 100 %");
        view.fault(root, "classes", fault);
        return None;
    }
    let n = n?;
    let counts = apportion(n, &shares);
    for ((class, _), (count, share)) in parts.iter().zip(counts.iter().zip(&shares)) {
        if *count == 0 {
            let fault = Fault::new(format!("{} of {n} peers comes to no peer", show_share(*share)))
                .hint("more peers, a larger share, or leave the class out");
            view.fault(class, "share", fault);
        }
    }
    Some(counts)
}

fn by_count<'a>(
    view: &mut View<'a, '_>,
    root: &Section<'a>,
    parts: &[(Section<'a>, Part)],
    n: Option<u32>,
    most: u32,
) -> Option<Vec<u32>> {
    let mut counts = Vec::new();
    for (class, part) in parts {
        match part {
            Part::Count(count) => counts.push(*count),
            Part::Share(_) => mixed(view, class, "share"),
        }
    }
    if counts.len() < parts.len() {
        return None;
    }
    let sum: u64 = counts.iter().map(|count| u64::from(*count)).sum();
    if sum > u64::from(most) {
        view.fault(root, "classes", too_many(i128::from(sum), most));
        return None;
    }
    if let Some(n) = n
        && u64::from(n) != sum
    {
        let fault = Fault::new(format!("the counts add up to {sum}, and `peers` is {n}"))
            .hint("leave `peers` out, or make them agree");
        view.fault(root, "classes", fault);
        return None;
    }
    Some(counts)
}

fn mixed<'a>(view: &mut View<'a, '_>, class: &Section<'a>, key: &str) {
    let other = if key == "count" { "share" } else { "count" };
    let fault =
        Fault::new(format!("`{key}` in one class, `{other}` in another")).hint("shares for all, or counts for all");
    view.fault(class, key, fault);
}

/// Shares of [`WHOLE`] to whole peers by largest remainder; among equal remainders the earlier class comes first.
pub(super) fn apportion(n: u32, shares: &[u64]) -> Vec<u32> {
    let quota = |share: u64| u64::from(n) * share;
    let mut counts: Vec<u32> =
        shares.iter().map(|share| u32::try_from(quota(*share) / WHOLE).expect("a part of a u32 is one")).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(quota(shares[*index]) % WHOLE));
    let missing = n - counts.iter().sum::<u32>();
    for index in order.into_iter().take(missing as usize) {
        counts[index] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_come_to_whole_peers_by_largest_remainder() {
        let percent = |shares: &[u64]| shares.iter().map(|share| share * WHOLE / 100).collect::<Vec<_>>();
        assert_eq!(apportion(10, &percent(&[30, 70])), [3, 7]);
        assert_eq!(apportion(10, &percent(&[25, 75])), [3, 7]);
        assert_eq!(apportion(7, &percent(&[33, 33, 34])), [2, 2, 3]);
        assert_eq!(apportion(1, &percent(&[40, 60])), [0, 1]);
    }

    proptest! {
        #[test]
        fn every_peer_has_one_class(n in 1..=PEERS_ON_A_BRIDGE, cuts in proptest::collection::vec(0..=WHOLE, 0..8)) {
            let mut cuts = cuts;
            cuts.extend([0, WHOLE]);
            cuts.sort_unstable();
            let shares: Vec<u64> = cuts.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let counts = apportion(n, &shares);
            prop_assert_eq!(counts.iter().sum::<u32>(), n);
            for (count, share) in counts.iter().zip(&shares) {
                let exact = f64::from(n) * *share as f64 / WHOLE as f64;
                prop_assert!((f64::from(*count) - exact).abs() < 1.0 + 1e-9);
            }
        }
    }
}
