//! What results are held to: arms against each other, thresholds, and the exit code that follows.

use crate::bench::{Bench, Done, Experiment};
use crate::binary;
use crate::engine::Engine;

/// Two arms of which the second has half the server, so that it takes twice as long.
fn arms(name: &'static str, more: &str) -> Experiment {
    let arms = "runtime: netns\nrepeats: 7\narms:\n  whole: {}\n  half: { server: { up: 2 mbit } }\n";
    Experiment {
        name,
        who: "peers: 2",
        size: "256 KiB",
        server: "4 mbit",
        more: format!("{arms}{more}"),
        ..Experiment::default()
    }
}

fn verdicts(done: &Done) -> Vec<(String, String)> {
    done.table("comparisons.csv").into_iter().map(|row| (row["verdict"].clone(), row["pairs"].clone())).collect()
}

#[tokio::test]
async fn a_slower_arm_is_a_regression_and_further_pairs_are_not_run() {
    let thresholds = "thresholds: { distribution_time: [max < 1 ms in *-half, max < 1 min] }\nassert: all_completed\n";
    let bench = Bench::new(&arms("slower", thresholds));
    let done = bench.run().await;
    done.ended_with(21);
    done.said("REGRESSED: p2p-n2-arm-half against p2p-n2-arm-whole");
    assert_eq!(verdicts(&done), [("regressed".to_owned(), "6".to_owned())]);
    assert_eq!(done.table("trials.csv").len(), 12, "six pairs decide, the seventh is not run");
    let ratio: f64 = done.table("comparisons.csv")[0]["ratio"].parse().expect("a number");
    assert!((1.5..2.5).contains(&ratio), "half the server takes about twice as long: {ratio}");
    let checks: Vec<(String, String)> =
        done.table("checks.csv").into_iter().map(|row| (row["outcome"].clone(), row["line"].clone())).collect();
    assert_eq!(checks.iter().filter(|(outcome, _)| outcome == "crossed").count(), 1, "{checks:?}");
    assert_eq!(checks.iter().filter(|(outcome, _)| outcome == "met").count(), 4, "{checks:?}");
    assert!(done.dir().join("ratios.svg").exists());

    // Going on with it finds it decided, and what is derived is derived again byte for byte.
    let before = std::fs::read(done.dir().join("report.md")).expect("a report");
    let again = bench.command(["run", "experiment.yaml", "--resume"]).end().await;
    again.ended_with(21);
    assert_eq!(again.table("trials.csv").len(), 12);
    let dir = done.dir().display().to_string();
    bench.command(["report", &dir]).end().await.ended_with(0);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let after = text(std::fs::read(done.dir().join("report.md")).expect("a report"));
    assert!(after.contains("## Verdict") && text(before).contains("## Verdict"));
}

#[tokio::test]
async fn a_crossed_threshold_alone_has_its_own_code() {
    let more = "runtime: netns\nthresholds: { distribution_time: median < 1 ms, launch: max < 1 h }\n".to_owned();
    let done =
        Bench::new(&Experiment { name: "crossed", who: "peers: 2", size: "256 KiB", more, ..Experiment::default() })
            .run()
            .await;
    done.ended_with(20);
    done.said("CROSSED: p2p-n2: distribution_time median < 1 ms");
    done.said("1 of 2 conditions met");
}

#[tokio::test]
async fn a_threshold_about_no_cell_is_refused_before_anything_starts() {
    let more = "runtime: netns\nthresholds: { distribution_time: median < 1 s in p2p-n3 }\n".to_owned();
    let done = Bench::new(&Experiment { name: "nowhere", who: "peers: 2", more, ..Experiment::default() }).run().await;
    done.ended_with(3);
    done.said("is about no cell (hint: cells are p2p-n2)");
    assert_eq!(done.dirs(), [""; 0].map(std::path::PathBuf::from));
}

#[tokio::test]
async fn peers_run_the_program_that_the_file_names() {
    let program = binary::harness().display().to_string();
    let more = format!("runtime: netns\nstorage: disk\nclient: {{ command: {program} }}\n");
    let bench = Bench::new(&Experiment { name: "program", who: "peers: 2", more, ..Experiment::default() });
    let done = bench.run().await;
    done.ended_with(0);
    assert_eq!(
        done.manifest(&format!("/facts/client.{}", program.replace('/', "~1"))),
        done.manifest("/facts/program")
    );

    let more = "runtime: netns\nclient: { command: /nowhere/peer }\n".to_owned();
    let done = Bench::new(&Experiment { name: "no-program", more, ..Experiment::default() }).run().await;
    done.ended_with(4);
    done.said("the client's program `/nowhere/peer` cannot be read");
}

