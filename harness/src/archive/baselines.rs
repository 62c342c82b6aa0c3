//! What outlives a run: baselines, the history of nights, acknowledgements; one directory per experiment, beside its runs.
//!
//! | file | what |
//! | --- | --- |
//! | `<experiment>/baselines/<name>.json` | the raw values of a run that others are compared with |
//! | `<experiment>/baselines/promotions.jsonl` | which baseline gates, since when, and why: the last line counts |
//! | `<experiment>/history.jsonl` | a line for each gated run, also for those that failed |
//! | `<experiment>/acknowledged.jsonl` | known regressions |
//!
//! Lines are only ever added. A line that cannot be read is named and passed over; the others count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::run_dir::{self, Manifest, machine_of};
use crate::analysis::history::{self, Acknowledgement, Identity, Night, Reference, VERSION};
use crate::analysis::outcome::outcome;
use crate::analysis::summary::Analysis;
use crate::plan::gate::COMPARED;
use crate::plan::{Client, Plan, Settings};
use crate::report;

/// The fact of a run that is the label of its machine, and the one that is the commit of what was measured.
pub(crate) const LABEL: &str = "machine.label";

pub(crate) const COMMIT: &str = "commit";

/// The name that means whichever baseline is promoted.
pub(crate) const PROMOTED: &str = "promoted";

/// Longest file that is read, bytes: decades of nights.
const SIZE_MAX: u64 = 256 << 20;

/// What can go wrong with what is kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("cannot write `{}`: {source} (hint: is the directory yours? choose another with --out)", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read `{}`: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` is damaged: {source} (hint: restore it, or save the baseline anew)", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("`{}` has version {found}, this harness knows {VERSION} (hint: use the newer harness)", path.display())]
    Newer { path: PathBuf, found: u64 },
    #[error("there is no baseline `{name}` of `{experiment}` (hint: {hint})")]
    NoBaseline { name: String, experiment: String, hint: String },
    #[error("`{name}` is there already (hint: another name, or `harness baseline rm {experiment} {name}`)")]
    Taken { name: String, experiment: String },
    #[error(
        "two of the files are the experiment `{experiment}`: only one can be saved as `{name}` (hint: one run for each)"
    )]
    Twice { name: String, experiment: String },
    #[error("{why}")]
    NonePromoted { why: String },
    #[error("`{metric}` is compared with no baseline (hint: one of {compared})")]
    NotCompared { metric: String, compared: String },
    #[error("`{name}` gates `{experiment}` (hint: promote another one first)")]
    Gates { name: String, experiment: String },
    #[error("`{name}` cannot name a baseline (hint: 1 to 48 of a-z, 0-9 and `-`, and not `promoted`)")]
    Name { name: String },
    #[error("no night and no baseline of `{experiment}` has a cell `{cell}` (hint: {hint})")]
    NoCell { cell: String, experiment: String, hint: String },
    #[error("`{until}` is over (hint: the last day on which it is to fail nothing)")]
    Over { until: String },
    #[error("the run has no valid trial: nothing can be compared with it")]
    Empty,
    #[error(transparent)]
    Results(#[from] run_dir::ResultsError),
}

/// That a baseline gates, from a moment on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Promotion {
    pub(crate) version: u32,
    pub(crate) name: String,
    pub(crate) at: String,
    pub(crate) reason: String,
}

/// What is kept of one experiment.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    experiment: String,
    dir: PathBuf,
}

/// Lines of a file that could be read, and what is to be said of those that could not.
#[derive(Debug)]
pub(crate) struct Lines<T> {
    pub(crate) lines: Vec<T>,
    pub(crate) unreadable: Vec<String>,
    /// Whether one that could not be read is the last: then it may be the last word.
    pub(crate) ends_unreadable: bool,
}

impl Store {
    pub(crate) fn new(out: &Path, experiment: &str) -> Self {
        Self { experiment: experiment.to_owned(), dir: out.join(experiment) }
    }

