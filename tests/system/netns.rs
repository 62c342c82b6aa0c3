//! Nodes in network namespaces, without an engine: what a run comes to, and that nothing outlives it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use peer_image::event::Event;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use crate::bench::{Bench, Experiment, PATIENCE, Running};
use crate::binary;
use crate::engine::Engine;

/// An ordinary user, `nobody` on most systems.
const ORDINARY: u32 = 65534;

fn experiment(name: &'static str) -> Experiment {
    Experiment { name, more: "runtime: netns\n".to_owned(), ..Experiment::default() }
}

/// Slow enough to be interrupted.
fn slow(name: &'static str) -> Experiment {
    Experiment { server: "2 mbit", up: "1 mbit", ..experiment(name) }
}

/// The fields of `/proc/PID/stat` after the name: state, parent, process group, …
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// All processes of which that is true.
fn processes(is_one: impl Fn(&[String]) -> bool) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").expect("there is a /proc");
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    // A process that has ended and waits for its parent is gone for our purposes.
    pids.filter(|pid| stat(*pid).is_some_and(|fields| fields[0] != "Z" && is_one(&fields))).collect()
}

/// The processes of a run's namespaces: they have one process group.
pub(crate) struct Namespaces {
    group: String,
}

impl Namespaces {
    pub(crate) fn of(running: &Running) -> Self {
        let harness = running.pid().to_string();
        let children = processes(|fields| fields[1] == harness);
        assert_eq!(children.len(), 1, "the harness has one child, which makes the namespaces");
        Self { group: children[0].to_string() }
    }

    fn processes(&self) -> Vec<u32> {
        processes(|fields| fields[2] == self.group)
    }

    /// The process of a node.
    pub(crate) fn node(&self, name: &str) -> u32 {
        let is_its = |argument: &[u8]| {
            serde_json::from_slice::<peer_image::node::NodeSpec>(argument).is_ok_and(|spec| spec.name == name)
        };
        let told = |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let found: Vec<u32> =
            self.processes().into_iter().filter(|pid| told(pid).split(|byte| *byte == 0).any(is_its)).collect();
        assert_eq!(found.len(), 1, "one process is `{name}`'s: {found:?}");
        found[0]
    }

    /// The switch: the child of the one that made the namespaces.
    fn switch(&self) -> u32 {
        let found = processes(|fields| fields[1] == self.group);
        assert_eq!(found.len(), 1, "there is one switch");
        found[0]
    }

