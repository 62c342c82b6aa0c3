//! Arms: variants of one experiment that are compared in pairs. An arm is a name and the keys in which it differs; laid
//! over the file it gives a whole file again, which is then read like any other.

use std::ops::RangeInclusive;

use super::document::{Document, Entry, Node, NodeId, Value};
use super::keys::{CONSTANT, GATE_KEYS};
use super::reader::{Fault, Findings};
use super::values;
use crate::spec::error::Problem;

/// Most arms.
const ARMS_MAX: usize = 10;

/// Keys at which one of several things stands: an arm's replaces it whole, and is not mixed with what was there.
const ONE_OF: [&str; 8] = ["session", "after", "linger", "arrivals", "give_up", "on_complete", "up", "down"];

/// The file as one arm has it.
pub(super) struct Arm {
    /// Its name; none in a file without arms.
    pub(super) name: Option<String>,
    /// The whole file, with the arm's own keys in place. Nodes keep their numbers.
    pub(super) root: Node,
    /// The numbers of the nodes that are its own.
    own: Option<RangeInclusive<NodeId>>,
}

/// The arms of a file, or the file itself as the only one; nothing if, noted, something is wrong.
pub(super) fn arms(document: &Document, findings: &mut Findings) -> Vec<Arm> {
    let alone = || vec![Arm { name: None, root: document.root.clone(), own: None }];
    let Value::Map(entries) = &document.root.value else { return alone() };
    let Some(section) = entries.iter().find(|entry| entry.key == "arms") else { return alone() };
    let Value::Map(written) = &section.value.value else {
        let fault = Fault::new(format!("{} where a mapping belongs", section.value.value.kind()));
        findings.add(section.value.id, "arms", fault.hint("write `{ base: {}, head: { policy: { slots: 8 } } }`"));
        return alone();
    };
    if !(2..=ARMS_MAX).contains(&written.len()) {
        let count = if written.len() == 1 { "1 arm".to_owned() } else { format!("{} arms", written.len()) };
        let fault = Fault::new(count).hint(format!("2 to {ARMS_MAX}, the base among them"));
        findings.add(section.id, "arms", fault);
    }
    let mut arms: Vec<Arm> = Vec::new();
    for entry in written {
        let path = format!("arms.{}", entry.key);
        if !values::is_name(&entry.key) {
            let fault = Fault::new(format!("`{}` cannot name an arm", entry.key)).hint("1 to 48 of a-z, 0-9 and `-`");
            findings.add(entry.id, &path, fault);
        }
        if arms.iter().any(|arm| arm.name.as_deref() == Some(&entry.key)) {
            findings.add(entry.id, &path, Fault::new("duplicate key").hint("keep one of them"));
            continue;
        }
        if !matches!(entry.value.value, Value::Map(_) | Value::Empty) {
            let fault = Fault::new(format!("{} where a mapping belongs", entry.value.value.kind()));
            findings.add(entry.value.id, &path, fault.hint("`{}` if it differs in nothing"));
            continue;
        }
        refuse(&entry.value, Some(&document.root), &path, true, findings);
        arms.push(Arm {
            name: Some(entry.key.clone()),
            root: laid_over(&document.root, &entry.value),
            own: Some(entry.value.id..=last(&entry.value)),
        });
    }
    if arms.is_empty() { alone() } else { arms }
}

/// The path of a key that an arm has of its own begins with the arm.
pub(super) fn placed(arms: &[Arm], id: NodeId, mut problem: Problem) -> Problem {
    let owner = arms.iter().find(|arm| arm.own.as_ref().is_some_and(|own| own.contains(&id)));
    if let Some(name) = owner.and_then(|arm| arm.name.as_ref()) {
        let path = format!("arms.{name}");
        if !problem.path.starts_with(&path) {
            problem.path = if problem.path.is_empty() { path } else { format!("{path}.{}", problem.path) };
        }
    }
    problem
}

/// Notes what an arm cannot have: keys of the experiment as a whole, and what varies already or would.
fn refuse(own: &Node, base: Option<&Node>, path: &str, is_top: bool, findings: &mut Findings) {
    match (&own.value, base.map(|base| &base.value)) {
        (Value::List(_), _) => {
            findings.condemn(own.id, path, Fault::new("a list in an arm").hint("one value, or one more arm"));
        }
        (_, Some(Value::List(_))) => {
            let fault = Fault::new("this varies already").hint("one value here and in the file, or no arm for it");
            findings.add(own.id, path, fault);
        }
        (Value::Map(entries), base) => {
            for entry in entries {
                let path = format!("{path}.{}", entry.key);
                let is_whole = CONSTANT.contains(&entry.key.as_str()) || GATE_KEYS.contains(&entry.key.as_str());
                if is_top && (is_whole || entry.key == "runtime") {
                    let fault = Fault::new("this is the same in all arms").hint("write it outside of `arms`");
                    findings.add(entry.id, &path, fault);
                    continue;
                }
                let below = match base {
                    Some(Value::Map(entries)) => entries.iter().find(|it| it.key == entry.key),
                    _ => None,
                };
                refuse(&entry.value, below.map(|entry| &entry.value), &path, false, findings);
            }
        }
        _ => {}
    }
}

/// `base` with the keys of `own` in place of its own.
fn laid_over(base: &Node, own: &Node) -> Node {
    let (Value::Map(entries), Value::Map(ours)) = (&base.value, &own.value) else {
        return if own.value == Value::Empty { base.clone() } else { own.clone() };
    };
    let mut entries = entries.clone();
    for our in ours {
        match entries.iter_mut().find(|entry| entry.key == our.key) {
            Some(entry) if ONE_OF.contains(&our.key.as_str()) => *entry = our.clone(),
            Some(entry) => *entry = Entry { value: laid_over(&entry.value, &our.value), ..entry.clone() },
            None => entries.push(our.clone()),
        }
    }
    Node { id: base.id, value: Value::Map(entries) }
}

/// The largest number of a node and all under it.
fn last(node: &Node) -> NodeId {
    let below = match &node.value {
        Value::List(items) => items.last().map(last),
        Value::Map(entries) => entries.last().map(|entry| last(&entry.value)),
        _ => None,
    };
    below.unwrap_or(node.id)
}
