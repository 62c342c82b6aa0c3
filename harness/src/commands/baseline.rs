//! `harness baseline …`: what runs are compared with, night after night. Nothing here is ever moved by a run.

use std::path::Path;

use crate::analysis::compare::Change;
use crate::analysis::history::{self, Acknowledgement, Night};
use crate::analysis::statistics::{median, variation};
use crate::archive::baselines::{self, Store, StoreError};
use crate::archive::run_dir;
use crate::cli::Baseline;
use crate::console::{complain, say};
use crate::exit::Exit;

/// Does what the command line says.
#[must_use]
pub fn baseline(command: &Baseline) -> Exit {
    match carry_out(command) {
        Ok(()) => Exit::Fine,
        Err(error) => {
            complain(format_args!("error: {error}"));
            match error {
                StoreError::NoBaseline { .. } | StoreError::NonePromoted { .. } => Exit::NotComparable,
                StoreError::Write { .. } => Exit::Machine,
                _ => Exit::Usage,
            }
        }
    }
}

fn carry_out(command: &Baseline) -> Result<(), StoreError> {
    match command {
        Baseline::Save { name, dir, out, machine, commit } => {
            let (plan, manifest) = run_dir::open(dir)?;
            // Where no lock is to be had (an archive that cannot be written) no run is under way either.
            if matches!(run_dir::lock(dir), Ok(None)) {
                return Err(run_dir::ResultsError::Held { path: dir.clone() }.into());
            }
            let analysis = run_dir::analyse(dir, &plan, &manifest)?;
            if manifest.status != "finished" {
                complain("warning: the run is not complete, so the baseline has fewer trials than the file plans");
            }
            let night = baselines::night(&plan, &manifest, &analysis, machine.as_deref(), commit.as_deref());
            let path = Store::new(out, &plan.name).save(name, &night)?;
            say(format_args!("saved `{}`: {}", path.display(), told(&night)));
            say(format_args!("it gates nothing until `harness baseline promote {} {name} --reason …`", plan.name));
            Ok(())
        }
        Baseline::List { experiment, out } => list(experiment.as_deref(), out),
        Baseline::Show { experiment, name, out } => show(&Store::new(out, experiment), name),
        Baseline::Promote { experiment, name, reason, out } => {
            let store = Store::new(out, experiment);
            let before = store.promoted()?.lines.last().map(|last| last.name.clone());
            store.promote(name, reason)?;
            let before = before.filter(|before| before != name);
            let before = before.map(|before| format!(", and `{before}` does no longer")).unwrap_or_default();
            say(format_args!("`{name}` gates `{experiment}` from now on{before}"));
            Ok(())
        }
        Baseline::Rm { experiment, name, out } => {
            Store::new(out, experiment).remove(name)?;
            say(format_args!("removed `{name}` of `{experiment}`"));
            Ok(())
        }
        Baseline::Acknowledge { experiment, cell, metric, up_to, until, reason, out } => {
            let known = Acknowledgement {
                version: history::VERSION,
                cell: cell.clone(),
                metric: *metric,
                up_to: 1.0 + up_to,
                until: until.to_string(),
                reason: reason.clone(),
                at: baselines::now(),
            };
            Store::new(out, experiment).acknowledge(&known)?;
            let verdict = Change::Acknowledged;
            say(format_args!("`{cell}` is {verdict} up to {:.3} times as long until {until}", known.up_to));
            Ok(())
        }
    }
}

fn told(night: &Night) -> String {
    let trials: usize = night.cells.values().map(|metrics| metrics.values().map(Vec::len).max().unwrap_or(0)).sum();
    let cells = if night.cells.len() == 1 { "1 cell".to_owned() } else { format!("{} cells", night.cells.len()) };
    let trials = if trials == 1 { "1 valid trial".to_owned() } else { format!("{trials} valid trials") };
    format!("{cells}, {trials}, {}", night.identity.machine)
}

/// Every baseline of an experiment, or of all.
fn list(experiment: Option<&str>, out: &Path) -> Result<(), StoreError> {
    let experiments = match experiment {
        Some(one) => vec![one.to_owned()],
        None => {
            let found = std::fs::read_dir(out).into_iter().flatten();
            let mut names: Vec<String> = found.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
            names.sort();
            names
        }
    };
    let mut any = false;
    for experiment in experiments {
        let store = Store::new(out, &experiment);
        let promotions = store.promoted()?;
        promotions.unreadable.iter().for_each(|line| complain(format_args!("warning: {line}")));
        let promoted = promotions.lines.last();
        for name in store.names() {
            any = true;
            let gates = promoted.filter(|last| last.name == name);
            let gates = gates.map(|last| format!("; gates since {}: {}", last.at, last.reason)).unwrap_or_default();
            match store.load(&name) {
                Ok(night) => say(format_args!("{experiment}  {name}  {}  {}{gates}", night.at, told(&night))),
                Err(error) => complain(format_args!("warning: {error}")),
            }
        }
    }
    if !any {
        say("no baselines (hint: `harness baseline save NAME DIR`)");
    }
    Ok(())
}

fn show(store: &Store, name: &str) -> Result<(), StoreError> {
    let promotions = store.promoted()?.lines;
    let name = store.meant(name)?;
    let night = store.load(&name)?;
    let identity = &night.identity;
    say(format_args!("{name}: run {} of {}, commit {}", night.run, night.at, or_unknown(&night.commit)));
    say(format_args!("plan {}, {}, {}, {}", identity.plan, identity.runtime, identity.congestion, identity.machine));
    for promotion in promotions.iter().filter(|it| it.name == name) {
        say(format_args!("promoted {}: {}", promotion.at, promotion.reason));
    }
    for (cell, metrics) in &night.cells {
        for (metric, values) in metrics {
            let median = median(values).unwrap_or_default();
            let spread = variation(values).map(|cv| format!(", variation {:.1} %", cv * 100.0)).unwrap_or_default();
            let raw: Vec<String> = values.iter().map(|value| format!("{value:.3}")).collect();
            say(format_args!("  {cell} {metric}: median {median:.3} s{spread} of {}", raw.join(" ")));
        }
    }
    Ok(())
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "not known" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;
    use crate::archive::run_dir::{Facts, create};

    #[test]
    fn a_run_that_is_under_way_is_no_baseline() {
        let out = tempfile::tempdir().unwrap();
        let plan = fixture::plan(vec![fixture::cell(crate::plan::Architecture::P2p, 2, 1)]);
        let run = create(out.path(), "name: x\n", &plan, Facts::new()).unwrap();
        let dir = run.dir.clone();
        let save = |name: &str| {
            let (name, dir, out) = (name.to_owned(), dir.clone(), out.path().to_owned());
            carry_out(&Baseline::Save { name, dir, out, machine: None, commit: None })
        };
        let is_held = || matches!(save("a"), Err(StoreError::Results(run_dir::ResultsError::Held { .. })));
        assert!(is_held());
        drop(run);
        assert!(!is_held(), "the process that ran it is gone");
    }
}
