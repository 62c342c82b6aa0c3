//! What is left when a run is stopped, or loses something that it cannot do without: a report that says so, an exit
//! code that says so, and nothing on the engine.

use std::time::Duration;

use rustix::process::Signal;

use tokio::process::Command;

use crate::bench::{Bench, Done, Experiment, PATIENCE, Running};
use crate::engine::Engine;
use crate::intermediary::Intermediary;
use crate::{binary, node};

/// A swarm that takes a few seconds: time to do something to it.
fn swarm(name: &'static str) -> Bench {
    Bench::new(&Experiment { name, server: "8 mbit", up: "4 mbit", ..Experiment::default() })
}

/// Every peer is a row, whatever happened, with a reason unless it completed.
fn every_peer_is_a_row(done: &Done) {
    let rows = done.table("peers.csv");
    assert_eq!(rows.len(), 4, "{done}");
    for row in &rows {
        assert_eq!(row["reason"].is_empty(), row["outcome"] == "completed", "{row:?}");
    }
    assert!(done.dir().join("report.md").exists(), "{done}");
}

async fn stopped_by(signal: Signal, code: i32, name: &'static str) {
    let engine = Engine::shared().await;
    let bench = swarm(name);
    let mut running = bench.start();
    running.transfers(&engine).await;
    running.signal(signal);
    let done = running.end().await;
    done.ended_with(code);
    engine.assert_nothing_left(&done.id()).await;
    every_peer_is_a_row(&done);
    assert!(done.table("peers.csv").iter().all(|row| row["outcome"] == "interrupted"), "{done}");
    assert_eq!(done.manifest("/status"), "interrupted");
}

#[tokio::test]
async fn ctrl_c_in_a_transfer_ends_with_130_and_a_report_and_leaves_nothing() {
    stopped_by(Signal::INT, 130, "ctrl-c").await;
}

#[tokio::test]
async fn sigterm_in_a_transfer_ends_with_143_and_a_report_and_leaves_nothing() {
    stopped_by(Signal::TERM, 143, "sigterm").await;
}

#[tokio::test]
async fn a_terminal_that_is_closed_ends_with_143_and_a_report_and_leaves_nothing() {
    stopped_by(Signal::HUP, 143, "sighup").await;
}

#[tokio::test]
async fn ctrl_c_is_heeded_while_an_engine_does_not_answer() {
    let bench = swarm("silent-engine");
    let silent = bench.path().join("silent.sock");
    let listener = tokio::net::UnixListener::bind(&silent).expect("a socket");
    let mut command = tokio::process::Command::new(crate::binary::harness());
    command.args(["run", "experiment.yaml"]).env("DOCKER_HOST", format!("unix://{}", silent.display()));
    let running = bench.spawn(command);
    let asked = tokio::time::timeout(PATIENCE, listener.accept()).await.expect("it asks the engine");
    running.signal(Signal::INT);
    let done = tokio::time::timeout(Duration::from_secs(20), running.end()).await.expect("it heeds the signal");
    done.ended_with(130);
    drop(asked);
    assert!(done.dirs().is_empty(), "nothing ran: {:?}", done.dirs());
}

#[tokio::test]
async fn ctrl_c_in_the_first_of_two_files_leaves_nothing_of_the_second() {
    let _engine = Engine::shared().await;
    let bench = swarm("first-of-two");
    let other = Experiment { name: "second-of-two", more: "runtime: netns\n".to_owned(), ..Experiment::default() };
    std::fs::write(bench.path().join("other.yaml"), other.to_string()).expect("it can be written");
    let mut running = bench.command(["run", "experiment.yaml", "other.yaml", "--runtime", "netns"]);
    running.says(" transfer").await;
    running.signal(Signal::INT);
    let done = running.end().await;
    done.ended_with(130);
    done.said("interrupted: the user stopped the run: 1 of 1 trial was broken off, 0 not begun");
    assert_eq!(done.manifest("/status"), "interrupted");
    assert!(!bench.path().join("reports/second-of-two").exists(), "{done}");
}

