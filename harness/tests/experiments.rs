//! Every experiment that comes with the program can be read and planned, and `harness plan` shows it well.

use std::path::{Path, PathBuf};

use harness::analysis::estimate::estimates;
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
    render(plan, &estimates(plan))
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
        // Its absences have a heavy share of short ones, as those that were measured have.
        let lengthened = if spec.name == "pickers" { 1 } else { 0 };
        assert_eq!(text.matches("warning").count(), lengthened, "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
        insta::assert_snapshot!(spec.name.clone(), text);
    }
}

#[test]
fn the_quick_experiment_runs_in_less_than_two_minutes() {
    let plan = plan::plan(&spec::load(&directory().join("quick.yaml")).expect("valid"));
    let estimates = estimates(&plan);
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
fn a_plan_warns_of_a_swarm_in_which_each_peer_hangs_on_one_other() {
    for (architecture, peers, neighbours, warned) in
        [("p2p", 2, 1, true), ("p2p", 1, 1, false), ("p2p", 2, 2, false), ("client-server", 2, 1, false)]
    {
        let text = format!(
            "name: few\nquestion: Few?\narchitecture: {architecture}\npeers: {peers}\nfile: {{ size: 1 MiB }}\n\
             server: {{ up: 40 mbit, down: 40 mbit }}\nlinks: {{ up: 4 mbit, down: 40 mbit }}\n\
             policy: {{ neighbours: {neighbours} }}\n"
        );
        assert_eq!(shown(&text).contains("warning"), warned, "{text}");
    }
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

/// The warnings of a plan, each as one line.
fn warned(text: &str) -> Vec<String> {
    let shown = shown(text);
    let lines = shown.lines().skip_while(|line| !line.starts_with("warning: "));
    let mut warnings: Vec<String> = Vec::new();
    for line in lines.take_while(|line| !line.starts_with("estimated")) {
        match (line.strip_prefix("  "), warnings.last_mut()) {
            (Some(rest), Some(last)) => last.push_str(&format!(" {rest}")),
            _ => warnings.push(line.to_owned()),
        }
    }
    warnings
}

const SMALL: &str = "\
name: small
question: What is warned of?
architecture: p2p
peers: 3
file: { size: 4 MiB }
server: { up: 8 mbit, down: 8 mbit }
links: { up: 8 mbit, down: 8 mbit }
timeout: 2 min
";

#[test]
fn a_plan_says_of_each_event_whether_it_strikes_anybody() {
    let of = |events: &str| warned(&format!("{SMALL}{events}"));
    let slower = "links: { up: 1 mbit, down: 1 mbit }";
    // They are away when it comes, and their links change when they are back.
    let away = "  gone: { at: 1 s, who: peers, what: crash, for: 10 s }\n";
    let events = |evening: &str| format!("events:\n{away}  evening: {{ {evening} }}\n");
    assert_eq!(of(&events(&format!("at: 5 s, who: peers, {slower}"))), [""; 0]);
    assert_eq!(of(&events(&format!("at: 5 s, who: peers, {slower}, for: 20 s"))), [""; 0]);
    let nobody = "warning: p2p-n3: `events.evening` strikes nobody: none of those that it means is there (hint: a time \
                  at which they are)";
    assert_eq!(of(&events(&format!("at: 5 s, who: peers, {slower}, for: 3 s"))), [nobody]);
    assert_eq!(of(&events("at: 5 s, who: peers, what: freeze, for: 3 s")), [nobody]);
    // Something else happens at its very moment.
    assert_eq!(of(&events("at: 1 s, who: peers, what: freeze, for: 3 s")), [nobody]);
    assert_eq!(of(&events("at: 5 s, who: all, what: freeze, for: 3 s")), [""; 0], "the server is there");
    // One that comes before it and lasts until after it takes its place.
    let before = "  morning: { at: 500 ms, who: peers, what: freeze, for: 3 s }\n";
    assert_eq!(of(&format!("events:\n{away}{before}")), [nobody.replace("evening", "gone")]);
    assert_eq!(
        of(&events("at: 20 s, who: peers, links: { up: 8 mbit, down: 8 mbit }")),
        ["warning: p2p-n3: `events.evening` changes nothing: the links have these rates already (hint: others)"]
    );
    assert_eq!(
        of("events: { rare: { at: 5 s, who: 0.0001 %, what: crash } }\n"),
        ["warning: p2p-n3: `events.rare` strikes nobody: it means none of the nodes (hint: a larger share)"]
    );
}

#[test]
fn a_plan_counts_what_is_too_short_to_be_carried_out() {
    let churn = "churn:\n  session: { fixed: { after: 5 s } }\n  leave: { crash: 100 % }\n  \
                 rejoin: { after: 100 ms, keeps: pieces }\n";
    assert_eq!(
        warned(&format!("{SMALL}{churn}")),
        ["warning: p2p-n3: 3 moments of the schedule come later, because sessions or absences were too short for any \
             runtime (a process is away for 500 ms at least, for 1.5 s if it leaves by itself, and then there for 500 ms \
             at least)"]
    );
    assert!(shown(&format!("{SMALL}{churn}")).contains("    5.500 s  peer-1  comes back with its pieces"));
}

#[test]
fn a_plan_counts_the_calibration_of_slow_links() {
    let slow = |rate: &str| SMALL.replace("server: { up: 8 mbit", &format!("server: {{ up: {rate}"));
    let seconds = |text: &str| {
        let plan = plan::plan(&spec::parse("x.yaml", text).unwrap());
        let estimates = estimates(&plan);
        wall_seconds(&plan, &estimates)
    };
    let tried = |text: &str| seconds(text) - seconds(&format!("{text}validity: {{ calibrate: off }}\n"));
    // 44 KiB, and two frames that are waited for, at 8 kbit/s; the other direction adds 0.4 s.
    let (slow, usual) = (slow("8 kbit"), SMALL.to_owned());
    assert!((tried(&slow) - 48.7).abs() < 0.5, "{}", tried(&slow));
    assert!((tried(&usual) - 0.8).abs() < 0.1, "{}", tried(&usual));
    let needs = "warning: p2p-n3: to try links that slow may take 97 s, and `start_timeout` is 1 min (hint: \
                 `start_timeout: 140 s`, or `validity: { calibrate: off }`)";
    assert_eq!(warned(&slow.replace("timeout: 2 min", "timeout: 3 h")), [needs]);
    let cured = slow.replace("timeout: 2 min", "timeout: 3 h\nstart_timeout: 140 s");
    assert_eq!(warned(&cured), [""; 0]);
    let off = slow.replace("timeout: 2 min", "timeout: 3 h\nvalidity: { calibrate: off }");
    assert_eq!(warned(&off), [""; 0]);
}
