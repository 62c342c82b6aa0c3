//! The command line: types only.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::plan::RuntimeName;
use crate::plan::gate::Metric;
use crate::quantity;

/// How long it takes to distribute a file to N peers, client-server against P2P, and how far that is from what the
/// formulas allow.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 fine, 1 internal error, 2 usage, 3 the experiment file is wrong (nothing was started),
4 the machine cannot run it, 10 a trial failed, 11 a trial is INVALID (something beside the swarm may
have decided its time), 20 a threshold was crossed, 21 slower than the base or the baseline, 22 nothing
to compare with, 23 nothing decided (where the file asks for it), 130 stopped by Ctrl-C, 143 stopped by
SIGTERM or because the terminal was closed (SIGHUP), both after cleaning up.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run experiments and write their reports
    Run(Run),
    /// Compare two builds of the peer, or the arms of an experiment, in interleaved pairs; says which is slower
    Compare(Compare),
    /// Keep, promote and look at what runs are compared with, night after night
    #[command(subcommand)]
    Baseline(Baseline),
    /// Show what a run would do: cells, trials, links, schedules and bounds. Touches nothing
    Plan {
        /// Experiment file; `-` is standard input
        file: PathBuf,
        /// Print who is there when instead, as a CSV file that `trace:` takes: of one cell, and its first repeat unless
        /// you name another
        #[arg(long, value_name = "CELL[/REPEAT]", num_args = 0..=1, require_equals = true,
            default_missing_value = "")]
        timeline: Option<String>,
    },
    /// Rebuild every derived file of a run from its raw events
    Report {
        /// Directory of the run: reports/EXPERIMENT/TIME-HASH
        dir: PathBuf,
    },
    /// Repeat a run from its own directory, and say what differs: in its surroundings and in its times
    Rerun {
        /// Directory of the run: reports/EXPERIMENT/TIME-HASH
        dir: PathBuf,
        /// Where results go, in EXPERIMENT/TIME-HASH/
        #[arg(long, value_name = "DIR", default_value = "reports")]
        out: PathBuf,
        /// Where nodes run, instead of where they ran
        #[arg(long, value_enum)]
        runtime: Option<RuntimeName>,
    },
    /// Find out what this machine can do: engine, namespaces, kernel, links at 1 to 500 mbit, how many peers. Takes a
    /// minute
    Doctor {
        /// Where the links are tried
        #[arg(long, value_enum, default_value_t = RuntimeName::Auto)]
        runtime: RuntimeName,
    },
    /// Print the JSON Schema of a file that is read or written
    Schema {
        /// Of which
        #[arg(value_enum)]
        which: Schema,
    },
    /// Remove what killed runs left on the engine: containers, networks, volumes, old images
    Clean {
        /// Also what was started on another machine or before the last boot, once its time is up, and every image of ours
        #[arg(long)]
        all: bool,
    },
}

/// What there is a JSON Schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Schema {
    /// An experiment file
    Experiment,
    /// plan.json
    Plan,
    /// One line of events.jsonl
    Events,
    /// manifest.json
    Manifest,
    /// summary.json
    Summary,
}

/// Run experiments and write their reports.
#[derive(Debug, Args)]
pub struct Run {
    /// Experiment files, run one after the other; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How
    #[command(flatten)]
    pub how: How,
}

/// Compare two builds of the peer, or the arms of an experiment, in interleaved pairs.
#[derive(Debug, Args)]
pub struct Compare {
    /// Experiment file; `-` is standard input
    pub file: PathBuf,
    /// What peers and server run in the base: an image that the engine has, or a program (`./…`, `/…`). This build
    /// unless you name one
    #[arg(long, value_name = "IMAGE|PROGRAM")]
    pub base: Option<String>,
    /// The same in the arm that is compared with it
    #[arg(long, value_name = "IMAGE|PROGRAM")]
    pub head: Option<String>,
    /// How
    #[command(flatten)]
    pub how: How,
}

