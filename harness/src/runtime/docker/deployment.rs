//! The nodes of one trial as containers on an internal network.
//!
//! Invariant: everything is made with the trial's labels, by a task of its own that [`Deployment::teardown`] waits for
//! before it removes whatever bears them. So whoever stops waiting for a start, at any moment, leaves nothing that the
//! teardown does not find; and what a killed controller leaves, `clean` finds by the same labels.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peer_image::node::{ARGUMENT_MAX, NodeSpec, Role, Storage};
use tokio::sync::{RwLock, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::client::{Client, ClientError, Container, File, Labelled, Labels};
use super::follow::{Position, follow};
use super::image::Program;
use super::labels::{LABEL_DEPLOYMENT, LABEL_UNTIL};
use super::owner::{self, Owner};
use super::{LABEL_NODE, LABEL_RUN, LABEL_TRIAL};
use crate::runtime::{Deployment, Notice, RuntimeError, Scope};

/// Where a node finds what it is told, if that is too long for an argument.
const SPEC_DIR: &str = "/specification";
const SPEC_FILE: &str = "node.json";
/// Most processes and threads of one node.
const PIDS: i64 = 64;
/// Memory of a node that does not hold the file, bytes.
const MEMORY: u64 = 256 << 20;
/// Memory of a node beside the file that it holds, bytes.
const MEMORY_BESIDE_FILE: u64 = 128 << 20;
/// Longest wait for one node to end after a signal.
const END_EACH: Duration = Duration::from_secs(1);
/// Longest wait for all nodes to end after SIGTERM, and more for each of them.
const STOP: Duration = Duration::from_secs(3);
const STOP_EACH: Duration = Duration::from_millis(150);
/// Longest wait for nodes to end after SIGKILL.
const KILL: Duration = Duration::from_secs(10);
/// Longest wait for starts that are under way when the teardown begins.
const SETTLE: Duration = Duration::from_secs(60);
/// Attempts to remove what refuses to go.
const ATTEMPTS: u32 = 5;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(300);

/// The nodes of one trial.
#[derive(Debug)]
pub struct DockerDeployment {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    /// What the tracker runs, and what all others run.
    programs: [Program; 2],
    network: String,
    /// What everything of this trial, and nothing else, bears.
    labels: Labels,
    notices: mpsc::UnboundedSender<Notice>,
    /// The latest life of each node.
    lives: Mutex<BTreeMap<String, Life>>,
    /// Whether nodes may be started. A start holds it for reading while it asks the engine.
    open: RwLock<bool>,
}

/// A process that runs, or ran, in a node's container.
#[derive(Debug)]
struct Life {
    /// How far its output was told, once it ended.
    ended: watch::Receiver<Option<Position>>,
    follower: AbortHandle,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl DockerDeployment {
    /// Makes the trial's network.
    pub(super) async fn create(
        client: Client,
        programs: [Program; 2],
        owner: &Owner,
        scope: &Scope,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Result<Self, RuntimeError> {
        let network = unique(scope);
        let labels = labels(scope, &network, owner, jiff::Timestamp::now());
        let nodes = scope.nodes;
        let shared = Arc::new(Shared {
            client,
            programs,
            network,
            labels,
            notices,
            lives: Mutex::default(),
            open: RwLock::new(true),
        });
        // In a task of its own: if nobody waits for the answer any more, what was made is taken down again.
        let (answer, answered) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let made = match shared.make_network(nodes).await {
                Ok(()) => Ok(Self { shared }),
                Err(error) => Err(error),
            };
            if let Err(Ok(unwanted)) = answer.send(made) {
                // A teardown that fails here has nobody to tell; the next run finds the rest by its labels.
                drop(unwanted.teardown().await);
            }
        });
        answered.await.map_err(|gone| RuntimeError::Trial(format!("the task that makes the network ended: {gone}")))?
    }
}

impl Shared {
    fn lives(&self) -> MutexGuard<'_, BTreeMap<String, Life>> {
        // Each change of the map is a single insertion or removal: it is right even if a holder panicked.
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the network, if it holds so many nodes.
    async fn make_network(&self, nodes: u64) -> Result<(), RuntimeError> {
        self.client.create_network(&self.network, &self.labels).await?;
        let subnets = self.client.subnets(&self.network).await.map_err(RuntimeError::from);
        if let Err(why) = subnets.and_then(|subnets| room(&subnets, nodes)) {
            // What stays is found by its labels.
            drop(self.client.remove_network(&self.network).await);
            return Err(why);
        }
        Ok(())
    }

    fn container(&self, node: &str) -> String {
        format!("{}-{}", self.network, slug(node))
    }

    /// Runs `make` in a task of its own, unless the teardown has begun.
    async fn making<T: Send + 'static>(
        self: &Arc<Self>,
        make: impl Future<Output = Result<T, RuntimeError>> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        let shared = Arc::clone(self);
        let task = tokio::spawn(async move {
            let open = shared.open.read().await;
            if *open { make.await } else { Err(RuntimeError::Trial("the trial is being taken down".to_owned())) }
        });
        task.await.map_err(|error| RuntimeError::Trial(format!("a task that starts a node ended: {error}")))?
    }

    async fn create(&self, spec: &NodeSpec) -> Result<(), RuntimeError> {
        let mut labels = self.labels.clone();
        labels.insert(LABEL_NODE.to_owned(), spec.name.clone());
        let text = serde_json::to_string(spec).map_err(|error| {
            RuntimeError::Trial(format!("cannot write the specification of `{}`: {error}", spec.name))
        })?;
        let (argument, file) = if text.len() > ARGUMENT_MAX {
            (
                format!("@{SPEC_DIR}/{SPEC_FILE}"),
                Some(File { dir: SPEC_DIR, name: SPEC_FILE, content: text.as_bytes() }),
            )
        } else {
            (text.clone(), None)
        };
        let [own, theirs] = &self.programs;
        let program = if spec.role == Role::Tracker { own } else { theirs };
        self.client
            .create(Container {
                name: &self.container(&spec.name),
                hostname: &spec.name,
                image: &program.image,
                entrypoint: program.entrypoint.clone(),
                argument,
                network: &self.network,
                labels: &labels,
                memory: memory(spec),
                pids: PIDS,
                volume: spec.state_dir.as_deref(),
                file,
            })
            .await
            .map_err(RuntimeError::from)
    }

    /// Starts the container and follows it from `position`.
    async fn start(self: &Arc<Self>, node: &str, position: Position) -> Result<(), RuntimeError> {
        let container = self.container(node);
        self.client.start(&container).await?;
        let (end, ended) = watch::channel(None);
        let follower = {
            let (shared, node) = (Arc::clone(self), node.to_owned());
            tokio::spawn(async move {
                let position = follow(&shared.client, &container, &node, &shared.notices, position).await;
                end.send_replace(Some(position));
            })
        };
        let life = Life { ended, follower: follower.abort_handle() };
        self.lives().insert(node.to_owned(), life);
        Ok(())
    }

    /// Containers whose process may still run, with what tells of its end.
    fn running(&self) -> Vec<(String, watch::Receiver<Option<Position>>)> {
        let lives = self.lives();
        let running = lives.iter().filter(|(_, life)| life.ended.borrow().is_none());
        running.map(|(name, life)| (self.container(name), life.ended.clone())).collect()
    }

    /// Sends a signal to every node that runs and waits for its end, one after the other, at most so long in all.
    ///
    /// One after the other, because engines of our time (20.10, for one) can miscount a network's endpoints when several
    /// go at once: about one network of forty nodes in thirty then had "active endpoints" until the engine was started
    /// anew. It costs some 30 ms a node.
    async fn end_all(&self, signal: &'static str, patience: Duration) -> Vec<ClientError> {
        let deadline = Instant::now() + patience;
        let mut errors = Vec::new();
        for (container, mut ended) in self.running() {
            if ended.borrow().is_some() {
                continue;
            }
            if let Err(error) = self.client.signal(&container, signal).await {
                errors.push(error);
                continue;
            }
            let each = Instant::now() + END_EACH;
            // An error means that its follower was aborted; a timeout, that it does not heed the signal.
            drop(tokio::time::timeout_at(each.min(deadline), ended.wait_for(Option::is_some)).await);
        }
        errors
    }

    /// Removes everything of the trial that the engine has, as far as it goes; returns what stays.
    async fn remove_all(&self) -> Vec<String> {
        let mut stays = Vec::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(BETWEEN_ATTEMPTS).await;
            }
            stays = self.remove_once().await;
            if stays.is_empty() {
                break;
            }
        }
        stays
    }

    async fn remove_once(&self) -> Vec<String> {
        let is_ours = |found: &Labelled| self.labels.iter().all(|(key, value)| found.labels.get(key) == Some(value));
        let ours = match self.client.containers(LABEL_RUN).await {
            Ok(found) => found.into_iter().filter(is_ours),
            Err(error) => return vec![RuntimeError::from(error).to_string()],
        };
        let mut errors = Vec::new();
        // One after the other, as in `end_all`; the engine is no faster when asked for several at once.
        for container in ours {
            errors.extend(self.client.remove(&container.name).await.err());
        }
        errors.extend(self.client.remove_network(&self.network).await.err());
        errors.into_iter().map(|error| RuntimeError::from(error).to_string()).collect()
    }
}

