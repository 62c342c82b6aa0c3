//! `harness plan FILE`: what would happen. Reads the file, touches nothing else.

use std::path::Path;

use crate::plan::{self, Cell};
use crate::report::plan::{CellEstimate, render};
use crate::spec::{self, SpecError};

/// What is printed for an experiment file; `estimate` says what the formulas allow a cell.
///
/// # Errors
/// If the file cannot be read or is wrong.
pub fn text(file: &Path, estimate: impl Fn(&Cell) -> CellEstimate) -> Result<String, SpecError> {
    let plan = plan::plan(&spec::load(file)?);
    let estimates: Vec<CellEstimate> = plan.cells.iter().map(estimate).collect();
    Ok(render(&plan, &estimates))
}
