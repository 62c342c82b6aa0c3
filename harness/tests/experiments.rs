//! Every experiment that comes with the program can be read and planned, and `harness plan` shows it well.

use std::path::{Path, PathBuf};

use harness::commands;
use harness::plan::{self, Plan};
use harness::report::plan::{render, wall_seconds};
use harness::spec;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments")
}

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory()).expect("the directory of experiments");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

fn shown(text: &str) -> String {
    let plan = plan::plan(&spec::parse("x.yaml", text).unwrap_or_else(|error| panic!("{error}")));
    show(&plan)
}

fn show(plan: &Plan) -> String {
    render(plan, &commands::plan::estimates(plan))
}

#[test]
fn every_experiment_can_be_read_planned_and_shown_in_100_columns() {
    let files = files();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let spec = spec::load(&file).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(Some(spec.name.as_str()), file.file_stem().and_then(|stem| stem.to_str()), "named after its file");
        let plan = plan::plan(&spec);
        assert!(!plan.cells.is_empty());
        let text = show(&plan);
        assert!(!text.contains("warning"), "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
        insta::assert_snapshot!(spec.name.clone(), text);
    }
}

#[test]
fn the_quick_experiment_runs_in_less_than_two_minutes() {
    let plan = plan::plan(&spec::load(&directory().join("quick.yaml")).expect("valid"));
    let estimates = commands::plan::estimates(&plan);
    assert!(wall_seconds(&plan, &estimates) < 60.0, "half of it is left for a slow machine");
}

#[test]
fn a_plan_shows_classes_and_warns_of_what_cannot_be() {
    let text = "\
name: warned
question: A question that is so long that it cannot be shown on one line of a hundred columns, and so it is broken?
repeats: 3
architecture: p2p
peers: 100
file: { size: 32 MiB }
server: { up: 40 mbit, down: 40 mbit }
links: { up: 1.5 mbit, down: 40 mbit }
classes:
  fast: { share: 25 %, up: 10 mbit, down: 100 mbit, on_complete: leave }
  slow: { share: 70 % }
  bad: { share: 5 %, behaviour: free-rider, on_complete: linger 30 s }
churn: { session: { fixed: { after: 5 s } }, share: 3 %, leave: { crash: 50 % } }
timeout: 10 s
";
    insta::assert_snapshot!(shown(text));
    let gone = text
        .replace("share: 3 %", "share: 100 %")
        .replace("peers: 100", "peers: 20")
        .replace("timeout: 10 s", "timeout: 1 h");
    let shown = shown(&gone);
    let end: Vec<&str> = shown.lines().rev().take(9).collect();
    insta::assert_snapshot!(end.into_iter().rev().collect::<Vec<_>>().join("\n"));
}

#[test]
fn long_cell_ids_do_not_push_the_numbers_aside() {
    let text = "\
name: long
question: Long?
architecture: client-server
peers: 2
file: { size: [1 MiB, 2 MiB] }
server: { up: [10 mbit, 1.234 mbit], down: 40 mbit }
links: { up: 4 mbit, down: [40 mbit, 41 mbit] }
policy: { picker: [rarest-first, sequential] }
";
    let shown = shown(text);
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    insta::assert_snapshot!(shown.lines().take(8).collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_readmes_experiment_is_valid() {
    let readme = std::fs::read_to_string(directory().join("../README.md")).expect("the README");
    let (_, rest) = readme.split_once("```yaml\n").expect("an experiment in the README");
    let (text, _) = rest.split_once("```").expect("its end");
    let spec = spec::parse("README.md", text).unwrap_or_else(|error| panic!("{error}"));
    assert!(plan::plan(&spec).cells.len() > 1);
}