    fn baselines(&self) -> PathBuf {
        self.dir.join("baselines")
    }

    fn file(&self, name: &str) -> Result<PathBuf, StoreError> {
        let fits = (1..=48).contains(&name.len())
            && name != PROMOTED
            && !name.starts_with('-')
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(self.baselines().join(format!("{name}.json")))
        } else {
            Err(StoreError::Name { name: name.to_owned() })
        }
    }

    /// Names of all baselines, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let found = fs::read_dir(self.baselines()).into_iter().flatten();
        let mut names: Vec<String> = found
            .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
            .collect();
        names.sort();
        names
    }

    /// Whether a baseline could be saved by that name.
    pub(crate) fn is_free(&self, name: &str) -> Result<(), StoreError> {
        match self.file(name)?.exists() {
            true => Err(StoreError::Taken { name: name.to_owned(), experiment: self.experiment.clone() }),
            false => Ok(()),
        }
    }

    /// Keeps a run as a baseline, which gates nothing until it is promoted.
    pub(crate) fn save(&self, name: &str, night: &Night) -> Result<PathBuf, StoreError> {
        if night.cells.values().all(|metrics| metrics.is_empty()) {
            return Err(StoreError::Empty);
        }
        let path = self.file(name)?;
        let write = |source| StoreError::Write { path: path.clone(), source };
        fs::create_dir_all(self.baselines()).map_err(write)?;
        let mut file = match File::create_new(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(StoreError::Taken { name: name.to_owned(), experiment: self.experiment.clone() });
            }
            Err(error) => return Err(write(error)),
        };
        let mut text = serde_json::to_string_pretty(night).expect("string keys and finite numbers");
        text.push('\n');
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(write)?;
        Ok(path)
    }

    /// A baseline by its name.
    pub(crate) fn load(&self, name: &str) -> Result<Night, StoreError> {
        let path = self.file(name)?;
        let text = match read(&path) {
            Err(StoreError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let names = self.names();
                let hint = match names.is_empty() {
                    true => format!("`harness baseline save {name} DIR`"),
                    false => format!("there are {}", names.join(", ")),
                };
                let (name, experiment) = (name.to_owned(), self.experiment.clone());
                return Err(StoreError::NoBaseline { name, experiment, hint });
            }
            other => other?,
        };
        parse(&path, &text)
    }

    /// Removes a baseline that does not gate.
    pub(crate) fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.file(name)?;
        if !path.exists() {
            // Says which there are.
            self.load(name)?;
        }
        if !self.gates()?.is_ok_and(|gating| gating.as_deref() != Some(name)) {
            return Err(StoreError::Gates { name: name.to_owned(), experiment: self.experiment.clone() });
        }
        fs::remove_file(&path).map_err(|source| StoreError::Write { path, source })
    }

    /// All promotions, the last of which counts.
    pub(crate) fn promoted(&self) -> Result<Lines<Promotion>, StoreError> {
        read_lines(&self.baselines().join("promotions.jsonl"))
    }

    /// The baseline that gates, if one does; or why that cannot be told: a line that cannot be read may be the last word.
    fn gates(&self) -> Result<Result<Option<String>, String>, StoreError> {
        let mut promotions = self.promoted()?;
        Ok(match promotions.unreadable.pop().filter(|_| promotions.ends_unreadable) {
            Some(line) => Err(format!("which baseline gates cannot be told: {line} (hint: promote one anew)")),
            None => Ok(promotions.lines.pop().map(|last| last.name)),
        })
    }

    /// Lets a baseline gate from now on.
    pub(crate) fn promote(&self, name: &str, reason: &str) -> Result<(), StoreError> {
        self.load(name)?;
        let promotion = Promotion { version: VERSION, name: name.to_owned(), at: now(), reason: reason.to_owned() };
        append(&self.baselines().join("promotions.jsonl"), &promotion)
    }

    /// The nights, oldest first. Of a run that was gone on with, and so remembered twice, the last word counts.
    pub(crate) fn history(&self) -> Result<Lines<Night>, StoreError> {
        let mut history: Lines<Night> = read_lines(&self.dir.join("history.jsonl"))?;
        let mut nights: Vec<Night> = Vec::new();
        for night in history.lines {
            match nights.iter_mut().find(|it| it.run == night.run) {
                Some(before) => *before = night,
                None => nights.push(night),
            }
        }
        history.lines = nights;
        Ok(history)
    }

    /// Adds a night, unless it is there already: a run that was resumed with nothing left to run.
    pub(crate) fn remember(&self, night: &Night) -> Result<(), StoreError> {
        let night = Night { settings: BTreeMap::new(), ..night.clone() };
        if self.history()?.lines.contains(&night) {
            return Ok(());
        }
        append(&self.dir.join("history.jsonl"), &night)
    }

    /// Known regressions.
    pub(crate) fn acknowledged(&self) -> Result<Lines<Acknowledgement>, StoreError> {
        read_lines(&self.dir.join("acknowledged.jsonl"))
    }

    /// Adds a known regression, of a cell that there is and until a day that is not over.
    pub(crate) fn acknowledge(&self, known: &Acknowledgement) -> Result<(), StoreError> {
        if known.at.get(..10).is_some_and(|today| known.until.as_str() < today) {
            return Err(StoreError::Over { until: known.until.clone() });
        }
        if COMPARED.iter().all(|(_, metric)| *metric != known.metric) {
            let compared = COMPARED.map(|(name, _)| name).join(", ");
            return Err(StoreError::NotCompared { metric: known.metric.to_string(), compared });
        }
        let baselines = self.names().into_iter().filter_map(|name| self.load(&name).ok());
        let nights = self.history()?.lines.into_iter().chain(baselines);
        let cells: BTreeSet<String> = nights.flat_map(|night| night.cells.into_keys()).collect();
        if !cells.contains(&known.cell) {
            let hint = match cells.is_empty() {
                true => format!("`harness run {}.yaml --baseline promoted` first", self.experiment),
                false => format!("there are {}", cells.into_iter().collect::<Vec<_>>().join(", ")),
            };
            return Err(StoreError::NoCell { cell: known.cell.clone(), experiment: self.experiment.clone(), hint });
        }
        append(&self.dir.join("acknowledged.jsonl"), known)
    }

    /// The baseline that a name means: the one that gates, if it is [`PROMOTED`].
    pub(crate) fn meant(&self, name: &str) -> Result<String, StoreError> {
        if name != PROMOTED {
            return Ok(name.to_owned());
        }
        let missing = |why| StoreError::NonePromoted { why };
        self.gates()?.map_err(missing)?.ok_or_else(|| missing(self.none_promoted()))
    }

    fn none_promoted(&self) -> String {
        let how = format!("`harness baseline promote {} NAME --reason …`", self.experiment);
        format!("no baseline of `{}` is promoted (hint: {how})", self.experiment)
    }

    /// A baseline by its name or [`PROMOTED`], or in words why there is none; with the name that it has.
    fn pick(&self, name: &str) -> Result<(String, Result<Night, String>), StoreError> {
        let name = match self.meant(name) {
            Ok(name) => name,
            Err(StoreError::NonePromoted { why }) => return Ok((PROMOTED.to_owned(), Err(why))),
            Err(error) => return Err(error),
        };
        match self.load(&name) {
            Ok(night) => Ok((name, Ok(night))),
            Err(error @ (StoreError::NoBaseline { .. } | StoreError::Newer { .. } | StoreError::Damaged { .. })) => {
                Ok((name, Err(error.to_string())))
            }
            Err(error) => Err(error),
        }
    }

    /// What a run is to be compared with, by a baseline's name or [`PROMOTED`]; and what is to be said of lines that
    /// cannot be read.
    pub(crate) fn reference(&self, name: &str, tonight: Night) -> Result<(Reference, Vec<String>), StoreError> {
        let history = self.history()?;
        let known = self.acknowledged()?;
        let promotions = self.promoted()?;
        let mut unreadable = history.unreadable;
        unreadable.extend(known.unreadable);
        unreadable.extend(promotions.unreadable);
        let (name, picked) = self.pick(name)?;
        let (baseline, missing) = match picked {
            Ok(night) if night.run == tonight.run => (None, format!("`{name}` is this very run")),
            Ok(night) => match night.differences(&tonight) {
                same if same.is_empty() => (Some(night), String::new()),
                others => {
                    let cure =
                        unnamed_processor(&night.identity.machine, &tonight.identity.machine).unwrap_or_default();
                    (None, format!("`{name}` cannot be compared with: {}{cure}", others.join("; ")))
                }
            },
            Err(why) => (None, why),
        };
        let is_alike = |night: &Night| night.identity.differences(&tonight.identity).is_empty();
        // A run that is gone on with may have been remembered before.
        let is_earlier = |night: &Night| night.run != tonight.run;
        let reference = Reference {
            version: VERSION,
            name,
            baseline,
            missing,
            nights: history.lines.into_iter().filter(|night| is_alike(night) && is_earlier(night)).collect(),
            acknowledged: known.lines,
            tonight,
        };
        Ok((reference, unreadable))
    }
}

