//! The agent alone, for images that hold another client beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    peer_image::agent::main(std::env::args())
}
