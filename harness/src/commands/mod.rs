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
use std::sync::OnceLock;

use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::runtime::raise_file_limit;

/// Why standard output could not be written, the first time.
static UNSAID: OnceLock<String> = OnceLock::new();

/// A line on standard output.
fn say(line: impl Display) {
    note(writeln!(io::stdout(), "{line}"));
}

/// Remembers that something could not be written that somebody wants. That nobody reads it any more (`| head`) is no reason
/// to end otherwise than well.
fn note(written: io::Result<()>) {
    if let Some(why) = unsaid(written) {
        UNSAID.get_or_init(|| why);
    }
}

fn unsaid(written: io::Result<()>) -> Option<String> {
    written.err().filter(|error| error.kind() != io::ErrorKind::BrokenPipe).map(|error| error.to_string())
}

/// The exit of a command once it has said all, which is graver if that could not be written.
fn all_said(exit: Exit) -> Exit {
    note(io::stdout().flush());
    match UNSAID.get() {
        Some(why) => {
            complain(format_args!("error: standard output cannot be written: {why}"));
            exit.or_worse(Exit::Machine)
        }
        None => exit,
    }
}

/// Columns of the terminal that reads standard output, as many as there can be where none does.
fn columns() -> usize {
    console::Term::stdout().size_checked().map_or(usize::MAX, |(_, columns)| columns.into())
}

/// A line on standard error, in the same way.
fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The `harness` command.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => all_said(dispatch(cli)).into(),
        Err(error) => {
            // Help and version are what was asked for, and go to standard output.
            let (printed, asked_for) = (error.print(), !error.use_stderr());
            if !asked_for {
                return Exit::Usage.into();
            }
            note(printed);
            all_said(Exit::Fine).into()
        }
    }
}

/// Does what the command line says.
fn dispatch(cli: Cli) -> Exit {
    raise_file_limit();
    match cli.command {
        Command::Run(arguments) => with_event_loop(run::run(&arguments)),
        Command::Compare(arguments) => with_event_loop(compare::compare(&arguments)),
        Command::Baseline(command) => baseline::baseline(&command),
        Command::Plan { file, timeline } => plan::plan(&file, timeline.as_deref()),
        Command::Report { dir } => report::report(&dir),
        Command::Rerun { dir, out, runtime: name } => with_event_loop(rerun::rerun(&dir, &out, name)),
        Command::Schema { which } => schema::schema(which),
        Command::Doctor { runtime: name } => with_event_loop(doctor::doctor(name)),
        Command::Clean { all } => with_event_loop(clean::clean(all)),
    }
}

/// Threads that work on events.
const WORKERS: usize = 2;

/// Does what takes time beside other things.
fn with_event_loop(command: impl Future<Output = Exit>) -> Exit {
    // Tokio panics where it gets no thread: it is found out before. It needs one more for files.
    let threads = (0..=WORKERS).map(|_| std::thread::Builder::new().spawn(|| {})).collect::<Vec<_>>();
    let probed = threads.into_iter().try_for_each(|thread| thread.map(|thread| drop(thread.join())));
    let runtime =
        probed.and_then(|()| tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build());
    match runtime {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            complain(format_args!(
                "error: no threads: {error} (hint: `ulimit -u` limits a user's processes and threads)"
            ));
            Exit::Machine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_failure_to_speak_and_a_reader_that_left_is_none() {
        assert_eq!(unsaid(Ok(())), None);
        assert_eq!(unsaid(Err(io::ErrorKind::BrokenPipe.into())), None);
        assert_eq!(unsaid(Err(io::ErrorKind::StorageFull.into())).as_deref(), Some("no storage space"));
    }
}
