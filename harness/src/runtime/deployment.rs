//! What a place to run nodes must offer: a runtime, which deploys trials, and what it tells of their nodes.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use peer_image::node::NodeSpec;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::plan::{Cell, Client};

/// Where nodes can run.
pub trait Runtime: Send + Sync {
    /// Nodes that run.
    type Deployment: Deployment;

    /// What was found out about the place, for the manifest: engine, kernel, image, …
    fn facts(&self) -> &BTreeMap<String, String>;

    /// How many nodes it pays to start at once.
    fn parallel_starts(&self) -> usize {
        8
    }

    /// Makes the private network of a trial, in which server and peers run `client`. Nothing runs yet. What the deployment
    /// notices goes to `notices`.
    ///
    /// Not to be dropped before it is ready: what it has made then could be lost sight of.
    fn deploy(
        &self,
        scope: &Scope,
        client: &Client,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> impl Future<Output = Result<Self::Deployment, RuntimeError>> + Send;
}

/// As many open files as are allowed: controller, switch and tracker have some for each node.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Refused only by who forbids the call: then the limit stays, and whoever meets it says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Under which fact stands what a client's program is: an image's id, or a program's digest.
#[must_use]
pub fn client_fact(client: &Client) -> String {
    format!("client.{}", client.label())
}

/// What everything that a trial makes is labelled with, and how much there is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The run's id: `harness.run`.
    pub run: String,
    /// The trial within the run: `<cell>/<repeat>`.
    pub trial: String,
    /// How many nodes there are.
    pub nodes: u64,
    /// Longest that the trial may take: whatever is older belongs to nobody any more.
    pub longest: Duration,
}

impl Scope {
    /// Longest that nodes may take to be stopped and removed, and more for each of them.
    const CLEARING: Duration = Duration::from_secs(60);
    const CLEARING_EACH: Duration = Duration::from_secs(1);

    /// Of a trial of a cell.
    #[must_use]
    pub fn new(run: String, trial: String, cell: &Cell) -> Self {
        let nodes = cell.trials.iter().map(|trial| trial.nodes.len()).max().unwrap_or(0);
        let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let clearing = Self::CLEARING_EACH.saturating_mul(u32::try_from(nodes).unwrap_or(u32::MAX));
        let longest = [seconds(cell.settings.start_timeout), seconds(cell.settings.timeout), Self::CLEARING, clearing];
        let longest = longest.into_iter().fold(Duration::ZERO, Duration::saturating_add);
        Self { run, trial, nodes: nodes as u64, longest }
    }
}

/// The nodes of one trial.
///
/// It tells of each node by [`Notice`]s: every line once and in the order in which the node wrote it, over all of its
/// lives, and after the last line of a life that the life has ended. Any call may be given up (its future dropped) and
/// [`Deployment::teardown`] still removes what the call had begun to make.
pub trait Deployment: Send + Sync {
    /// Starts one node; returns the address at which other nodes reach it. May be called concurrently.
    fn start(&self, node: &NodeSpec) -> impl Future<Output = Result<std::net::IpAddr, RuntimeError>> + Send;

    /// Kills a node without a goodbye.
    fn kill(&self, name: &str) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Stops a node's process where it stands.
    fn freeze(&self, name: &str) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Lets a frozen node's process go on.
    fn thaw(&self, name: &str) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Starts a node again that has left or was killed, and waits for its end if that is still to come; with `fresh`,
    /// without what it had kept.
    fn restart(&self, node: &NodeSpec, fresh: bool) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Asks every node that still runs to stop (SIGTERM), so that it reports its last counters, waits a little, and ends
    /// those that do not.
    fn stop(&self) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Removes everything that the trial made; must succeed in part where it cannot in whole, and say what stays.
    fn teardown(&self) -> impl Future<Output = Result<(), RuntimeError>> + Send;
}

/// What a deployment notices of its nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Notice {
    /// A line on a node's standard output (an event) or standard error.
    Line {
        /// The node.
        node: String,
        /// Standard error?
        stderr: bool,
        /// The line without its end.
        line: String,
    },
    /// A node's process ended.
    Exited {
        /// The node.
        node: String,
        /// Its exit code.
        code: i64,
        /// Killed by the kernel for its memory.
        oom: bool,
    },
    /// A node's output can no longer be followed.
    Lost {
        /// The node.
        node: String,
        /// Why.
        reason: String,
    },
}

/// What can go wrong with a place to run nodes.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The machine cannot do it: exit code 4. The text has the cure.
    #[error("{0}")]
    Machine(String),
    /// Something failed while a trial ran: exit code 10.
    #[error("{0}")]
    Trial(String),
    /// The trial's log cannot be written: exit code 4.
    #[error(transparent)]
    Log(#[from] crate::events::log::WriteError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_may_open_as_many_files_as_it_is_allowed() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // One less: other tests open files meanwhile.
        setrlimit(Resource::Nofile, Rlimit { current: maximum.map(|most| most - 1), maximum }).unwrap();
        raise_file_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }
}
