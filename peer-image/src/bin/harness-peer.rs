//! The agent alone, for images that hold another client beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A specification that is no UTF-8 is none, and is refused as such.
    peer_image::agent::main(std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()))
}
