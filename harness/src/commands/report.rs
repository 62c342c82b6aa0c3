//! `harness report DIR`: rebuilds every derived file of a run from its raw events, byte for byte.

use std::path::Path;

use super::results::{self, ResultsError};
use super::{columns, complain, say};
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
    let (plan, manifest) = results::open(dir)?;
    let analysis = results::analyse(dir, &plan, &manifest)?;
    results::derive(dir, &manifest, &analysis)?;
    Ok(terminal::summary(&analysis, columns()))
}
