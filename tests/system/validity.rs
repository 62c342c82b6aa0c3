//! What makes a trial INVALID: faults planted from outside while it runs, each of which must be found for its own reason
//! and none of which may enter a result; and what is done about it: retries, and going on with a run that was killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard::models::ContainerUpdateBody;
use bollard::query_parameters::KillContainerOptionsBuilder;
use peer_image::agent::http_server::AGENT_PREFIX;
use peer_image::content;
use peer_image::node::{Gate, HTTP_PORT, Link, PEER_PORT, Role};
use peer_image::wire::handshake::{Handshake, PeerId};
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::bench::{Bench, Done, Experiment, PATIENCE};
use crate::binary;
use crate::engine::{Engine, specification};
use crate::netns::Namespaces;
use crate::node;

/// A swarm of some fifteen seconds: time to do something to it and for that to show.
fn swarm(name: &'static str, more: &str) -> Bench {
    let more = format!("retries: 0\n{more}");
    Bench::new(&Experiment { name, size: "8 MiB", server: "8 mbit", up: "4 mbit", more, ..Experiment::default() })
}

/// All limits as forgiving as elsewhere, but for one.
fn strict_about(limit: &str) -> String {
    let limits = [
        ("link_rate", "50 %"),
        ("host_busy", "100 %"),
        ("host_softirq", "100 %"),
        ("host_steal", "100 %"),
        ("memory_pressure", "100 %"),
        ("run_delay", "100 %"),
        ("start_skew", "1 min"),
        ("churn_late", "1 min"),
        ("stall", "1 min"),
    ];
    let key = limit.split(':').next().expect("a limit has a key");
    let others = limits.iter().filter(|(name, _)| *name != key).map(|(name, value)| format!("{name}: {value}"));
    let all: Vec<String> = others.chain([limit.to_owned()]).collect();
    format!("validity: {{ {} }}\n", all.join(", "))
}

/// It is INVALID for that reason, is shown, and counts for nothing.
fn is_invalid(done: &Done, reason: &str) {
    done.ended_with(11);
    let trial = &done.table("trials.csv")[0];
    assert_eq!(trial["verdict"], "INVALID", "{trial:?}");
    assert!(trial["invalid"].contains(reason), "{trial:?}");
    let cell = &done.table("summary.csv")[0];
    assert_eq!((cell["invalid"].as_str(), cell["completed"].as_str()), ("1", "0"), "{cell:?}");
    assert_eq!(cell["distribution_time_median_s"], "", "{cell:?}");
    done.said("INVALID");
    let report = std::fs::read_to_string(done.dir().join("report.md")).expect("there is a report");
    assert!(report.contains("INVALID: ") && report.contains(reason), "{report}");
}

#[tokio::test]
async fn a_link_that_is_changed_behind_our_back_makes_a_trial_invalid() {
    let engine = Engine::shared().await;
    let image = node::image().await;
    let bench = swarm("changed-link", "");
    let mut running = bench.start();
    let run = running.transfers(&engine).await;
    // Somebody else in the same network namespace shapes it anew.
    let gate = Gate::At { address: "192.0.2.1:1".to_owned() };
    let link = Some(Link { up: 4_000_000, down: 9_000_000 });
    let intruder = peer_image::node::NodeSpec {
        link,
        congestion: "system".to_owned(),
        ..specification("intruder", Role::HttpClient, gate)
    };
    let held = engine.held(&run).await;
    let intruder = engine.intrude(held.container("peer-2"), &image, &intruder).await;
    let done = running.end().await;
    engine.remove(&intruder).await;
    is_invalid(&done, "`peer-2`'s download was 9000000 bit/s in the kernel, the plan says 20000000 bit/s");
    engine.assert_nothing_left(&run).await;
}

/// The process of a container, as its engine knows it.
async fn process_of(engine: &Engine, container: &str) -> u32 {
    let found = engine.docker.inspect_container(container, None).await.expect("it is there");
    let pid = found.state.and_then(|state| state.pid).expect("it runs");
    u32::try_from(pid).expect("a process has a number")
}

