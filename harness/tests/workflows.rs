//! The workflows and the action that a CI runs: every command of theirs is one that this program takes.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser as _;
use harness::cli::Cli;

/// Where a workflow finds the program.
const PROGRAM: &str = "target/x86_64-unknown-linux-gnu/release/harness";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above").to_owned()
}

/// Every `run:` of a file of steps.
fn scripts(file: &str) -> Vec<String> {
    fn collect(value: &serde_yaml::Value, found: &mut Vec<String>) {
        match value {
            serde_yaml::Value::Mapping(map) => {
                for (key, value) in map {
                    match value.as_str() {
                        Some(script) if key.as_str() == Some("run") => found.push(script.to_owned()),
                        _ => collect(value, found),
                    }
                }
            }
            serde_yaml::Value::Sequence(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let text = std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("`{file}`: {error}"));
    let mut found = Vec::new();
    collect(&serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("`{file}`: {error}")), &mut found);
    found
}

/// What the shell makes of the arguments of each call of the program.
fn calls(script: &str, inputs: &[(&str, &str)]) -> Vec<Vec<String>> {
    let lines = script
        .lines()
        .filter(|line| line.split_whitespace().next().is_some_and(|word| word.replace('"', "").ends_with(PROGRAM)));
    let call = |line: &str| {
        let arguments = line.split_once(PROGRAM).expect("it begins with the program").1;
        let mut shell = Command::new("bash");
        shell.args(["-euc", &format!("printf '%s\\n' {arguments}")]).env_clear().envs(inputs.iter().copied());
        let output = shell.output().expect("there is a bash");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
    };
    lines.map(call).collect()
}

#[test]
fn every_command_of_the_workflows_is_one_that_the_program_takes() {
    let files = [".github/workflows/ci.yml", ".github/workflows/nightly.yml", "action.yml"];
    let inputs = [
        ("EXPERIMENT", "experiments/nightly.yaml"),
        ("BASE", "my-client:main"),
        ("HEAD", "./my client"),
        ("PAIRS", "7"),
        ("RUNTIME", "auto"),
        ("OUT", "reports"),
    ];
    let mut commands = 0;
    for file in files {
        for script in scripts(file) {
            for arguments in calls(&script, &inputs) {
                let words = std::iter::once("harness".to_owned()).chain(arguments.clone());
                Cli::try_parse_from(words).unwrap_or_else(|error| panic!("`{file}`: {arguments:?}: {error}"));
                for experiment in arguments.iter().filter(|it| it.ends_with(".yaml")) {
                    assert!(root().join(experiment).exists(), "`{file}`: {experiment}");
                }
                commands += 1;
            }
        }
    }
    assert_eq!(commands, 4, "the doctor, two gates, and the action");
    assert!(scripts(files[0]).iter().any(|script| script == ".ci/run"));
}

#[test]
fn an_action_without_inputs_leaves_their_options_out() {
    let empty =
        [("EXPERIMENT", "x.yaml"), ("BASE", ""), ("HEAD", ""), ("PAIRS", "7"), ("RUNTIME", "auto"), ("OUT", "reports")];
    let found: Vec<Vec<String>> = scripts("action.yml").iter().flat_map(|script| calls(script, &empty)).collect();
    assert_eq!(found, [["compare", "x.yaml", "--repeats", "7", "--runtime", "auto", "--out", "reports"]]);
}
