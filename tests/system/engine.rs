//! The engine, seen by a bystander who knows no more of the harness than its labels; and whose turn it is.
//!
//! A run cleans away what dead runs left. So a test that leaves something behind on purpose must be alone with the
//! engine, and of the others only a few may have it at once, however many threads or processes the tests have: file
//! locks see to both.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::Path;
use std::pin::pin;

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, ContainerSummary, HostConfig, Network, NetworkConnectRequest, NetworkCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use peer_image::node::{Behaviour, FileSpec, Gate, Link, NodeSpec, OnComplete, Policy, Role, Storage};

use crate::bench::PATIENCE;

/// Tests that may have the engine at the same time.
const SLOTS: u32 = 2;

/// The engine, and a turn with it that lasts as long as this value.
pub(crate) struct Engine {
    pub(crate) docker: Docker,
    _turn: Vec<File>,
}

/// What an engine has that bears a run's label.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) containers: Vec<ContainerSummary>,
    pub(crate) networks: Vec<Network>,
    pub(crate) volumes: Vec<String>,
}

impl Held {
    pub(crate) fn is_nothing(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }

    /// The container of a node.
    pub(crate) fn container(&self, node: &str) -> &str {
        let is_it = |it: &&ContainerSummary| it.labels.as_ref().is_some_and(|labels| labels["harness.node"] == node);
        let found = self.containers.iter().find(is_it).and_then(|it| it.id.as_deref());
        found.unwrap_or_else(|| panic!("no container of `{node}` in {:?}", self.containers))
    }
}

impl Engine {
    /// Beside other tests.
    pub(crate) async fn shared() -> Self {
        Self::with(take_a_slot()).await
    }

    /// With no other test at work.
    pub(crate) async fn alone() -> Self {
        // In one order, so that two who want to be alone cannot wait for each other.
        let turn = (0..SLOTS).map(slot).inspect(|slot| slot.lock().expect("a file can be locked")).collect();
        Self::with(turn).await
    }

    async fn with(turn: Vec<File>) -> Self {
        const NEEDED: &str = "these tests need a Docker engine (hint: start one, or set DOCKER_HOST)";
        let docker = Docker::connect_with_defaults().unwrap_or_else(|error| panic!("{NEEDED}: {error}"));
        docker.ping().await.unwrap_or_else(|error| panic!("{NEEDED}: {error}"));
        let docker = docker.negotiate_version().await.unwrap_or_else(|error| panic!("{NEEDED}: {error}"));
        Self { docker, _turn: turn }
    }

    /// What there is of a run.
    pub(crate) async fn held(&self, run: &str) -> Held {
        self.labelled(&format!("harness.run={run}")).await
    }

    async fn labelled(&self, label: &str) -> Held {
        let filters = HashMap::from([("label", vec![label])]);
        let containers = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let networks = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let volumes = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let volumes = self.docker.list_volumes(Some(volumes)).await.expect("the engine lists volumes");
        Held {
            containers: self.docker.list_containers(Some(containers)).await.expect("the engine lists containers"),
            networks: self.docker.list_networks(Some(networks)).await.expect("the engine lists networks"),
            volumes: volumes.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect(),
        }
    }

    /// Fails if anything of a run is left.
    pub(crate) async fn assert_nothing_left(&self, run: &str) {
        let held = self.held(run).await;
        assert!(held.is_nothing(), "run `{run}` left something: {held:#?}");
    }

