//! One experiment's trials, one after the other: each logged, measured and added to the report before the next begins.
//!
//! A trial that is INVALID is run again, up to the plan's number of retries. What an earlier process measured in the
//! same directory is kept ([`resume`](super::resume)): nothing is measured twice.

use std::path::Path;

use tokio::sync::watch;

use super::ci_environment;
use super::error::RunError;
use super::observer::Onlooker;
use super::resume::{self, Standing};
use super::runtimes::Places;
use crate::analysis::compare;
use crate::analysis::estimate::estimates;
use crate::analysis::history::Night;
use crate::analysis::metrics::{ChurnRow, ChurnStatus, Measured, Verdict};
use crate::analysis::outcome::outcome;
use crate::analysis::summary::{self, Analysis};
use crate::archive::baselines::{self, Store, StoreError};
use crate::archive::run_dir::{self, ResultsError, Run};
use crate::cli;
use crate::console::{columns, complain, say};
use crate::events::log::Writer;
use crate::exit::Exit;
use crate::plan::{Cell, Plan, Trial, Turn};
use crate::report::plan::{rough, trial_seconds};
use crate::report::progress::Progress;
use crate::report::terminal;
use crate::runtime::Scope;
use crate::runtime::trial::{self, Signal};

/// One experiment under way.
pub(crate) struct Sweep<'a> {
    pub(crate) places: &'a Places,
    pub(crate) plan: &'a Plan,
    /// The experiment file, as it was named.
    pub(crate) file: &'a Path,
    /// What it is to be compared with, and kept as; nothing of both if nobody says so.
    pub(crate) how: Option<&'a cli::How>,
    pub(crate) run: &'a mut Run,
    pub(crate) stop: &'a watch::Receiver<Option<Signal>>,
    /// What the trials came to so far. Kept, so that a log that is cut off costs its own trial and no other.
    pub(crate) measured: Vec<Measured>,
}

