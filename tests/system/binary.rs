//! Builds the `harness` binary, once per process, and says where it is.
//!
//! `CARGO_BIN_EXE_harness` is for tests of the same package only, so Cargo is asked: it builds what is not fresh, in
//! the profile of these tests, and names the executable. That also holds where each test has a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The binary.
pub(crate) fn harness() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is a folder of the workspace");
    let mut command = Command::new(&cargo);
    // What Cargo says of this package to this process would be said of others to theirs, and some build again for that.
    let of_this_package = |name: &str| {
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
            .iter()
            .any(|it| name.starts_with(it))
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_this_package)) {
        command.env_remove(name);
    }
    let output = command
        .current_dir(workspace)
        .args(["build", "--bin", "harness", "--profile", profile(), "--message-format", "json-render-diagnostics"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("cannot run `{}`: {error}", cargo.display()));
    assert!(output.status.success(), "the `harness` binary cannot be built: see above");
    let messages = String::from_utf8(output.stdout).expect("Cargo's messages are JSON");
    let mut executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["reason"] == "compiler-artifact" && message["target"]["name"] == "harness";
        is_it.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    executables.next_back().expect("Cargo names the executable that it was asked for")
}

/// The profile of these tests: their executable is in `<profile's directory>/deps`.
fn profile() -> &'static str {
    static PROFILE: OnceLock<String> = OnceLock::new();
    PROFILE.get_or_init(|| {
        let this = std::env::current_exe().expect("a process has an executable");
        let directory = this.ancestors().nth(2).and_then(Path::file_name).and_then(|name| name.to_str());
        match directory.expect("tests lie in `<profile>/deps`") {
            "debug" => "dev".to_owned(),
            other => other.to_owned(),
        }
    })
}
