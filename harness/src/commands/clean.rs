//! `harness clean`: removes what runs left that were killed. It knows nothing of experiments or results.

use crate::campaign::signals::watch_signals;
use crate::console::{complain, say};
use crate::exit::Exit;
use crate::runtime::RuntimeError;
use crate::runtime::docker::{Cleaned, Engine};
use crate::runtime::trial::Signal;

/// Removes what dead runs left on the engine, and images of older binaries; with `all`, also what was started on
/// another machine or before the last boot, and every image. Says what it did on standard output.
///
/// A process 1 is ended by no signal that it does not wait for; what is not removed then is found by the next one.
pub async fn clean(all: bool) -> Exit {
    let mut stop = match watch_signals() {
        Ok(stop) => stop,
        Err(error) => {
            complain(format_args!("error: cannot wait for signals: {error}"));
            return Exit::Machine;
        }
    };
    tokio::select! {
        exit = to_the_end(all) => exit,
        Ok(signal) = stop.wait_for(Option::is_some) => match *signal {
            Some(Signal::Interrupt) => Exit::Interrupted,
            Some(Signal::Terminate) | None => Exit::Terminated,
        },
    }
}

async fn to_the_end(all: bool) -> Exit {
    match remove(all).await {
        Ok(cleaned) => {
            say(format_args!("removed {cleaned}"));
            for line in remarks(&cleaned) {
                say(line);
            }
            for error in &cleaned.errors {
                complain(format_args!("error: {error}"));
            }
            if cleaned.errors.is_empty() { Exit::Fine } else { Exit::Machine }
        }
        Err(error) => {
            complain(format_args!("error: {error}"));
            Exit::Machine
        }
    }
}

async fn remove(all: bool) -> Result<Cleaned, RuntimeError> {
    Engine::connect().await?.clean(all).await
}

/// What was left alone, and why.
fn remarks(cleaned: &Cleaned) -> Vec<String> {
    let mut lines = Vec::new();
    if cleaned.alive > 0 {
        lines.push(format!(
            "left {} containers, networks and volumes of a run that is alive, or that was started elsewhere and has time left",
            cleaned.alive
        ));
    }
    if cleaned.elsewhere > 0 {
        lines.push(format!(
            "left {} containers, networks and volumes of runs that were started elsewhere or before the last boot \
             (hint: `harness clean --all` removes them)",
            cleaned.elsewhere
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_alone_is_said_with_the_cure() {
        assert!(remarks(&Cleaned::default()).is_empty());
        let cleaned = Cleaned { alive: 2, elsewhere: 3, ..Cleaned::default() };
        let lines = remarks(&cleaned);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].contains("harness clean --all"));
    }
}
