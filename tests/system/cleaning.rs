//! What a run leaves that had no time to clean up, and who removes it.

use std::collections::BTreeSet;

use tokio::process::Command;

use crate::bench::{Bench, Experiment, PATIENCE};
use crate::binary;
use crate::engine::{Engine, Held};
use crate::node;

/// Kills a run in its transfer, as hard as can be; returns its id and what it left.
async fn killed(engine: &Engine, bench: &Bench) -> (String, Held) {
    let mut running = bench.start();
    let run = running.transfers(engine).await;
    running.kill().await;
    let held = engine.held(&run).await;
    let nodes: BTreeSet<String> = held
        .containers
        .iter()
        .map(|it| it.labels.as_ref().expect("ours have labels")["harness.node"].clone())
        .collect();
    let all: BTreeSet<String> = ["tracker", "server", "peer-1", "peer-2", "peer-3"].map(str::to_owned).into();
    assert_eq!((nodes, held.networks.len()), (all, 1), "{held:?}");
    (run, held)
}

fn bench(name: &'static str) -> Bench {
    // On disk, so that volumes are left too.
    Bench::new(&Experiment {
        name,
        who: "peers: 3",
        server: "4 mbit",
        more: "storage: disk".to_owned(),
        ..Experiment::default()
    })
}

#[tokio::test]
async fn after_a_kill_clean_removes_what_the_run_left_and_nothing_else() {
    let engine = Engine::alone().await;
    let image = node::image().await;
    let bystander = engine.bystander(&image).await;
    let bench = bench("killed-then-clean");
    let (run, held) = killed(&engine, &bench).await;
    assert!(!held.volumes.is_empty(), "{held:?}");

    let cleaned = bench.command(["clean"]).end().await;
    engine.assert_nothing_left(&run).await;
    bystander.assert_unharmed().await;
    cleaned.said("removed 5 containers, 1 network");
    // Anything else that another program's failure may have left there is not this test's.
    assert!(cleaned.code == Some(0) || !cleaned.stderr.contains(&run), "{cleaned}");
}

#[tokio::test]
async fn after_a_kill_the_next_run_says_what_it_found_and_removes_it() {
    let engine = Engine::alone().await;
    let bench = bench("killed-then-run");
    let (run, _) = killed(&engine, &bench).await;
    let done = bench.run().await;
    done.ended_with(0);
    done.said("removed what an earlier run left: 5 containers, 1 network");
    engine.assert_nothing_left(&run).await;
}

#[tokio::test]
async fn what_a_run_holds_that_is_alive_is_not_cleaned_away() {
    let engine = Engine::alone().await;
    let bench = bench("alive");
    let mut running = bench.start();
    let run = running.transfers(&engine).await;
    let cleaned = bench.command(["clean"]).end().await;
    cleaned.said("of a run that is alive");
    assert_eq!(engine.held(&run).await.containers.len(), 5);
    let done = running.end().await;
    done.ended_with(0);
    engine.assert_nothing_left(&run).await;
}

#[tokio::test]
async fn a_run_that_was_killed_can_still_be_reported() {
    let engine = Engine::alone().await;
    let bench = bench("killed-then-report");
    let (run, _) = killed(&engine, &bench).await;
    let dir = bench.path().join("reports/killed-then-report").join(&run);
    let reported = bench.command(["report".as_ref(), dir.as_os_str()]).end().await;
    reported.ended_with(0);
    let rows = reported.table("peers.csv");
    assert_eq!(rows.len(), 3, "{reported}");
    assert!(rows.iter().all(|row| row["outcome"] != "completed" && !row["reason"].is_empty()), "{rows:?}");
    bench.command(["clean"]).end().await;
    engine.assert_nothing_left(&run).await;
}

#[tokio::test]
async fn controllers_that_are_process_1_of_two_namespaces_leave_each_other_alone_and_clean_spares_both() {
    let engine = Engine::alone().await;
    let process_1 = |bench: &Bench, arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(binary::harness()).args(arguments);
        bench.spawn(command)
    };
    // The same experiment, so that what they make has the same names in the same second.
    let benches = [bench("twins"), bench("twins")];
    let mut twins = benches.each_ref().map(|bench| process_1(bench, &["run", "experiment.yaml"]));
    let mut runs = Vec::new();
    for twin in &mut twins {
        runs.push(twin.begins().await);
        twin.says(" transfer").await;
    }
    // From the machine both are seen; from a third namespace neither is, but their time is not up.
    for cleaned in [benches[0].command(["clean", "--all"]), process_1(&benches[0], &["clean", "--all"])] {
        let cleaned = cleaned.end().await;
        cleaned.said("removed nothing");
        cleaned.said("of a run that is alive");
    }
    for twin in twins {
        let done = twin.end().await;
        done.ended_with(0);
        assert_eq!(done.table("peers.csv").len(), 3, "{done}");
    }
    // Both may bear the same run's id.
    for run in runs {
        engine.assert_nothing_left(&run).await;
    }
}

#[tokio::test]
async fn what_process_1_of_a_namespace_left_that_is_gone_is_removed_from_the_machine() {
    let engine = Engine::alone().await;
    let bench = bench("orphaned");
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(binary::harness());
    let mut running = bench.spawn({
        command.args(["run", "experiment.yaml"]);
        command
    });
    let run = running.begins().await;
    running.says(" transfer").await;
    running.kill().await;
    // The namespace ends a moment after the one that made it.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !engine.held(&run).await.is_nothing() {
        assert!(tokio::time::Instant::now() < deadline, "it is taken for alive");
        bench.command(["clean"]).end().await;
    }
}