/// A run as it is remembered. `machine` and `commit` are what the user says they are, or what can be found out.
pub(crate) fn night(
    plan: &Plan,
    manifest: &Manifest,
    analysis: &Analysis,
    machine: Option<&str>,
    commit: Option<&str>,
) -> Night {
    let said = |fact: &str| manifest.facts.get(fact).map(String::as_str);
    Night {
        version: VERSION,
        identity: identity(plan, manifest, machine.or_else(|| said(LABEL)).filter(|label| !label.trim().is_empty())),
        run: manifest.run.clone(),
        commit: commit.or_else(|| said(COMMIT)).map_or_else(|| found_commit().unwrap_or_default(), str::to_owned),
        at: manifest.started.clone(),
        outcome: outcome(analysis).outcome.to_string(),
        settings: settings(plan),
        cells: history::values(analysis),
        completed: history::completed(analysis),
    }
}

/// What the plan's identity is made of, in words.
fn settings(plan: &Plan) -> BTreeMap<String, String> {
    let cells: Vec<Settings> = plan.cells.iter().map(|cell| cell.settings.clone()).collect();
    let client = |(key, _): &(String, String)| !key.starts_with("client");
    let seed = ("seed".to_owned(), plan.seed.to_string());
    report::settings::settings(&cells).into_iter().filter(client).chain([seed]).collect()
}

