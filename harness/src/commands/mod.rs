//! Commands: the only place where the stages are joined.
//!
//! | module | command |
//! | --- | --- |
//! | [`run`] | `harness run FILE…` |
//! | [`compare`] | `harness compare FILE` |
//! | [`baseline`] | `harness baseline …` |
//! | [`mod@plan`] | `harness plan FILE` |
//! | [`report`] | `harness report DIR` |
//! | [`rerun`] | `harness rerun DIR` |
//! | [`doctor`] | `harness doctor` |
//! | [`schema`] | `harness schema WHAT` |
//! | [`clean`] | `harness clean` |
//!
//! [`results`] is the directory of a run, which `run` writes and `report` reads; `sweep` runs one experiment's trials,
//! `resume` finds what an earlier process did of them, `onlooker` shows them to a person, `places` is where they run,
//! `store` is what outlives a run, `job` is what a CI gets to see of a run beside its directory.

pub mod baseline;
pub mod clean;
pub mod compare;
pub mod doctor;
mod job;
mod onlooker;
mod places;
pub mod plan;
pub mod report;
pub mod rerun;
pub mod results;
mod resume;
pub mod run;
pub mod schema;
mod store;
mod sweep;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::exit::Exit;

/// A line on standard output. That nobody reads it any more (`| head`) is no reason to end otherwise than well.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A line on standard error, in the same way.
fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Does what the command line says.
#[must_use]
pub fn dispatch(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format_args!("error: no event loop: {error}"));
            return Exit::Machine.into();
        }
    };
    let exit = match cli.command {
        Command::Run(arguments) => runtime.block_on(run::run(&arguments)),
        Command::Compare(arguments) => runtime.block_on(compare::compare(&arguments)),
        Command::Baseline(command) => baseline::baseline(&command),
        Command::Plan { file, timeline } => plan::plan(&file, timeline.as_deref()),
        Command::Report { dir } => report::report(&dir),
        Command::Rerun { dir, out, runtime: name } => runtime.block_on(rerun::rerun(&dir, &out, name)),
        Command::Schema { which } => schema::schema(which),
        Command::Doctor { runtime: name } => runtime.block_on(doctor::doctor(name)),
        Command::Clean { all } => runtime.block_on(clean::clean(all)),
    };
    exit.into()
}
