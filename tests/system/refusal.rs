//! What cannot be run: said with the place and the cure, with an exit code of its own, and nothing is started or lost.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;

use tokio::process::Command;

use crate::bench::{Bench, Done, Experiment};
use crate::binary;
use crate::engine::Engine;
use crate::intermediary::Intermediary;

/// It ended with this code, said this, and no run began.
fn refused(done: &Done, code: i32, words: &[&str]) {
    done.ended_with(code);
    assert_eq!(done.stdout, "", "{done}");
    for word in words {
        assert!(done.stderr.contains(word), "no `{word}`: {done}");
    }
    assert!(done.dirs().is_empty(), "no run, no directory: {:?}", done.dirs());
}

/// `harness run`, with the engine at another address.
async fn run_with_engine_at(bench: &Bench, address: &str) -> Done {
    let mut command = Command::new(binary::harness());
    command.args(["run", "experiment.yaml"]).env("DOCKER_HOST", address).env_remove("DOCKER_TLS_VERIFY");
    bench.spawn(command).end().await
}

#[tokio::test]
async fn a_wrong_file_is_refused_with_every_problem_at_its_line() {
    let text = "name: wrong
question: Does it work?
architecture: p2p
peers: 0
file: { size: 32 MB, piece: 100 KiB }
server: { up: 4, down: 40 mbit }
links: { up: -1 mbit, down: 40 mbit }
colour: red
name: twice
";
    let bench = Bench::new(&text);
    for verb in ["run", "plan"] {
        let done = bench.command([verb, "experiment.yaml"]).end().await;
        let places: Vec<String> = [4, 5, 6, 7, 8, 9].map(|line| format!("experiment.yaml:{line}:")).into();
        refused(&done, 3, &places.iter().map(String::as_str).collect::<Vec<_>>());
        for words in ["peers", "file.piece", "server.up", "links.up", "colour: unknown key", "(hint: "] {
            assert!(done.stderr.contains(words), "no `{words}`: {done}");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_refused_before_those_that_are_run() {
    let bench = Bench::new(&Experiment::default());
    let done = bench.command(["run", "experiment.yaml", "missing.yaml"]).end().await;
    refused(&done, 3, &["missing.yaml"]);
}

#[tokio::test]
async fn a_command_line_that_makes_no_sense_ends_with_2() {
    let bench = Bench::new(&Experiment::default());
    for arguments in [&["run"][..], &["run", "--repeats", "0", "experiment.yaml"], &["fly"], &["report", "nowhere"]] {
        let done = bench.command(arguments).end().await;
        refused(&done, 2, &[]);
        assert!(!done.stderr.is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn without_an_engine_it_says_where_it_looked() {
    let bench = Bench::new(&Experiment::default());
    let dead = bench.path().join("dead.sock");
    let absent = format!("unix://{}", dead.display());
    refused(&run_with_engine_at(&bench, &absent).await, 4, &[&absent, "no engine", "DOCKER_HOST"]);
    // A socket that nobody listens to any more.
    drop(std::os::unix::net::UnixListener::bind(&dead).expect("a socket"));
    refused(&run_with_engine_at(&bench, &absent).await, 4, &[&absent, "no engine", "DOCKER_HOST"]);
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let closed = format!("tcp://{port}");
    refused(&run_with_engine_at(&bench, &closed).await, 4, &[&closed, "no engine", "DOCKER_HOST"]);
    refused(&run_with_engine_at(&bench, "ssh://somewhere").await, 4, &["ssh", "hint: "]);

    let done = {
        let mut command = Command::new(binary::harness());
        command.arg("clean").env("DOCKER_HOST", &absent);
        bench.spawn(command).end().await
    };
    refused(&done, 4, &[&absent]);
}

/// Something that answers like an engine of long ago; returns its address. It ends with the test's process.
fn old_engine() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("a listener has an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            std::thread::spawn(move || {
                let mut requests = BufReader::new(&stream);
                let mut line = String::new();
                let mut path = None;
                while requests.read_line(&mut line).is_ok_and(|read| read > 0) {
                    let head = line.trim_end();
                    if path.is_none() {
                        path = head.split(' ').nth(1).map(str::to_owned);
                    } else if head.is_empty() {
                        let version = r#"{"Version":"17.03.0-ce","ApiVersion":"1.26","MinAPIVersion":"1.12","Os":"linux","Arch":"amd64","KernelVersion":"4.4.0","GitCommit":"60ccb22","GoVersion":"go1.7.5"}"#;
                        let is_version = path.take().is_some_and(|path| path.ends_with("/version"));
                        let (kind, body) =
                            if is_version { ("application/json", version) } else { ("text/plain", "OK") };
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\nApi-Version: 1.26\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
                            body.len()
                        );
                        if (&stream).write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                    line.clear();
                }
            });
        }
    });
    format!("tcp://{address}")
}

#[tokio::test]
async fn an_engine_that_is_too_old_is_refused_with_its_version_and_what_is_needed() {
    let bench = Bench::new(&Experiment::default());
    let old = old_engine();
    let done = run_with_engine_at(&bench, &old).await;
    refused(&done, 4, &["engine too old", &old, "17.03.0-ce", "1.26", "API 1.40", "(hint: "]);
}

#[tokio::test]
async fn an_engine_that_does_not_give_net_admin_is_named_as_such() {
    let engine = Engine::shared().await;
    let bench = Bench::new(&Experiment { name: "refused", ..Experiment::default() });
    // Another capability, which is of no use: as an engine does whose policy drops NET_ADMIN.
    let relay = Intermediary::new("\"NET_ADMIN\"", "\"IPC_OWNER\"");
    let done = run_with_engine_at(&bench, &relay.address()).await;
    done.ended_with(4);
    assert!(done.stderr.contains("NET_ADMIN") && done.stderr.contains("(hint: "), "{done}");
    engine.assert_nothing_left(&done.id()).await;
    let rows = done.table("peers.csv");
    assert!(rows.len() == 4 && rows.iter().all(|row| row["outcome"] == "never-started"), "{rows:?}");
}

/// `harness run --out mount/reports`, where `mount` is a file system in memory that only this command sees; as root,
/// or else as root of a user namespace. In the end it says which files there are.
fn run_on_a_disk(bench: &Bench, options: &str) -> crate::bench::Running {
    on_a_disk(
        bench,
        options,
        "\"$0\" run experiment.yaml --out mount/reports
        code=$?
        find mount -type f
        exit $code",
    )
}

/// Runs a script with a small disk at `mount/`; `$0` is the harness.
fn on_a_disk(bench: &Bench, options: &str, script: &str) -> crate::bench::Running {
    let mount = bench.path().join("mount");
    std::fs::create_dir(&mount).expect("the directory is new");
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let script = format!("mount -t tmpfs -o {options} none mount || exit 99\n{script}");
    command.args(["sh", "-c", &script]).arg(binary::harness());
    bench.spawn(command)
}

/// Nothing was begun, so nothing is kept.
fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

#[tokio::test]
async fn a_reports_directory_that_cannot_be_written_is_named_and_nothing_is_started() {
    let _engine = Engine::shared().await;
    let bench = Bench::new(&Experiment { name: "unwritable", ..Experiment::default() });
    let read_only = run_on_a_disk(&bench, "ro").end().await;
    refused(&read_only, 4, &["`mount/reports/unwritable`", "Read-only", "--out"]);
    assert!(is_empty(&bench.path().join("mount")));

    let done = bench.command(["run", "experiment.yaml", "--out", "experiment.yaml"]).end().await;
    refused(&done, 4, &["`experiment.yaml/unwritable`", "a file stands where a directory is to be"]);
}

#[tokio::test]
async fn a_full_disk_is_named_and_nothing_is_started() {
    let _engine = Engine::shared().await;
    let bench = Bench::new(&Experiment { name: "full", ..Experiment::default() });
    let done = run_on_a_disk(&bench, "size=4k").end().await;
    refused(&done, 4, &["`mount/reports/full/", "No space left", "make room"]);
}

#[tokio::test]
async fn a_disk_that_fills_up_in_a_trial_ends_the_run_and_leaves_nothing_on_the_engine() {
    let engine = Engine::shared().await;
    let bench = Bench::new(&Experiment { name: "filling", ..Experiment::default() });
    // Room for the plan and for the beginning of the log.
    let mut running = run_on_a_disk(&bench, "size=28k");
    let run = running.begins().await;
    let done = running.end().await;
    done.ended_with(4);
    assert!(done.stderr.contains("events.jsonl") && done.stderr.to_lowercase().contains("no space left"), "{done}");
    engine.assert_nothing_left(&run).await;
}

#[tokio::test]
async fn when_there_is_room_again_resume_completes_what_a_full_disk_cut_off() {
    let engine = Engine::shared().await;
    let bench = Bench::new(&Experiment { name: "refilled", ..Experiment::default() });
    // What is on the disk outlives it as a copy, where the bench looks for results.
    let script = "\"$0\" run experiment.yaml --out mount/reports && exit 98
        mount -o remount,size=16m mount || exit 99
        \"$0\" run experiment.yaml --out mount/reports --resume
        code=$?
        cp -r mount/reports reports
        exit $code";
    let done = on_a_disk(&bench, "size=28k", script).end().await;
    done.ended_with(0);
    assert!(done.stderr.to_lowercase().contains("no space left"), "{done}");
    engine.assert_nothing_left(&done.id()).await;
    let trials = done.table("trials.csv");
    assert_eq!(trials.len(), 1, "{trials:?}");
    assert_eq!((trials[0]["verdict"].as_str(), trials[0]["lines_lost"].as_str()), ("valid", "0"), "{trials:?}");
    assert_eq!(done.table("peers.csv").len(), 4);
    assert_eq!(done.plan().cells.len(), 1, "the plan is whole");
}

#[tokio::test]
async fn more_peers_than_a_bridge_can_hold_are_refused_before_anything_starts() {
    let bench = Bench::new(&Experiment { who: "peers: 1001", ..Experiment::default() });
    let done = bench.run().await;
    refused(&done, 3, &["experiment.yaml:4:", "1001", "(hint: "]);
}

#[tokio::test]
async fn what_could_not_be_said_on_standard_output_is_no_success_and_a_reader_that_left_is() {
    let bench = Bench::new(&Experiment::default());
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(binary::harness());
        bench.spawn(command)
    };
    for words in ["plan experiment.yaml", "--help", "schema plan"] {
        let done = shell(&format!("exec \"$0\" {words} > /dev/full")).end().await;
        done.ended_with(4);
        assert!(done.stderr.contains("standard output cannot be written: No space left"), "{done}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut left = std::process::Command::new(binary::harness());
        let left = left.args(words.split(' ')).current_dir(bench.path()).stdout(writer).output();
        let left = left.expect("it can be started");
        assert_eq!((left.status.code(), left.stderr), (Some(0), Vec::new()), "{words}");
    }
}