fn identity(plan: &Plan, manifest: &Manifest, machine: Option<&str>) -> Identity {
    // Which build of the client is measured is what varies from night to night.
    let settings = |settings: &Settings| Settings { client: Client::default(), ..settings.clone() };
    let cells: Vec<(&str, Settings)> =
        plan.cells.iter().map(|cell| (cell.id.as_str(), settings(&cell.settings))).collect();
    let text = serde_json::to_vec(&(&plan.name, plan.seed, cells)).expect("string keys and finite numbers");
    let digest: String = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let mut congestion: Vec<&str> = plan.cells.iter().map(|cell| cell.settings.congestion.as_str()).collect();
    congestion.sort_unstable();
    congestion.dedup();
    Identity {
        experiment: plan.name.clone(),
        plan: digest,
        runtime: manifest.facts.get("runtime").cloned().unwrap_or_default(),
        congestion: congestion.join(", "),
        machine: machine.map_or_else(|| machine_of(&manifest.facts), str::to_owned),
    }
}

/// What to do about a label of old, which named no processor.
fn unnamed_processor(theirs: &str, own: &str) -> Option<String> {
    let processor = own.strip_prefix(theirs)?.strip_prefix(", ").filter(|_| !theirs.is_empty())?;
    Some(format!(
        " (hint: labels name the processor now, here `{processor}`; if that is the machine of old, \
         `--machine \"{theirs}\"` says so)"
    ))
}

