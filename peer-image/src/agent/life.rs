//! A node's life: shape, drop privileges, wait at the gate, run the role, report.

use std::process::ExitCode;
use std::rc::Rc;

use super::counters::{count, count_on};
use super::ending::Ending;
use super::failure::Failure;
use super::report::Reporter;
use super::started::Started;
use super::surroundings::Surroundings;
use super::uplink::Uplink;
use super::{clock, gate, host, http_client, http_server, peer, privileges, tracker};
use crate::event::{ErrorKind, Event, exit};
use crate::link;
use crate::node::{DRAIN, Gate, NodeSpec, Role};

/// The agent: `peer '<node specification as JSON>'`, or `peer @FILE` where that holds it.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    let code = match arguments.into_iter().nth(1).map(told) {
        Some(Ok(spec)) => {
            raise_file_limit();
            run(spec)
        }
        Some(Err(error)) => usage(&format!("the node specification cannot be read: {error}")),
        None => usage("no node specification (hint: the harness starts this program, with a JSON argument)"),
    };
    ExitCode::from(u8::try_from(code).expect("exit codes are small"))
}

/// What an argument tells the node, itself or in a file.
pub(super) fn told(argument: String) -> Result<NodeSpec, String> {
    let text = match argument.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(|error| format!("`{path}`: {error}"))?,
        None => argument,
    };
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// As many open files as are allowed: a tracker has one for each node, and newer engines begin at 1,024 of them.
pub(super) fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Refused only by who forbids the call: then the limit stays, and whoever meets it says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

pub(super) fn usage(message: &str) -> i32 {
    eprintln!("peer: {message}");
    exit::USAGE
}

pub(super) fn run(spec: NodeSpec) -> i32 {
    let reporter = Rc::new(Reporter::new(&spec.name));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            reporter.emit(Event::Error { kind: ErrorKind::Machine, message: format!("no event loop: {error}") });
            return exit::MACHINE;
        }
    };
    let local = tokio::task::LocalSet::new();
    match local.block_on(&runtime, live(spec, Rc::clone(&reporter))) {
        Ok(()) => exit::FINE,
        Err(Failure { kind, message }) => {
            eprintln!("peer: {message}");
            reporter.emit(Event::Error { kind, message });
            match kind {
                ErrorKind::Machine => exit::MACHINE,
                ErrorKind::Trial => exit::TRIAL,
                ErrorKind::Internal => exit::INTERNAL,
            }
        }
    }
}

/// One life of a node, from its first line to its last.
pub(super) async fn live(spec: NodeSpec, reporter: Rc<Reporter>) -> Result<(), Failure> {
    let clock = clock::name().map_err(|e| Failure::machine(format!("no boot id in `/proc`: {e}")))?;
    reporter.emit(Event::Boot {
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        spec: Box::new(spec.clone()),
        boot_id: clock.boot_id.clone(),
        kernel: clock::kernel_release(),
        time_namespace: clock.time_namespace.clone(),
        processors: host::usable_processors(),
    });
    let mut ending = Ending::new().map_err(|e| Failure::machine(format!("cannot wait for signals: {e}")))?;
    let shaped = link::shape(None, spec.link, &spec.congestion).await?;
    link::pin_neighbours(&shaped, spec.nodes).await?;
    reporter.emit(Event::Shaped(shaped.clone()));
    let uplink = Rc::new(Uplink::new(link::Gauge::new(&shaped).await?, &shaped));
    let place = link::place(&shaped).await?;
    if spec.role == Role::Tracker {
        reporter.emit(Event::Kernel(host::kernel().await?));
    }
    let changes_link = spec.role != Role::Tracker && !spec.changes.is_empty();
    let mut surroundings =
        if changes_link { Some(Surroundings::new(shaped.clone(), spec.nodes, spec.changes.clone())?) } else { None };
    let dropped = if changes_link { privileges::drop_of_thread() } else { privileges::drop_all() };
    dropped.map_err(|e| Failure::machine(e.to_string()))?;

    let outcome = match spec.gate.clone() {
        Gate::Keep { expect, calibrate, samples } => {
            tracker::run(&spec, Rc::clone(&reporter), expect, calibrate, samples, clock, &mut ending).await
        }
        Gate::At { address } => {
            let address = address.parse().map_err(|e| Failure::trial(format!("gate address `{address}`: {e}")))?;
            let prepared = prepare(&spec, &reporter).await?;
            tokio::select! {
                passed = gate::pass(address, &spec, &reporter, clock, surroundings.as_ref()) => {
                    let gate::Passed { epoch, server, seat } = passed?;
                    // What was planned before a return was told by the life before; before an arrival there was none.
                    let (number, stay) = spec.stay_at(epoch.now().0);
                    let told_from = if number == 0 { 0 } else { stay.from };
                    let changed = async {
                        match &mut surroundings {
                            Some(surroundings) => surroundings.run(epoch, told_from, &reporter).await,
                            None => std::future::pending().await,
                        }
                    };
                    let taken_part = async {
                        let last_thing = async || count(&reporter, &uplink).await;
                        let stay = tokio::select! {
                            stay = gate::begin(epoch, &spec, &reporter, prepared.pieces(), last_thing) => stay,
                            why = ending.wait() => {
                                reporter.emit(Event::Left { why });
                                return Ok(());
                            }
                        };
                        ending.schedule(stay, spec.patience, epoch);
                        ending.count_by(Rc::clone(&reporter), Rc::clone(&uplink));
                        let (held, spread) = (Rc::clone(&reporter), gate::SPREAD * spec.nodes * 2);
                        tokio::task::spawn_local(async move {
                            tokio::time::sleep(spread).await;
                            held.release();
                        });
                        let tracker = std::net::SocketAddr::ip(&address);
                        let reporter = Rc::clone(&reporter);
                        let (spec, uplink) = (spec.clone(), Rc::clone(&uplink));
                        let started = Started { spec, reporter, epoch, tracker, server, uplink, place, gate: seat };
                        prepared.run(started, &mut ending).await
                    };
                    tokio::select! {
                        outcome = taken_part => outcome,
                        () = changed => unreachable!("it reports for ever"),
                        () = count_on(&reporter, &uplink) => unreachable!("it counts for ever"),
                        () = host::stay_awake(&reporter, spec.nodes) => unreachable!("it watches for ever"),
                    }
                }
                why = stopped() => {
                    reporter.emit(Event::Left { why });
                    Ok(())
                }
            }
        }
    };
    if let Some(surroundings) = surroundings {
        surroundings.end(&reporter).await;
    }
    if ending.leaves() {
        drain(&uplink).await;
    }
    count(&reporter, &uplink).await;
    reporter.release();
    outcome
}