#[tokio::test]
async fn a_run_of_which_a_log_was_removed_meanwhile_does_not_pass() {
    let _engine = Engine::shared().await;
    let more = "runtime: netns\nrepeats: 2\n".to_owned();
    let bench = Bench::new(&Experiment { name: "removed-log", size: "256 KiB", more, ..Experiment::default() });
    let mut running = bench.start();
    let run = running.begins().await;
    running.says("distributed in").await;
    let trials = bench.path().join(format!("reports/removed-log/{run}/trials"));
    let cell = std::fs::read_dir(trials).expect("one ran").next().expect("there is one").expect("it can be listed");
    std::fs::remove_dir_all(cell.path().join("1")).expect("it can be removed");
    let done = running.end().await;
    done.ended_with(4);
    done.said("/1` was removed while the run was under way, so its report cannot be rebuilt");
}

#[tokio::test]
async fn a_run_under_way_is_not_gone_on_with_by_another_process_and_can_be_reported() {
    let _engine = Engine::shared().await;
    let more = "runtime: netns\n".to_owned();
    let quick = Experiment { name: "under-way", size: "256 KiB", more, ..Experiment::default() };
    let bench = Bench::new(&quick);
    let first = bench.run().await;
    first.ended_with(0);
    let again = bench.command(["run", "experiment.yaml", "--resume"]).end().await;
    again.ended_with(0);
    again.said("nothing was left to run: what follows was measured before");

    let more = "runtime: netns\nrepeats: 20\n".to_owned();
    let bench = Bench::new(&Experiment { name: "under-way", size: "256 KiB", more, ..Experiment::default() });
    let mut running = bench.start();
    let run = running.begins().await;
    running.says(" transfer").await;
    let other = bench.command(["run", "experiment.yaml", "--resume"]).end().await;
    other.ended_with(2);
    other.said(&format!("{run}` is under way in another process (hint: "));
    for _ in 0..20 {
        bench.command(["report", &format!("reports/under-way/{run}")]).end().await.ended_with(0);
    }
    running.end().await.ended_with(0);
}

#[tokio::test]
async fn ctrl_c_while_nodes_are_being_started_leaves_nothing() {
    let engine = Engine::shared().await;
    // Enough nodes that some run, some are being started, and some are still to be.
    let bench = Bench::new(&Experiment { name: "early", who: "peers: 20", ..Experiment::default() });
    let mut running = bench.start();
    let run = running.begins().await;
    engine.some_start(&run, 4).await;
    running.signal(Signal::INT);
    let done = running.end().await;
    done.ended_with(130);
    engine.assert_nothing_left(&done.id()).await;
    let rows = done.table("peers.csv");
    assert!(rows.len() == 20 && rows.iter().all(|row| row["outcome"] != "completed"), "{rows:?}");
}

#[tokio::test]
async fn a_second_ctrl_c_does_not_cut_the_cleaning_up() {
    let engine = Engine::shared().await;
    let bench = swarm("impatient");
    let mut running = bench.start();
    running.transfers(&engine).await;
    running.signal(Signal::INT);
    running.says(" teardown").await;
    running.signal(Signal::INT);
    let done = running.end().await;
    done.ended_with(130);
    engine.assert_nothing_left(&done.id()).await;
    every_peer_is_a_row(&done);
}

/// A trial that lost something: it failed, and of the peers all but `lost` have completed.
async fn fails_without(engine: &Engine, running: Running, lost: &str) -> Done {
    let done = running.end().await;
    done.ended_with(10);
    engine.assert_nothing_left(&done.id()).await;
    every_peer_is_a_row(&done);
    for row in done.table("peers.csv") {
        assert_eq!(row["outcome"] == "completed", row["node"] != lost, "{row:?}");
    }
    let trial = &done.table("trials.csv")[0];
    assert_eq!(trial["outcome"], "failed", "{trial:?}");
    assert!(trial["reason"].contains(&format!("`{lost}`")), "the reason names it: {trial:?}");
    assert_eq!(trial["distribution_time_s"], "", "who is missing is not left out: {trial:?}");
    done
}

#[tokio::test]
async fn a_peer_that_is_killed_from_outside_fails_the_trial_and_the_others_complete() {
    let engine = Engine::shared().await;
    let bench = swarm("killed");
    let mut running = bench.start();
    let run = running.transfers(&engine).await;
    engine.kill(engine.held(&run).await.container("peer-2")).await;
    let done = fails_without(&engine, running, "peer-2").await;
    let row = done.peer("peer-2");
    assert_eq!(row["outcome"], "died", "{row:?}");
    assert!(row["reason"].starts_with("killed (exit code 137); it had "), "{row:?}");
    done.said("`peer-2` ended unexpectedly");
}

