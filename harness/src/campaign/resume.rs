//! Going on with a run that did not come to its end: which one, and what of it stands.
//!
//! A trial stands if its log is whole, valid (or failed by its own fault), and of the same key: the same settings,
//! nodes, schedule, seed and image. What is cut off is set aside, never removed.

use std::fs;
use std::path::{Path, PathBuf};

use super::experiment::Experiment;
use crate::analysis::metrics::{Measured, Verdict};
use crate::archive::run_dir::{self, Manifest, ResultsError, Run};
use crate::events::log::{ReadError, Reader};
use crate::events::record::{Event, Line};
use crate::plan::{Cell, Plan, Trial, Turn};

/// The latest run of this very plan below `out`, if there is one.
///
/// # Errors
/// If another process is running it: an older one is not what is meant.
pub(crate) fn find(out: &Path, experiment: &Experiment) -> Result<Option<Run>, ResultsError> {
    let parent = out.join(&experiment.plan.name);
    let Ok(entries) = fs::read_dir(&parent) else { return Ok(None) };
    let runs = entries.filter_map(|entry| {
        let dir = entry.ok()?.path();
        // What is no run, or damaged, is not what is looked for.
        let (plan, manifest) = run_dir::open(&dir).ok()?;
        (plan == experiment.plan).then_some((dir, manifest))
    });
    let now = run_dir::moment(jiff::Timestamp::now());
    let Some((dir, manifest)) = runs.max_by_key(|(dir, manifest)| recency(dir, manifest, &now)) else {
        return Ok(None);
    };
    let Some(lock) = run_dir::lock(&dir)? else { return Err(ResultsError::Held { path: dir }) };
    Ok(Some(Run { dir, manifest, resumed: true, _lock: lock }))
}

/// How recent a run is, to be compared: by its beginning, and among those of one second by the number in its name. A run that
/// begins in the future was made while the clock was wrong, and is older than all others for what is known of it.
fn recency(dir: &Path, manifest: &Manifest, now: &str) -> (bool, String, usize, PathBuf) {
    let begun = manifest.started.as_str() <= now;
    (begun, manifest.started.clone(), dir.as_os_str().len(), dir.to_owned())
}

/// What stands of a trial.
pub(crate) enum Standing {
    /// Nothing is to be done.
    Done(Vec<Measured>),
    /// This attempt is to be made.
    Open {
        /// INVALID attempts before it.
        earlier: Vec<Measured>,
        /// Which.
        attempt: u32,
        /// Why one that there was does not stand, if it had come to its end.
        aside: Option<&'static str>,
    },
}

/// Looks at what there is of a trial, and sets aside what is cut off or of another key.
pub(crate) fn standing(
    run: &Run,
    plan: &Plan,
    cell: &Cell,
    trial: &Trial,
    turn: &Turn,
    key: &str,
) -> Result<Standing, ResultsError> {
    let mut earlier = Vec::new();
    for attempt in 1.. {
        let dir = run_dir::trial_dir(&run.dir, cell, turn.repeat, attempt);
        if !dir.exists() {
            return Ok(Standing::Open { earlier, attempt, aside: None });
        }
        let measured = run_dir::measure(&run.dir, &run.manifest.run, cell, trial, turn.repeat, attempt);
        let has_ended = matches!(&measured, Ok(Some(it)) if it.trial.verdict != Verdict::BrokenOff);
        match measured {
            Ok(Some(measured)) if has_ended && keyed(&dir).as_deref() == Some(key) => {
                if measured.trial.verdict != Verdict::Invalid || turn.repeat == 0 {
                    earlier.extend(Some(measured).filter(|_| turn.repeat > 0));
                    return Ok(Standing::Done(earlier));
                }
                earlier.push(measured);
                if attempt > plan.retries && run.manifest.status != "finished" {
                    return Ok(Standing::Done(earlier));
                }
            }
            Ok(_) | Err(ResultsError::Log(ReadError::Damaged { .. })) => {
                // Whatever followed it was made because of it.
                let later = (attempt..).map(|it| run_dir::trial_dir(&run.dir, cell, turn.repeat, it));
                later.take_while(|dir| dir.exists()).try_for_each(|dir| set_aside(&dir))?;
                let aside = has_ended.then_some("measured with another program or on another machine, and set aside");
                return Ok(Standing::Open { earlier, attempt, aside });
            }
            Err(error) => return Err(error),
        }
    }
    unreachable!("the loop ends by itself")
}

/// The key in the first line of a log.
fn keyed(dir: &Path) -> Option<String> {
    match Reader::open(dir).ok()?.next()?.ok()? {
        Line::Controller(record) => match record.event {
            Event::Trial { key, .. } => Some(key),
            _ => None,
        },
        Line::Node(_) => None,
    }
}

/// Renames the directory of an attempt that does not stand to one that nobody reads as a trial.
fn set_aside(dir: &Path) -> Result<(), ResultsError> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for n in 1.. {
        let aside = dir.with_file_name(format!("{name}-cut-{n}"));
        if !aside.exists() {
            return fs::rename(dir, &aside).map_err(|source| ResultsError::Write { path: aside, source });
        }
    }
    unreachable!("the loop ends by itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_run_is_the_last_that_began_until_now() {
        let run = |name: &str, started: &str| {
            (PathBuf::from(name), Manifest { started: started.to_owned(), ..Manifest::default() })
        };
        let runs = [
            run("a-2", "2026-11-20T00:00:00Z"),
            run("a-10", "2026-11-20T00:00:00Z"),
            run("z", "2026-11-19T00:00:00Z"),
            run("b", "2027-01-01T00:00:00Z"),
        ];
        let now = &run_dir::moment("2026-11-28T06:48:52.5Z".parse().unwrap());
        let latest = runs.iter().max_by_key(|(dir, manifest)| recency(dir, manifest, now)).unwrap();
        assert_eq!(latest.0, Path::new("a-10"), "`b` began while the clock was wrong");
        let (dir, manifest) = run("now", now);
        assert!(recency(&dir, &manifest, now).0, "a run that begins in this very second is none of the future");
    }
}
