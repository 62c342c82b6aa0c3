//! Reading keys of a [`Document`] one by one, so that a wrong one does not hide the others.
//!
//! A [`View`] is the file with one level chosen for each factor. Each read gives the value or notes a [`Fault`] in
//! [`Findings`] and gives nothing. What the keys mean together is [`super::experiment`]'s.

use std::collections::BTreeSet;
use std::path::Path;

use super::document::{Document, Entry, Node, NodeId, Value};
use crate::spec::error::{Problem, listed};

/// After so many problems the search is given up.
pub(super) const PROBLEMS_MAX: usize = 100;

/// What is wrong with a value, without its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    message: String,
    hint: Option<String>,
}

impl Fault {
    /// A fault that has no obvious cure.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// The same of another file that this one names.
    pub(super) fn within(mut self, file: &str) -> Self {
        const SHOWN: usize = 300;
        // What stands in that file is shown on one line, and as much of it as tells which it is.
        let mut message: String = self
            .message
            .chars()
            .flat_map(|c| match c {
                c if c.is_control() => c.escape_default().collect::<Vec<_>>(),
                c => vec![c],
            })
            .collect();
        if let Some((end, _)) = message.char_indices().nth(SHOWN) {
            message.truncate(end);
            message.push('…');
        }
        self.message = format!("`{file}`, {message}");
        self
    }

    /// The same, with the place within that file in front.
    pub(super) fn prefixed(mut self, place: &str) -> Self {
        self.message.insert_str(0, place);
        self
    }

    /// What is wrong.
    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The same with its cure.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Every problem found so far, each once.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<(NodeId, String, Fault)>,
    seen: BTreeSet<(NodeId, String, String)>,
    /// Lists that are no factor and were reported as such: reading them must not report them again.
    broken: BTreeSet<NodeId>,
}

impl Findings {
    /// Notes a problem, unless the same was noted already.
    pub(super) fn add(&mut self, id: NodeId, path: &str, fault: Fault) {
        if self.seen.insert((id, path.to_owned(), fault.message.clone())) {
            self.found.push((id, path.to_owned(), fault));
        }
    }

    /// Notes a problem that makes the node unreadable.
    pub(super) fn condemn(&mut self, id: NodeId, path: &str, fault: Fault) {
        self.broken.insert(id);
        self.add(id, path, fault);
    }

    /// Whether there is nothing to report.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether there is so much to report that more would not help.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= PROBLEMS_MAX
    }

    /// The problems in the file's order, at most [`PROBLEMS_MAX`], each as `finish` has it.
    pub(super) fn problems(self, document: &Document, finish: impl Fn(NodeId, Problem) -> Problem) -> Vec<Problem> {
        let mut found = self.found;
        found.truncate(PROBLEMS_MAX);
        let mut problems: Vec<Problem> = found
            .into_iter()
            .map(|(id, path, Fault { message, hint })| {
                finish(id, Problem { position: document.position(id), path, message, hint })
            })
            .collect();
        problems.sort_by_key(|problem| problem.position);
        problems
    }
}

/// A list that makes what it stands for vary.
#[derive(Debug, Clone)]
pub(super) struct Varying<'a> {
    /// The list.
    pub(super) id: NodeId,
    /// Its key path.
    pub(super) path: String,
    /// Its items, in the file's order.
    pub(super) levels: &'a [Node],
}

/// A mapping and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Section<'a> {
    /// Key path; empty for the whole file.
    pub(super) path: String,
    /// Its key, or the whole file.
    pub(super) id: NodeId,
    /// Its lines.
    pub(super) entries: &'a [Entry],
}

impl Section<'_> {
    /// The key path of one of its keys.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Found<'a> {
    /// The value, of a factor the chosen level.
    pub(super) node: &'a Node,
    /// Its key.
    pub(super) key: NodeId,
    /// Its key path.
    pub(super) path: String,
}

/// The file with one level chosen for each factor.
pub(super) struct View<'a, 'f> {
    /// Where problems go.
    pub(super) findings: &'f mut Findings,
    factors: &'f [Varying<'a>],
    choice: &'f [usize],
    /// Whether to look for unknown and duplicate keys: they do not depend on the levels.
    structure: bool,
    /// Where files that this one names are.
    directory: &'f Path,
}

