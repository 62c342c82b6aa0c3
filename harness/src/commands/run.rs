//! `harness run FILE…`: spec → plan → runtime, and for each experiment a sweep.

use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::places;
use super::results::{self, Facts, ResultsError, Run};
use super::store::{self, PROMOTED, Store, StoreError};
use super::sweep::Sweep;
use super::{complain, resume, say};
use crate::cli;
use crate::exit::Exit;
use crate::plan::gate::PAIRS_MIN;
use crate::plan::{self, Cell, Plan, RuntimeName};
use crate::runtime::RuntimeError;
use crate::runtime::trial::Signal;
use crate::spec::{self, Spec, SpecError};

/// Why a run could not go on. A trial that failed is none of these.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error(transparent)]
    Log(#[from] crate::events::log::WriteError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
    #[error("stopped before the first trial")]
    Stopped(Signal),
}

impl RunError {
    fn exit(&self) -> Exit {
        match self {
            Self::Store(StoreError::Taken { .. } | StoreError::Twice { .. } | StoreError::Name { .. })
            | Self::Results(ResultsError::Held { .. }) => Exit::Usage,
            Self::Stopped(signal) => (*signal).into(),
            Self::Store(StoreError::NoBaseline { .. } | StoreError::Damaged { .. } | StoreError::Newer { .. }) => {
                Exit::NotComparable
            }
            // A trial that fails is an outcome: what ends the run is the machine's doing, whatever the engine says.
            Self::Runtime(_) | Self::Results(_) | Self::Log(_) | Self::Store(_) | Self::Signals(_) => Exit::Machine,
        }
    }
}

/// An experiment that is ready to run.
pub(super) struct Experiment {
    /// The file as given.
    pub(super) text: String,
    /// What it comes to.
    pub(super) plan: Plan,
    /// The file, as it was named.
    pub(super) file: PathBuf,
}

/// Runs all files, one after the other. The first that is wrong stops all before anything starts; the worst end of
/// any of them is the exit code.
pub async fn run(arguments: &cli::Run) -> Exit {
    let mut experiments = Vec::new();
    let mut wrong = false;
    for file in &arguments.files {
        match load(file, arguments.how.repeats, arguments.how.seed, arguments.how.runtime) {
            Ok(experiment) => experiments.push(experiment),
            Err(error) => {
                complain(error);
                wrong = true;
            }
        }
    }
    if wrong {
        return Exit::Spec;
    }
    new_or_resumed(&experiments, &arguments.how).await
}

/// Runs experiments, each in a new directory or in the one that it is to go on with.
pub(super) async fn new_or_resumed(experiments: &[Experiment], how: &cli::How) -> Exit {
    for (i, experiment) in experiments.iter().enumerate() {
        if let Err(error) = foresee(experiment, &experiments[..i], how) {
            return finish(Err(error.into()));
        }
    }
    let directories = |facts: &Facts| {
        let mut directories = Vec::new();
        for experiment in experiments {
            let found = if how.resume { resume::find(&how.out, experiment)? } else { None };
            if found.is_none() && how.resume {
                say(format_args!("{}: nothing to resume, a new run", experiment.plan.name));
            }
            directories.push(match found {
                Some(run) => run,
                None => results::create(&how.out, &experiment.text, &experiment.plan, facts.clone())?,
            });
        }
        Ok(directories)
    };
    finish(run_all(experiments, None, Some(how), directories).await.map(|(exit, _)| exit))
}

/// Says before a run what could only be said after it: that what it comes to cannot be kept, or is held to nothing.
fn foresee(experiment: &Experiment, earlier: &[Experiment], how: &cli::How) -> Result<(), StoreError> {
    let store = Store::new(&how.out, &experiment.plan.name);
    if let Some(name) = &how.save_baseline {
        store.is_free(name)?;
        if earlier.iter().any(|it| it.plan.name == experiment.plan.name) {
            return Err(StoreError::Twice { name: name.clone(), experiment: experiment.plan.name.clone() });
        }
    }
    // None may be promoted yet; who names one means one that there is.
    if let Some(name) = how.baseline.as_deref().filter(|name| *name != PROMOTED) {
        store.load(name)?;
    }
    Ok(())
}

