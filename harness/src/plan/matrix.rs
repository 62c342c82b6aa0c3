//! Cells and trials: the combinations of a spec, each with a name, repeated.

use std::collections::BTreeSet;

use peer_image::node::FileSpec;
use peer_image::seeds;

use super::{Cell, Plan, Trial, Turn, VERSION, nodes, schedule};
use crate::spec::{Order, Settings, Spec};

/// Longest cell id, bytes: a directory's name is at most 255, and a line of a report far shorter.
const ID_MAX: usize = 100;

/// What a spec comes to: every combination of levels as a cell with its trials. Pure: the same spec gives an equal plan.
#[must_use]
pub fn plan(spec: &Spec) -> Plan {
    let factors: Vec<String> = spec.factors.iter().map(|factor| factor.key.clone()).collect();
    let names = short_names(&factors);
    let mut taken = BTreeSet::new();
    let cells: Vec<Cell> = spec
        .combinations
        .iter()
        .map(|combination| Cell {
            id: id(&combination.settings, &names, &combination.levels, &mut taken),
            levels: combination.levels.clone(),
            settings: combination.settings.clone(),
            trials: (1..=spec.repeats).map(|repeat| trial(spec, &combination.settings, repeat)).collect(),
        })
        .collect();
    Plan {
        version: VERSION,
        name: spec.name.clone(),
        question: spec.question.clone(),
        seed: spec.seed,
        factors,
        retries: spec.retries,
        order: order(spec, &cells),
        cells,
        gate: spec.gate.clone(),
    }
}

/// The warm-up first, of the cell that moves the fewest bytes; then all trials.
fn order(spec: &Spec, cells: &[Cell]) -> Vec<Turn> {
    let turn = |cell: &Cell, repeat| Turn { cell: cell.id.clone(), repeat };
    let bytes = |cell: &&Cell| u64::from(cell.settings.peers()).saturating_mul(cell.settings.size);
    let warm_up = cells.iter().min_by_key(bytes).filter(|_| spec.warm_up).map(|cell| turn(cell, 0));
    let mut turns: Vec<Turn> = warm_up.into_iter().collect();
    // Arms of one cell run one right after the other, in a random order, so that both see the same machine.
    let mut groups: Vec<&[Cell]> = cells.chunks(spec.gate.arms.len().max(1)).collect();
    let arms = |group: &[Cell], repeat: u32| {
        let mut turns: Vec<Turn> = group.iter().map(|cell| turn(cell, repeat)).collect();
        if group.len() > 1 {
            seeds::stream(spec.seed, &format!("order/{repeat}/{}", group[0].id)).shuffle(&mut turns);
        }
        turns
    };
    match spec.order {
        Order::Sequential => {
            turns.extend(groups.iter().flat_map(|group| (1..=spec.repeats).flat_map(|repeat| arms(group, repeat))));
        }
        Order::Interleaved => {
            let in_order = groups.clone();
            for repeat in 1..=spec.repeats {
                groups.clone_from(&in_order);
                seeds::stream(spec.seed, &format!("order/{repeat}")).shuffle(&mut groups);
                turns.extend(groups.iter().flat_map(|group| arms(group, repeat)));
            }
        }
    }
    turns
}

/// One trial. Its seed depends on the repeat alone and not on the cell: in repeat k of every cell a peer has the same
/// fate (common random numbers), so that a difference between cells is not one of luck.
fn trial(spec: &Spec, settings: &Settings, repeat: u32) -> Trial {
    let seed = seeds::derive(spec.seed, &repeat.to_string());
    let mut nodes = nodes::nodes(settings, seed);
    let fates = schedule::fates(settings, seed, &nodes);
    schedule::mark(settings, seed, &mut nodes, &fates.of);
    let schedule = schedule::events(settings, seed, &nodes, &fates.of);
    let file = FileSpec {
        name: spec.name.clone(),
        size: settings.size,
        piece: settings.piece,
        seed: seeds::derive(spec.seed, "content"),
    };
    Trial { repeat, seed, file, nodes, schedule, lengthened: fates.lengthened }
}

/// `p2p-n10`, then each further factor as `-mean-30s`; never one that is taken.
fn id(settings: &Settings, names: &[Option<String>], levels: &[String], taken: &mut BTreeSet<String>) -> String {
    let mut id = format!("{}-n{}", settings.architecture, settings.peers());
    for (name, level) in names.iter().zip(levels) {
        if let Some(name) = name {
            id.push_str(&format!("-{name}-{}", slug(level)));
        }
    }
    // Slugs are ASCII, so any cut is between characters.
    id.truncate(ID_MAX);
    let mut unique = id.clone();
    let mut count = 1_usize;
    while !taken.insert(unique.clone()) {
        count += 1;
        unique = format!("{id}-{count}");
    }
    unique
}

/// For each key path the shortest end of it that no other one has; none for those that begin every id.
fn short_names(keys: &[String]) -> Vec<Option<String>> {
    let further = |key: &&String| !matches!(key.as_str(), "architecture" | "peers");
    keys.iter()
        .map(|key| {
            if !further(&key) {
                return None;
            }
            let parts: Vec<&str> = key.split('.').collect();
            let ends = (0..parts.len()).rev().map(|from| parts[from..].join("."));
            let is_other =
                |other: &&String, end: &String| *other != key && (*other == end || other.ends_with(&format!(".{end}")));
            let own = ends.into_iter().find(|end| !keys.iter().filter(further).any(|other| is_other(&other, end)));
            Some(slug(&own.unwrap_or_else(|| key.clone()).replace(['.', '_'], "-")))
        })
        .collect()
}

/// A level as part of a directory's name: `30 s` → `30s`, `30 %` → `30pct`, `1.5 mbit` → `1.5mbit`.
fn slug(text: &str) -> String {
    text.to_lowercase()
        .replace('%', "pct")
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_is_named_by_the_shortest_end_that_is_its_own() {
        let keys = [
            "architecture",
            "peers",
            "links.up",
            "server.up",
            "churn.session.exponential.mean",
            "classes.a.on_complete",
        ]
        .map(str::to_owned);
        let names = short_names(&keys);
        assert_eq!(
            names,
            [
                None,
                None,
                Some("links-up".to_owned()),
                Some("server-up".to_owned()),
                Some("mean".to_owned()),
                Some("on-complete".to_owned())
            ]
        );
    }

    #[test]
    fn levels_become_parts_of_a_directorys_name() {
        assert_eq!(slug("30 s"), "30s");
        assert_eq!(slug("12.5 %"), "12.5pct");
        assert_eq!(slug("32 MiB"), "32mib");
        assert_eq!(slug("rarest-first"), "rarest-first");
        assert_eq!(slug("../x"), "..x");
    }
}
