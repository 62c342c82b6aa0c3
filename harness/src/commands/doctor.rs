//! `harness doctor`: what this machine can do, by trying it: engine, kernel, links, and how much of a swarm it can carry.
//!
//! Links are tried by trials of their own whose file is next to nothing, so that only their calibration counts; what the
//! host can carry is told from one small swarm on fast links and what the host had to do for it.

use std::collections::BTreeSet;

use peer_image::event::{Event, Kernel};
use tokio::sync::watch;

use crate::analysis::conclude::conclude;
use crate::analysis::lives::Observed;
use crate::analysis::metrics::Measured;
use crate::campaign::signals::watch_signals;
use crate::console::{complain, say};
use crate::events::log::{Reader, Writer};
use crate::events::record::Line;
use crate::exit::Exit;
use crate::plan::{self, RuntimeName};
use crate::runtime::docker::{Engine, nodes_per_network};
use crate::runtime::netns::Netns;
use crate::runtime::trial::{self, Identity, Signal};
use crate::runtime::{KNOWN_MAX, Runtime, RuntimeError, Scope};
use crate::spec;

/// Rates at which a link is tried, mbit/s.
const RATES: [u32; 4] = [1, 10, 100, 500];
/// How far a link may be off its rate.
const TOLERANCE: f64 = 0.01;
/// What a container of ours takes of the host's memory, bytes: 7 MiB for the peer, the rest for the engine's shim.
const MEMORY_OF_ONE: u64 = 16 << 20;
/// What a process of ours in namespaces takes, bytes: the peer, and the kernel's namespace and interfaces.
const MEMORY_IN_NAMESPACE: u64 = 6 << 20;
/// Open files that the switch has for each node.
const FILES_OF_ONE: u64 = 5;
/// Share of the host's processors that a swarm may take before it measures the host.
const ROOM: f64 = 0.7;
/// Parts of the kernel without which no link is shaped, and what loads them.
const NEEDED: [(&str, &str); 4] = [
    ("tbf", "modprobe sch_tbf"),
    ("ifb", "modprobe ifb numifbs=0"),
    ("ingress", "modprobe sch_ingress"),
    ("u32 and mirred", "modprobe -a cls_u32 act_mirred"),
];

/// Tries everything and says what it found; exit code 4 if something is missing that a run needs.
pub async fn doctor(runtime: RuntimeName) -> Exit {
    let stop = match watch_signals() {
        Ok(stop) => stop,
        Err(error) => {
            complain(format_args!("error: cannot wait for signals: {error}"));
            return Exit::Machine;
        }
    };
    let examined = examine(runtime, &stop).await;
    let signal = *stop.borrow();
    match (examined, signal) {
        (_, Some(Signal::Interrupt)) => Exit::Interrupted,
        (_, Some(Signal::Terminate)) => Exit::Terminated,
        (Ok(true), None) => Exit::Fine,
        (Ok(false), None) => Exit::Machine,
        (Err(error), None) => {
            bad(error.to_string());
            Exit::Machine
        }
    }
}

fn good(what: impl std::fmt::Display) {
    say(format_args!("ok       {what}"));
}

fn note(what: impl std::fmt::Display) {
    say(format_args!("note     {what}"));
}

fn bad(what: impl std::fmt::Display) {
    say(format_args!("MISSING  {what}"));
}