/// How experiments are run.
#[derive(Debug, Args)]
pub struct How {
    /// Where results go, in EXPERIMENT/TIME-HASH/
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub out: PathBuf,
    /// Where nodes run, instead of what the file says
    #[arg(long, value_enum)]
    pub runtime: Option<RuntimeName>,
    /// Go on with the latest run of these very experiments: only what is missing or INVALID is run
    #[arg(long)]
    pub resume: bool,
    /// Trials per cell, or pairs if there are arms, instead of what the file says
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeats: Option<u32>,
    /// Seed of all random choices, instead of the file's
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Compare with this baseline, or with the one that is `promoted`, and add the run to the history
    #[arg(long, value_name = "NAME")]
    pub baseline: Option<String>,
    /// Keep the run as a baseline of that name
    #[arg(long, value_name = "NAME")]
    pub save_baseline: Option<String>,
    /// Label of this machine: only runs of one label are compared. Processor, memory and their number unless you name one
    #[arg(long, value_name = "LABEL", env = "HARNESS_MACHINE", value_parser = line)]
    pub machine: Option<String>,
    /// Commit of what is measured, instead of the one that is checked out here
    #[arg(long, value_name = "SHA", value_parser = line)]
    pub commit: Option<String>,
}

/// Keep, promote and look at what runs are compared with.
#[derive(Debug, Subcommand)]
pub enum Baseline {
    /// Keep a run's raw values as a baseline; it gates nothing until it is promoted
    Save {
        /// Its name
        name: String,
        /// Directory of the run: reports/EXPERIMENT/TIME-HASH
        dir: PathBuf,
        /// Where results are
        #[arg(long, value_name = "DIR", default_value = "reports")]
        out: PathBuf,
        /// Label of the machine that it ran on
        #[arg(long, value_name = "LABEL", env = "HARNESS_MACHINE", value_parser = line)]
        machine: Option<String>,
        /// Commit of what was measured
        #[arg(long, value_name = "SHA", value_parser = line)]
        commit: Option<String>,
    },
    /// List baselines, and which of them gates
    List {
        /// Of this experiment alone
        experiment: Option<String>,
        /// Where results are
        #[arg(long, value_name = "DIR", default_value = "reports")]
        out: PathBuf,
    },
    /// Show a baseline's raw values
    Show {
        /// Name of the experiment
        experiment: String,
        /// Name of the baseline, or `promoted`
        name: String,
        /// Where results are
        #[arg(long, value_name = "DIR", default_value = "reports")]
        out: PathBuf,
    },
    /// Let a baseline gate from now on
    Promote {
        /// Name of the experiment
        experiment: String,
        /// Name of the baseline
        name: String,
        /// Why: it is kept with the promotion
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
        /// Where results are
        #[arg(long, value_name = "DIR", default_value = "reports")]
        out: PathBuf,
    },
    /// Remove a baseline that does not gate
    Rm {
        /// Name of the experiment
        experiment: String,
        /// Name of the baseline
        name: String,
        /// Where results are
        #[arg(long, value_name = "DIR", default_value = "reports")]
        out: PathBuf,
    },
    /// Acknowledge a regression, so that it fails nothing until a day, unless it grows
    Acknowledge {
        /// Name of the experiment
        experiment: String,
        /// The cell that regressed
        #[arg(long)]
        cell: String,
        /// By which metric
        #[arg(long, default_value = "distribution_time", value_parser = metric)]
        metric: Metric,
        /// Largest change for the worse that is acknowledged, such as `15 %`
        #[arg(long, value_name = "SHARE", value_parser = share)]
        up_to: f64,
        /// Last day, such as 2026-12-31
        #[arg(long, value_name = "DATE")]
        until: jiff::civil::Date,
        /// Why
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
        /// Where results are
        #[arg(long, value_name = "DIR", default_value = "reports")]
        out: PathBuf,
    },
}

fn metric(text: &str) -> Result<Metric, String> {
    text.parse()
}

/// Text that others will read in a line: no control characters.
fn line(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("control characters have no place in it (hint: one line of text)".to_owned());
    }
    Ok(text.to_owned())
}

/// Why something was done: at least a word.
fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is for whoever wonders later: at least a word".to_owned()),
        reason => line(reason),
    }
}

/// A share that is more than nothing.
fn share(text: &str) -> Result<f64, String> {
    let parts = quantity::share(text).map_err(|error| error.to_string())?;
    if parts == 0 {
        return Err("a share of nothing (hint: such as `15 %`)".to_owned());
    }
    #[expect(clippy::cast_precision_loss, reason = "parts of a thousand million")]
    let share = parts as f64 / quantity::WHOLE as f64;
    Ok(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_read_in_a_line_is_one() {
        assert_eq!(line("runner 7"), Ok("runner 7".to_owned()));
        assert_eq!(reason(" a slower picker "), Ok("a slower picker".to_owned()));
        for text in ["two\nlines", "\u{1b}[31mred"] {
            assert!(line(text).is_err() && reason(text).is_err(), "{text:?}");
        }
        assert!(reason(" ").is_err());
    }
}
