//! What the formulas allow each cell of a plan, before anything runs.

use super::presence;
use crate::plan::{Cell, Plan};

/// What the formulas allow a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct CellEstimate {
    /// Lower bound on the distribution time at the links' rates, seconds.
    pub bound_seconds: f64,
    /// The term that sets it, such as `N·F/u_s`.
    pub binding: String,
    /// The same at the rates that are left for the file after headers, seconds.
    pub payload_bound_seconds: f64,
}

/// What the formulas allow each cell, in the plan's order.
#[must_use]
pub fn estimates(plan: &Plan) -> Vec<CellEstimate> {
    plan.cells.iter().map(estimate).collect()
}

fn estimate(cell: &Cell) -> CellEstimate {
    let swarm = cell.trials.first().and_then(presence::planned);
    match swarm.and_then(|swarm| presence::bound(cell.settings.architecture, &swarm)).map(|(bound, _)| bound) {
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