    async fn are_gone(&self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.processes().is_empty() {
            assert!(tokio::time::Instant::now() < deadline, "left: {:?}", self.processes());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Waits until all nodes have begun; returns what holds them.
async fn in_transfer(running: &mut Running) -> Namespaces {
    running.says(" transfer").await;
    let namespaces = Namespaces::of(running);
    // The one that makes them, the switch, tracker, server and four peers.
    assert_eq!(namespaces.processes().len(), 8);
    namespaces
}

#[tokio::test]
async fn both_architectures_complete_and_the_report_says_where() {
    let bench = Bench::new(&Experiment { architecture: "[client-server, p2p]", ..experiment("namespaces") });
    let done = bench.run().await;
    done.ended_with(0);
    for row in done.table("trials.csv") {
        assert_eq!((row["verdict"].as_str(), row["completed"].as_str()), ("valid", "4"), "{row:?}");
        assert!(row["ratio"].parse::<f64>().is_ok_and(|ratio| ratio >= 1.0), "{row:?}");
    }
    assert_eq!(done.manifest("/facts/runtime"), "netns");
    let report = std::fs::read_to_string(done.dir().join("report.md")).expect("a run has a report");
    assert!(report.contains("| runtime | netns |"), "{report}");
    assert!(report.contains("| `runtime` | netns |"), "{report}");
}

#[tokio::test]
async fn an_ordinary_user_without_any_capability_can_run_it() {
    let bench = Bench::new(&experiment("ordinary"));
    let done = if rustix::process::geteuid().is_root() {
        std::fs::set_permissions(bench.path(), std::fs::Permissions::from_mode(0o777)).expect("it is ours");
        // Where the program is built need not be open to everybody.
        let program = bench.path().join("harness");
        std::fs::copy(binary::harness(), &program).expect("the program can be copied");
        let mut command = Command::new(program);
        command.args(["run", "experiment.yaml"]).uid(ORDINARY).gid(ORDINARY);
        bench.spawn(command).end().await
    } else {
        bench.run().await
    };
    done.ended_with(0);
    assert_eq!(done.manifest("/facts/machine.user"), "ordinary");
    assert_eq!(done.table("trials.csv")[0]["completed"], "4");
}

#[tokio::test]
async fn after_ctrl_c_or_a_kill_nothing_is_left() {
    let bench = Bench::new(&slow("interrupted"));
    let mut running = bench.start();
    let namespaces = in_transfer(&mut running).await;
    running.signal(Signal::INT);
    let done = running.end().await;
    done.ended_with(130);
    assert_eq!(namespaces.processes(), [0; 0], "{done}");
    assert_eq!(done.table("trials.csv")[0]["outcome"], "interrupted");

    let bench = Bench::new(&slow("killed"));
    let mut running = bench.start();
    let namespaces = in_transfer(&mut running).await;
    running.kill().await;
    namespaces.are_gone().await;
}

#[tokio::test]
async fn a_switch_that_is_killed_fails_the_trial_and_nothing_is_left() {
    let bench = Bench::new(&slow("switchless"));
    let mut running = bench.start();
    let namespaces = in_transfer(&mut running).await;
    let switch = Pid::from_raw(namespaces.switch().cast_signed()).expect("a process has a number");
    kill_process(switch, Signal::KILL).expect("it is ours");
    let done = running.end().await;
    done.ended_with(10);
    done.said("the switch of the namespaces is gone");
    namespaces.are_gone().await;
}

#[tokio::test]
async fn without_an_engine_auto_means_namespaces_and_says_so() {
    let bench = Bench::new(&Experiment { name: "daemonless", ..Experiment::default() });
    let mut command = Command::new("unshare");
    command.arg("--mount").env_remove("DOCKER_HOST");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    // For this command alone there is no socket.
    let script = "mount -t tmpfs none /run && mount -t tmpfs none /var/run && exec \"$0\" run experiment.yaml";
    command.args(["sh", "-c", script]).arg(binary::harness());
    let done = bench.spawn(command).end().await;
    done.ended_with(0);
    done.said("nodes run in network namespaces, because there is no engine at");
    assert_eq!(done.manifest("/facts/runtime"), "netns");
}

#[tokio::test]
async fn whoever_names_an_engine_gets_no_other_runtime_unasked() {
    let bench = Bench::new(&Experiment { name: "named", ..Experiment::default() });
    let run = |more: &[&str]| {
        let mut command = Command::new(binary::harness());
        command.args(["run", "experiment.yaml"]).args(more).env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
        bench.spawn(command)
    };
    let refused = run(&[]).end().await;
    refused.ended_with(4);
    refused.said("--runtime netns");
    let asked = run(&["--runtime", "netns"]).end().await;
    asked.ended_with(0);
}

#[tokio::test]
async fn containers_and_namespaces_stand_side_by_side() {
    let engine = Engine::shared().await;
    let more = "runtime: [docker, netns]\n".to_owned();
    let bench = Bench::new(&Experiment { name: "parity", more, ..Experiment::default() });
    let done = bench.run().await;
    done.ended_with(0);
    engine.assert_nothing_left(&done.id()).await;
    assert_eq!(done.manifest("/facts/runtime"), "docker, netns");
    let report = std::fs::read_to_string(done.dir().join("report.md")).expect("a run has a report");
    assert!(report.contains("## Containers against network namespaces"), "{report}");
    assert!(report.contains("| `p2p-n4-runtime-docker` | `p2p-n4-runtime-netns` |"), "{report}");

    let refused = bench.command(["run", "experiment.yaml", "--runtime", "netns"]).end().await;
    refused.ended_with(3);
    refused.said("the file compares runtimes");
}

#[tokio::test]
async fn a_machine_without_user_namespaces_is_told_so_with_the_cure() {
    let bench = Bench::new(&experiment("refused"));
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user"]);
    // Of a user namespace the limit can be set to none; root of it has no other way then.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && echo 0 > /proc/sys/user/max_net_namespaces && \
                  exec \"$0\" run experiment.yaml";
    command.args(["sh", "-c", script]).arg(binary::harness());
    let done = bench.spawn(command).end().await;
    done.ended_with(4);
    done.said("max_user_namespaces");
    assert_eq!(done.dirs().len(), 0, "nothing was begun, so nothing is kept");
}

#[tokio::test]
async fn limits_of_the_shell_are_errors_and_no_sudden_death() {
    // In units of 512 bytes.
    let bench = Bench::new(&experiment("small-files"));
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 16; exec \"$0\" run experiment.yaml"]).arg(binary::harness());
    let done = bench.spawn(command).end().await;
    done.ended_with(4);
    done.said("File too large");

    if rustix::process::geteuid().is_root() {
        let bench = Bench::new(&experiment("no-threads"));
        std::fs::set_permissions(bench.path(), std::fs::Permissions::from_mode(0o777)).expect("it is ours");
        let program = bench.path().join("harness");
        std::fs::copy(binary::harness(), &program).expect("the program can be copied");
        // The shell `sh` may have no word for it.
        let mut command = Command::new("bash");
        command.args(["-c", "ulimit -u 1; exec \"$0\" run experiment.yaml"]).arg(program);
        command.uid(ORDINARY).gid(ORDINARY);
        let done = bench.spawn(command).end().await;
        done.ended_with(4);
        done.said("ulimit -u");
    }
}

/// One boot id and another monotonic clock, as in a container that was moved, or made from an image of a running machine.
#[tokio::test]
async fn nodes_with_another_clock_are_measured_on_that_of_the_gate() {
    let place = tempfile::tempdir().expect("a directory");
    // Under this name the program is the agent.
    let program = place.path().join("peer");
    std::fs::copy(binary::harness(), &program).expect("the program can be copied");
    let clock = "/usr/bin/unshare --fork --kill-child=TERM --time --monotonic 1000000";
    let command = format!("client: {{ command: {clock} {} }}\n", program.display());
    let base = experiment("other-clock");
    let bench = Bench::new(&Experiment { more: format!("{}{command}", base.more), ..base });
    let done = bench.run().await;
    done.ended_with(0);
    let offsets = done.reported("p2p-n4").into_iter().filter_map(|(node, event)| match event {
        Event::Ready { offset, .. } if node != "tracker" => Some(offset),
        _ => None,
    });
    let offsets: Vec<i64> = offsets.collect();
    let is_known = |offset: &i64| (offset + 1_000_000_000_000_000).abs() < 10_000_000;
    assert!(offsets.len() == 5 && offsets.iter().all(is_known), "{offsets:?}");
    let time: f64 = done.table("trials.csv")[0]["distribution_time_s"].parse().expect("it was measured");
    assert!(time < 60.0, "{time} s");
}

#[tokio::test]
async fn a_file_whose_name_is_no_utf_8_is_run() {
    let bench = Bench::new(&experiment("odd-name"));
    let name = OsStr::from_bytes(b"exp\xff.yaml");
    std::fs::copy(bench.path().join("experiment.yaml"), bench.path().join(name)).expect("it can be copied");
    let mut command = Command::new(binary::harness());
    command.arg("run").arg(name);
    let done = bench.spawn(command).end().await;
    done.ended_with(0);
    assert_eq!(done.manifest("/argv/2"), "exp\u{fffd}.yaml");
}

#[tokio::test]
async fn nodes_get_no_descriptor_that_the_harness_was_started_with() {
    let bench = Bench::new(&slow("descriptors"));
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" run experiment.yaml 9<experiment.yaml"]).arg(binary::harness());
    let mut running = bench.spawn(command);
    let namespaces = in_transfer(&mut running).await;
    let opened = |pid: u32| -> Vec<std::path::PathBuf> {
        let all = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        all.filter_map(|fd| std::fs::read_link(fd.path()).ok()).collect()
    };
    let is_ours = |path: &std::path::PathBuf| path.ends_with("experiment.yaml");
    assert!(opened(running.pid()).iter().any(is_ours), "the harness has it");
    for pid in namespaces.processes() {
        assert!(!opened(pid).iter().any(is_ours), "{pid} has {:?}", opened(pid));
    }
    running.signal(Signal::INT);
    running.end().await.ended_with(130);
}

/// Thousands of events, of which none comes about: the trial is over before.
fn long_plan() -> String {
    let event = |i: u32| {
        let (at, up) = (60.0 + f64::from(i) / 100.0, 5 + i % 2);
        format!("  e{i}: {{ at: {at:.2} s, who: peers, links: {{ up: {up} mbit, down: 20 mbit }} }}\n")
    };
    format!("events:\n{}", (0..3_000).map(event).collect::<String>())
}

#[tokio::test]
async fn a_plan_that_is_too_long_for_an_argument_reaches_nodes_in_namespaces_and_in_containers() {
    let _engine = Engine::shared().await;
    let (names, mut cells) = (["netns", "docker"], Vec::new());
    for runtime in names {
        let more = format!("runtime: {runtime}\n{}", long_plan());
        let bench = Bench::new(&Experiment { name: "long", who: "peers: 2", more, ..Experiment::default() });
        let done = bench.run().await;
        done.ended_with(0);
        assert_eq!(done.table("trials.csv")[0]["completed"], "2", "{runtime}");
        cells.push(done.plan().cells[0].trials[0].schedule.len());
    }
    assert_eq!(cells, [6_000, 6_000]);
}
