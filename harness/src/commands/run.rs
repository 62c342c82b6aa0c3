//! `harness run FILE…`: spec → plan → runtime → events → analysis → report.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use peer_image::wire::geometry::Geometry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::results::{self, Manifest, ResultsError};
use super::{complain, say};
use crate::analysis::metrics::Measured;
use crate::analysis::summary;
use crate::cli;
use crate::events::log::Writer;
use crate::events::record::{Outcome, Phase};
use crate::exit::Exit;
use crate::plan::{self, Cell, Plan, Trial};
use crate::report::progress::Progress;
use crate::report::terminal;
use crate::runtime::docker::{Docker, Engine};
use crate::runtime::trial::{self, Signal, Update};
use crate::runtime::{Runtime as _, RuntimeError, Scope};
use crate::spec::{self, SpecError};

/// Why a run could not go on. A trial that failed is none of these.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error(transparent)]
    Log(#[from] crate::events::log::WriteError),
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
}

impl RunError {
    fn exit(&self) -> Exit {
        match self {
            Self::Runtime(RuntimeError::Trial(_)) => Exit::Trial,
            Self::Runtime(_) | Self::Results(_) | Self::Log(_) | Self::Signals(_) => Exit::Machine,
        }
    }
}

/// An experiment that is ready to run.
struct Experiment {
    text: String,
    plan: Plan,
}