#[tokio::test]
async fn a_download_that_is_led_around_its_shaping_makes_a_trial_invalid() {
    let engine = Engine::shared().await;
    for (name, runtime) in [("bypassed", "docker"), ("bypassed-netns", "netns")] {
        let bench = swarm(name, &format!("runtime: {runtime}\n"));
        let mut running = bench.start();
        let run = running.begins().await;
        running.says(" transfer").await;
        let (pid, enter): (u32, &[&str]) = match runtime {
            "docker" => (process_of(&engine, engine.held(&run).await.container("peer-1")).await, &["--net"]),
            _ => (Namespaces::of(&running).node("peer-1"), &["--user", "--preserve-credentials", "--net"]),
        };
        // The queue that has the rate stays, and nothing comes to it any more.
        let taken_away = Command::new("nsenter")
            .arg(format!("--target={pid}"))
            .args(enter)
            .args(["tc", "qdisc", "del", "dev", "eth0", "ingress"])
            .output();
        let taken_away = taken_away.await.expect("`nsenter` is in util-linux");
        assert!(taken_away.status.success(), "`tc`, in iproute2: {}", String::from_utf8_lossy(&taken_away.stderr));
        let done = running.end().await;
        is_invalid(&done, "`peer-1` received ");
        assert!(done.table("trials.csv")[0]["invalid"].contains("the rest bypassed it"));
    }
}

