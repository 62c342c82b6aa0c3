//! The schemas in `schemas/` are those that the program prints, and what it reads and writes is as they say.

use std::path::{Path, PathBuf};

use harness::cli::Schema;
use harness::commands::schema::text;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above").to_owned()
}

const ALL: [(Schema, &str); 5] = [
    (Schema::Experiment, "experiment"),
    (Schema::Plan, "plan"),
    (Schema::Events, "events"),
    (Schema::Manifest, "manifest"),
    (Schema::Summary, "summary"),
];

fn validator(which: Schema) -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(&text(which)).expect("a schema is JSON");
    jsonschema::validator_for(&schema).expect("a schema is a schema")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
}

#[test]
fn the_schemas_in_the_repository_are_those_that_the_program_prints() {
    for (which, name) in ALL {
        let path = root().join(format!("schemas/{name}.json"));
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, text(which)).expect("the repository can be written to");
        }
        assert!(read(&path) == text(which), "`{}` is old (hint: UPDATE_SCHEMAS=1 cargo test)", path.display());
    }
}

#[test]
fn every_experiment_is_as_its_schema_says_and_names_it() {
    let validator = validator(Schema::Experiment);
    for entry in std::fs::read_dir(root().join("experiments")).expect("there are experiments") {
        let path = entry.expect("a directory can be listed").path();
        let content = read(&path);
        assert!(
            content.starts_with("# yaml-language-server: $schema=../schemas/experiment.json\n"),
            "{}",
            path.display()
        );
        let value: Value = serde_yaml::from_str(&content).expect("it is YAML");
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}

#[test]
fn what_is_wrong_is_wrong_by_the_schema_too() {
    let validator = validator(Schema::Experiment);
    let quick = read(&root().join("experiments/quick.yaml"));
    for (from, to) in
        [("peers: 4", "peers: 0"), ("size: 8 MiB", "size: 8 MB"), ("up: 20 mbit", "up: 20"), ("\ntimeout:", "\ntime:")]
    {
        let wrong: Value = serde_yaml::from_str(&quick.replacen(from, to, 1)).expect("it is YAML");
        assert!(!validator.is_valid(&wrong), "{to}");
    }
}

#[test]
fn the_reference_run_is_as_the_schemas_say() {
    let reference = root().join("reports/textbook/reference");
    for (which, name) in [(Schema::Plan, "plan.json"), (Schema::Manifest, "manifest.json")] {
        let value: Value = serde_json::from_str(&read(&reference.join(name))).expect("it is JSON");
        let errors: Vec<String> = validator(which).iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
    let validator = validator(Schema::Events);
    let dir = reference.join("trials/p2p-n5/1");
    for line in harness::events::log::Reader::open(&dir).expect("a trial has a log") {
        let value = serde_json::to_value(line.expect("a log can be read")).expect("a line is JSON");
        assert!(validator.is_valid(&value), "{value}");
    }
}
