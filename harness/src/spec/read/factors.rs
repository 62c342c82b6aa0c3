//! Lists in the experiment file: each makes the scalar that it stands for vary, and the matrix is their product.

use std::collections::BTreeSet;

use super::document::{Document, Node, Value};
use super::keys::{CONSTANT, GATE_KEYS};
use super::reader::{Fault, Findings, Varying};

/// Most cells of an experiment.
pub(super) const CELLS_MAX: usize = 10_000;

/// Every list of the file as a factor, in the file's order. Those that cannot be one are noted and left out.
pub(super) fn factors<'a>(document: &'a Document, findings: &mut Findings) -> Vec<Varying<'a>> {
    let mut factors = Vec::new();
    collect(&document.root, "", findings, &mut factors);
    factors
}

fn collect<'a>(node: &'a Node, path: &str, findings: &mut Findings, factors: &mut Vec<Varying<'a>>) {
    match &node.value {
        Value::Map(entries) => {
            let mut seen = BTreeSet::new();
            // Of duplicate keys the first is read, so the others do not vary anything.
            for entry in entries.iter().filter(|entry| seen.insert(entry.key.as_str())) {
                let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
                // What stands there is read as it is: a list of conditions has no levels.
                if GATE_KEYS.contains(&path.as_str()) {
                    continue;
                }
                collect(&entry.value, &path, findings, factors);
            }
        }
        Value::List(levels) => match fault(path, levels, findings) {
            Some(fault) => findings.condemn(node.id, path, fault),
            None => factors.push(Varying { id: node.id, path: path.to_owned(), levels }),
        },
        _ => {}
    }
}

/// Why a list cannot be a factor. Duplicate levels are noted at their own places.
fn fault(path: &str, levels: &[Node], findings: &mut Findings) -> Option<Fault> {
    if CONSTANT.contains(&path) {
        return Some(Fault::new("a list, and this cannot vary").hint("give one value"));
    }
    if levels.is_empty() {
        return Some(Fault::new("an empty list gives no cells").hint("give at least one level, or leave the key out"));
    }
    let mut seen = BTreeSet::new();
    for level in levels {
        let Some(text) = level.value.scalar() else {
            return Some(
                Fault::new(format!("a list with {} in it", level.value.kind()))
                    .hint("only single values can vary: put the list where the value stands"),
            );
        };
        if !seen.insert(text.clone()) {
            findings.add(
                level.id,
                path,
                Fault::new(format!("the level `{text}` is given twice")).hint("each level once"),
            );
        }
    }
    None
}

/// How many cells the factors come to.
pub(super) fn cells(factors: &[Varying<'_>]) -> usize {
    factors.iter().map(|factor| factor.levels.len()).fold(1, usize::saturating_mul)
}

/// Every choice of one level for each factor, the last varying fastest.
pub(super) fn product(factors: &[Varying<'_>]) -> impl Iterator<Item = Vec<usize>> {
    let sizes: Vec<usize> = factors.iter().map(|factor| factor.levels.len()).collect();
    (0..cells(factors)).map(move |mut index| {
        let mut choice = vec![0; sizes.len()];
        for (level, size) in choice.iter_mut().zip(&sizes).rev() {
            *level = index % size;
            index /= size;
        }
        choice
    })
}

/// The first level of each factor, then each other level of each factor alone: enough to read every value once
/// where the product is too large to be tried.
pub(super) fn one_at_a_time(factors: &[Varying<'_>]) -> Vec<Vec<usize>> {
    let first = vec![0; factors.len()];
    let mut choices = vec![first.clone()];
    for (index, factor) in factors.iter().enumerate() {
        choices.extend((1..factor.levels.len()).map(|level| {
            let mut choice = first.clone();
            choice[index] = level;
            choice
        }));
    }
    choices
}