impl<'a, 'f> View<'a, 'f> {
    /// The file with `choice[i]` as the level of `factors[i]`.
    pub(super) fn new(
        findings: &'f mut Findings,
        factors: &'f [Varying<'a>],
        choice: &'f [usize],
        structure: bool,
        directory: &'f Path,
    ) -> Self {
        debug_assert_eq!(factors.len(), choice.len(), "one level for each factor");
        Self { findings, factors, choice, structure, directory }
    }

    /// The text of a file beside this one, of at most so many bytes.
    pub(super) fn beside(&self, name: &str, most: u64) -> Result<String, String> {
        let path = self.directory.join(name);
        // Another kind of file may make whoever opens it wait for ever.
        if !std::fs::metadata(&path).map_err(|error| error.to_string())?.is_file() {
            return Err("it is no regular file".to_owned());
        }
        let file = std::fs::File::open(&path).map_err(|error| error.to_string())?;
        let mut text = String::new();
        let read = std::io::Read::read_to_string(&mut std::io::Read::take(file, most + 1), &mut text);
        match read.map_err(|error| error.to_string())? {
            length if length as u64 > most => Err(format!("it is longer than {most} bytes")),
            _ => Ok(text),
        }
    }

    /// The whole file as a section.
    pub(super) fn root(&mut self, root: &'a Node, known: &[&str]) -> Option<Section<'a>> {
        self.mapping(root, root.id, String::new(), Some(known))
    }

    /// The section under a key; nothing if the key is absent.
    pub(super) fn section(&mut self, within: &Section<'a>, key: &str, known: &[&str]) -> Option<Section<'a>> {
        let found = self.find(within, key)?;
        self.mapping(found.node, found.key, found.path, Some(known))
    }

    /// The section under a key whose own keys are names that the user gives.
    pub(super) fn names(&mut self, within: &Section<'a>, key: &str) -> Option<Section<'a>> {
        let found = self.find(within, key)?;
        self.mapping(found.node, found.key, found.path, None)
    }

    /// What stands at a key, of a factor the chosen level; nothing if the key is absent.
    pub(super) fn find(&mut self, within: &Section<'a>, key: &str) -> Option<Found<'a>> {
        let entry = within.entries.iter().find(|entry| entry.key == key)?;
        let factor = self.factors.iter().position(|factor| factor.id == entry.value.id);
        let node = factor.map_or(&entry.value, |index| &self.factors[index].levels[self.choice[index]]);
        Some(Found { node, key: entry.id, path: within.path_of(key) })
    }

    /// The value at a key; nothing if it is absent or, noted, wrong.
    pub(super) fn read<T>(
        &mut self,
        within: &Section<'a>,
        key: &str,
        parse: impl FnOnce(&Value) -> Result<T, Fault>,
    ) -> Option<T> {
        let found = self.find(within, key)?;
        if self.findings.broken.contains(&found.node.id) {
            return None;
        }
        parse(&found.node.value).map_err(|fault| self.findings.add(found.node.id, &found.path, fault)).ok()
    }

    /// The value at a key; nothing if it is, noted, absent or wrong.
    pub(super) fn need<T>(
        &mut self,
        within: &Section<'a>,
        key: &str,
        parse: impl FnOnce(&Value) -> Result<T, Fault>,
    ) -> Option<T> {
        self.must_have(within, key);
        self.read(within, key, parse)
    }

    /// The section under a key; nothing if it is, noted, absent or wrong.
    pub(super) fn need_section(&mut self, within: &Section<'a>, key: &str, known: &[&str]) -> Option<Section<'a>> {
        self.must_have(within, key);
        self.section(within, key, known)
    }

    /// Notes a problem at a key's value, or at its section if there is no such key.
    pub(super) fn fault(&mut self, within: &Section<'a>, key: &str, fault: Fault) {
        let at = self.find(within, key).map_or(within.id, |found| found.node.id);
        self.findings.add(at, &within.path_of(key), fault);
    }

    fn must_have(&mut self, within: &Section<'a>, key: &str) {
        if !within.entries.iter().any(|entry| entry.key == key) {
            self.findings.add(within.id, &within.path_of(key), Fault::new("missing").hint(format!("add `{key}: …`")));
        }
    }

    fn mapping(&mut self, node: &'a Node, id: NodeId, path: String, known: Option<&[&str]>) -> Option<Section<'a>> {
        let Value::Map(entries) = &node.value else {
            if !self.findings.broken.contains(&node.id) {
                let fault = Fault::new(format!("{} where a mapping belongs", node.value.kind()));
                let fault = match known {
                    Some(known) => fault.hint(format!("write `{{ {}: … }}`", known.first().unwrap_or(&"key"))),
                    None => fault,
                };
                self.findings.add(node.id, &path, fault);
            }
            return None;
        };
        let section = Section { path, id, entries };
        if self.structure {
            self.check_keys(&section, known);
        }
        Some(section)
    }

    fn check_keys(&mut self, section: &Section<'a>, known: Option<&[&str]>) {
        let mut seen = BTreeSet::new();
        for entry in section.entries {
            let path = section.path_of(&entry.key);
            if !seen.insert(entry.key.as_str()) {
                self.findings.add(entry.id, &path, Fault::new("duplicate key").hint("keep one of them"));
            }
            let Some(known) = known else { continue };
            if !known.contains(&entry.key.as_str()) {
                let hint = match meant(&entry.key, known) {
                    Some(key) => format!("did you mean `{key}`?"),
                    None => format!("known: {}", listed(known)),
                };
                self.findings.add(entry.id, &path, Fault::new("unknown key").hint(hint));
            }
        }
    }
}

/// The known word that was likely meant.
pub(super) fn meant<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let word = word.to_lowercase();
    let (distance, best) = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&word, known), *known))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= best.chars().count().max(3) / 3).then_some(best)
}

/// Pieces cannot be kept where they end with their process.
pub(super) fn kept_in_memory() -> Fault {
    Fault::new("`pieces` in memory end with the process that holds them")
        .hint("`storage: none` or `storage: disk`, or `keeps: nothing`")
}
