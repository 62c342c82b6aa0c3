//! Runs experiments, each in its own directory, one after the other.

use std::path::PathBuf;

use tokio::sync::watch;

use super::error::RunError;
use super::experiment::Experiment;
use super::signals::watch_signals;
use super::sweep::Sweep;
use super::{resume, runtimes};
use crate::archive::baselines::{self, PROMOTED, Store, StoreError};
use crate::archive::run_dir::{self, Facts, ResultsError, Run};
use crate::cli;
use crate::console::{complain, say};
use crate::exit::Exit;
use crate::plan::{Cell, RuntimeName};
use crate::runtime::trial::Signal;

/// Runs experiments, each in a new directory or in the one that it is to go on with.
pub(crate) async fn new_or_resumed(experiments: &[Experiment], how: &cli::How) -> Exit {
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
                None => run_dir::create(&how.out, &experiment.text, &experiment.plan, facts.clone())?,
            });
        }
        Ok(directories)
    };
    finish(run_all(experiments, None, Some(how), directories).await.map(|(exit, _)| exit))
}

/// Says before a run what could only be said after it: that what it comes to cannot be kept, or is held to nothing.
pub(crate) fn foresee(experiment: &Experiment, earlier: &[Experiment], how: &cli::How) -> Result<(), StoreError> {
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
pub(crate) fn finish(result: Result<Exit, RunError>) -> Exit {
    result.unwrap_or_else(|error| {
        complain(format_args!("error: {error}"));
        error.exit()
    })
}

/// Runs the experiments in the directories that `directories` makes or finds, given what is known of the runtimes; returns
/// the worst end, and the directories.
pub(crate) async fn run_all(
    experiments: &[Experiment],
    auto: Option<RuntimeName>,
    how: Option<&cli::How>,
    directories: impl FnOnce(&Facts) -> Result<Vec<Run>, ResultsError>,
) -> Result<(Exit, Vec<PathBuf>), RunError> {
    let stop = watch_signals().map_err(RunError::Signals)?;
    let cells: Vec<&Cell> = experiments.iter().flat_map(|experiment| &experiment.plan.cells).collect();
    let names = cells.iter().map(|cell| cell.settings.runtime).collect();
    // An engine may take its time to answer, and need not answer at all.
    let found = unless_stopped(&stop, runtimes::find(&names, auto)).await??;
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
        let said = how.map(|how| [(baselines::LABEL, &how.machine), (baselines::COMMIT, &how.commit)]);
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
pub(crate) async fn unless_stopped<T>(
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
pub(crate) fn discard_new(runs: &[Run]) {
    for run in runs.iter().filter(|run| !run.resumed) {
        run_dir::discard(&run.dir);
    }
}
