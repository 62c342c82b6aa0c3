//! What a small run of both architectures comes to, and that its files follow from its log.

use std::collections::BTreeMap;
use std::path::Path;

use crate::bench::{Bench, Done, Experiment};
use crate::engine::Engine;
use crate::intermediary::Intermediary;

const DERIVED: [&str; 8] = [
    "summary.csv",
    "trials.csv",
    "peers.csv",
    "churn.csv",
    "columns.json",
    "report.md",
    "distribution-time.svg",
    "completions.svg",
];

fn derived(dir: &Path) -> BTreeMap<&'static str, Vec<u8>> {
    let read = |name| std::fs::read(dir.join(name)).unwrap_or_else(|error| panic!("`{name}`: {error}"));
    DERIVED.into_iter().map(|name| (name, read(name))).collect()
}

#[tokio::test]
async fn in_both_architectures_every_peer_completes_and_every_number_stands_beside_its_bound() {
    let engine = Engine::shared().await;
    let bench =
        Bench::new(&Experiment { architecture: "[client-server, p2p]", who: "peers: [1, 4]", ..Experiment::default() });
    let done = bench.run().await;
    done.ended_with(0);
    engine.assert_nothing_left(&done.id()).await;

    let trials = done.table("trials.csv");
    let cells: Vec<&str> = trials.iter().map(|row| row["cell"].as_str()).collect();
    assert_eq!(cells, ["client-server-n1", "client-server-n4", "p2p-n1", "p2p-n4"]);
    for row in &trials {
        assert_eq!((row["outcome"].as_str(), row["reason"].as_str()), ("completed", ""), "{row:?}");
        assert_eq!((&row["completed"], &row["to_complete"]), (&row["peers"], &row["peers"]), "{row:?}");
        let number = |heading: &str| row[heading].parse::<f64>().unwrap_or_else(|_| panic!("{heading}: {row:?}"));
        assert!(number("ratio") >= 1.0, "no link carries more than its rate: {row:?}");
        assert_eq!(row["binding_term"], binding(row), "{row:?}");
        assert_eq!(row["lines_lost"], "0", "{row:?}");
    }

    let peers = done.table("peers.csv");
    assert_eq!(peers.len(), 1 + 4 + 1 + 4);
    for row in &peers {
        assert_eq!((row["outcome"].as_str(), row["pieces"].as_str()), ("completed", "32"), "{row:?}");
        let down: u64 = row["down_bytes"].parse().expect("a count");
        assert!(down >= 2 << 20, "{row:?}");
        let from_server: u64 = row["down_from_server_bytes"].parse().expect("a count");
        assert!(row["cell"].starts_with("p2p") || from_server == down, "{row:?}");
    }
    let exchanged = peers.iter().filter(|row| row["cell"] == "p2p-n4").any(|row| row["up_bytes"] != "0");
    assert!(exchanged, "peers of a swarm give each other what they have: {peers:?}");

    let dir = done.dir();
    let report = std::fs::read_to_string(dir.join("report.md")).expect("a run has a report");
    for figure in ["distribution-time.svg", "completions.svg"] {
        assert!(report.contains(&format!("({figure})")), "{report}");
        assert!(std::fs::read_to_string(dir.join(figure)).expect("a figure").contains("<svg"));
    }
    assert_eq!(done.manifest("/status"), "finished");
    done.said(&format!("report: reports/small/{}/report.md", done.id()));

    can_be_rebuilt(&bench, &done).await;
}

fn binding(row: &BTreeMap<String, String>) -> &'static str {
    match (row["architecture"].as_str(), row["peers"].as_str()) {
        ("p2p", "1") => "F/u_s",
        ("p2p", _) => "N·F/(u_s + Σu_i)",
        _ => "N·F/u_s",
    }
}

/// From what is raw alone, byte for byte.
async fn can_be_rebuilt(bench: &Bench, done: &Done) {
    let dir = done.dir();
    let before = derived(&dir);
    for name in DERIVED {
        std::fs::remove_file(dir.join(name)).expect("it is there");
    }
    let again = bench.command(["report".as_ref(), dir.as_os_str()]).end().await;
    again.ended_with(0);
    let after = derived(&dir);
    for name in DERIVED {
        assert!(before[name] == after[name], "`{name}` is rebuilt as it was");
    }
    let table = |text: &str| text.lines().filter(|line| line.contains("-n4")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(table(&done.stdout)[..], table(&again.stdout)[..], "both say the same");
}

#[tokio::test]
async fn the_binary_alone_runs_an_experiment_where_it_is_copied() {
    let engine = Engine::shared().await;
    let bench = Bench::new(&Experiment { name: "alone", who: "peers: 1", size: "256 KiB", ..Experiment::default() });
    std::fs::copy(crate::binary::harness(), bench.path().join("copy")).expect("there is room for a copy");
    let mut command = tokio::process::Command::new("./copy");
    command.args(["run", "experiment.yaml"]).env_clear();
    // All that it may need of its surroundings is where the engine is.
    command.envs(std::env::vars().filter(|(name, _)| name.starts_with("DOCKER_")));
    let done = bench.spawn(command).end().await;
    done.ended_with(0);
    engine.assert_nothing_left(&done.id()).await;
}

#[tokio::test]
async fn two_runs_of_one_experiment_at_the_same_time_do_not_meet() {
    let engine = Engine::shared().await;
    let experiment = Experiment { name: "twins", who: "peers: 2", size: "1 MiB", ..Experiment::default() };
    let (one, other) = (Bench::new(&experiment), Bench::new(&experiment));
    let (one, other) = tokio::join!(one.run(), other.run());
    for done in [one, other] {
        done.ended_with(0);
        assert_eq!(done.table("peers.csv").len(), 2, "{done}");
        engine.assert_nothing_left(&done.id()).await;
    }
}

#[tokio::test]
async fn a_connection_to_the_engine_that_breaks_loses_no_line() {
    let engine = Engine::shared().await;
    let bench = Bench::new(&Experiment { name: "cut", server: "4 mbit", ..Experiment::default() });
    let relay = Intermediary::honest();
    let mut command = tokio::process::Command::new(crate::binary::harness());
    command.args(["run", "experiment.yaml"]).env("DOCKER_HOST", relay.address());
    let mut running = bench.spawn(command);
    running.transfers(&engine).await;
    relay.cut();
    let done = running.end().await;
    done.ended_with(0);
    assert!(done.table("peers.csv").iter().all(|row| row["outcome"] == "completed" && row["lines_lost"] == "0"));
    engine.assert_nothing_left(&done.id()).await;
}