/// Why the commit of what is measured is not known, if there is one here and git does not tell it.
pub(crate) fn unknown_commit(manifest: &Manifest, said: Option<&str>) -> Option<String> {
    if said.is_some() || manifest.facts.contains_key(COMMIT) {
        return None;
    }
    found_commit().err().and_then(|words| refused(&words))
}

/// What git says where it refuses; nothing where there is no repository, or no commit in it.
fn refused(words: &str) -> Option<String> {
    let first = words.lines().next()?.trim().trim_start_matches("fatal: ");
    let is_nothing = first.is_empty() || first.contains("not a git repository") || first.contains("single revision");
    (!is_nothing).then(|| format!("the commit of what is measured is not known: git says: {first} (hint: `--commit`)"))
}

/// The commit that is checked out here, or what git says instead.
fn found_commit() -> Result<String, String> {
    if let Some(commit) = std::env::var("GITHUB_SHA").ok().filter(|commit| !commit.is_empty()) {
        return Ok(commit);
    }
    let told = std::process::Command::new("git").args(["rev-parse", "--verify", "HEAD"]).env("LC_ALL", "C").output();
    // Without git there is nobody to tell.
    let told = told.map_err(|_| String::new())?;
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if told.status.success() { Ok(words(&told.stdout)) } else { Err(words(&told.stderr)) }
}

/// This moment, RFC 3339.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn read(path: &Path) -> Result<String, StoreError> {
    let failed = |source| StoreError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(SIZE_MAX).read_to_end(&mut bytes)).map_err(failed)?;
    // What is no UTF-8 is no JSON either, and said to be so line by line.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, StoreError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    let damaged = |source| StoreError::Damaged { path: path.to_owned(), source };
    let Versioned { version } = serde_json::from_str(text).map_err(damaged)?;
    if version > u64::from(VERSION) {
        return Err(StoreError::Newer { path: path.to_owned(), found: version });
    }
    serde_json::from_str(text).map_err(damaged)
}

/// All lines that can be read; none of a file that is not there.
fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Lines<T>, StoreError> {
    let text = match read(path) {
        Err(StoreError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => String::new(),
        other => other?,
    };
    let mut found = Lines { lines: Vec::new(), unreadable: Vec::new(), ends_unreadable: false };
    // A last line without its end was being written by a command that was killed, and so did not come to be.
    let whole = text.rfind('\n').map_or(0, |last| last + 1);
    let lines = (1..).zip(text.split_inclusive('\n'));
    let mut read = 0;
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let parsed = parse(path, line.trim_end());
        read += line.len();
        found.ends_unreadable = parsed.is_err() && read <= whole;
        match parsed {
            Ok(value) => found.lines.push(value),
            Err(StoreError::Damaged { source, .. }) => {
                found
                    .unreadable
                    .push(format!("`{}`, line {number}, is damaged and left out: {source}", path.display()));
            }
            Err(error) => found.unreadable.push(format!("line {number} is left out: {error}")),
        }
    }
    Ok(found)
}