impl Sweep<'_> {
    /// Runs what is to be run. The report is written after each trial, and before any error is returned.
    pub(crate) async fn run(&mut self) -> Result<Exit, RunError> {
        let plan = self.plan;
        say(format_args!("{}: {} → {}", plan.name, count(plan), self.run.dir.display()));
        let mut progress = Progress::new();
        let ended = match self.refer() {
            Ok(()) => self.turns(&mut progress).await,
            Err(error) => Err(error),
        };
        progress.finish();
        let signal = *self.stop.borrow();
        let status = match (&ended, signal) {
            (Err(_), _) => "failed",
            (Ok(()), Some(_)) => "interrupted",
            (Ok(()), None) => "finished",
        };
        // Even after an error: what can be kept is kept. The first error is the one that tells most.
        let (analysis, compared) = match self.analysis() {
            Ok(analysis) => (analysis, Ok(())),
            Err(error) => (self.own_analysis(), Err(error)),
        };
        let kept = run_dir::finish(self.run, status)
            .and_then(|()| run_dir::derive(&self.run.dir, &self.run.manifest, &analysis))
            .and_then(|()| run_dir::is_whole(&self.run.dir, self.plan, &self.measured));
        let remembered = if ended.is_ok() && signal.is_none() { self.remember(&analysis) } else { Ok(()) };
        say(format_args!("\n{}", terminal::summary(&analysis, columns()).trim_end()));
        if kept.is_ok() {
            say(format_args!("report: {}", self.run.dir.join("report.md").display()));
        }
        let error = [ended.as_ref().err().map(ToString::to_string), kept.as_ref().err().map(ToString::to_string)];
        let error = error.into_iter().flatten().next();
        ci_environment::tell(&analysis, self.file, error.as_deref());
        ended?;
        kept?;
        compared?;
        remembered?;
        Ok(match signal {
            Some(signal) => signal.into(),
            None => outcome(&analysis).outcome.into(),
        })
    }

    /// What the trials come to by themselves.
    fn own_analysis(&self) -> Analysis {
        summary::analyse(self.plan, in_plans_order(self.plan, &self.measured))
    }

    /// What the trials come to, beside what the run is compared with.
    fn analysis(&self) -> Result<Analysis, ResultsError> {
        let mut analysis = self.own_analysis();
        run_dir::look_back(&self.run.dir, &self.run.manifest, &mut analysis)?;
        Ok(analysis)
    }

    /// The run as it is remembered.
    fn night(&self, how: &cli::How, analysis: &Analysis) -> Night {
        baselines::night(self.plan, &self.run.manifest, analysis, how.machine.as_deref(), how.commit.as_deref())
    }

    /// Lays down what the run is compared with, if that is asked for: before its first trial, so that whatever becomes of the
    /// run, what is written of it is compared. A run that is gone on with keeps what it was compared with, unless told.
    fn refer(&mut self) -> Result<(), RunError> {
        let Some((how, name)) = self.how.and_then(|how| Some((how, how.baseline.as_ref()?))) else {
            // What it was compared with is to be there and whole before anything runs.
            return Ok(self.analysis().map(drop)?);
        };
        if let Some(why) = baselines::unknown_commit(&self.run.manifest, how.commit.as_deref()) {
            complain(format_args!("warning: {why}"));
        }
        let tonight = Night { outcome: String::new(), ..self.night(how, &self.own_analysis()) };
        let (reference, unreadable) = Store::new(&how.out, &self.plan.name).reference(name, tonight)?;
        unreadable.iter().for_each(|line| complain(format_args!("warning: {line}")));
        if !reference.missing.is_empty() {
            let why = &reference.missing;
            complain(format_args!("warning: the run is kept, but will be compared with nothing: {why}"));
        }
        Ok(run_dir::refer(self.run, &reference)?)
    }

    /// Adds the run to the nights, and keeps it as a baseline, as far as that is asked for. Also if the gate fails: what was
    /// measured was measured.
    fn remember(&self, analysis: &Analysis) -> Result<(), RunError> {
        let Some(how) = self.how else { return Ok(()) };
        let store = Store::new(&how.out, &self.plan.name);
        if how.baseline.is_some() {
            store.remember(&self.night(how, analysis))?;
        }
        if let Some(name) = &how.save_baseline {
            match store.save(name, &self.night(how, analysis)) {
                Ok(path) => say(format_args!("\nsaved the baseline `{}`", path.display())),
                // Its outcome says more.
                Err(error @ StoreError::Empty) => {
                    complain(format_args!("warning: `{name}` is not saved: {error}"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn turns(&mut self, progress: &mut Progress) -> Result<(), RunError> {
        run_dir::begin(self.run)?;
        let (plan, places, stop) = (self.plan, self.places, self.stop);
        let turns: Vec<(&Turn, &Cell, &Trial)> = plan.turns().collect();
        let total = u32::try_from(turns.len()).expect("a plan has far fewer trials than 2^32");
        let seconds = seconds_of_turns(plan, &turns);
        let (mut told, mut any) = (false, false);
        for (number, (turn, cell, trial)) in turns.into_iter().enumerate() {
            if self.is_decided(cell) {
                if !std::mem::replace(&mut told, true) {
                    progress.note("decided: further pairs of such cells are not run");
                }
                continue;
            }
            let key = run_dir::key(cell, trial, &places.facts_of(cell));
            let mut attempt = match resume::standing(self.run, plan, cell, trial, turn, &key)? {
                Standing::Done(earlier) => {
                    self.measured.extend(earlier);
                    continue;
                }
                Standing::Open { earlier, attempt, aside } => {
                    self.measured.extend(earlier);
                    if let Some(why) = aside {
                        progress.note(&format!("{} #{}: {why}", cell.id, turn.repeat));
                    }
                    attempt
                }
            };
            any = true;
            let left = rough(seconds[number..].iter().sum());
            loop {
                let name = match (turn.repeat, attempt) {
                    (0, _) => format!("{} warm-up", cell.id),
                    (repeat, 1) => format!("{} #{repeat}", cell.id),
                    (repeat, attempt) => format!("{} #{repeat}, attempt {attempt}", cell.id),
                };
                let number = u32::try_from(number + 1).expect("fewer than 2^32");
                progress.trial_begins(&name, number, total, &left);
                let result = self.attempt(cell, trial, turn, attempt, key.clone(), progress).await;
                // Its log may be there even if it could not go on.
                let outcome =
                    run_dir::measure(&self.run.dir, &self.run.manifest.run, cell, trial, turn.repeat, attempt);
                let ran = outcome.as_ref().ok().and_then(Option::as_ref);
                progress.trial_ends(ran.and_then(|m| m.trial.distribution_time_s));
                let invalid = ran.filter(|m| m.trial.verdict == Verdict::Invalid).map(|m| m.trial.invalid.clone());
                if turn.repeat > 0 {
                    self.measured.extend(ran.cloned());
                }
                result?;
                outcome?;
                if turn.repeat == 0 {
                    break;
                }
                run_dir::derive(&self.run.dir, &self.run.manifest, &self.analysis()?)?;
                let Some(why) = invalid else { break };
                progress.note(&format!("INVALID: {why}"));
                if attempt > plan.retries || stop.borrow().is_some() {
                    break;
                }
                if let Some(what) = self.repeated(cell, turn, attempt) {
                    progress.note(&format!("not tried again: {what} in two attempts, so it lies with the schedule"));
                    break;
                }
                attempt += 1;
            }
            if stop.borrow().is_some() {
                break;
            }
        }
        if !any && self.run.resumed {
            progress.note("nothing was left to run: what follows was measured before");
        }
        Ok(())
    }

    /// What of the schedule could not be carried out in this attempt and in the one before it, in words, if something: the
    /// same fate need not be tried once more.
    fn repeated(&self, cell: &Cell, turn: &Turn, attempt: u32) -> Option<String> {
        let of = |attempt: u32| {
            let is_it = |it: &&Measured| {
                it.trial.cell == cell.id && it.trial.repeat == turn.repeat && it.trial.attempt == attempt
            };
            self.measured.iter().find(is_it)
        };
        repeated(&of(attempt.checked_sub(1)?)?.churn, &of(attempt)?.churn)
    }

    /// Whether the arms of a cell are decided by what was measured so far.
    fn is_decided(&self, cell: &Cell) -> bool {
        let trials: Vec<_> = self.measured.iter().map(|measured| measured.trial.clone()).collect();
        let rows = compare::comparisons(self.plan, &trials);
        compare::decided(self.plan, &rows).contains(cell.id.as_str())
    }

    async fn attempt(
        &self,
        cell: &Cell,
        trial: &Trial,
        turn: &Turn,
        attempt: u32,
        key: String,
        progress: &mut Progress,
    ) -> Result<(), RunError> {
        let dir = run_dir::trial_dir(&self.run.dir, cell, turn.repeat, attempt);
        let mut log = Writer::create(&dir)?;
        let name = format!("{}/{}", cell.id, dir.file_name().unwrap_or_default().to_string_lossy());
        let scope = Scope::new(self.run.manifest.run.clone(), name, cell);
        let identity = trial::Identity { scope, repeat: turn.repeat, attempt, key };
        let mut show = Onlooker::new(trial, progress);
        let mut observer = |update| show.update(update);
        let ended = self.places.run(cell, trial, identity, &mut log, &mut observer, self.stop.clone()).await;
        log.finish()?;
        ended?;
        Ok(())
    }
}

/// How long each turn is expected to take, seconds.
fn seconds_of_turns(plan: &Plan, turns: &[(&Turn, &Cell, &Trial)]) -> Vec<f64> {
    let estimates = estimates(plan);
    let of = |cell: &Cell| plan.cells.iter().position(|it| it.id == cell.id).map(|index| &estimates[index]);
    turns.iter().map(|(_, cell, trial)| of(cell).map_or(0.0, |estimate| trial_seconds(cell, estimate, trial))).collect()
}

/// The first event of the schedule that failed in both attempts.
fn repeated(before: &[ChurnRow], now: &[ChurnRow]) -> Option<String> {
    let failed = |rows: &'_ [ChurnRow]| -> Vec<ChurnRow> {
        rows.iter().filter(|row| row.status == ChurnStatus::Failed).cloned().collect()
    };
    let same = |a: &ChurnRow, b: &ChurnRow| (&a.node, &a.action, a.planned_s) == (&b.node, &b.action, b.planned_s);
    let before = failed(before);
    let row = failed(now).into_iter().find(|row| before.iter().any(|it| same(it, row)))?;
    Some(format!("`{}`'s {} at {:.3} s failed", row.node, row.action, row.planned_s))
}

/// Cell by cell, repeat by repeat, attempt by attempt, in whatever order they ran.
fn in_plans_order(plan: &Plan, measured: &[Measured]) -> Vec<Measured> {
    let mut measured = measured.to_vec();
    let cell = |m: &Measured| plan.cells.iter().position(|cell| cell.id == m.trial.cell);
    measured.sort_by_key(|m| (cell(m), m.trial.repeat, m.trial.attempt));
    measured
}

fn count(plan: &Plan) -> String {
    let (cells, trials) = (plan.cells.len(), plan.cells.iter().map(|cell| cell.trials.len()).sum::<usize>());
    let s = |n: usize| if n == 1 { "" } else { "s" };
    format!("{cells} cell{}, {trials} trial{}", s(cells), s(trials))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_twice_is_told_and_what_failed_once_is_not() {
        let row = |node: &str, planned_s: f64, status| ChurnRow {
            cell: "p2p-n2".to_owned(),
            repeat: 1,
            attempt: 1,
            node: node.to_owned(),
            action: "rejoin with its pieces".to_owned(),
            actor: "controller".to_owned(),
            status,
            planned_s,
            actual_s: None,
            late_s: None,
            engine_s: None,
            why: String::new(),
        };
        let before = [row("peer-1", 3.0, ChurnStatus::Failed), row("peer-2", 4.0, ChurnStatus::Executed)];
        let told = |now: ChurnRow| repeated(&before, &[now]);
        let expected = "`peer-1`'s rejoin with its pieces at 3.000 s failed";
        assert_eq!(told(row("peer-1", 3.0, ChurnStatus::Failed)), Some(expected.to_owned()));
        assert_eq!(told(row("peer-1", 3.0, ChurnStatus::Executed)), None);
        assert_eq!(told(row("peer-1", 5.0, ChurnStatus::Failed)), None, "another event");
        assert_eq!(told(row("peer-2", 4.0, ChurnStatus::Failed)), None, "it did not fail before");
    }
}
