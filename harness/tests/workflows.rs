//! The workflows and the action that a CI runs: every command of theirs is one that this program takes.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser as _;
use harness::cli::Cli;

/// Where a workflow finds the program: where cargo puts it here, or where the action's own build step says that it is.
const PROGRAMS: [&str; 2] = ["target/x86_64-unknown-linux-gnu/release/harness", "\"$PROGRAM\""];

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
    let program = |line: &str| {
        let first = line.split_whitespace().next()?;
        PROGRAMS.into_iter().find(|program| first.ends_with(program))
    };
    let lines = script.lines().filter_map(|line| Some((line, program(line)?)));
    let call = |(line, program): (&str, &str)| {
        let arguments = line.split_once(program).expect("it begins with the program").1;
        let mut shell = Command::new("bash");
        shell.args(["-euc", &format!("printf '%s\\n' {arguments}")]).env_clear().envs(inputs.iter().copied());
        let output = shell.output().expect("there is a bash");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
    };
    lines.map(call).collect()
}

#[test]
fn each_attempt_of_a_night_keeps_its_history_under_a_key_of_its_own() {
    let text = std::fs::read_to_string(root().join(".github/workflows/nightly.yml")).expect("it is there");
    let keys: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("key: ")).collect();
    assert_eq!(keys, ["history-${{ github.run_id }}-${{ github.run_attempt }}"; 2]);
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

/// A step of the action: what its shell runs, and with what set, with outputs of earlier steps put in.
fn step(name: &str, outputs: &str) -> (String, Vec<(String, String)>) {
    let text = std::fs::read_to_string(root().join("action.yml")).expect("the action");
    let action: serde_yaml::Value = serde_yaml::from_str(&text).expect("YAML");
    let steps = action["runs"]["steps"].as_sequence().expect("steps");
    let step = steps.iter().find(|step| step["name"] == *name).unwrap_or_else(|| panic!("no step `{name}`"));
    let output = |expression: &str| {
        let name = expression.strip_prefix("${{ steps.build.outputs.")?.strip_suffix(" }}")?;
        outputs.lines().find_map(|line| line.strip_prefix(&format!("{name}=")).map(str::to_owned))
    };
    let value = |value: &str| match value {
        "${{ inputs.experiment }}" => "gate.yaml".to_owned(),
        "${{ inputs.pairs }}" => "7".to_owned(),
        "${{ inputs.runtime }}" => "auto".to_owned(),
        "${{ inputs.out }}" => "reports".to_owned(),
        input if input.starts_with("${{ inputs.") => String::new(),
        other => output(other).unwrap_or_else(|| panic!("`{other}` is nothing: {outputs}")),
    };
    let set = step["env"].as_mapping().into_iter().flatten();
    let set = set.map(|(name, it)| (name.as_str().expect("a name").to_owned(), value(it.as_str().expect("text"))));
    (step["run"].as_str().expect("a script").to_owned(), set.collect())
}

/// A cargo that puts the program where cargo would: in a directory of the target if that is named, by an option or by the
/// configuration that there is where it is called.
const CARGO: &str = r#"#!/bin/bash
set -eu
[ "${RUSTFLAGS-unset}${CARGO_ENCODED_RUSTFLAGS-}" = unset ] || { echo "flags of the job: no static program" >&2; exit 1; }
[ -f .cargo/config.toml ] || { echo "not the configuration of the action, in $PWD" >&2; exit 1; }
to=target triple=
while [ $# -gt 0 ]; do
  case "$1" in
    --target) triple="$2"; shift ;;
    --target-dir) to="$2"; shift ;;
  esac
  shift
done
mkdir -p "$to/$triple/release"
printf '#!/bin/bash\nprintf "%%s\\n" "$PWD" "$@"\n' > "$to/$triple/release/harness"
chmod +x "$to/$triple/release/harness"
"#;

#[test]
fn the_action_finds_its_program_from_another_repository() {
    use std::os::unix::fs::PermissionsExt as _;
    let temporary = tempfile::tempdir().expect("a directory");
    let here = |name: &str| temporary.path().join(name);
    // As a runner has them: the action beside other actions, and the repository that uses it.
    let (action, foreign, bin) = (here("_actions/me/harness/main"), here("work/their repository"), here("bin"));
    for directory in [&action.join(".cargo"), &foreign, &bin] {
        std::fs::create_dir_all(directory).expect("made");
    }
    std::fs::copy(root().join(".cargo/config.toml"), action.join(".cargo/config.toml")).expect("copied");
    for (name, script) in [("cargo", CARGO), ("rustc", "#!/bin/bash\necho 'host: riscv64gc-unknown-linux-gnu'\n")] {
        std::fs::write(bin.join(name), script).expect("written");
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).expect("made executable");
    }
    let outputs = here("outputs");
    std::fs::write(&outputs, "").expect("written");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a path"));
    let run = |name: &str| {
        let (script, set) = step(name, &std::fs::read_to_string(&outputs).expect("readable"));
        let mut shell = Command::new("bash");
        shell.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &script]).current_dir(&foreign).envs(set);
        shell.env("PATH", &path).env("GITHUB_ACTION_PATH", &action).env("GITHUB_OUTPUT", &outputs);
        // What a job that builds something else in Rust may have set.
        shell
            .env("RUSTFLAGS", "-D warnings")
            .env("CARGO_TARGET_DIR", &foreign)
            .env("CARGO_BUILD_TARGET", "wasm32-wasip1");
        let output = shell.output().expect("there is a bash");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    run("build harness");
    let ran = run("compare");
    let expected = ["compare", "gate.yaml", "--repeats", "7", "--runtime", "auto", "--out", "reports"];
    let (there, arguments) = ran.split_once('\n').expect("where it ran");
    assert_eq!((Path::new(there), arguments.lines().collect::<Vec<_>>()), (foreign.as_path(), expected.to_vec()));
}