impl Deployment for DockerDeployment {
    async fn start(&self, node: &NodeSpec) -> Result<IpAddr, RuntimeError> {
        let (shared, node) = (Arc::clone(&self.shared), node.clone());
        self.shared
            .making(async move {
                shared.create(&node).await?;
                shared.start(&node.name, Position::default()).await?;
                let container = shared.container(&node.name);
                let state = shared.client.inspect(&container).await?;
                let address = state.as_ref().and_then(|state| state.addresses.get(&shared.network));
                address.copied().ok_or_else(|| match state {
                    Some(state) => {
                        RuntimeError::Trial(format!("`{}` ended at once, with exit code {}", node.name, state.code))
                    }
                    None => RuntimeError::Trial(format!("`{}`: its container is gone", node.name)),
                })
            })
            .await
    }

    async fn kill(&self, name: &str) -> Result<(), RuntimeError> {
        self.shared.client.signal(&self.shared.container(name), "SIGKILL").await.map_err(RuntimeError::from)
    }

    // By signals and not by the engine's pause: a paused container cannot be asked for anything, and means the same.
    async fn freeze(&self, name: &str) -> Result<(), RuntimeError> {
        self.shared.client.signal(&self.shared.container(name), "SIGSTOP").await.map_err(RuntimeError::from)
    }

