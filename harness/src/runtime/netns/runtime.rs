//! The controller's side: a machine that can make namespaces, as a runtime.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::deployment::NetnsDeployment;
use super::namespaces;
use crate::plan::Client;
use crate::runtime::{Deployment as _, Notice, Runtime, RuntimeError, Scope, client_fact, processor, program};

/// A machine that lets us have namespaces.
#[derive(Debug, Clone)]
pub struct Netns {
    facts: BTreeMap<String, String>,
}

impl Netns {
    /// Finds out whether namespaces are to be had, by making some.
    ///
    /// # Errors
    /// [`RuntimeError::Machine`] with the cure.
    pub async fn new() -> Result<Self, RuntimeError> {
        let (notices, _) = mpsc::unbounded_channel();
        NetnsDeployment::create(&[], notices).await?.teardown().await?;
        Ok(Self { facts: facts()? })
    }

    /// Finds out what the clients' programs are.
    ///
    /// # Errors
    /// [`RuntimeError::Machine`] if one is not to be had here.
    pub fn prepare(&mut self, clients: &BTreeSet<Client>) -> Result<(), RuntimeError> {
        for client in clients.iter().filter(|client| !client.is_own()) {
            let Some(path) = client.command.first().filter(|_| client.image.is_empty()) else {
                return Err(RuntimeError::Machine(format!(
                    "the image `{}` cannot run in network namespaces (hint: `client: {{ command: PATH }}`, or an engine)",
                    client.image
                )));
            };
            let found = program::read(path.as_ref()).map_err(|error| {
                RuntimeError::Machine(format!("the client's program `{path}` cannot be read: {error}"))
            })?;
            if !found.starts_with(b"\x7fELF") {
                let why =
                    format!("the client's program `{path}` is no ELF executable (hint: a script has no place here)");
                return Err(RuntimeError::Machine(why));
            }
            self.facts.insert(client_fact(client), digest(&found));
        }
        Ok(())
    }
}

impl Runtime for Netns {
    type Deployment = NetnsDeployment;

    fn facts(&self) -> &BTreeMap<String, String> {
        &self.facts
    }

    fn parallel_starts(&self) -> usize {
        32
    }

    async fn deploy(
        &self,
        _: &Scope,
        client: &Client,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Result<NetnsDeployment, RuntimeError> {
        if let (Some(path), Some(known)) = (client.command.first(), self.facts.get(&client_fact(client))) {
            // The switch holds it open, so that all nodes of a trial run the same one, and those that come back, too.
            let now = program::read(path.as_ref()).map(|found| digest(&found));
            if now.as_ref().ok() != Some(known) {
                return Err(RuntimeError::Machine(format!(
                    "the client's program `{path}` is not the one with which this run began (hint: build to another \
                     place while one is measured, and begin anew)"
                )));
            }
        }
        NetnsDeployment::create(&client.command, notices).await
    }
}

/// What there is to say of this machine, and of the program that nodes run.
pub(super) fn facts() -> Result<BTreeMap<String, String>, RuntimeError> {
    let program = std::fs::read(namespaces::PROGRAM)
        .map_err(|error| RuntimeError::Machine(format!("`{}` cannot be read: {error}", namespaces::PROGRAM)))?;
    let system = rustix::system::uname();
    let memory = rustix::system::sysinfo();
    let memory = memory.totalram * u64::from(memory.mem_unit);
    let user = if rustix::process::geteuid().is_root() { "root" } else { "ordinary" };
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let facts = [
        ("runtime", "netns".to_owned()),
        ("machine.kernel", system.release().to_string_lossy().into_owned()),
        ("machine.arch", system.machine().to_string_lossy().into_owned()),
        ("machine.cpus", cpus.to_string()),
        ("machine.memory", memory.to_string()),
        ("machine.user", user.to_owned()),
        ("program", digest(&program)),
    ];
    let mut facts: BTreeMap<String, String> = facts.map(|(key, value)| (key.to_owned(), value)).into();
    facts.extend(processor::model().map(|model| ("machine.processor".to_owned(), model)));
    Ok(facts)
}

pub(super) fn digest(program: &[u8]) -> String {
    Sha256::digest(program).iter().map(|byte| format!("{byte:02x}")).collect()
}