/// Runs all files, one after the other. The first that is wrong stops all before anything starts; the worst end of
/// any of them is the exit code.
pub async fn run(arguments: &cli::Run) -> Exit {
    let mut experiments = Vec::new();
    let mut wrong = false;
    for file in &arguments.files {
        match load(file, arguments) {
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
    match run_all(&experiments, arguments).await {
        Ok(exit) => exit,
        Err(error) => {
            complain(format_args!("error: {error}"));
            error.exit()
        }
    }
}

fn load(file: &Path, arguments: &cli::Run) -> Result<Experiment, SpecError> {
    let (text, mut spec) = spec::load_with_text(file)?;
    spec.repeats = arguments.repeats.unwrap_or(spec.repeats);
    spec.seed = arguments.seed.unwrap_or(spec.seed);
    Ok(Experiment { text, plan: plan::plan(&spec) })
}

async fn run_all(experiments: &[Experiment], arguments: &cli::Run) -> Result<Exit, RunError> {
    let stop = watch_signals().map_err(RunError::Signals)?;
    let engine = Engine::connect().await?;
    let cleaned = engine.clean_dead().await?;
    if cleaned.any_removed() {
        say(format_args!("removed what an earlier run left: {cleaned}"));
    }
    for error in &cleaned.errors {
        complain(format_args!("warning: an earlier run left something that stays: {error}"));
    }
    // Before the image is built and anything starts: are the results to be kept at all?
    let mut places = Vec::new();
    let prepared = async {
        for experiment in experiments {
            places.push(results::create(&arguments.out, &experiment.text, &experiment.plan, engine.facts().clone())?);
        }
        Ok::<_, RunError>(engine.prepare().await?)
    };
    let docker = match prepared.await {
        Ok(docker) => docker,
        Err(error) => {
            // Nothing ran: nothing is kept.
            for (dir, _) in places {
                results::discard(&dir);
            }
            return Err(error);
        }
    };
    if let (tag, true) = docker.image() {
        say(format_args!("built the image {tag}"));
    }
    let mut worst = Exit::Fine;
    for (experiment, (dir, mut manifest)) in experiments.iter().zip(places) {
        manifest.facts.clone_from(docker.facts());
        let exit = run_one(&docker, experiment, &dir, &mut manifest, &stop).await?;
        worst = worst.max(exit);
        if stop.borrow().is_some() {
            break;
        }
    }
    Ok(worst)
}

/// The signal that asks for the end, once there is one.
fn watch_signals() -> std::io::Result<watch::Receiver<Option<Signal>>> {
    let (sender, receiver) = watch::channel(None);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            let signal = tokio::select! {
                _ = interrupt.recv() => Signal::Interrupt,
                _ = terminate.recv() => Signal::Terminate,
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

/// Runs one experiment. Its report is written after each trial, and before any error is returned.
async fn run_one(
    docker: &Docker,
    experiment: &Experiment,
    dir: &Path,
    manifest: &mut Manifest,
    stop: &watch::Receiver<Option<Signal>>,
) -> Result<Exit, RunError> {
    let plan = &experiment.plan;
    say(format_args!("{}: {} → {}", plan.name, count(plan), dir.display()));
    let mut progress = Progress::new();
    let mut measured: Vec<Measured> = Vec::new();
    let mut failed = 0_u32;
    let mut error = None;
    let order = order(plan);
    let total = u32::try_from(order.len()).expect("a plan has far fewer trials than 2^32");
    for (number, (cell, trial)) in (1..).zip(order) {
        progress.trial_begins(&format!("{} #{}", cell.id, trial.repeat), number, total);
        match run_trial(docker, manifest, dir, cell, trial, &mut progress, stop).await {
            Ok(outcome) => failed += u32::from(outcome != Outcome::Completed),
            Err(e) => error = Some(e),
        }
        match results::measure(dir, cell, trial) {
            Ok(result) => measured.extend(result),
            Err(e) => error = error.or(Some(e.into())),
        }
        progress.trial_ends(measured.last().and_then(|m| m.trial.distribution_time_s));
        if error.is_some() || stop.borrow().is_some() {
            break;
        }
        if let Err(e) = results::derive(dir, manifest, &summary::analyse(plan, measured.clone())) {
            error = Some(e.into());
            break;
        }
    }
    progress.finish();
    let signal = *stop.borrow();
    let status = match (&error, signal) {
        (Some(_), _) => "failed",
        (None, Some(_)) => "interrupted",
        (None, None) => "finished",
    };
    let analysis = summary::analyse(plan, measured);
    // Even after an error: what can be kept is kept. The first error is the one that tells most.
    let kept = results::finish(dir, manifest, status).and_then(|()| results::derive(dir, manifest, &analysis));
    say(format_args!("\n{}", terminal::summary(&analysis).trim_end()));
    match kept {
        Ok(()) => say(format_args!("report: {}", dir.join("report.md").display())),
        Err(e) => error = error.or(Some(e.into())),
    }
    match (error, signal) {
        (Some(error), _) => Err(error),
        (None, Some(Signal::Interrupt)) => Ok(Exit::Interrupted),
        (None, Some(Signal::Terminate)) => Ok(Exit::Terminated),
        (None, None) => Ok(if failed == 0 { Exit::Fine } else { Exit::Trial }),
    }
}

/// Trials in the order in which they run: all cells once, then all cells again, so that a drift of the machine
/// falls on all cells alike.
fn order(plan: &Plan) -> Vec<(&Cell, &Trial)> {
    let repeats = plan.cells.iter().map(|cell| cell.trials.len()).max().unwrap_or(0);
    (0..repeats).flat_map(|k| plan.cells.iter().filter_map(move |cell| Some((cell, cell.trials.get(k)?)))).collect()
}

fn count(plan: &Plan) -> String {
    let (cells, trials) = (plan.cells.len(), plan.cells.iter().map(|cell| cell.trials.len()).sum::<usize>());
    let s = |n: usize| if n == 1 { "" } else { "s" };
    format!("{cells} cell{}, {trials} trial{}", s(cells), s(trials))
}

async fn run_trial(
    docker: &Docker,
    manifest: &Manifest,
    dir: &Path,
    cell: &Cell,
    trial: &Trial,
    progress: &mut Progress,
    stop: &watch::Receiver<Option<Signal>>,
) -> Result<Outcome, RunError> {
    let scope = Scope { run: manifest.run.clone(), trial: format!("{}/{}", cell.id, trial.repeat) };
    let trial_dir: PathBuf = results::trial_dir(dir, cell, trial);
    let mut log = Writer::create(&trial_dir)?;
    let mut show = Onlooker::new(trial, progress);
    let outcome =
        trial::run(docker, &scope, cell, trial, &mut log, &mut |update| show.update(update), stop.clone()).await;
    log.finish()?;
    Ok(outcome?)
}

/// Turns what happens in a trial into what a person sees.
struct Onlooker<'a> {
    progress: &'a mut Progress,
    nodes: u32,
    ready: BTreeSet<String>,
    /// Verified pieces of each peer.
    pieces: BTreeMap<String, u32>,
    pieces_of_one: u32,
    to_complete: BTreeSet<String>,
    completed: BTreeSet<String>,
}

impl<'a> Onlooker<'a> {
    fn new(trial: &Trial, progress: &'a mut Progress) -> Self {
        let to_complete: BTreeSet<String> =
            trial.nodes.iter().filter(|node| node.to_complete).map(|node| node.name.clone()).collect();
        let pieces_of_one = Geometry::new(trial.file.size, trial.file.piece).map_or(0, Geometry::pieces);
        Self {
            progress,
            nodes: u32::try_from(trial.nodes.len()).expect("far fewer nodes than 2^32"),
            ready: BTreeSet::new(),
            pieces: BTreeMap::new(),
            pieces_of_one,
            to_complete,
            completed: BTreeSet::new(),
        }
    }

    fn has(&mut self, node: String, pieces: u32) {
        if self.to_complete.contains(&node) {
            self.pieces.insert(node, pieces);
            let done = self.pieces.values().map(|&n| u64::from(n)).sum();
            self.progress.pieces(done, u64::from(self.pieces_of_one) * self.to_complete.len() as u64);
        }
    }

    fn update(&mut self, update: Update) {
        match update {
            Update::Phase(phase) => {
                let to_complete = u32::try_from(self.to_complete.len()).expect("few nodes");
                match phase {
                    Phase::Launch => self.progress.expect(self.nodes, to_complete),
                    // The gate opens when all are ready, and word of that may come before the last node's own.
                    Phase::Transfer => self.progress.ready(self.nodes, self.nodes),
                    Phase::Ready | Phase::Teardown => {}
                }
                self.progress.phase(match phase {
                    Phase::Launch => "launch",
                    Phase::Ready => "ready",
                    Phase::Transfer => "transfer",
                    Phase::Teardown => "teardown",
                });
            }
            Update::Ready { node } => {
                self.ready.insert(node);
                self.progress.ready(u32::try_from(self.ready.len()).expect("few nodes"), self.nodes);
            }
            Update::Pieces { node, pieces } => {
                self.has(node, pieces);
            }
            Update::Completed { node } => {
                if self.to_complete.contains(&node) && self.completed.insert(node.clone()) {
                    // Its last count may never come: it may leave at once.
                    self.has(node, self.pieces_of_one);
                    let completed = u32::try_from(self.completed.len()).expect("few nodes");
                    let of = u32::try_from(self.to_complete.len()).expect("few nodes");
                    self.progress.completed(completed, of);
                }
            }
            Update::Warning(message) => self.progress.note(&format!("warning: {message}")),
            Update::Exited { node, expected: false } => {
                self.progress.note(&format!("warning: `{node}` ended unexpectedly"));
            }
            Update::Started { .. }
            | Update::Open { .. }
            | Update::Acted { .. }
            | Update::Exited { .. }
            | Update::Over(_) => {}
        }
    }
}
