//! Commands: the only place where the stages are joined.
//!
//! | module | command |
//! | --- | --- |
//! | [`run`] | `harness run FILE…` |
//! | [`mod@plan`] | `harness plan FILE` |
//! | [`report`] | `harness report DIR` |
//! | [`clean`] | `harness clean` |
//!
//! [`results`] is the directory of a run, which `run` writes and `report` reads.

pub mod clean;
pub mod plan;
pub mod report;
pub mod results;
pub mod run;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::exit::Exit;

/// Does what the command line says.
#[must_use]
pub fn dispatch(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no event loop: {error}");
            return Exit::Machine.into();
        }
    };
    let exit = match cli.command {
        Command::Run(arguments) => runtime.block_on(run::run(&arguments)),
        Command::Plan { file } => plan::plan(&file),
        Command::Report { dir } => report::report(&dir),
        Command::Clean { all } => runtime.block_on(clean::clean(all)),
    };
    exit.into()
}