#[tokio::test]
async fn what_is_no_client_ends_the_run_before_its_second_trial() {
    let _engine = Engine::shared().await;
    for runtime in ["netns", "docker"] {
        let pipe = tempfile::tempdir().expect("a directory");
        let pipe = pipe.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("there is `mkfifo`");
        assert!(made.success());
        for never_ends in [&pipe.display().to_string(), "/dev/zero"] {
            let more = format!("runtime: {runtime}\nclient: {{ command: {never_ends} }}\n");
            let done = Bench::new(&Experiment { name: "no-file", more, ..Experiment::default() }).run().await;
            done.ended_with(4);
            done.said("it is not a regular file");
        }
    }
    // Static, as in an image of one file, or linked as any: it ends at once, and says nothing of a node.
    let more = "runtime: netns\nrepeats: 3\nclient: { command: /bin/true }\n".to_owned();
    let bench = Bench::new(&Experiment { name: "no-client", more, ..Experiment::default() });
    let done = bench.run().await;
    done.ended_with(4);
    done.said("so `/bin/true` is no client that this harness can run");
    assert_eq!(done.table("trials.csv").len(), 1, "{done}");
    assert!(!done.stdout.contains("End what else runs"), "{done}");
}

#[tokio::test]
async fn a_program_that_is_replaced_during_a_run_ends_it() {
    let place = tempfile::tempdir().expect("a directory");
    let program = place.path().join("peer");
    std::fs::copy(binary::harness(), &program).expect("the program can be copied");
    let more = format!("runtime: netns\nrepeats: 2\nclient: {{ command: {} }}\n", program.display());
    let bench = Bench::new(&Experiment { name: "replaced", who: "peers: 2", more, ..Experiment::default() });
    let mut running = bench.start();
    running.says(" transfer").await;
    let newer = place.path().join("newer");
    std::fs::copy("/bin/true", &newer).expect("another program can be copied");
    std::fs::rename(newer, &program).expect("it takes the place of the other");
    let done = running.end().await;
    done.ended_with(4);
    done.said("is not the one with which this run began");
    let ended: Vec<_> =
        done.table("trials.csv").into_iter().map(|row| (row["repeat"].clone(), row["completed"].clone())).collect();
    assert!(ended.contains(&("1".to_owned(), "2".to_owned())), "the first had begun with it: {ended:?}");
}

#[tokio::test]
async fn peers_run_the_image_that_the_file_names() {
    let engine = Engine::shared().await;
    let image = {
        let bench = Bench::new(&Experiment { name: "own", who: "peers: 1", ..Experiment::default() });
        let done = bench.run().await;
        done.ended_with(0);
        (done.manifest("/facts/image"), done.manifest("/facts/image.id"))
    };
    let more = format!("client: {{ image: \"{}\", command: /peer }}\n", image.0);
    let bench = Bench::new(&Experiment { name: "image", who: "peers: 2", more, ..Experiment::default() });
    let done = bench.run().await;
    done.ended_with(0);
    assert_eq!(done.manifest(&format!("/facts/client.{} ~1peer", image.0)), image.1);
    engine.assert_nothing_left(&done.id()).await;

    let more = "client: { image: nobody-has-this:1 }\n".to_owned();
    let done = Bench::new(&Experiment { name: "no-image", more, ..Experiment::default() }).run().await;
    done.ended_with(4);
    done.said("the engine has no image `nobody-has-this:1`");
}

#[tokio::test]
async fn there_must_be_something_to_compare() {
    let bench = Bench::new(&Experiment { name: "alone", ..Experiment::default() });
    let done = bench.command(["compare", "experiment.yaml"]).end().await;
    done.ended_with(3);
    done.said("there is nothing to compare (hint: --base IMAGE");
    let bench = Bench::new(&arms("both", ""));
    let done = bench.command(["compare", "experiment.yaml", "--head", "x:1"]).end().await;
    done.ended_with(3);
    done.said("experiment.yaml:14:3: arms:");
    done.said("the file has arms of its own (hint: leave out --base and --head)");
    let done = bench.command(["compare", "experiment.yaml", "--repeats", "5"]).end().await;
    done.ended_with(3);
    done.said("fewer than 6 decide nothing");
}

