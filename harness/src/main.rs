//! The `harness` command, and under other names what it starts: `peer` is the agent in a node, the others make and keep
//! the namespaces of a runtime without a daemon. One static binary is all of them.

use std::path::Path;
use std::process::ExitCode;

use harness::runtime::netns;

fn main() -> ExitCode {
    let mut arguments = std::env::args().peekable();
    let name = arguments.peek().and_then(|path| Path::new(path).file_name());
    match name.and_then(|name| name.to_str()) {
        Some("peer") => return peer_image::agent::main(arguments),
        Some(netns::ENTER) => return netns::enter(),
        Some(netns::SWITCH) => return netns::switch(),
        _ => {}
    }
    harness::commands::main()
}
