//! The directory of a run: `reports/<experiment>/<UTC time>-<spec hash>/`. Raw before derived.
//!
//! | file | what |
//! | --- | --- |
//! | `spec.yaml` | the experiment as given; beside it the trace that it names, if it does |
//! | `plan.json` | what it comes to |
//! | `manifest.json` | where, when and how it ran, and how it ended |
//! | `trials/<cell>/<repeat>/events.jsonl` | the log of a trial, or `events.jsonl.gz`; of its second attempt in `<repeat>.2/` |
//! | `baseline.json` | what it was compared with, if it was |
//! | `.lock` | empty; held by the process that runs it |
//! | the rest | derived from these by [`derive()`] |

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Once;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::analysis::conclude::conclude;
use crate::analysis::history::{self, Reference};
use crate::analysis::lives::{Observed, Place};
use crate::analysis::metrics::Measured;
use crate::analysis::summary::{self, Analysis};
use crate::console::complain;
use crate::events::log::{self, ReadError, Reader};
use crate::plan::{self, Cell, Plan, Trial, trace};
use crate::report;

pub use super::error::ResultsError;

/// Version of the manifest; readers refuse a newer one.
pub const VERSION: u32 = 1;

/// Where, when and how a run ran.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// The run's id: the name of its directory, and the label of everything it made.
    pub run: String,
    /// The experiment's name.
    pub experiment: String,
    /// SHA-256 of `spec.yaml`, hexadecimal.
    pub spec_sha256: String,
    /// Seed of all random choices.
    pub seed: u64,
    /// Trials per cell; none in a run that was made before it was written down.
    #[serde(default)]
    pub repeats: Option<usize>,
    /// Version of the harness.
    pub harness: String,
    /// The command line.
    pub argv: Vec<String>,
    /// When it began, RFC 3339.
    pub started: String,
    /// When it ended, RFC 3339; none while it runs or if it was killed.
    pub finished: Option<String>,
    /// `running`, `finished`, `interrupted` or `failed`.
    pub status: String,
    /// The baseline that it is compared with, which `baseline.json` holds; none if it is compared with none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// When it was gone on with, RFC 3339, each time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumed: Vec<String>,
    /// What was found out about the engine and the machine, at last.
    pub facts: Facts,
}

/// What was found out about the engine and the machine: what, and its value.
pub type Facts = BTreeMap<String, String>;

/// A run's directory, held by this process.
#[derive(Debug)]
pub struct Run {
    /// Where it is.
    pub dir: PathBuf,
    /// What is known of it.
    pub manifest: Manifest,
    /// Whether an earlier process began it.
    pub resumed: bool,
    /// Nobody else goes on with it while this is held.
    pub(crate) _lock: File,
}

/// Makes the directory of a new run and writes what is known before it begins.
///
/// # Errors
/// If it cannot be written.
pub fn create(out: &Path, spec_text: &str, plan: &Plan, facts: Facts) -> Result<Run, ResultsError> {
    let spec_sha256 = hex(&Sha256::digest(spec_text.as_bytes()));
    let now = jiff::Timestamp::now();
    let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let parent = out.join(&plan.name);
    fs::create_dir_all(&parent).map_err(|source| ResultsError::Write { path: parent.clone(), source })?;
    let (dir, run) = free_name(&parent, &format!("{stamp}-{}", &spec_sha256[..8]))?;
    // Before anything is in it: until there is a plan nobody else looks at it.
    let lock = match lock(&dir) {
        Ok(Some(lock)) => lock,
        held_or_failed => {
            discard(&dir);
            return Err(held_or_failed.err().unwrap_or(ResultsError::Held { path: dir }));
        }
    };
    let manifest = Manifest {
        version: VERSION,
        run,
        experiment: plan.name.clone(),
        spec_sha256,
        seed: plan.seed,
        repeats: plan.cells.iter().map(|cell| cell.trials.len()).max(),
        harness: env!("CARGO_PKG_VERSION").to_owned(),
        // What is no UTF-8 is shown as far as it can be.
        argv: std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect(),
        started: moment(now),
        finished: None,
        status: "running".to_owned(),
        baseline: None,
        resumed: Vec::new(),
        facts,
    };
    let files = [("spec.yaml", spec_text), ("plan.json", &json(plan)), ("manifest.json", &json(&manifest))];
    let traces = plan.cells.iter().filter_map(|cell| cell.settings.trace.as_ref());
    let traces =
        traces.map(|it| (it.file.as_str(), trace::write(it.fates.iter().map(|(w, f)| (w.to_string(), f.clone())))));
    let written = files.into_iter().try_for_each(|(name, content)| write(&dir.join(name), content));
    let written =
        written.and_then(|()| traces.into_iter().try_for_each(|(name, content)| write(&dir.join(name), &content)));
    match written {
        Ok(()) => Ok(Run { dir, manifest, resumed: false, _lock: lock }),
        Err(error) => {
            discard(&dir);
            Err(error)
        }
    }
}

