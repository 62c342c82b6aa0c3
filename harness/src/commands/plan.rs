//! `harness plan FILE`: what would happen. Reads the file, touches nothing else.

use std::path::Path;

use crate::analysis::estimate::estimates;
use crate::campaign::experiment::{Experiment, load};
use crate::console::{complain, say};
use crate::exit::Exit;
use crate::plan::{Plan, timeline};
use crate::report::plan::render;

/// Prints what a run would do, or who is there when in one of its trials.
#[must_use]
pub fn plan(file: &Path, timeline: Option<&str>) -> Exit {
    match load(file, None, None, None) {
        Ok(Experiment { plan, .. }) => {
            if let Some(which) = timeline {
                return match of_one(&plan, which) {
                    Ok(csv) => {
                        say(csv.trim_end());
                        Exit::Fine
                    }
                    Err(why) => {
                        complain(why);
                        Exit::Usage
                    }
                };
            }
            say(render(&plan, &estimates(&plan)).trim_end());
            Exit::Fine
        }
        Err(error) => {
            complain(error);
            Exit::Spec
        }
    }
}

/// The timeline of the trial that is meant by `CELL[/REPEAT]`, or of all if they are the same.
fn of_one(plan: &Plan, which: &str) -> Result<String, String> {
    let (cell, repeat) = match which.rsplit_once('/') {
        Some((cell, repeat)) => {
            (cell, repeat.parse().map_err(|_| format!("`{repeat}` is no repeat (hint: `CELL/1`)"))?)
        }
        None => (which, 1_u32),
    };
    let trials = || plan.cells.iter().filter(|it| cell.is_empty() || it.id == cell);
    let trials = trials().flat_map(|cell| cell.trials.iter().filter(|trial| trial.repeat == repeat));
    let mut timelines: Vec<String> = trials.map(timeline::csv).collect();
    timelines.dedup();
    let cells: Vec<&str> = plan.cells.iter().map(|cell| cell.id.as_str()).collect();
    match &timelines[..] {
        [one] => Ok(one.clone()),
        [] => Err(format!(
            "no trial `{which}` (hint: cells are {}, and a repeat follows as in `CELL/1`)",
            cells.join(", ")
        )),
        _ => Err(format!("the cells have different timelines (hint: `--timeline CELL`, one of {})", cells.join(", "))),
    }
}
