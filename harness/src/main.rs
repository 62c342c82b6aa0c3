//! The `harness` command, and under other names what it starts: `peer` is the agent in a node, the others make and keep
//! the namespaces of a runtime without a daemon. One static binary is all of them.

use std::path::Path;
use std::process::ExitCode;

use harness::runtime::netns;

fn main() -> ExitCode {
    let own = std::env::args_os().next();
    let name = own.as_ref().and_then(|path| Path::new(path).file_name());
    match name.and_then(|name| name.to_str()) {
        // A specification that is no UTF-8 is none, and is refused as such.
        Some("peer") => {
            return peer_image::agent::main(
                std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()),
            );
        }
        Some(netns::ENTER) => return netns::enter(),
        Some(netns::SWITCH) => return netns::switch(),
        _ => {}
    }
    harness::commands::main()
}