/// The exit code of a command that runs, after a word about what went wrong.
pub(super) fn finish(result: Result<Exit, RunError>) -> Exit {
    result.unwrap_or_else(|error| {
        complain(format_args!("error: {error}"));
        error.exit()
    })
}

/// Why a file does not become a plan.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("error: {file}: {why}")]
    Option { file: String, why: String },
}

/// Reads and plans one file, with repeats, seed and runtime of the command line where it has them.
pub(super) fn load(
    file: &Path,
    repeats: Option<u32>,
    seed: Option<u64>,
    runtime: Option<RuntimeName>,
) -> Result<Experiment, LoadError> {
    let (text, spec) = spec::load_with_text(file)?;
    of_spec(file, text, spec, repeats, seed, runtime)
}

/// Plans what a file's text came to.
pub(super) fn of_spec(
    file: &Path,
    text: String,
    mut spec: Spec,
    repeats: Option<u32>,
    seed: Option<u64>,
    runtime: Option<RuntimeName>,
) -> Result<Experiment, LoadError> {
    spec.repeats = repeats.unwrap_or(spec.repeats);
    if !spec.gate.arms.is_empty() && spec.repeats < PAIRS_MIN {
        let why = format!(
            "with arms each repeat is a pair, and fewer than {PAIRS_MIN} decide nothing (hint: --repeats {PAIRS_MIN})"
        );
        return Err(LoadError::Option { file: spec::shown(file), why });
    }
    spec.seed = seed.unwrap_or(spec.seed);
    if let Some(runtime) = runtime {
        let refused = |why| LoadError::Option { file: spec::shown(file), why };
        spec.set_runtime(runtime).map_err(refused)?;
    }
    let plan = plan::plan(&spec);
    for threshold in &plan.gate.thresholds {
        if !plan.cells.iter().any(|cell| threshold.means(&cell.id)) {
            let cells = plan.cells.iter().map(|cell| cell.id.as_str()).collect::<Vec<_>>().join(", ");
            let message = format!("`{}`, line {}, is about no cell", threshold.text, threshold.line);
            return Err(
                spec::wrong(&spec::shown(file), &text, "thresholds", message, &format!("cells are {cells}")).into()
            );
        }
    }
    if let Some(late) = plan::latecomer(&plan) {
        return Err(spec::wrong(
            &spec::shown(file),
            &text,
            "arrivals",
            late,
            "a longer `timeout`, fewer peers or denser arrivals",
        )
        .into());
    }
    Ok(Experiment { text, plan, file: file.to_owned() })
}