/// A swarm with a baseline: three trials of it take a few seconds.
fn nightly() -> Experiment {
    let more = "runtime: netns\nrepeats: 3\ncompare: { max_worse: 60 % }\n".to_owned();
    Experiment { name: "nightly", who: "peers: 2", size: "256 KiB", server: "4 mbit", more, ..Experiment::default() }
}

#[tokio::test]
async fn a_baseline_gates_once_it_is_promoted_and_the_history_has_every_night() {
    let bench = Bench::new(&nightly());
    let night = |name: &str| bench.command(["run", "experiment.yaml", "--baseline", name, "--machine", "bench"]).end();

    let first = night("promoted").await;
    first.ended_with(22);
    first.said("NO-DATA: p2p-n2 against baseline `promoted`: no baseline of `nightly` is promoted");
    let dir = first.dir().display().to_string();
    bench.command(["baseline", "save", "good", &dir, "--machine", "bench"]).end().await.ended_with(0);
    bench.command(["baseline", "promote", "nightly", "good", "--reason", "it is well"]).end().await.ended_with(0);
    let listed = bench.command(["baseline", "list"]).end().await;
    listed.said("nightly  good");
    listed.said("gates since");
    bench.command(["baseline", "show", "nightly", "promoted"]).end().await.said("p2p-n2 distribution_time: median");

    let second = night("promoted").await;
    second.ended_with(0);
    second.said("p2p-n2 against baseline `good`:");
    let elsewhere = bench.command(["run", "experiment.yaml", "--baseline", "good", "--machine", "another"]).end().await;
    elsewhere.ended_with(22);
    elsewhere.said("`good` cannot be compared with: machine: `bench`, here `another`");
    // Gone on with it stays compared, also if nobody says so again: nothing turns green by that.
    let runs = || std::fs::read_dir(bench.path().join("reports/nightly")).expect("its runs").count();
    let before = runs();
    let again = bench.command(["run", "experiment.yaml", "--resume"]).end().await;
    again.ended_with(22);
    again.said("`good` cannot be compared with: machine: `bench`, here `another`");
    // A name that is none is noticed before anything runs.
    let misspelt = night("godo").await;
    misspelt.ended_with(22);
    misspelt.said("there is no baseline `godo` of `nightly` (hint: there are good)");
    assert_eq!(runs(), before);

    // Half the server: the plan is another one, and so there is nothing to compare; of the very same plan it is slower.
    let history = std::fs::read_to_string(bench.path().join("reports/nightly/history.jsonl")).expect("a history");
    assert_eq!(history.lines().count(), 3, "every night is in it, also those that failed: {history}");
    let slower = nightly().to_string().replace("4 mbit", "2 mbit");
    std::fs::write(bench.path().join("experiment.yaml"), slower).expect("it can be written to");
    let other = night("good").await;
    other.ended_with(22);
    other.said("cannot be compared with: server.up: `4 mbit`, here `2 mbit`");

    let kept = bench.command(["baseline", "rm", "nightly", "good"]).end().await;
    kept.ended_with(2);
    kept.said("`good` gates `nightly` (hint: promote another one first)");
    bench.command(["baseline", "show", "nightly", "bad"]).end().await.ended_with(22);
}

#[tokio::test]
async fn a_job_gets_its_annotations_and_its_page() {
    let more = "runtime: netns\nthresholds: { distribution_time: max < 1 ms }\n".to_owned();
    let bench =
        Bench::new(&Experiment { name: "job", who: "peers: 2", size: "256 KiB", more, ..Experiment::default() });
    let mut command = tokio::process::Command::new(binary::harness());
    command.args(["run", "experiment.yaml"]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_WORKSPACE", bench.path()).env("GITHUB_STEP_SUMMARY", "page.md");
    let done = bench.spawn(command).end().await;
    done.ended_with(20);
    done.said("::error file=experiment.yaml,line=12,title=p2p-n2%3A crossed::distribution_time max < 1 ms");
    let page = std::fs::read_to_string(bench.path().join("page.md")).expect("the job's page");
    assert!(page.starts_with("## job: crossed\n"), "{page}");
    let junit = std::fs::read_to_string(done.dir().join("junit.xml")).expect("test cases");
    // The threshold, and the run for it.
    assert!(junit.contains("failures=\"2\"") && junit.contains("type=\"crossed\""), "{junit}");
}
