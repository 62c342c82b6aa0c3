//! `harness report DIR`: rebuilds every derived file of a run from its raw events, byte for byte.

use std::path::Path;

use crate::archive::run_dir::{self, ResultsError};
use crate::console::{columns, complain, say};
use crate::exit::Exit;
use crate::report::terminal;

/// Rebuilds and prints the summary.
#[must_use]
pub fn report(dir: &Path) -> Exit {
    match rebuild(dir) {
        Ok(summary) => {
            say(summary.trim_end());
            say(format_args!("report: {}", dir.join("report.md").display()));
            Exit::Fine
        }
        Err(error) => {
            complain(format_args!("error: {error}"));
            Exit::Usage
        }
    }
}

fn rebuild(dir: &Path) -> Result<String, ResultsError> {
    let (plan, manifest) = run_dir::open(dir)?;
    let analysis = run_dir::analyse(dir, &plan, &manifest)?;
    run_dir::derive(dir, &manifest, &analysis)?;
    Ok(terminal::summary(&analysis, columns()))
}