    async fn thaw(&self, name: &str) -> Result<(), RuntimeError> {
        self.shared.client.signal(&self.shared.container(name), "SIGCONT").await.map_err(RuntimeError::from)
    }

    async fn restart(&self, node: &NodeSpec, fresh: bool) -> Result<(), RuntimeError> {
        let (shared, node) = (Arc::clone(&self.shared), node.clone());
        self.shared
            .making(async move {
                let before = shared.lives().get(&node.name).map(|life| life.ended.clone());
                let mut position = Position::default();
                if let Some(mut ended) = before {
                    match tokio::time::timeout(KILL, ended.wait_for(Option::is_some)).await {
                        Ok(Ok(end)) => position = end.clone().unwrap_or_default(),
                        // Its follower is gone, so nothing was told since.
                        Ok(Err(_)) => {}
                        Err(_) => {
                            return Err(RuntimeError::Trial(format!("`{}` still runs and cannot return", node.name)));
                        }
                    }
                }
                if fresh {
                    shared.client.remove(&shared.container(&node.name)).await?;
                    shared.create(&node).await?;
                    position = Position::default();
                }
                shared.start(&node.name, position).await
            })
            .await
    }

    async fn stop(&self) -> Result<(), RuntimeError> {
        let count = u32::try_from(self.shared.running().len()).unwrap_or(u32::MAX);
        let mut errors = self.shared.end_all("SIGTERM", STOP + STOP_EACH * count).await;
        if !self.shared.running().is_empty() {
            errors.extend(self.shared.end_all("SIGKILL", KILL).await);
        }
        errors.into_iter().next().map_or(Ok(()), |error| Err(error.into()))
    }

    async fn teardown(&self) -> Result<(), RuntimeError> {
        // Held until the end: nothing can start any more.
        let settled = tokio::time::timeout(SETTLE, self.shared.open.write()).await;
        let _closed = settled.map(|mut open| {
            *open = false;
            open
        });
        // Nobody need follow what is about to be removed: it would only be told as lost.
        self.shared.lives().clear();
        let stays = self.shared.remove_all().await;
        if stays.is_empty() {
            return Ok(());
        }
        let (network, what) = (&self.shared.network, stays.join("; "));
        // Whatever the cause: the rest is found by its labels, by the next run too.
        let cure = if what.contains("harness clean") { "" } else { " (hint: `harness clean` removes the rest)" };
        Err(RuntimeError::Trial(format!("not all of `{network}` could be removed: {what}{cure}")))
    }
}

/// A name that nobody else has: two controllers may begin the same experiment in the same second, and each may be process 1
/// of its container. Engines let two networks have one name.
fn unique(scope: &Scope) -> String {
    // Keyed anew by the system's randomness, each time.
    let token = RandomState::new().hash_one(std::process::id());
    format!("harness-{}-{token:016x}-{}", slug(&scope.run), slug(&scope.trial))
}

