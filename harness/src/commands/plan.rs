//! `harness plan FILE`: what would happen. Reads the file, touches nothing else.

use std::path::Path;

use super::{complain, say};
use crate::analysis::bounds::{self, Swarm};
use crate::exit::Exit;
use crate::plan::{self, Cell, Plan};
use crate::report::plan::{CellEstimate, render};
use crate::spec;

/// Prints what a run would do.
#[must_use]
pub fn plan(file: &Path) -> Exit {
    match spec::load(file) {
        Ok(spec) => {
            let plan = plan::plan(&spec);
            say(render(&plan, &estimates(&plan)).trim_end());
            Exit::Fine
        }
        Err(error) => {
            complain(error);
            Exit::Spec
        }
    }
}

/// What the formulas allow each cell, in the plan's order.
#[must_use]
pub fn estimates(plan: &Plan) -> Vec<CellEstimate> {
    plan.cells.iter().map(estimate).collect()
}

fn estimate(cell: &Cell) -> CellEstimate {
    let swarm = cell.trials.first().and_then(|trial| Swarm::of_nodes(trial.file.size, &trial.nodes));
    match swarm.and_then(|swarm| bounds::bound(cell.settings.architecture, &swarm)) {
        Some(bound) => CellEstimate {
            bound_seconds: bound.seconds,
            binding: bound.term.formula().to_owned(),
            payload_bound_seconds: bound.payload_seconds,
        },
        // Every peer leaves for good: nobody is waited for.
        None => {
            CellEstimate { bound_seconds: 0.0, binding: "nobody is to complete".to_owned(), payload_bound_seconds: 0.0 }
        }
    }
}
