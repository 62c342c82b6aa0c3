//! The `harness` command, and, under the name `peer`, the agent in a node: one static binary is both.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let mut arguments = std::env::args().peekable();
    let name = arguments.peek().and_then(|path| Path::new(path).file_name());
    if name.is_some_and(|name| name == "peer") {
        return peer_image::agent::main(arguments);
    }
    harness::commands::dispatch(harness::cli::Cli::parse())
}
