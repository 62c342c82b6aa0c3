//! From the command line to the command, and to its exit code.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use super::{baseline, clean, compare, doctor, plan, report, rerun, run, schema};
use crate::cli::{Cli, Command};
use crate::console::{UNSAID, complain, note};
use crate::exit::Exit;
use crate::runtime::raise_file_limit;

/// The exit of a command once it has said all, which is graver if that could not be written.
pub(crate) fn all_said(exit: Exit) -> Exit {
    note(io::stdout().flush());
    match UNSAID.get() {
        Some(why) => {
            complain(format_args!("error: standard output cannot be written: {why}"));
            exit.or_worse(Exit::Machine)
        }
        None => exit,
    }
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
pub(crate) fn dispatch(cli: Cli) -> Exit {
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
pub(crate) const WORKERS: usize = 2;

/// Does what takes time beside other things.
pub(crate) fn with_event_loop(command: impl Future<Output = Exit>) -> Exit {
    // Tokio panics where it gets no thread: it is found out before. It needs one more for files.
    let threads = (0..=WORKERS).map(|_| std::thread::Builder::new().spawn(|| {})).collect::<Vec<_>>();
    let probed = threads.into_iter().try_for_each(|thread| thread.map(|thread| drop(thread.join())));
    let runtime =
        probed.and_then(|()| tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build());
    match runtime {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            complain(format_args!("error: no threads: {error} (hint: {})", limit(&error)));
            Exit::Machine
        }
    }
}

/// The limit that keeps a process from its event loop.
fn limit(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::MFILE) => "`ulimit -n` limits open files",
        Some(rustix::io::Errno::NOMEM) => "`ulimit -v` limits memory",
        _ => "`ulimit -u` limits a user's processes and threads, `ulimit -v` their memory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_named_that_keeps_a_process_from_its_threads() {
        let of = |errno: rustix::io::Errno| limit(&io::Error::from_raw_os_error(errno.raw_os_error()));
        assert!(
            of(rustix::io::Errno::MFILE).contains("ulimit -n") && of(rustix::io::Errno::NOMEM).contains("ulimit -v")
        );
        assert!(of(rustix::io::Errno::AGAIN).contains("ulimit -u"));
    }
}