/// Adds a line, whole or not at all as far as the kernel can help, on the disk before it returns.
fn append(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    let failed = |source| StoreError::Write { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut text = serde_json::to_string(value).expect("string keys and finite numbers");
    text.push('\n');
    let mut file = OpenOptions::new().create(true).append(true).read(true).open(path).map_err(failed)?;
    // After a line that was cut off a new one begins.
    if !ends_with_newline(&mut file).map_err(failed)? {
        text.insert(0, '\n');
    }
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

fn ends_with_newline(file: &mut File) -> io::Result<bool> {
    use std::io::{Seek as _, SeekFrom};
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::archive::run_dir::Facts;
    use crate::plan::gate::Metric;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path(), "nightly");
        (dir, store)
    }

    fn a_night(run: &str) -> Night {
        let metrics = BTreeMap::from([(Metric::DistributionTime, vec![3.0, 3.1])]);
        let cells = BTreeMap::from([("p2p-n4".to_owned(), metrics)]);
        Night { version: VERSION, run: run.to_owned(), cells, ..Night::default() }
    }

    /// Stored runs and baselines are found by digests of the JSON of settings and trials: a field that is renamed, moved or
    /// added without `skip_serializing_if` would make each of them another experiment.
    #[test]
    fn what_was_stored_is_the_same_experiment_in_the_next_build() {
        let text = "\
name: pinned
question: Is it the same?
architecture: [client-server, p2p]
file: { size: 8 MiB, piece: 64 KiB }
server: { up: 30 mbit, down: 30 mbit }
links: { up: 2 mbit, down: { lognormal: { median: 30 mbit, sigma: 0.5 } } }
classes:
  honest: { count: 3 }
  riders: { count: 2, behaviour: free-rider, on_complete: { linger: { exponential: { mean: 30 s } } } }
arrivals: { poisson: { every: 2 s } }
give_up: 50 s
churn:
  session: { weibull: { shape: 0.5, scale: 60 s } }
  leave: { graceful: 40 %, crash: 30 %, freeze: 20 %, cut_off: 10 % }
  rejoin: { after: 5 s, share: 50 %, keeps: nothing, again: true }
events:
  cut: { at: 10 s, who: riders, what: cut-off, for: 5 s }
  slow: { at: 20 s, who: server, links: { up: 10 mbit, down: 5 mbit }, for: 5 s }
timeout: 1 min
arms:
  base: {}
  random: { policy: { picker: random, super_seeding: true } }
thresholds: { distribution_time: [ratio p(95) <= 1.25, max < 40 s], duplicates: max < 5 % }
assert: all_completed
compare: { max_worse: 5 % }
";
        let plan = crate::plan::plan(&crate::spec::parse("pinned.yaml", text).unwrap_or_else(|why| panic!("{why}")));
        let out = tempfile::tempdir().unwrap();
        let facts = Facts::from([("engine.kernel".to_owned(), "6.1".to_owned())]);
        let manifest = run_dir::create(out.path(), text, &plan, facts.clone()).unwrap().manifest;
        let keys: Vec<String> =
            (plan.turns().take(3)).map(|(_, cell, trial)| run_dir::key(cell, trial, &facts)).collect();
        insta::assert_debug_snapshot!((identity(&plan, &manifest, Some("lab")).plan, keys, settings(&plan)));
    }

    #[test]
    fn a_baseline_gates_only_once_it_is_promoted_and_stays_while_it_does() {
        let (_dir, store) = store();
        store.save("first", &a_night("a")).unwrap();
        assert!(matches!(store.save("first", &a_night("b")), Err(StoreError::Taken { .. })));
        assert!(matches!(store.is_free("first"), Err(StoreError::Taken { .. })) && store.is_free("second").is_ok());
        let missing = |store: &Store| store.reference(PROMOTED, a_night("c")).unwrap().0;
        assert!(missing(&store).baseline.is_none() && missing(&store).missing.contains("no baseline of `nightly`"));
        store.promote("first", "the release").unwrap();
        assert_eq!(missing(&store).baseline, Some(a_night("a")));
        assert!(matches!(store.remove("first"), Err(StoreError::Gates { .. })));
        store.save("second", &a_night("b")).unwrap();
        store.promote("second", "a new picker").unwrap();
        store.remove("first").unwrap();
        assert_eq!(store.names(), ["second"]);
        assert_eq!(missing(&store).baseline, Some(a_night("b")));
        assert_eq!(store.reference(PROMOTED, a_night("b")).unwrap().0.missing, "`second` is this very run");
        assert_eq!(store.promoted().unwrap().lines.len(), 2, "what was promoted before is still told");
    }

    #[test]
    fn what_is_acknowledged_is_a_cell_that_there_is_and_not_over() {
        let (_dir, store) = store();
        let known = |cell: &str, until: &str| Acknowledgement {
            version: VERSION,
            cell: cell.to_owned(),
            metric: Metric::DistributionTime,
            up_to: 1.1,
            until: until.to_owned(),
            reason: "a slower picker".to_owned(),
            at: "2026-11-26T03:00:00Z".to_owned(),
        };
        let refused = |cell: &str, until: &str| store.acknowledge(&known(cell, until)).unwrap_err().to_string();
        assert!(refused("p2p-n4", "2026-12-31").contains("--baseline promoted"));
        store.remember(&a_night("a")).unwrap();
        assert!(refused("p2p-n5", "2026-12-31").ends_with("(hint: there are p2p-n4)"));
        assert!(refused("p2p-n4", "2026-11-25").starts_with("`2026-11-25` is over"));
        let launch = Acknowledgement { metric: Metric::Launch, ..known("p2p-n4", "2026-12-31") };
        let why = store.acknowledge(&launch).unwrap_err().to_string();
        assert!(why.ends_with("(hint: one of distribution_time, completion, download)"), "{why}");
        store.acknowledge(&known("p2p-n4", "2026-11-26")).unwrap();
        assert_eq!(store.acknowledged().unwrap().lines, [known("p2p-n4", "2026-11-26")]);
    }

    #[test]
    fn a_promotion_that_cannot_be_read_may_be_the_last_word() {
        let (dir, store) = store();
        store.save("first", &a_night("a")).unwrap();
        store.save("second", &a_night("b")).unwrap();
        store.promote("first", "the release").unwrap();
        let path = dir.path().join("nightly/baselines/promotions.jsonl");
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"version\":99,\"name\":\"second\"}\n");
        fs::write(&path, text).unwrap();
        let (reference, _) = store.reference(PROMOTED, a_night("c")).unwrap();
        assert!(reference.baseline.is_none() && reference.missing.contains("cannot be told"), "{}", reference.missing);
        assert!(matches!(store.remove("second"), Err(StoreError::Gates { .. })));
    }

    #[test]
    fn a_promotion_that_was_cut_off_did_not_come_to_be_and_an_old_one_that_is_damaged_is_not_the_last_word() {
        let (dir, store) = store();
        store.save("first", &a_night("a")).unwrap();
        store.save("second", &a_night("b")).unwrap();
        store.promote("first", "the release").unwrap();
        let path = dir.path().join("nightly/baselines/promotions.jsonl");
        let torn = |text: String| fs::write(&path, text).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        torn(format!("{text}{{\"version\":1,\"na"));
        let (reference, unreadable) = store.reference(PROMOTED, a_night("c")).unwrap();
        assert_eq!((reference.baseline, unreadable.len()), (Some(a_night("a")), 1), "{unreadable:?}");
        // The next one begins a line of its own.
        store.promote("second", "a new picker").unwrap();
        let (reference, unreadable) = store.reference(PROMOTED, a_night("c")).unwrap();
        assert_eq!((reference.baseline, unreadable.len()), (Some(a_night("b")), 1), "{unreadable:?}");
    }

    #[test]
    fn a_baseline_that_is_damaged_can_be_removed_and_saved_anew() {
        let (dir, store) = store();
        store.save("first", &a_night("a")).unwrap();
        fs::write(dir.path().join("nightly/baselines/first.json"), "{").unwrap();
        assert!(matches!(store.load("first"), Err(StoreError::Damaged { .. })));
        store.remove("first").unwrap();
        store.save("first", &a_night("b")).unwrap();
        assert!(matches!(store.remove("second"), Err(StoreError::NoBaseline { .. })));
    }

    #[test]
    fn where_none_is_promoted_that_is_said() {
        let (_dir, store) = store();
        store.save("first", &a_night("a")).unwrap();
        let none = store.meant(PROMOTED).unwrap_err().to_string();
        assert!(none.starts_with("no baseline of `nightly` is promoted (hint: "), "{none}");
        store.promote("first", "the release").unwrap();
        assert_eq!(store.meant(PROMOTED).unwrap(), "first");
    }

    #[test]
    fn what_differs_is_no_baseline() {
        let (_dir, store) = store();
        store.save("first", &a_night("a")).unwrap();
        let mut elsewhere = a_night("b");
        elsewhere.identity.machine = "arm64, 4 cpus".to_owned();
        let (reference, _) = store.reference("first", elsewhere).unwrap();
        assert_eq!(reference.baseline, None);
        assert_eq!(reference.missing, "`first` cannot be compared with: machine: ``, here `arm64, 4 cpus`");
        assert!(store.reference("none", a_night("b")).unwrap().0.missing.contains("there are first"));
    }

    #[test]
    fn a_label_of_old_lacks_the_processor() {
        let (_dir, store) = store();
        let labelled = |run: &str, label: &str| {
            let mut night = a_night(run);
            label.clone_into(&mut night.identity.machine);
            night
        };
        store.save("first", &labelled("a", "amd64, 2 cpus, 24 GiB")).unwrap();
        let missing = |label: &str| store.reference("first", labelled("b", label)).unwrap().0.missing;
        assert_eq!(
            missing("amd64, 2 cpus, 24 GiB, EPYC 9B14"),
            "`first` cannot be compared with: machine: `amd64, 2 cpus, 24 GiB`, here `amd64, 2 cpus, 24 GiB, EPYC 9B14` \
             (hint: labels name the processor now, here `EPYC 9B14`; if that is the machine of old, \
             `--machine \"amd64, 2 cpus, 24 GiB\"` says so)"
        );
        assert!(!missing("amd64, 2 cpus, 2 GiB, EPYC 9B14").contains("hint"));
        let facts = [("arch", "amd64"), ("cpus", "2"), ("memory", "25769803776"), ("processor", "EPYC 9B14")];
        for place in ["engine", "machine"] {
            let facts = facts.map(|(name, value)| (format!("{place}.{name}"), value.to_owned()));
            assert_eq!(machine_of(&BTreeMap::from(facts)), "amd64, 2 cpus, 24 GiB, EPYC 9B14");
        }
    }

    #[test]
    fn git_is_quoted_where_it_refuses() {
        let owner = "fatal: detected dubious ownership in repository at '/src'\nTo add an exception …\n";
        let said = refused(owner).unwrap();
        assert!(
            said.contains("git says: detected dubious ownership in repository at '/src' (hint: `--commit`)"),
            "{said}"
        );
        for nothing in [
            "",
            "fatal: not a git repository (or any of the parent directories): .git",
            "fatal: Needed a single revision",
        ] {
            assert_eq!(refused(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_damaged_line_is_named_and_the_others_count() {
        let (dir, store) = store();
        store.remember(&a_night("a")).unwrap();
        let path = dir.path().join("nightly/history.jsonl");
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"version\":1,\"run\":\n{\"version\":99}\n{\"version\":1,\"identi");
        fs::write(&path, text).unwrap();
        store.remember(&a_night("b")).unwrap();
        let lines = || fs::read_to_string(&path).unwrap().lines().count();
        let before = lines();
        store.remember(&a_night("b")).unwrap();
        assert_eq!(lines(), before, "a run that was resumed with nothing left to run");
        let history = store.history().unwrap();
        assert_eq!(history.lines.iter().map(|night| night.run.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(history.unreadable.len(), 3, "{:?}", history.unreadable);
        assert!(history.unreadable[0].contains("line 2") && history.unreadable[1].contains("version 99"));
    }

    #[test]
    fn names_are_fit_for_files() {
        let (_dir, store) = store();
        for name in ["", "../x", "A", "promoted", "-x", &"x".repeat(49)] {
            assert!(matches!(store.save(name, &a_night("a")), Err(StoreError::Name { .. })), "{name}");
        }
        assert!(matches!(store.save("x", &Night::default()), Err(StoreError::Empty)));
    }
}