/// A stop before the gate opened.
pub(super) async fn stopped() -> crate::event::Leave {
    match Ending::new() {
        Ok(mut ending) => ending.wait().await,
        Err(_) => std::future::pending().await,
    }
}

/// A role that listens already and waits for the gate.
#[derive(Debug)]
pub(super) enum Prepared {
    Peer(Box<peer::Prepared>),
    Server(http_server::Prepared),
    Client(Box<http_client::Prepared>),
}

pub(super) async fn prepare(spec: &NodeSpec, reporter: &Rc<Reporter>) -> Result<Prepared, Failure> {
    Ok(match spec.role {
        Role::Tracker => return Err(Failure::trial("a tracker keeps the gate, it does not pass it")),
        Role::HttpServer => Prepared::Server(http_server::prepare().await?),
        Role::HttpClient => Prepared::Client(Box::new(http_client::prepare(spec, reporter).await?)),
        Role::InitialSeed | Role::Leecher => Prepared::Peer(Box::new(peer::prepare(spec, reporter).await?)),
    })
}

impl Prepared {
    /// Pieces that it has already.
    fn pieces(&self) -> u32 {
        match self {
            Self::Peer(peer) => peer.pieces(),
            Self::Server(_) => 0,
            Self::Client(client) => client.pieces(),
        }
    }

    async fn run(self, started: Started, ending: &mut Ending) -> Result<(), Failure> {
        match self {
            Self::Peer(peer) => peer.run(started, ending).await,
            Self::Server(server) => server.run(started, ending).await,
            Self::Client(client) => client.run(started, ending).await,
        }
    }
}

/// Waits until nothing is left on its way out, at most [`DRAIN`]: connections were closed, and a node's network goes with its
/// process, so that otherwise neighbours would not hear of it.
pub(super) async fn drain(uplink: &Uplink) {
    /// Acknowledgements make the kernel send more, which takes a moment.
    const QUIET: u32 = 3;
    let drained = async {
        let mut quiet = 0;
        while quiet < QUIET {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            let backlog = uplink.read().await.map_or(0, |counters| counters.up.backlog);
            quiet = if backlog == 0 { quiet + 1 } else { 0 };
        }
    };
    // Whatever is left then is lost, as on a machine that is switched off.
    let _ = tokio::time::timeout(DRAIN, drained).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{Behaviour, FileSpec, OnComplete, Policy, Stay, Storage};

    #[test]
    fn a_specification_of_any_length_is_taken_from_a_file() {
        let stay = |from| Stay { from, until: Some(from + 1), leaves: true };
        let spec = NodeSpec {
            name: "peer-1".to_owned(),
            role: Role::Leecher,
            seed: 1,
            file: FileSpec { name: "file".to_owned(), size: 1, piece: 16_384, seed: 1 },
            link: None,
            nodes: 3,
            congestion: "reno".to_owned(),
            gate: Gate::At { address: "10.0.0.1:1".to_owned() },
            policy: Policy::default(),
            on_complete: OnComplete::Stay,
            behaviour: Behaviour::Honest,
            storage: Storage::None,
            state_dir: None,
            stays: (0..100_000).map(|i| stay(2 * i)).collect(),
            changes: Vec::new(),
            patience: None,
        };
        let text = serde_json::to_string(&spec).unwrap();
        assert!(text.len() > 1 << 20, "longer than any argument");
        let path = std::env::temp_dir().join(format!("harness-told-{}.json", std::process::id()));
        std::fs::write(&path, &text).unwrap();
        let read = told(format!("@{}", path.display()));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read.as_ref(), Ok(&spec));
        assert_eq!(told(text), Ok(spec));
        let missing = told("@/nowhere/node.json".to_owned()).unwrap_err();
        assert!(missing.starts_with("`/nowhere/node.json`: "), "{missing}");
    }

    #[test]
    fn a_node_may_open_as_many_files_as_it_is_allowed() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // One less: other tests open files meanwhile.
        setrlimit(Resource::Nofile, Rlimit { current: maximum.map(|most| most - 1), maximum }).unwrap();
        raise_file_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }
}