#[tokio::test]
async fn a_hog_on_every_processor_makes_a_trial_invalid() {
    let engine = Engine::alone().await;
    let bench = swarm("hog", &strict_about("host_busy: 95 %"));
    let mut running = bench.start();
    running.transfers(&engine).await;
    let over = Arc::new(AtomicBool::new(false));
    let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let hogs: Vec<_> = (0..2 * processors)
        .map(|_| {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let done = running.end().await;
    over.store(true, Ordering::Relaxed);
    for hog in hogs {
        hog.join().expect("a hog does not panic");
    }
    is_invalid(&done, "the host's processors were ");
}

/// A swarm that could do with every processor that there is, and may use one; with its directory.
async fn one_processor(name: &'static str, limit: &str) -> (Bench, Done) {
    let more = format!("runtime: netns\nretries: 0\n{}", strict_about(limit));
    let who = "peers: 8";
    let fast = Experiment { name, who, size: "64 MiB", server: "1 gbit", up: "1 gbit", more, ..Experiment::default() };
    let bench =
        Bench::new(&fast.to_string().replace("down: 40 mbit", "down: 1 gbit").replace("down: 20 mbit", "down: 1 gbit"));
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(binary::harness()).args(["run", "experiment.yaml"]);
    let done = bench.spawn(command).end().await;
    (bench, done)
}

#[tokio::test]
async fn nodes_that_may_use_one_processor_make_a_trial_invalid() {
    let _engine = Engine::alone().await;
    // Of two processors it would be half busy at most.
    let (_bench, done) = one_processor("one-processor", "host_busy: 70 %").await;
    is_invalid(&done, "the host's processors were ");
    let processors = |event: &peer_image::event::Event| match event {
        peer_image::event::Event::Boot { processors, .. } => *processors,
        _ => None,
    };
    let reported = done.reported("p2p-n8");
    let told: Vec<u32> = reported.iter().filter_map(|(_, event)| processors(event)).collect();
    assert_eq!(told, [1; 10], "tracker, server and eight peers say what they may use");
    let looks: Vec<_> = reported
        .iter()
        .filter_map(|(_, event)| if let peer_image::event::Event::Host(host) = event { Some(host) } else { None })
        .collect();
    let is_told = |host: &&peer_image::event::Host| host.neighbours_full.is_some();
    assert!(!looks.is_empty() && looks.iter().all(is_told), "each look tells of the table of neighbours: {looks:?}");
    let (_bench, done) = one_processor("waiting", "run_delay: 10 %").await;
    is_invalid(&done, "was ready and waited for a processor in ");
}

#[tokio::test]
async fn a_quota_on_a_container_makes_a_trial_invalid() {
    let engine = Engine::shared().await;
    let bench = swarm("quota", &strict_about("stall: 1 min"));
    let mut running = bench.start();
    let run = running.transfers(&engine).await;
    let held = engine.held(&run).await;
    // A hundredth of one processor.
    let quota =
        ContainerUpdateBody { cpu_period: Some(100_000), cpu_quota: Some(1_000), ..ContainerUpdateBody::default() };
    engine.docker.update_container(held.container("peer-1"), quota).await.expect("the engine can limit a container");
    let done = running.end().await;
    is_invalid(&done, "the kernel kept `peer-1` off the processors for ");
}

async fn address_of(engine: &Engine, container: &str) -> String {
    let found = engine.docker.inspect_container(container, None).await.expect("it is there");
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    networks.into_values().find_map(|network| network.ip_address).expect("it has an address")
}

/// Takes a block of the file from a node, as a peer of that name; returns who it was to that node.
async fn takes_a_block(node: &str, file: &peer_image::node::FileSpec, name: &str) -> std::net::IpAddr {
    let mut stream = TcpStream::connect((node, PEER_PORT)).await.expect("a container can be reached from its host");
    let info_hash = content::metainfo(file, "http://tracker/announce").info_hash();
    let own = Handshake { info_hash, peer_id: PeerId::for_node(name).expect("a short name") };
    stream.write_all(&own.encode()).await.expect("the connection takes a handshake");
    stream.read_exact(&mut [0; 68]).await.expect("it shakes hands");
    stream.write_all(&[0, 0, 0, 1, 2]).await.expect("the connection takes that it is interested");
    loop {
        let length = stream.read_u32().await.expect("a message comes");
        let mut message = vec![0; length as usize];
        stream.read_exact(&mut message).await.expect("a message has its length");
        match message.first() {
            // Unchoked: the first block of the first piece.
            Some(1) => {
                let request = [&[0, 0, 0, 13, 6][..], &[0; 8], &16_384_u32.to_be_bytes()].concat();
                stream.write_all(&request).await.expect("the connection takes a request");
            }
            Some(7) => return stream.local_addr().expect("it is connected").ip(),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_stranger_in_the_swarm_makes_a_trial_invalid_even_under_the_name_of_a_node() {
    let engine = Engine::shared().await;
    for (name, who) in [("stranger", "somebody"), ("impostor", "peer-1")] {
        let bench = swarm(name, &strict_about("stall: 1 min"));
        let mut running = bench.start();
        let run = running.transfers(&engine).await;
        let held = engine.held(&run).await;
        let address = address_of(&engine, held.container("server")).await;
        let plan = std::fs::read_to_string(bench.path().join(format!("reports/{name}/{run}/plan.json")));
        let plan: harness::plan::Plan = serde_json::from_str(&plan.expect("a run has a plan")).expect("it can be read");
        let taking = takes_a_block(&address, &plan.cells[0].trials[0].file, who);
        let own = tokio::time::timeout(PATIENCE, taking).await.expect("a newcomer gets a block");
        let done = running.end().await;
        is_invalid(&done, &format!("`{own}` is no node of the plan, and nodes sent "));
    }
}

/// Takes some of the file from a file server, under the name of a node; returns who it was to that server.
async fn takes_a_range(server: &str, name: &str) -> std::net::IpAddr {
    let mut stream = TcpStream::connect((server, HTTP_PORT)).await.expect("a container can be reached from its host");
    let request = format!(
        "GET /file HTTP/1.1\r\nHost: {server}\r\nUser-Agent: {AGENT_PREFIX}{name}\r\nRange: bytes=0-16383\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("the connection takes a request");
    let own = stream.local_addr().expect("it is connected").ip();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("it answers to the end");
    assert!(answer.starts_with(b"HTTP/1.1 206 ") && answer.len() > 16_384, "{} bytes", answer.len());
    own
}

#[tokio::test]
async fn a_stranger_at_the_file_server_makes_a_trial_invalid_even_under_the_name_of_a_node() {
    let engine = Engine::shared().await;
    let more = format!("retries: 0\n{}", strict_about("stall: 1 min"));
    let (architecture, size, server) = ("client-server", "4 MiB", "8 mbit");
    let bench = Bench::new(&Experiment { name: "customer", architecture, size, server, more, ..Experiment::default() });
    let mut running = bench.start();
    let run = running.transfers(&engine).await;
    let held = engine.held(&run).await;
    let address = address_of(&engine, held.container("server")).await;
    let taking = takes_a_range(&address, "peer-1");
    let own = tokio::time::timeout(PATIENCE, taking).await.expect("a newcomer gets a part of the file");
    let done = running.end().await;
    is_invalid(&done, &format!("`{own}` is no node of the plan, and nodes sent "));
}

#[tokio::test]
async fn a_later_rate_that_is_not_to_be_had_makes_a_trial_invalid() {
    let _engine = Engine::shared().await;
    let event = "events: { more: { at: 1 s, who: server, links: { up: 100 gbit, down: 40 mbit } } }\n";
    let more = format!("{event}{}runtime: netns\nretries: 0\n", strict_about("link_rate: 50 %"));
    let who = "peers: 2";
    let bench = Bench::new(&Experiment { name: "later-rate", who, more, ..Experiment::default() });
    let done = bench.run().await;
    is_invalid(&done, "`server`'s upload carried ");
    is_invalid(&done, "when it was tried, the plan says 100000.000");
}

#[tokio::test]
async fn a_churn_event_that_comes_late_makes_a_trial_invalid() {
    let engine = Engine::shared().await;
    let churn = "churn: { session: { fixed: { after: 3 s } }, leave: { crash: 100 % }, share: 50 %, \
                 rejoin: { after: 1 s, keeps: pieces } }";
    let bench = swarm("late", &format!("{}{churn}\nseed: 3\n", strict_about("churn_late: 1 s")));
    let mut running = bench.start();
    running.transfers(&engine).await;
    // The controller stands still when it is to kill, and goes on some seconds later: told by a node's own clock.
    running.signal(Signal::STOP);
    tokio::time::sleep(Duration::from_secs(6)).await; // what is planned at 3 s is late then
    running.signal(Signal::CONT);
    let done = running.end().await;
    is_invalid(&done, "a planned departure or return came ");
}

#[tokio::test]
async fn a_container_that_is_paused_makes_a_trial_invalid() {
    let engine = Engine::shared().await;
    for (name, node) in [("paused", "peer-1"), ("paused-tracker", "tracker")] {
        let bench = swarm(name, &strict_about("stall: 1 s"));
        let mut running = bench.start();
        let run = running.transfers(&engine).await;
        let held = engine.held(&run).await;
        let container = held.container(node);
        engine.docker.pause_container(container).await.expect("a running container can be paused");
        tokio::time::sleep(Duration::from_secs(3)).await; // longer than the limit
        engine.docker.unpause_container(container).await.expect("a paused container can go on");
        let done = running.end().await;
        is_invalid(&done, &format!("`{node}` stood still for "));
    }
}

/// A node's process that something is done to from outside.
enum Victim<'a> {
    Container(&'a Engine, String),
    Process(u32),
}

impl Victim<'_> {
    async fn get(&self, signal: &str) {
        match self {
            Self::Container(engine, id) => {
                let options = KillContainerOptionsBuilder::default().signal(signal).build();
                engine.docker.kill_container(id, Some(options)).await.expect("a running container gets signals");
            }
            Self::Process(pid) => {
                let signals = [("SIGKILL", Signal::KILL), ("SIGSTOP", Signal::STOP), ("SIGCONT", Signal::CONT)];
                let signal = signals.into_iter().find(|(name, _)| *name == signal).expect("a signal of these").1;
                let pid = Pid::from_raw(pid.cast_signed()).expect("no process has the number 0");
                rustix::process::kill_process(pid, signal).expect("a node's process gets signals");
            }
        }
    }
}

/// In containers and in namespaces a swarm in which one peer is complete long before the others, and what is done to it then
/// from outside.
async fn of_one_that_is_complete(names: [&'static str; 2], limit: &str, what: impl AsyncFn(&Victim<'_>), reason: &str) {
    let engine = Engine::shared().await;
    for (name, runtime) in names.into_iter().zip(["docker", "netns"]) {
        let more = format!("retries: 0\nruntime: {runtime}\n{}", strict_about(limit));
        let who = "classes:\n  fast: { count: 1 }\n  slow: { count: 2, up: 4 mbit, down: 3 mbit }";
        let bench = Bench::new(&Experiment {
            name,
            who,
            size: "8 MiB",
            server: "8 mbit",
            up: "4 mbit",
            more,
            ..Experiment::default()
        });
        let mut running = bench.start();
        let run = running.begins().await;
        running.says(" transfer").await;
        let dir = bench.path().join(format!("reports/{name}/{run}"));
        let plan = std::fs::read_to_string(dir.join("plan.json")).expect("a run has a plan");
        let plan: harness::plan::Plan = serde_json::from_str(&plan).expect("it can be read");
        let cell = &plan.cells[0];
        let fast = &cell.trials[0].nodes.iter().find(|node| node.class == "fast").expect("there is one").name;
        let log = dir.join("trials").join(&cell.id).join("1/events.jsonl");
        let is_complete = || {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            said.lines().any(|line| line.contains("\"completed\"") && line.contains(&format!("\"{fast}\"")))
        };
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !is_complete() {
            assert!(tokio::time::Instant::now() < deadline, "`{fast}` did not complete within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let victim = match runtime {
            "docker" => Victim::Container(&engine, engine.held(&run).await.container(fast).to_owned()),
            _ => Victim::Process(Namespaces::of(&running).node(fast)),
        };
        what(&victim).await;
        let done = running.end().await;
        is_invalid(&done, &reason.replace("FAST", fast));
    }
}

#[tokio::test]
async fn a_complete_peer_that_is_killed_makes_a_trial_invalid() {
    let kill = async |victim: &Victim<'_>| victim.get("SIGKILL").await;
    let reason = "`FAST` died, and the others went on without it: killed (exit code 137)";
    of_one_that_is_complete(["killed", "killed-netns"], "stall: 1 min", kill, reason).await;
}

#[tokio::test]
async fn a_complete_peer_that_is_stopped_for_good_makes_a_trial_invalid() {
    let stop = async |victim: &Victim<'_>| victim.get("SIGSTOP").await;
    let reason = "`FAST` was not heard of after ";
    of_one_that_is_complete(["stopped", "stopped-netns"], "stall: 1 min", stop, reason).await;
}

#[tokio::test]
async fn a_peer_that_is_stopped_again_and_again_for_a_short_while_makes_a_trial_invalid() {
    let stutter = async |victim: &Victim<'_>| {
        for _ in 0..10 {
            victim.get("SIGSTOP").await;
            tokio::time::sleep(Duration::from_millis(300)).await; // shorter than the limit
            victim.get("SIGCONT").await;
            tokio::time::sleep(Duration::from_millis(100)).await; // it notices, and is stopped again
        }
    };
    of_one_that_is_complete(["stutter", "stutter-netns"], "stall: 1 s", stutter, "s of 5 s, in several stops").await;
}

#[tokio::test]
async fn what_is_invalid_is_tried_again_as_often_as_the_file_says_and_every_attempt_is_kept() {
    let _engine = Engine::shared().await;
    // No node begins within a microsecond.
    let more = format!("retries: 2\n{}", strict_about("start_skew: 0.001 ms"));
    let bench =
        Bench::new(&Experiment { name: "again", who: "peers: 2", size: "256 KiB", more, ..Experiment::default() });
    let done = bench.run().await;
    done.ended_with(11);
    let trials = done.table("trials.csv");
    let attempts: Vec<(&str, &str)> =
        trials.iter().map(|row| (row["attempt"].as_str(), row["verdict"].as_str())).collect();
    assert_eq!(attempts, [("1", "INVALID"), ("2", "INVALID"), ("3", "INVALID")]);
    assert!(done.dir().join("trials/p2p-n2/1.3/events.jsonl").exists());
    assert_eq!(done.table("summary.csv")[0]["not_run"], "0");

    // Going on with it makes one more attempt, and forgets none.
    let attempts = |done: &Done| -> Vec<String> {
        done.table("trials.csv").into_iter().map(|row| row["attempt"].clone()).collect()
    };
    let resumed = bench.command(["run", "experiment.yaml", "--resume"]).end().await;
    resumed.ended_with(11);
    assert_eq!(attempts(&resumed), ["1", "2", "3", "4"]);

    // Of another program, as the key in its log says, none stands, and none is mixed with those that follow.
    let log = done.dir().join("trials/p2p-n2/1/events.jsonl");
    let text = std::fs::read_to_string(&log).expect("the log is there");
    let (first, rest) = text.split_once('\n').expect("it has lines");
    let key = first.split("\"key\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a trial has a key");
    std::fs::write(&log, format!("{}\n{rest}", first.replace(key, "another"))).expect("it can be written to");
    let again = bench.command(["run", "experiment.yaml", "--resume"]).end().await;
    again.ended_with(11);
    assert_eq!(attempts(&again), ["1", "2", "3"]);
    for aside in ["1-cut-1", "1.2-cut-1", "1.3-cut-1", "1.4-cut-1"] {
        assert!(done.dir().join("trials/p2p-n2").join(aside).exists(), "{aside}");
    }
}

/// Cells and trials of a run, without what was measured.
fn shape(dir: &Path) -> BTreeMap<String, Vec<String>> {
    let table = |name: &str, columns: &[&str]| -> Vec<String> {
        let mut reader = csv::Reader::from_path(dir.join(name)).expect("there is a table");
        let rows = reader.deserialize().map(|row| row.expect("a table has one field per heading"));
        rows.map(|row: BTreeMap<String, String>| {
            let wanted: Vec<&str> = columns.iter().map(|column| row[*column].as_str()).collect();
            format!("{} of {}: {wanted:?}", row.len(), name)
        })
        .collect()
    };
    let columns = std::fs::read_to_string(dir.join("columns.json")).expect("there are columns");
    [
        ("cells", table("summary.csv", &["cell", "peers", "planned", "completed", "invalid", "not_run", "bound_s"])),
        ("trials", table("trials.csv", &["cell", "repeat", "attempt", "verdict", "outcome", "completed"])),
        ("peers", table("peers.csv", &["cell", "repeat", "node", "outcome"])),
        ("schema", vec![columns]),
    ]
    .map(|(name, rows)| (name.to_owned(), rows))
    .into()
}

/// When each trial's log began, by the trial's directory.
fn beginnings(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for cell in std::fs::read_dir(dir.join("trials")).expect("there are trials").flatten() {
        for trial in std::fs::read_dir(cell.path()).expect("a cell has trials").flatten() {
            let log = std::fs::read_to_string(trial.path().join("events.jsonl")).unwrap_or_default();
            if log.contains("\"outcome\":\"completed\"") {
                found.insert(trial.path(), log.lines().next().unwrap_or_default().to_owned());
            }
        }
    }
    found
}

#[tokio::test]
async fn a_sweep_that_is_killed_again_and_again_comes_to_the_report_of_one_that_was_not() {
    let engine = Engine::alone().await;
    let sweep = |name| {
        let more = "repeats: 2\nwarm_up: true\n".to_owned();
        let who = "peers: [1, 2]";
        Bench::new(&Experiment { name, who, size: "512 KiB", server: "8 mbit", more, ..Experiment::default() })
    };
    let calm = sweep("sweep");
    let undisturbed = calm.run().await;
    undisturbed.ended_with(0);

    let bench = sweep("sweep");
    let mut done_before = BTreeMap::new();
    // Killed in its launch, in its transfer, and after a whole trial.
    for moment in [" launch", " transfer", "distributed in"] {
        let mut running = bench.command(["run", "experiment.yaml", "--resume"]);
        running.says(moment).await;
        running.kill().await;
    }
    let dir = std::fs::read_dir(bench.path().join("reports/sweep")).expect("there is a run").flatten().next();
    let dir = dir.expect("there is a run").path();
    done_before.extend(beginnings(&dir));
    assert!(!done_before.is_empty(), "a trial was done before the last kill");

    let done = bench.command(["run", "experiment.yaml", "--resume"]).end().await;
    done.ended_with(0);
    assert_eq!(shape(&done.dir()), shape(&undisturbed.dir()));
    let after = beginnings(&dir);
    assert!(done_before.iter().all(|(trial, first)| after.get(trial) == Some(first)), "nothing is measured twice");
    let again = bench.command(["run", "experiment.yaml", "--resume"]).end().await;
    again.ended_with(0);
    assert_eq!(beginnings(&dir), after, "a run that is whole is left as it is");
    drop(engine);
}

#[tokio::test]
async fn a_run_is_repeated_from_its_own_directory_and_what_differs_is_said() {
    let _engine = Engine::shared().await;
    let bench =
        Bench::new(&Experiment { name: "once-more", who: "peers: 2", size: "256 KiB", ..Experiment::default() });
    let done = bench.command(["run", "experiment.yaml", "--seed", "77"]).end().await;
    done.ended_with(0);
    let dir = done.dir();
    std::fs::remove_file(bench.path().join("experiment.yaml")).expect("its own directory is enough");
    let again = bench.command(["rerun".as_ref(), dir.as_os_str()]).end().await;
    again.ended_with(0);
    again.said("compared with ");
    again.said("nothing differs in the surroundings");
    again.said("  p2p-n2: ");
    let dirs = again.dirs();
    assert_eq!(dirs.len(), 2, "{again}");
    let read = |dir: &Path, name: &str| std::fs::read_to_string(dir.join(name)).expect("a run has it");
    for name in ["plan.json", "spec.yaml"] {
        assert_eq!(read(&dirs[0], name), read(&dirs[1], name), "{name}");
    }
}