#[tokio::test]
async fn a_container_that_is_removed_from_outside_fails_the_trial_and_the_others_complete() {
    let engine = Engine::shared().await;
    let bench = swarm("removed");
    let mut running = bench.start();
    let run = running.transfers(&engine).await;
    engine.remove(engine.held(&run).await.container("peer-3")).await;
    // Whether the engine still told of its end, before it was gone, is the engine's matter.
    fails_without(&engine, running, "peer-3").await;
}

#[tokio::test]
async fn a_tracker_that_is_killed_fails_the_trial() {
    let engine = Engine::shared().await;
    let bench = swarm("no-tracker");
    let mut running = bench.start();
    let run = running.transfers(&engine).await;
    engine.kill(engine.held(&run).await.container("tracker")).await;
    let done = running.end().await;
    done.ended_with(10);
    engine.assert_nothing_left(&done.id()).await;
    every_peer_is_a_row(&done);
    let trial = &done.table("trials.csv")[0];
    assert_eq!(trial["outcome"], "failed", "{trial:?}");
    assert!(trial["reason"].contains("`tracker`"), "{trial:?}");
}

#[tokio::test]
async fn a_server_that_is_killed_fails_the_trial_and_the_next_trial_runs() {
    let engine = Engine::shared().await;
    let bench = Bench::new(&Experiment {
        name: "no-server",
        architecture: "[client-server, p2p]",
        server: "8 mbit",
        up: "4 mbit",
        ..Experiment::default()
    });
    let mut running = bench.start();
    let run = running.transfers(&engine).await;
    engine.kill(engine.held(&run).await.container("server")).await;
    let done = running.end().await;
    done.ended_with(10);
    engine.assert_nothing_left(&done.id()).await;
    let outcomes: Vec<String> = done.table("trials.csv").into_iter().map(|row| row["outcome"].clone()).collect();
    assert_eq!(outcomes, ["failed", "completed"], "{done}");
}

#[tokio::test]
async fn an_engine_that_goes_away_fails_the_trial_and_what_stays_is_named_with_the_cure() {
    let engine = Engine::alone().await;
    let bench = swarm("engine-gone");
    let relay = Intermediary::honest();
    let mut command = Command::new(binary::harness());
    command.args(["run", "experiment.yaml"]).env("DOCKER_HOST", relay.address());
    let mut running = bench.spawn(command);
    let run = running.transfers(&engine).await;
    drop(relay);
    let done = running.end().await;
    done.ended_with(10);
    every_peer_is_a_row(&done);
    assert!(done.stderr.contains("could be removed") && done.stderr.contains("harness clean"), "{done}");
    assert!(!engine.held(&run).await.is_nothing(), "nobody could remove it");
    bench.command(["clean"]).end().await;
    engine.assert_nothing_left(&run).await;
}

#[tokio::test]
async fn a_run_that_nobody_listens_to_ends_as_any_other() {
    let engine = Engine::shared().await;
    let bench = Bench::new(&Experiment { name: "deaf", who: "peers: 1", size: "256 KiB", ..Experiment::default() });
    let mut command = Command::new(binary::harness());
    command.current_dir(bench.path()).args(["run", "experiment.yaml"]).kill_on_drop(true);
    let (_, nobody) = std::io::pipe().expect("a pipe");
    command.stdout(nobody.try_clone().expect("a second end")).stderr(nobody);
    let status =
        tokio::time::timeout(PATIENCE, command.status()).await.expect("it ends").expect("it can be waited for");
    assert_eq!(status.code(), Some(0));
    let done = bench.command(["clean"]).end().await;
    assert_eq!(done.manifest("/status"), "finished");
    engine.assert_nothing_left(&done.id()).await;
}