/// Name of the file that is locked while a process runs the run.
const LOCK: &str = ".lock";

/// Takes hold of a run's directory; `None` if another process has it. Where there are no locks, that is said once, and it is
/// gone on without.
///
/// # Errors
/// If the directory cannot be written, or it cannot be told who has it.
pub fn lock(dir: &Path) -> Result<Option<File>, ResultsError> {
    static SAID: Once = Once::new();
    hold(dir, File::try_lock, |why| {
        SAID.call_once(|| {
            complain(format_args!(
                "warning: files cannot be locked in `{}` ({why}): nothing keeps a second process from going on with the same \
                 run (hint: do not `--resume` a run that is under way)",
                dir.display()
            ));
        });
    })
}

/// As [`lock`], with the system's call for it, and with what to do where there are no locks.
fn hold(
    dir: &Path,
    try_lock: impl FnOnce(&File) -> Result<(), TryLockError>,
    without: impl FnOnce(&io::Error),
) -> Result<Option<File>, ResultsError> {
    let path = dir.join(LOCK);
    // Open for writing: NFS gives an exclusive lock on nothing else. The lock dies with its process, so that the file may
    // stay: to remove it would let two processes have one each.
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(|source| ResultsError::Write { path: path.clone(), source })?;
    match try_lock(&file) {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(why)) if has_no_locks(&why) => {
            without(&why);
            Ok(Some(file))
        }
        Err(TryLockError::Error(source)) => Err(ResultsError::Lock { path, source }),
    }
}