async fn examine(runtime: RuntimeName, stop: &watch::Receiver<Option<Signal>>) -> Result<bool, RuntimeError> {
    let wants = |name| runtime == name;
    let engine = match Engine::connect().await {
        Ok(engine) => {
            describe_engine(&engine).await?;
            Some(engine)
        }
        Err(error) if wants(RuntimeName::Docker) => return Err(error),
        Err(error) => {
            note(format_args!("no containers: {error}"));
            None
        }
    };
    let netns = match Netns::new().await {
        Ok(netns) => {
            good("network namespaces, without a daemon");
            namespace_limits();
            Some(netns)
        }
        Err(error) if wants(RuntimeName::Netns) || engine.is_none() => return Err(error),
        Err(error) => {
            note(format_args!("no network namespaces: {error}"));
            None
        }
    };
    match (engine, netns) {
        (Some(engine), _) if !wants(RuntimeName::Netns) => {
            let addresses = nodes_per_network(engine.facts().get("engine.address-pools").map_or("", String::as_str));
            let docker = engine.prepare(&BTreeSet::new()).await?;
            good(format_args!("image {}", docker.image().0));
            // Tracker and server have addresses too.
            let room = Room {
                most: room_on(RuntimeName::Docker),
                addresses: addresses.saturating_sub(2),
                memory_of_one: MEMORY_OF_ONE,
            };
            say("links, tried in containers:");
            links(&docker, "engine.memory", &room, stop).await
        }
        (_, Some(netns)) => {
            let most = room_on(RuntimeName::Netns);
            let room = Room { most, addresses: most, memory_of_one: MEMORY_IN_NAMESPACE };
            say("links, tried in network namespaces:");
            links(&netns, "machine.memory", &room, stop).await
        }
        // Without namespaces there was an engine, or else an error.
        (_, None) => Ok(false),
    }
}

/// Most peers that an experiment file may have there.
fn room_on(runtime: RuntimeName) -> u64 {
    u64::from(spec::room(runtime))
}

async fn describe_engine(engine: &Engine) -> Result<(), RuntimeError> {
    let fact = |key: &str| engine.facts().get(key).map_or("?", String::as_str).to_owned();
    good(format_args!("engine {} (API {}) at {}", fact("engine.version"), fact("engine.api"), fact("engine")));
    good(format_args!(
        "kernel {}, {} processors, cgroup version {}",
        fact("engine.kernel"),
        fact("engine.cpus"),
        fact("engine.cgroup-version")
    ));
    let cleaned = engine.clean_dead().await?;
    if cleaned.any_removed() {
        note(format_args!("removed what an earlier run left: {cleaned}"));
    }
    Ok(())
}

/// What bounds the number of nodes that are processes in namespaces, beside memory.
fn namespace_limits() {
    let number = |path: &str| std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let mut limits = vec![
        (
            "network namespaces",
            number("/proc/sys/user/max_net_namespaces"),
            1,
            "sudo sysctl -w user.max_net_namespaces=20000",
        ),
        ("process numbers", number("/proc/sys/kernel/pid_max"), 1, "sudo sysctl -w kernel.pid_max=4194304"),
    ];
    let limit = |resource| rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    limits.push((
        "open files",
        Some(limit(rustix::process::Resource::Nofile)),
        FILES_OF_ONE,
        "a higher hard limit, `ulimit -Hn`",
    ));
    if !rustix::process::geteuid().is_root() {
        limits.push(("processes", Some(limit(rustix::process::Resource::Nproc)), 1, "a higher limit, `ulimit -u`"));
    }
    for (what, found, of_one, cure) in limits {
        let Some(found) = found else { continue };
        let peers = found / of_one;
        if peers < room_on(RuntimeName::Netns) {
            note(format_args!("{found} {what}: enough for about {peers} peers in namespaces (hint: {cure})"));
        } else {
            good(format_args!(
                "{} {what}",
                if found == u64::MAX { "any number of".to_owned() } else { found.to_string() }
            ));
        }
    }
}

/// Tries links and a small swarm on a runtime.
async fn links<R: Runtime>(
    runtime: &R,
    memory: &str,
    room: &Room,
    stop: &watch::Receiver<Option<Signal>>,
) -> Result<bool, RuntimeError> {
    let mut fine = true;
    for rate in RATES {
        let Attempt { ended, measured, observed, kernel } = attempt(runtime, &link_trial(rate), stop).await?;
        // Before the error that a missing part makes: all that is missing is worth knowing.
        if let Some(kernel) = kernel.filter(|_| rate == RATES[0]) {
            fine &= parts(&kernel);
        }
        ended?;
        fine &= link(rate, &measured, &observed);
    }
    let Attempt { ended, measured, .. } = attempt(runtime, SWARM, stop).await?;
    ended?;
    let memory = runtime.facts().get(memory).and_then(|bytes| bytes.parse::<u64>().ok()).unwrap_or(0);
    capacity(&measured, memory, room);
    Ok(fine)
}