#[tokio::test]
async fn a_network_that_cannot_be_removed_is_a_warning_with_the_cure_and_no_failure() {
    let engine = Engine::alone().await;
    let image = node::image().await;
    let bystander = engine.bystander(&image).await;
    let bench = swarm("guest");
    let mut running = bench.start();
    let run = running.transfers(&engine).await;
    let network = engine.held(&run).await.networks[0].clone();
    let name = network.name.expect("a network has a name");
    // As with an engine that has miscounted: an endpoint that is none of ours keeps the network.
    bystander.join(&name).await;
    let done = running.end().await;
    done.ended_with(0);
    every_peer_is_a_row(&done);
    let warnings: Vec<&str> = done.stderr.lines().filter(|line| line.contains(&name)).collect();
    assert_eq!(warnings.len(), 1, "it is said once: {done}");
    for words in ["warning: ", "active endpoints", "restart the engine", "harness clean"] {
        assert!(warnings[0].contains(words), "no `{words}`: {done}");
    }
    let held = engine.held(&run).await;
    assert!(held.containers.is_empty() && held.networks.len() == 1, "{held:?}");
    bystander.assert_unharmed().await;

    // The next run says so too, once and as what it is, and goes on.
    let next =
        Bench::new(&Experiment { name: "after-guest", who: "peers: 1", size: "256 KiB", ..Experiment::default() });
    let after = next.run().await;
    after.ended_with(0);
    assert!(!after.stdout.contains("nothing"), "{after}");
    assert_eq!(after.stderr.lines().filter(|line| line.contains(&name)).count(), 1, "{after}");

    drop(bystander);
    bench.command(["clean"]).end().await;
    engine.assert_nothing_left(&run).await;
}

/// Nobody completes a file of that size from a server that is far too slow for it.
fn in_vain(name: &'static str, more: &str) -> Experiment {
    let more = format!("runtime: netns\n{more}");
    Experiment { name, who: "peers: 3", size: "16 MiB", server: "4 mbit", more, ..Experiment::default() }
}

#[tokio::test]
async fn a_run_in_which_all_give_up_is_not_green() {
    let bench = Bench::new(&in_vain("vain", "give_up: 1 s\nassert: [all_completed, all_valid]\n"));
    let done = bench.run().await;
    done.ended_with(20);
    done.said("0 of 3 completed, 3 gave up");
    done.said("result: crossed");
    let trial = &done.table("trials.csv")[0];
    let population = ["to_complete", "completed", "gave_up", "left_before"].map(|column| trial[column].as_str());
    assert_eq!(population, ["3", "0", "3", "0"]);
    // Without a word of what was to hold, nothing follows from it either.
    let done = Bench::new(&in_vain("vainer", "give_up: 1 s\n")).run().await;
    done.ended_with(10);
    done.said("result: nothing-measured: nobody completed in any trial");
}

#[tokio::test]
async fn a_run_in_which_nobody_is_to_complete_is_not_green() {
    let churn = "churn: { session: { fixed: { after: 1 s } } }\nassert: all_completed\n";
    let done = Bench::new(&in_vain("nobody", churn)).run().await;
    done.ended_with(10);
    done.said("NO-DATA: ");
    done.said("result: nothing-measured");
}

#[tokio::test]
async fn nodes_that_do_not_start_are_tried_again_and_then_said_to_be_what_is_wrong() {
    // Nobody is ready so soon; a CI reads why.
    let more = "runtime: netns\nretries: 1\n".to_owned();
    let unready = Experiment { name: "unready", who: "peers: 2", size: "256 KiB", more, ..Experiment::default() };
    let bench = Bench::new(&unready.to_string().replace("start_timeout: 2 min", "start_timeout: 10 ms"));
    let page = bench.path().join("page.md");
    let mut command = Command::new(binary::harness());
    command.args(["run", "experiment.yaml"]).env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &page);
    let done = bench.spawn(command).end().await;
    done.ended_with(11);
    let attempts: Vec<String> = done.table("trials.csv").into_iter().map(|row| row["verdict"].clone()).collect();
    assert_eq!(attempts, ["INVALID", "INVALID"], "{done}");
    let why = "it never came to the common start";
    let junit = std::fs::read_to_string(done.dir().join("junit.xml")).expect("test cases");
    let page = std::fs::read_to_string(page).expect("the job's page");
    let annotated = done.stdout.lines().any(|line| line.starts_with("::error ") && line.contains(why));
    assert!(annotated && junit.contains(why) && page.contains(why), "{done}\n{junit}\n{page}");
    assert!(done.stdout.contains("result: invalid: "), "{done}");
}