/// What everything of a trial bears that begins now.
fn labels(scope: &Scope, network: &str, owner: &Owner, now: jiff::Timestamp) -> Labels {
    let until = now.as_second().saturating_add(i64::try_from(scope.longest.as_secs()).unwrap_or(i64::MAX));
    Labels::from([
        (LABEL_RUN.to_owned(), scope.run.clone()),
        (LABEL_TRIAL.to_owned(), scope.trial.clone()),
        (LABEL_DEPLOYMENT.to_owned(), network.to_owned()),
        (LABEL_UNTIL.to_owned(), until.to_string()),
        (owner::LABEL.to_owned(), owner.to_string()),
    ])
}

/// Longest memory of a node, bytes.
fn memory(spec: &NodeSpec) -> i64 {
    let held = if spec.storage == Storage::Memory { spec.file.size } else { 0 };
    i64::try_from(MEMORY.max(held.saturating_add(MEMORY_BESIDE_FILE))).unwrap_or(i64::MAX)
}

/// A name as the engine takes it: `p2p-n10/1` becomes `p2p-n10-1`.
fn slug(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '-' };
    name.chars().map(fit).collect()
}

/// Refuses a trial that its network has no addresses for, before a node is started.
pub(super) fn room(subnets: &[String], nodes: u64) -> Result<(), RuntimeError> {
    match subnets.iter().filter_map(|subnet| Some((nodes_in(subnet)?, subnet))).max() {
        Some((room, subnet)) if room < nodes => Err(RuntimeError::Machine(format!(
            "the engine made a network of `{subnet}`, which has room for {room}: this trial has {nodes} nodes, with tracker and \
             server (hint: a smaller `size` in `default-address-pools` of the engine's daemon.json, or fewer peers)"
        ))),
        _ => Ok(()),
    }
}

/// How many nodes the network holds whose subnet ends in that `/PREFIX`.
pub(super) fn nodes_in(subnet: &str) -> Option<u64> {
    let prefix = subnet.rsplit_once('/')?.1.parse::<u32>().ok().filter(|prefix| (1..=32).contains(prefix))?;
    Some((1_u64 << (32 - prefix)).saturating_sub(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trial_of_two_processes_has_two_names_and_no_label_in_common_that_removal_goes_by() {
        let longest = Duration::from_secs(90);
        let scope = Scope { run: "20261121T040500Z-1a2b3c4d".into(), trial: "p2p-n10/1".into(), nodes: 12, longest };
        let (a, b) = (unique(&scope), unique(&scope));
        assert_ne!(a, b);
        assert!(a.starts_with("harness-20261121T040500Z-1a2b3c4d-") && a.ends_with("-p2p-n10-1"), "{a}");
        // Even if nothing tells their processes apart.
        let (owner, now) = (Owner::this_process(), jiff::Timestamp::from_second(1_000).unwrap());
        let (of_a, of_b) = (labels(&scope, &a, &owner, now), labels(&scope, &b, &owner, now));
        assert_ne!(of_a, of_b);
        assert_eq!(of_a[LABEL_UNTIL], "1090");
    }

    #[test]
    fn names_are_made_fit_for_the_engine() {
        assert_eq!(slug("p2p-n10/1"), "p2p-n10-1");
        assert_eq!(slug("20261121T040500Z-1a2b3c4d"), "20261121T040500Z-1a2b3c4d");
        assert_eq!(slug("a b:c/ä"), "a-b-c--");
    }

    #[test]
    fn a_network_with_too_few_addresses_is_refused_with_its_size_and_the_cure() {
        let subnets = |subnet: &str| [subnet.to_owned()];
        assert!(room(&subnets("10.9.0.0/30"), 1).is_ok());
        for (subnet, holds) in [("10.9.0.0/30", 1), ("10.9.0.0/29", 5), ("10.9.0.4/31", 0), ("10.9.0.4/32", 0)] {
            let error = room(&subnets(subnet), 6).unwrap_err();
            assert!(matches!(error, RuntimeError::Machine(_)), "{error}");
            let error = error.to_string();
            assert!(
                error.contains(&format!("`{subnet}`, which has room for {holds}: this trial has 6 nodes")),
                "{error}"
            );
            assert!(error.contains("default-address-pools"), "{error}");
        }
        // What the engine does not tell is not judged.
        assert!(room(&[], 6).is_ok());
    }
}