/// What bounds the number of peers.
struct Room {
    /// Of the runtime.
    most: u64,
    /// Of a network.
    addresses: u64,
    /// Memory that a peer takes, bytes.
    memory_of_one: u64,
}

/// What the kernel has.
fn parts(kernel: &Kernel) -> bool {
    let has = |part: &str| kernel.parts.get(part).copied().unwrap_or(false);
    let mut fine = true;
    for (part, cure) in NEEDED {
        if has(part) {
            good(format_args!("kernel has {part}"));
        } else {
            bad(format_args!("kernel has no {part}: links cannot be shaped (hint: on the engine's host run `{cure}`)"));
            fine = false;
        }
    }
    if has("netem") {
        good("kernel has netem");
    } else {
        note("kernel has no netem: latency, jitter and loss could not be added (hint: `modprobe sch_netem`)");
    }
    let absent: Vec<&str> =
        ["htb", "fq", "fq_codel", "prio", "bpf", "matchall"].into_iter().filter(|it| !has(it)).collect();
    if !absent.is_empty() {
        note(format_args!("not there, and not needed: {}", absent.join(", ")));
    }
    good(format_args!("congestion controls: {}", kernel.congestion.join(", ")));
    if !kernel.congestion.iter().any(|name| name == "reno") {
        bad("congestion control `reno`, the default, is not there (hint: set `congestion` in the experiment file)");
        fine = false;
    }
    if kernel.pressure {
        good("the kernel tells how long processes wait (/proc/pressure)");
    } else {
        note("no /proc/pressure: memory pressure cannot be judged (hint: boot with `psi=1`)");
    }
    if let Some((most, entries)) = kernel.neighbours {
        neighbours(most, entries);
    }
    if kernel.open_files < 4096 {
        note(format_args!("a node may open {} files only: fewer than 4000 neighbours", kernel.open_files));
    } else {
        good(format_args!("a node may open {} files", kernel.open_files));
    }
    fine
}

/// What the host's table of Ethernet neighbours has room for: nodes need no place in it, up to as many as know each other in
/// containers; whatever else the host talks to does.
fn neighbours(most: u32, entries: u32) {
    let words = format!("the host's table of Ethernet neighbours has {entries} entries, {most} at most (gc_thresh3)");
    if entries.saturating_mul(10) >= most.saturating_mul(9) {
        note(format_args!(
            "{words}: nodes in namespaces, and up to {KNOWN_MAX} in containers, need none, but trials in which it is full are INVALID \
             (hint: `sudo sysctl -w net.ipv4.neigh.default.gc_thresh3=16384`)"
        ));
    } else {
        good(words);
    }
}

/// What a link of that rate carried, in both directions.
fn link(rate: u32, measured: &Measured, observed: &Observed) -> bool {
    let calibrated =
        observed.nodes.values().flat_map(|log| &log.lives).find_map(|life| life.calibrated.first().copied());
    let Some(calibrated) = calibrated else {
        bad(format_args!("a link of {rate} mbit could not be tried: {}", measured.trial.reason));
        return false;
    };
    let mut fine = true;
    for (direction, carried) in [("up", calibrated.up), ("down", calibrated.down)] {
        let found = carried.link_rate().unwrap_or(0.0) / 1e6;
        let off = found / f64::from(rate) - 1.0;
        let words = format!("{rate} mbit {direction}: carried {found:.3} mbit ({:+.2} %)", off * 100.0);
        if off.abs() <= TOLERANCE {
            good(words);
        } else {
            bad(format_args!("{words}: more than {:.0} % off (hint: is the host busy?)", TOLERANCE * 100.0));
            fine = false;
        }
    }
    fine
}