    /// Waits until so many containers of a run have been started since this was asked.
    pub(crate) async fn some_start(&self, run: &str, count: usize) {
        let label = format!("harness.run={run}");
        let filters = HashMap::from([("label", vec![label.as_str()]), ("event", vec!["start"])]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        let started = self.docker.events(Some(options)).take(count).collect::<Vec<_>>();
        let started = tokio::time::timeout(PATIENCE, started).await;
        let started = started.unwrap_or_else(|_| panic!("no {count} containers started within {PATIENCE:?}"));
        assert!(started.iter().all(Result::is_ok), "the engine tells what happens: {started:?}");
    }

    /// Waits until every node of a run but the tracker has begun its role.
    pub(crate) async fn all_started(&self, run: &str) {
        for container in self.held(run).await.containers {
            if container.labels.is_some_and(|labels| labels["harness.node"] != "tracker") {
                self.says(&container.id.expect("a container has an id"), "\"started\"").await;
            }
        }
    }

    /// Waits until a container has written that to its standard output.
    async fn says(&self, container: &str, what: &str) {
        let options = LogsOptionsBuilder::default().follow(true).stdout(true).build();
        let mut output = pin!(self.docker.logs(container, Some(options)));
        let mut said = String::new();
        let wait = async {
            while let Some(part) = output.next().await {
                said.push_str(&String::from_utf8_lossy(&part.expect("the engine lets it be followed").into_bytes()));
                if said.contains(what) {
                    return;
                }
            }
            panic!("the container ended and did not say `{what}`");
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("the container did not say `{what}` within {PATIENCE:?}"));
    }

    /// Kills a container, as anybody may.
    pub(crate) async fn kill(&self, container: &str) {
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        self.docker.kill_container(container, Some(options)).await.expect("a running container can be killed");
    }

    /// Removes a container, running or not, as anybody may.
    pub(crate) async fn remove(&self, container: &str) {
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        self.docker.remove_container(container, Some(options)).await.expect("a container can be removed");
    }

    /// Starts a node in the network namespace of a container, with the right to change its link; returns its container.
    pub(crate) async fn intrude(&self, container: &str, image: &str, spec: &NodeSpec) -> String {
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(vec![serde_json::to_string(spec).expect("a specification is JSON")]),
            host_config: Some(HostConfig {
                network_mode: Some(format!("container:{container}")),
                cap_add: Some(vec!["NET_ADMIN".to_owned()]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options: Option<bollard::query_parameters::CreateContainerOptions> = None;
        let made = self.docker.create_container(options, body).await.expect("the engine makes a container");
        self.docker.start_container(&made.id, None).await.expect("the engine starts a container");
        self.says(&made.id, "\"shaped\"").await;
        made.id
    }

    /// Something on the engine that is nobody's business but the test's: a network, and a container in it that runs.
    pub(crate) async fn bystander(&self, image: &str) -> Bystander {
        let name = format!("harness-system-bystander-{}", std::process::id());
        let request = NetworkCreateRequest { name: name.clone(), ..NetworkCreateRequest::default() };
        self.docker.create_network(request).await.expect("the engine makes a network");
        let bystander = Bystander { docker: self.docker.clone(), name: name.clone() };
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(vec![serde_json::to_string(&tracker(1_000, None)).expect("a specification is JSON")]),
            host_config: Some(HostConfig {
                network_mode: Some(name.clone()),
                cap_add: Some(vec!["NET_ADMIN".to_owned()]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        self.docker.create_container(Some(options), body).await.expect("the engine makes a container");
        self.docker.start_container(&name, None).await.expect("the engine starts a container");
        bystander
    }
}

/// A network and a container that runs in it, both of that name and without any label of ours.
pub(crate) struct Bystander {
    docker: Docker,
    name: String,
}

impl Bystander {
    /// Puts the container into another network too.
    pub(crate) async fn join(&self, network: &str) {
        let request = NetworkConnectRequest { container: self.name.clone(), endpoint_config: None };
        self.docker.connect_network(network, request).await.expect("a container can join a network");
    }

    /// Fails unless both are there, and the container runs.
    pub(crate) async fn assert_unharmed(&self) {
        let container = self.docker.inspect_container(&self.name, None).await;
        let container = container.expect("the bystander's container is there");
        assert_eq!(container.state.and_then(|state| state.running), Some(true), "the bystander's container runs");
        self.docker.inspect_network(&self.name, None).await.expect("the bystander's network is there");
    }
}

impl Drop for Bystander {
    /// Removes both, after a failure too; in a thread of its own, because nothing can be waited for here.
    fn drop(&mut self) {
        let name = self.name.clone();
        let remove = async move {
            let docker = Docker::connect_with_defaults().expect("it worked before");
            let options = RemoveContainerOptionsBuilder::default().force(true).build();
            // What is not there need not be removed; after a failure that is no wonder.
            drop(docker.remove_container(&name, Some(options)).await);
            drop(docker.remove_network(&name).await);
        };
        let remove = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an event loop");
            runtime.block_on(remove);
        };
        drop(std::thread::spawn(remove).join());
    }
}

/// What a tracker's node is told that waits for so many nodes.
pub(crate) fn tracker(expect: u32, link: Option<Link>) -> NodeSpec {
    NodeSpec {
        link,
        ..specification("tracker", Role::Tracker, Gate::Keep { expect, calibrate: 0, samples: BTreeSet::new() })
    }
}

/// What a node is told, for a file of four pieces.
pub(crate) fn specification(name: &str, role: Role, gate: Gate) -> NodeSpec {
    NodeSpec {
        name: name.to_owned(),
        role,
        seed: 1,
        file: FileSpec { name: "file".to_owned(), size: 256 << 10, piece: 64 << 10, seed: 1 },
        link: Some(Link { up: 10_000_000, down: 20_000_000 }),
        nodes: 0,
        congestion: "cubic".to_owned(),
        gate,
        policy: Policy::default(),
        on_complete: OnComplete::Stay,
        behaviour: Behaviour::Honest,
        storage: Storage::None,
        state_dir: None,
        stays: Vec::new(),
        changes: Vec::new(),
        patience: None,
    }
}

fn slot(number: u32) -> File {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("engine-{number}.lock"));
    File::options()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
}

fn take_a_slot() -> Vec<File> {
    let mut slots: Vec<File> = (0..SLOTS).map(slot).collect();
    if let Some(free) = slots.iter().position(|slot| slot.try_lock().is_ok()) {
        return vec![slots.swap_remove(free)];
    }
    // None is free: queue for one of them, spread by what differs between tests in one process and in several.
    let me = std::process::id().wrapping_add(std::thread::current().name().map_or(0, |name| name.len() as u32));
    let slot = slots.swap_remove((me % SLOTS) as usize);
    slot.lock().expect("a file can be locked");
    vec![slot]
}