/// Whether a file system says that it has no locks, or none to give now.
fn has_no_locks(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let without = [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP, Errno::INVAL, Errno::NOTTY];
    without.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// What determines a trial, hashed: its settings, nodes, schedule and seed, the machine, and the program that the nodes run:
/// of an image the tag, which its content decides, and not the id, which it gets anew whenever it is built.
#[must_use]
pub fn key(cell: &Cell, trial: &Trial, facts: &Facts) -> String {
    let clients = facts.iter().filter(|(fact, _)| fact.starts_with("client.")).map(|(_, value)| Some(value));
    let runtime: Vec<Option<&String>> =
        ["runtime", "image", "program"].into_iter().map(|fact| facts.get(fact)).chain(clients).collect();
    let kernels: Vec<Option<&String>> =
        ["engine.kernel", "machine.kernel"].into_iter().map(|fact| facts.get(fact)).collect();
    let machine = (machine_of(facts), kernels);
    let text = serde_json::to_vec(&(&cell.settings, trial, runtime, machine)).expect("string keys and finite numbers");
    hex(&Sha256::digest(text))[..16].to_owned()
}

/// Removes the directory of a run that did not come about, and its parent if there is nothing else in it.
pub fn discard(dir: &Path) {
    // It was made a moment ago and holds nothing that anybody could miss.
    let _ = fs::remove_dir_all(dir);
    // Refused, as it is to be, if there are other runs.
    let _ = dir.parent().map(fs::remove_dir);
}

/// Two runs may begin in one second.
fn free_name(parent: &Path, wanted: &str) -> Result<(PathBuf, String), ResultsError> {
    let mut name = wanted.to_owned();
    for n in 2.. {
        let dir = parent.join(&name);
        match fs::create_dir(&dir) {
            Ok(()) => return Ok((dir, name)),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists && n < 100 => name = format!("{wanted}-{n}"),
            Err(source) => return Err(ResultsError::Write { path: dir, source }),
        }
    }
    unreachable!("the loop ends by itself")
}

/// Writes down that trials are about to run, and where.
///
/// # Errors
/// If it cannot be written.
pub fn begin(run: &mut Run) -> Result<(), ResultsError> {
    if run.resumed {
        remove_partial(&run.dir);
        run.manifest.resumed.push(moment(jiff::Timestamp::now()));
    }
    write(&run.dir.join("manifest.json"), &json(&run.manifest))
}

/// A moment as manifests have it: RFC 3339, to the second.
pub(crate) fn moment(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Writes down how the run ended.
///
/// # Errors
/// If it cannot be written.
pub fn finish(run: &mut Run, status: &str) -> Result<(), ResultsError> {
    let now = moment(jiff::Timestamp::now());
    status.clone_into(&mut run.manifest.status);
    run.manifest.finished = Some(now);
    write(&run.dir.join("manifest.json"), &json(&run.manifest))
}

/// Whether all is still there that the run's results follow from, once the last of it is written.
///
/// # Errors
/// [`ResultsError::Gone`] with the first that is not.
pub fn is_whole<'m>(
    dir: &Path,
    plan: &Plan,
    measured: impl IntoIterator<Item = &'m Measured>,
) -> Result<(), ResultsError> {
    let logs = measured.into_iter().filter_map(|measured| {
        let cell = plan.cells.iter().find(|cell| cell.id == measured.trial.cell)?;
        let trial = trial_dir(dir, cell, measured.trial.repeat, measured.trial.attempt);
        Some(if trial.join(log::FILE).exists() || trial.join(log::FILE_GZ).exists() { None } else { Some(trial) })
    });
    let inputs = ["spec.yaml", "plan.json"].map(|name| Some(dir.join(name)).filter(|path| !path.exists()));
    match inputs.into_iter().chain(logs).flatten().next() {
        Some(path) => Err(ResultsError::Gone { path }),
        None => Ok(()),
    }
}

/// The directory of one attempt at a trial, from 1; repeat 0 is the warm-up.
#[must_use]
pub fn trial_dir(dir: &Path, cell: &Cell, repeat: u32, attempt: u32) -> PathBuf {
    let name = match (repeat, attempt) {
        (0, _) => "warm-up".to_owned(),
        (repeat, 1) => repeat.to_string(),
        (repeat, attempt) => format!("{repeat}.{attempt}"),
    };
    dir.join("trials").join(&cell.id).join(name)
}

/// Reads plan and manifest of a run.
///
/// # Errors
/// If they are not there, damaged, or of a newer version.
pub fn open(dir: &Path) -> Result<(Plan, Manifest), ResultsError> {
    let plan: Plan = read(&dir.join("plan.json"), plan::VERSION)?;
    let manifest: Manifest = read(&dir.join("manifest.json"), VERSION)?;
    Ok((plan, manifest))
}

/// Whether a run's `spec.yaml` is still what the run was made of.
///
/// # Errors
/// If it is not, or cannot be read.
pub(crate) fn unedited(path: &Path, manifest: &Manifest) -> Result<(), ResultsError> {
    let text = fs::read(path).map_err(|source| ResultsError::Read { path: path.to_owned(), source })?;
    if hex(&Sha256::digest(text)) == manifest.spec_sha256 {
        Ok(())
    } else {
        Err(ResultsError::Edited { path: path.to_owned() })
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path, known: u32) -> Result<T, ResultsError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let text = fs::read_to_string(path).map_err(|source| ResultsError::Read { path: path.to_owned(), source })?;
    let damaged = |source| ResultsError::Damaged { path: path.to_owned(), source };
    let Versioned { version } = serde_json::from_str(&text).map_err(damaged)?;
    if version > known {
        return Err(ResultsError::Newer { path: path.to_owned(), found: version, known });
    }
    serde_json::from_str(&text).map_err(damaged)
}

/// What the log of one attempt at a trial of a run comes to, `None` if there is no log.
///
/// # Errors
/// If the log cannot be read, or is that of another trial.
pub fn measure(
    dir: &Path,
    run: &str,
    cell: &Cell,
    trial: &Trial,
    repeat: u32,
    attempt: u32,
) -> Result<Option<Measured>, ResultsError> {
    let place = trial_dir(dir, cell, repeat, attempt);
    let reader = match Reader::open(&place) {
        Ok(reader) => reader,
        Err(ReadError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Line by line: a log may be larger than memory.
    let mut observed = Observed::new();
    for line in reader {
        match line {
            Ok(line) => observed.take(&line),
            // Whoever wrote it was killed: it stops before the trial's end, as one without that line would.
            Err(error) if error.is_cut_off() => break,
            Err(error) => return Err(error.into()),
        }
    }
    let wanted = Place { run: run.to_owned(), cell: cell.id.clone(), repeat, attempt };
    match &observed.place {
        Some(found) if *found != wanted => {
            Err(ResultsError::Misplaced { path: place, found: found.to_string(), wanted: wanted.to_string() })
        }
        _ => Ok(Some(conclude(cell, trial, &observed))),
    }
}

/// What all logs come to that are there.
///
/// # Errors
/// If one cannot be read, or is not where it belongs.
pub fn analyse(dir: &Path, plan: &Plan, manifest: &Manifest) -> Result<Analysis, ResultsError> {
    let mut measured = Vec::new();
    for cell in &plan.cells {
        for trial in &cell.trials {
            for attempt in 1.. {
                match measure(dir, &manifest.run, cell, trial, trial.repeat, attempt)? {
                    Some(result) => measured.push(result),
                    None => break,
                }
            }
        }
    }
    let mut analysis = summary::analyse(plan, measured);
    look_back(dir, manifest, &mut analysis)?;
    Ok(analysis)
}

/// Name of what a run was compared with.
const REFERENCE: &str = "baseline.json";

/// Adds to a run's results what follows from what it was compared with, if it was.
///
/// # Errors
/// If that cannot be read, or is gone: without it a run that is slower than its baseline would pass.
pub fn look_back(dir: &Path, manifest: &Manifest, analysis: &mut Analysis) -> Result<(), ResultsError> {
    let path = dir.join(REFERENCE);
    if let Some(name) = manifest.baseline.as_ref().filter(|_| !path.exists()) {
        return Err(ResultsError::Uncompared { path, name: name.clone() });
    }
    if path.exists() {
        let mut reference: Reference = read(&path, history::VERSION)?;
        reference.tonight.cells = history::values(analysis);
        reference.tonight.completed = history::completed(analysis);
        history::look_back(analysis, &reference);
    }
    Ok(())
}

/// Keeps what a run is compared with.
///
/// # Errors
/// If it cannot be written.
pub fn refer(run: &mut Run, reference: &Reference) -> Result<(), ResultsError> {
    run.manifest.baseline = Some(reference.name.clone());
    write(&run.dir.join(REFERENCE), &json(reference))
}

/// Writes every derived file.
///
/// # Errors
/// If one cannot be written.
pub fn derive(dir: &Path, manifest: &Manifest, analysis: &Analysis) -> Result<(), ResultsError> {
    for (name, content) in report::files(analysis, &facts(manifest)) {
        let path = dir.join(name);
        match content {
            Some(content) => write(&path, &content)?,
            // What does not follow any more does not stay.
            None => match fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(ResultsError::Write { path, source });
                }
                _ => {}
            },
        }
    }
    Ok(())
}

/// What a report says of the run beside its results; it follows from the manifest alone.
fn facts(manifest: &Manifest) -> report::Facts {
    let mut rows = vec![
        ("run".to_owned(), manifest.run.clone()),
        ("started".to_owned(), manifest.started.clone()),
        ("status".to_owned(), manifest.status.clone()),
        ("seed".to_owned(), manifest.seed.to_string()),
        ("harness".to_owned(), manifest.harness.clone()),
        ("spec SHA-256".to_owned(), manifest.spec_sha256.clone()),
    ];
    rows.extend(manifest.facts.iter().map(|(key, value)| (key.clone(), value.clone())));
    let mut command = format!("harness run spec.yaml --seed {}", manifest.seed);
    if let Some(repeats) = manifest.repeats {
        command.push_str(&format!(" --repeats {repeats}"));
    }
    // One that `auto` came to, or the command line named, is not in the file; two are.
    if let Some(runtime) = manifest.facts.get("runtime").filter(|name| !name.contains(',')) {
        command.push_str(&format!(" --runtime {runtime}"));
    }
    report::Facts { rows, run: manifest.run.clone(), command }
}

/// How the name of a file ends that is being written.
const PARTIAL: &str = ".partial";

/// Removes what processes that were killed left half written in a run's directory.
fn remove_partial(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().ends_with(PARTIAL) {
            // Whoever still writes it fails and says so; what stays is in nobody's way.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Writes a file whole or not at all: a reader never sees half of it.
fn write(path: &Path, content: &str) -> Result<(), ResultsError> {
    let mut partial = path.as_os_str().to_owned();
    // A report may be made of a run that is under way: each process has a name of its own.
    partial.push(format!(".{}{PARTIAL}", std::process::id()));
    let partial = PathBuf::from(partial);
    let written = File::create(&partial).and_then(|mut file| {
        file.write_all(content.as_bytes())?;
        // A name must not come to the disk before what it names.
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&partial, path)).map_err(|source| {
        let _ = fs::remove_file(&partial);
        ResultsError::Write { path: path.to_owned(), source }
    })
}

fn json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("string keys and finite numbers");
    text.push('\n');
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `amd64, 2 cpus, 24 GiB, AMD EPYC 9B14`: what of a machine decides how long a swarm takes on it, as far as is known.
pub(crate) fn machine_of(facts: &Facts) -> String {
    let fact =
        |name: &str| ["engine", "machine"].iter().find_map(|place| facts.get(&format!("{place}.{name}"))).cloned();
    let memory = fact("memory").and_then(|bytes| bytes.parse::<u64>().ok());
    let parts = [
        fact("arch"),
        fact("cpus").map(|cpus| format!("{cpus} cpus")),
        memory.map(|bytes| format!("{} GiB", (bytes + (1 << 29)) >> 30)),
        fact("processor"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails_with(errno: rustix::io::Errno) -> impl FnOnce(&File) -> Result<(), TryLockError> {
        move |_| Err(TryLockError::Error(io::Error::from_raw_os_error(errno.raw_os_error())))
    }

    #[test]
    fn a_run_is_held_by_one_and_what_is_held_is_open_for_writing() {
        let dir = tempfile::tempdir().unwrap();
        let spec = dir.path().join("spec.yaml");
        fs::write(&spec, "name: x\n").unwrap();
        // As it may be kept: nobody need write to it.
        let mut permissions = fs::metadata(&spec).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&spec, permissions).unwrap();
        let held = hold(dir.path(), File::try_lock, |why| panic!("{why}")).unwrap().expect("it is free");
        // What NFS asks of an exclusive lock.
        assert_eq!((&held).write(&[]).unwrap(), 0);
        assert!(
            rustix::fs::fcntl_getfl(&held).unwrap().intersects(rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::RDWR)
        );
        assert!(lock(dir.path()).unwrap().is_none(), "somebody has it");
        drop(held);
        assert!(lock(dir.path()).unwrap().is_some(), "a lock dies with who held it");
    }

    /// A run of two trials of one cell, whose logs have a first line alone.
    fn run_of_two() -> (tempfile::TempDir, PathBuf, Plan, Manifest) {
        use crate::events::log::Writer;
        use crate::events::record::Event;
        let out = tempfile::tempdir().unwrap();
        let cell = crate::analysis::fixture::cell(plan::Architecture::P2p, 2, 2);
        let plan = crate::analysis::fixture::plan(vec![cell]);
        let run = create(out.path(), "name: x\n", &plan, Facts::new()).unwrap();
        let (Run { dir, manifest, .. }, cell) = (run, &plan.cells[0]);
        for repeat in [1, 2] {
            let mut log = Writer::create(&trial_dir(&dir, cell, repeat, 1)).unwrap();
            let (cell, run) = (cell.id.clone(), manifest.run.clone());
            let (key, utc, boot_id) = (String::new(), String::new(), String::new());
            let time_namespace = String::new();
            let event = Event::Trial { cell, repeat, attempt: 1, key, run, utc, boot_id, time_namespace };
            log.controller(0, event).unwrap();
            log.finish().unwrap();
        }
        (out, dir, plan, manifest)
    }

    #[test]
    fn a_log_in_the_place_of_another_is_not_believed() {
        let (_out, dir, plan, manifest) = run_of_two();
        assert_eq!(analyse(&dir, &plan, &manifest).unwrap().trials.len(), 2);
        let place = |repeat, attempt| trial_dir(&dir, &plan.cells[0], repeat, attempt);
        // Of another repeat, of another attempt, of another run.
        fs::rename(place(1, 1), place(1, 3)).unwrap();
        fs::rename(place(2, 1), place(1, 1)).unwrap();
        let why = analyse(&dir, &plan, &manifest).unwrap_err().to_string();
        assert!(why.contains("is the log of `p2p-n2`, repeat 2, attempt 1, of run `"), "{why}");
        assert!(why.contains("`, not of `p2p-n2`, repeat 1, attempt 1, of run `"), "{why}");
        fs::rename(place(1, 1), place(2, 1)).unwrap();
        fs::rename(place(1, 3), place(1, 1)).unwrap();
        let other = Manifest { run: "another".to_owned(), ..manifest };
        assert!(matches!(analyse(&dir, &plan, &other), Err(ResultsError::Misplaced { .. })));
    }

    #[test]
    fn what_is_gone_of_a_run_is_noticed_at_its_end() {
        let (_out, dir, plan, manifest) = run_of_two();
        let (cell, run) = (&plan.cells[0], &manifest.run);
        let of = |trial: &Trial| measure(&dir, run, cell, trial, trial.repeat, 1).unwrap();
        let all: Vec<Measured> = cell.trials.iter().filter_map(of).collect();
        assert_eq!(all.len(), 2);
        assert!(is_whole(&dir, &plan, &all).is_ok());
        fs::remove_dir_all(trial_dir(&dir, &plan.cells[0], 1, 1)).unwrap();
        let why = is_whole(&dir, &plan, &all).unwrap_err().to_string();
        assert!(why.contains("p2p-n2/1` was removed"), "{why}");
        fs::remove_file(dir.join("plan.json")).unwrap();
        let why = is_whole(&dir, &plan, &[]).unwrap_err().to_string();
        assert!(why.contains("plan.json` was removed"), "{why}");
    }

    #[test]
    fn what_a_run_was_compared_with_does_not_get_lost_in_silence() {
        let (_out, dir, plan, mut manifest) = run_of_two();
        manifest.baseline = Some("main".to_owned());
        let why = analyse(&dir, &plan, &manifest).unwrap_err().to_string();
        assert!(why.contains("baseline.json` is gone") && why.contains("`main`"), "{why}");
    }

    #[test]
    fn a_spec_that_was_edited_is_not_what_the_run_was_made_of() {
        let (_out, dir, _, manifest) = run_of_two();
        let path = dir.join("spec.yaml");
        unedited(&path, &manifest).unwrap();
        fs::write(&path, "name: y\n").unwrap();
        assert!(matches!(unedited(&path, &manifest), Err(ResultsError::Edited { .. })));
    }

    #[test]
    fn a_trial_of_another_machine_has_another_key() {
        let plan = crate::analysis::fixture::plan(vec![crate::analysis::fixture::cell(plan::Architecture::P2p, 2, 1)]);
        let cell = &plan.cells[0];
        let of = |fact: &str, value: &str| {
            let facts = [("runtime", "netns"), ("machine.kernel", "6.18"), ("machine.cpus", "2"), (fact, value)];
            key(cell, &cell.trials[0], &facts.map(|(fact, value)| (fact.to_owned(), value.to_owned())).into())
        };
        let same = of("runtime", "netns");
        for (fact, value) in [("machine.kernel", "6.19"), ("machine.cpus", "4"), ("machine.processor", "another")] {
            assert_ne!(of(fact, value), same, "{fact}");
        }
        assert_eq!(of("machine.user", "root"), same, "whoever runs it");
    }

    #[test]
    fn what_a_process_left_half_written_is_removed_and_two_that_write_do_not_meet() {
        let (_out, dir, ..) = run_of_two();
        fs::write(dir.join("report.md.4711.partial"), "half").unwrap();
        write(&dir.join("report.md"), "whole").unwrap();
        assert!(dir.join("report.md.4711.partial").exists(), "another process may be writing it");
        remove_partial(&dir);
        assert!(!dir.join("report.md.4711.partial").exists());
        assert_eq!(fs::read_to_string(dir.join("report.md")).unwrap(), "whole");
    }

    #[test]
    fn where_there_are_no_locks_it_is_said_and_gone_on_without() {
        use rustix::io::Errno;
        let dir = tempfile::tempdir().unwrap();
        for errno in [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS] {
            let mut said = 0;
            let held = hold(dir.path(), fails_with(errno), |_| said += 1).unwrap();
            assert!(held.is_some() && said == 1, "{errno}");
        }
        let error = hold(dir.path(), fails_with(Errno::IO), |why| panic!("{why}")).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot lock `") && error.contains(".lock`: ") && error.contains("(hint: "),
            "{error}"
        );
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named_with_the_cure() {
        let error = hold(Path::new("/nowhere/run"), File::try_lock, |_| {}).unwrap_err().to_string();
        assert!(error.starts_with("cannot write `/nowhere/run/.lock`: ") && error.contains("--out"), "{error}");
    }
}