/// How much of a swarm the host can carry.
fn capacity(measured: &Measured, memory: u64, room: &Room) {
    let Room { most, addresses, memory_of_one } = *room;
    let peers = most.min(addresses).min(memory.saturating_sub(512 << 20) / memory_of_one);
    let least = if peers == most {
        "the runtime"
    } else if peers == addresses {
        "a network's addresses"
    } else {
        "memory"
    };
    note(format_args!("room for about {peers} peers: as many as {least} will hold ({} GiB of memory)", memory >> 30));
    if addresses < most {
        note(
            "larger networks need larger subnets (hint: `size` of `default-address-pools` in the engine's daemon.json)",
        );
    }
    let row = &measured.trial;
    let (Some(time), Some(busy)) = (row.distribution_time_s, row.host_busy_share.filter(|busy| *busy > 0.0)) else {
        note(format_args!("what the host can carry could not be told: {}", row.reason));
        return;
    };
    let sent = (row.server_up_bytes + row.peers_up_bytes) as f64 * 8.0 / 1e6 / time;
    let most = sent * ROOM / busy;
    note(format_args!(
        "a swarm that uploads {sent:.0} mbit/s in all took {:.0} % of the host: up to about {most:.0} mbit/s it measures \
         the links, beyond that the host",
        busy * 100.0
    ));
    if row.host_busy_max_share.is_some_and(|busy| busy > 0.95) {
        note("the host was busy to the limit meanwhile: the estimate is low if that was something else");
    }
}

/// Links of that rate and a file of next to nothing.
fn link_trial(rate: u32) -> String {
    format!(
        "name: doctor\nquestion: What does a link carry?\narchitecture: client-server\npeers: 1\n\
         file: {{ size: 16 KiB, piece: 16 KiB }}\nserver: {{ up: {rate} mbit, down: {rate} mbit }}\n\
         links: {{ up: {rate} mbit, down: {rate} mbit }}\nvalidity: {{ calibrate: 2 s }}\n"
    )
}

/// Four peers on fast links.
const SWARM: &str = "name: doctor\nquestion: What does the host carry?\narchitecture: p2p\npeers: 4\n\
                     file: { size: 96 MiB }\nserver: { up: 200 mbit, down: 200 mbit }\n\
                     links: { up: 50 mbit, down: 200 mbit }\nvalidity: { calibrate: off }\n";

/// A trial off the record.
struct Attempt {
    /// Why it could not be run to its end, if it could not.
    ended: Result<(), RuntimeError>,
    measured: Measured,
    observed: Observed,
    /// What its tracker's node found the kernel to have.
    kernel: Option<Kernel>,
}

/// Why there is no temporary directory.
fn no_place(parent: &std::path::Path, error: &std::io::Error) -> String {
    format!(
        "no directory can be made in `{}`, where temporary files go: {error} (hint: TMPDIR names another place; it must be \
         there, with room in it, and yours to write to)",
        parent.display()
    )
}

/// Runs one trial off the record.
async fn attempt<R: Runtime>(
    runtime: &R,
    text: &str,
    stop: &watch::Receiver<Option<Signal>>,
) -> Result<Attempt, RuntimeError> {
    let spec = spec::parse("doctor.yaml", text).map_err(|error| RuntimeError::Trial(error.to_string()))?;
    let plan = plan::plan(&spec);
    let (cell, trial) = (&plan.cells[0], &plan.cells[0].trials[0]);
    let dir = tempfile::tempdir().map_err(|error| RuntimeError::Machine(no_place(&std::env::temp_dir(), &error)))?;
    let mut log = Writer::create(dir.path())?;
    let scope = Scope::new(format!("doctor-{}", std::process::id()), "doctor/1".to_owned(), cell);
    let identity = Identity { scope, repeat: 1, attempt: 1, key: String::new() };
    let mut silent = |update: trial::Update| {
        if let trial::Update::Warning(message) = update {
            complain(format_args!("warning: {message}"));
        }
    };
    let ended = trial::run(runtime, cell, trial, identity, &mut log, &mut silent, stop.clone()).await.map(drop);
    log.finish()?;
    if stop.borrow().is_some() {
        return Err(RuntimeError::Trial("stopped".to_owned()));
    }
    let (mut observed, mut kernel) = (Observed::new(), None);
    let lines = Reader::open(dir.path()).map_err(|error| RuntimeError::Trial(error.to_string()))?;
    for line in lines {
        let line = line.map_err(|error| RuntimeError::Trial(error.to_string()))?;
        if let Line::Node(record) = &line
            && let Event::Kernel(found) = &record.event
        {
            kernel = Some(found.clone());
        }
        observed.take(&line);
    }
    Ok(Attempt { ended, measured: conclude(cell, trial, &observed), observed, kernel })
}
