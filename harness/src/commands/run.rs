//! `harness run FILE…`: spec → plan → runtime, and for each experiment a sweep.

use crate::campaign::experiment::load;
use crate::campaign::run::new_or_resumed;
use crate::cli;
use crate::console::complain;
use crate::exit::Exit;

/// Runs all files, one after the other. The first that is wrong stops all before anything starts; the worst end of
/// any of them is the exit code.
pub async fn run(arguments: &cli::Run) -> Exit {
    let mut experiments = Vec::new();
    let mut wrong = false;
    for file in &arguments.files {
        match load(file, arguments.how.repeats, arguments.how.seed, arguments.how.runtime) {
            Ok(experiment) => experiments.push(experiment),
            Err(error) => {
                complain(error);
                wrong = true;
            }
        }
    }
    if wrong {
        return Exit::Spec;
    }
    new_or_resumed(&experiments, &arguments.how).await
}