/// Runs the experiments in the directories that `directories` makes or finds, given what is known of the runtimes; returns
/// the worst end, and the directories.
pub(super) async fn run_all(
    experiments: &[Experiment],
    auto: Option<RuntimeName>,
    how: Option<&cli::How>,
    directories: impl FnOnce(&Facts) -> Result<Vec<Run>, ResultsError>,
) -> Result<(Exit, Vec<PathBuf>), RunError> {
    let stop = watch_signals().map_err(RunError::Signals)?;
    let cells: Vec<&Cell> = experiments.iter().flat_map(|experiment| &experiment.plan.cells).collect();
    let names = cells.iter().map(|cell| cell.settings.runtime).collect();
    // An engine may take its time to answer, and need not answer at all.
    let found = unless_stopped(&stop, places::find(&names, auto)).await??;
    if let Some(engine) = found.engine() {
        let cleaned = unless_stopped(&stop, engine.clean_dead()).await??;
        if cleaned.any_removed() {
            say(format_args!("removed what an earlier run left: {cleaned}"));
        }
        for error in &cleaned.errors {
            complain(format_args!("warning: an earlier run left something that stays: {error}"));
        }
    }
    // Before the image is built and anything starts: are the results to be kept at all?
    let mut runs = directories(&found.facts())?;
    let places = match unless_stopped(&stop, found.prepare(&cells)).await.and_then(|prepared| Ok(prepared?)) {
        Ok(places) => places,
        Err(error) => {
            discard_new(&runs);
            return Err(error);
        }
    };
    let mut worst = Exit::Fine;
    for (number, experiment) in experiments.iter().enumerate() {
        let run = &mut runs[number];
        run.manifest.facts = places.facts();
        // Who saves the run as a baseline later does not know them any more.
        let said = how.map(|how| [(store::LABEL, &how.machine), (store::COMMIT, &how.commit)]);
        for (fact, value) in said.into_iter().flatten() {
            run.manifest.facts.extend(value.clone().map(|value| (fact.to_owned(), value)));
        }
        let mut sweep = Sweep {
            places: &places,
            plan: &experiment.plan,
            file: &experiment.file,
            how,
            run,
            stop: &stop,
            measured: Vec::new(),
        };
        let ended = match sweep.run().await {
            // What is kept of one experiment is nothing to the next one.
            Err(error @ RunError::Store(_)) => Ok(finish(Err(error))),
            ended => ended,
        };
        if ended.is_err() || stop.borrow().is_some() {
            // Those that did not get their turn.
            discard_new(&runs[number + 1..]);
            runs.truncate(number + 1);
        }
        worst = worst.or_worse(ended?);
        if stop.borrow().is_some() {
            break;
        }
    }
    Ok((worst, runs.into_iter().map(|run| run.dir).collect()))
}

/// What comes of `work`, unless a signal asks for the end before it is done.
async fn unless_stopped<T>(
    stop: &watch::Receiver<Option<Signal>>,
    work: impl Future<Output = T>,
) -> Result<T, RunError> {
    let mut stop = stop.clone();
    let stopped = async {
        match stop.wait_for(Option::is_some).await.map(|signal| *signal) {
            Ok(Some(signal)) => signal,
            // Nobody can ask any more.
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        signal = stopped => Err(RunError::Stopped(signal)),
        done = work => Ok(done),
    }
}

/// Removes the directories of runs that were made and of which nothing ran.
fn discard_new(runs: &[Run]) {
    for run in runs.iter().filter(|run| !run.resumed) {
        results::discard(&run.dir);
    }
}

/// The signal that asks for the end, once there is one. SIGHUP, when the terminal is closed, asks as SIGTERM does, unless
/// whoever started this command has it ignored (`nohup`).
pub(super) fn watch_signals() -> std::io::Result<watch::Receiver<Option<Signal>>> {
    let (sender, receiver) = watch::channel(None);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut hangup = if is_ignored(&status, SignalKind::hangup()) { None } else { Some(signal(SignalKind::hangup())?) };
    // With a handler, whatever it does, a file that grows beyond `ulimit -f` is an error and not the end.
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
    tokio::spawn(async move {
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            let signal = tokio::select! {
                _ = interrupt.recv() => Signal::Interrupt,
                _ = terminate.recv() => Signal::Terminate,
                _ = hung_up => Signal::Terminate,
            };
            sender.send_if_modified(|first| {
                let is_first = first.is_none();
                if is_first {
                    *first = Some(signal);
                }
                is_first
            });
        }
    });
    Ok(receiver)
}

/// Whether a process with this `/proc/PID/status` was started with a signal ignored.
fn is_ignored(status: &str, signal: SignalKind) -> bool {
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw_value() - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_is_ignored_from_the_start_is_told_from_the_others() {
        let status = "SigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000004003\n";
        assert!(is_ignored(status, SignalKind::hangup()));
        assert!(!is_ignored(status, SignalKind::interrupt()));
        assert!(!is_ignored("", SignalKind::hangup()));
    }
}
