//! `harness rerun DIR`: repeats a run from its own directory, and says what differs.

use std::collections::BTreeSet;
use std::path::Path;

use crate::analysis::summary::Analysis;
use crate::archive::run_dir::{self, Facts, Manifest, ResultsError};
use crate::campaign::experiment::{Experiment, load};
use crate::campaign::run::{finish, run_all};
use crate::console::{complain, say};
use crate::exit::Exit;
use crate::plan::RuntimeName;

/// Runs the experiment of `dir` again, with its seed and its repeats, where it ran or where `asked` says, into a new
/// directory below `out`.
pub async fn rerun(dir: &Path, out: &Path, asked: Option<RuntimeName>) -> Exit {
    let (before, manifest) = match run_dir::open(dir) {
        Ok(opened) => opened,
        Err(error) => {
            complain(format_args!("error: {error}"));
            return Exit::Usage;
        }
    };
    let path = dir.join("spec.yaml");
    if let Err(error) = run_dir::unedited(&path, &manifest) {
        complain(format_args!("error: {error}"));
        return Exit::Usage;
    }
    let repeats = manifest.repeats.and_then(|repeats| u32::try_from(repeats).ok());
    let load = |runtime| load(&path, repeats, Some(manifest.seed), runtime);
    let is_compared = before.factors.iter().any(|key| key == "runtime");
    let own = before.cells.first().map(|cell| cell.settings.runtime).filter(|_| !is_compared);
    let loaded = load(own).and_then(|same| {
        if same.plan.cells != before.cells {
            complain("warning: this harness plans the experiment differently from the one that made the run");
        }
        if asked.is_some() { load(asked) } else { Ok(same) }
    });
    let experiment = match loaded {
        Ok(experiment) => experiment,
        Err(error) => {
            complain(error);
            return Exit::Spec;
        }
    };
    // Runs of different runtimes are compared only if that is asked for.
    let auto = match manifest.facts.get("runtime").map(String::as_str) {
        Some("docker") => Some(RuntimeName::Docker),
        Some("netns") => Some(RuntimeName::Netns),
        _ => None,
    };
    let old = run_dir::analyse(dir, &before, &manifest);
    let experiments = [experiment];
    let directories = |facts: &Facts| {
        let Experiment { text, plan, .. } = &experiments[0];
        Ok(vec![run_dir::create(out, text, plan, facts.clone())?])
    };
    match run_all(&experiments, auto, None, directories).await {
        Ok((exit, dirs)) => {
            for dir in &dirs {
                if let Err(error) = compare(&manifest, old.as_ref(), dir) {
                    complain(format_args!("error: {error}"));
                }
            }
            exit
        }
        Err(error) => finish(Err(error)),
    }
}

/// Says what differs between two runs of one plan.
fn compare(before: &Manifest, old: Result<&Analysis, &ResultsError>, dir: &Path) -> Result<(), ResultsError> {
    let (plan, after) = run_dir::open(dir)?;
    say(format_args!("\ncompared with {}:", before.run));
    let differences = differences(before, &after);
    if differences.is_empty() {
        say("nothing differs in the surroundings");
    }
    for line in differences {
        say(format_args!("  {line}"));
    }
    let new = run_dir::analyse(dir, &plan, &after)?;
    let old = match old {
        Ok(old) => old,
        Err(error) => {
            say(format_args!("  its times cannot be read: {error}"));
            return Ok(());
        }
    };
    for now in &new.summary {
        let Some(then) = old.summary.iter().find(|then| then.cell == now.cell) else {
            say(format_args!("  {}: it was not in that run", now.cell));
            continue;
        };
        let times = then.distribution_time_median_s.zip(now.distribution_time_median_s);
        let change = times.map_or("no time to compare".to_owned(), |(then, now)| {
            format!("{then:.2} s → {now:.2} s ({:+.1} %)", (now / then - 1.0) * 100.0)
        });
        say(format_args!("  {}: {change}", now.cell));
    }
    for then in old.summary.iter().filter(|then| new.summary.iter().all(|now| now.cell != then.cell)) {
        say(format_args!("  {}: it is not in this run", then.cell));
    }
    Ok(())
}

/// What is not as it was: harness, engine, kernel, image, …
fn differences(before: &Manifest, after: &Manifest) -> Vec<String> {
    let mut lines = Vec::new();
    let mut note = |what: &str, then: Option<&String>, now: Option<&String>| {
        let word = |value: Option<&String>| value.map_or("(not known)".to_owned(), Clone::clone);
        if then != now {
            lines.push(format!("{what}: {} → {}", word(then), word(now)));
        }
    };
    note("harness", Some(&before.harness), Some(&after.harness));
    let keys: BTreeSet<&String> = before.facts.keys().chain(after.facts.keys()).collect();
    for key in keys {
        note(key, before.facts.get(key), after.facts.get(key));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_and_the_rest_is_not() {
        let facts =
            |kernel: &str| Facts::from([("engine.kernel".into(), kernel.into()), ("runtime".into(), "docker".into())]);
        let manifest = |facts| Manifest { harness: "0.1.0".into(), facts, ..Manifest::default() };
        let (before, mut after) = (manifest(facts("6.1")), manifest(facts("6.18")));
        assert_eq!(differences(&before, &before), [""; 0]);
        after.facts.insert("image".into(), "x".into());
        assert_eq!(differences(&before, &after), ["engine.kernel: 6.1 → 6.18", "image: (not known) → x"]);
    }
}
