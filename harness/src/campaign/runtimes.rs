//! Where trials run: in containers, in namespaces, or each cell where its file says.

use std::collections::BTreeSet;
use tokio::sync::watch;

use crate::archive::run_dir::Facts;
use crate::console::{complain, say};
use crate::events::log::Writer;
use crate::plan::{Cell, Client, RuntimeName, Trial};
use crate::runtime::docker::{self, Docker, Engine};
use crate::runtime::netns::Netns;
use crate::runtime::trial::{self, Identity, Signal, Update};
use crate::runtime::{Runtime as _, RuntimeError, client_fact};

/// What was found that trials can run on, before anything was made.
pub(crate) struct Found {
    engine: Option<Engine>,
    netns: Option<Netns>,
    auto: Option<RuntimeName>,
}

/// The runtimes that some cells need, ready to run.
pub(crate) struct Places {
    docker: Option<Docker>,
    netns: Option<Netns>,
    /// What `auto` comes to.
    auto: Option<RuntimeName>,
}

/// Looks for the runtimes that are named, and says what `auto` comes to, unless that is given.
///
/// # Errors
/// [`RuntimeError::Machine`] if one is not to be had.
pub(crate) async fn find(names: &BTreeSet<RuntimeName>, auto: Option<RuntimeName>) -> Result<Found, RuntimeError> {
    let mut found = Found { engine: None, netns: None, auto };
    let is_wanted = |name| names.contains(&name) || (names.contains(&RuntimeName::Auto) && auto == Some(name));
    if is_wanted(RuntimeName::Docker) {
        found.engine = Some(Engine::connect().await?);
    }
    if is_wanted(RuntimeName::Netns) {
        found.netns = Some(Netns::new().await?);
    }
    if names.contains(&RuntimeName::Auto) && auto.is_none() {
        found.choose().await?;
    }
    Ok(found)
}

impl Found {
    /// Docker if an engine answers, else namespaces. Whoever names an engine wants that one.
    async fn choose(&mut self) -> Result<(), RuntimeError> {
        let connected = match self.engine.take() {
            Some(engine) => Ok(engine),
            None => Engine::connect().await,
        };
        let name = match connected {
            Ok(engine) => {
                self.engine = Some(engine);
                RuntimeName::Docker
            }
            Err(error) if docker::is_named() => {
                let words = "hint: without DOCKER_HOST, or with `--runtime netns`, nodes run in network namespaces";
                let of_context =
                    "hint: with `--runtime netns` nodes run in network namespaces, and no docker context matters";
                complain(if std::env::var_os("DOCKER_HOST").is_some() { words } else { of_context });
                return Err(error);
            }
            Err(no_engine) => {
                if self.netns.is_none() {
                    self.netns = Some(Netns::new().await.map_err(|no_netns| {
                        RuntimeError::Machine(format!("{no_engine}; and without an engine: {no_netns}"))
                    })?);
                }
                say(format_args!("nodes run in network namespaces, because there is {no_engine}"));
                RuntimeName::Netns
            }
        };
        self.auto = Some(name);
        Ok(())
    }

    /// What was found out, for the manifest.
    pub(crate) fn facts(&self) -> Facts {
        joined(self.engine.as_ref().map(Engine::facts), self.netns.as_ref().map(|netns| netns.facts()))
    }

    /// The engine, if containers are wanted.
    pub(crate) fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    /// Makes ready what these cells are to run.
    ///
    /// # Errors
    /// If an image cannot be built, or what a client is to run is not there.
    pub(crate) async fn prepare(self, cells: &[&Cell]) -> Result<Places, RuntimeError> {
        let Self { engine, mut netns, auto } = self;
        let clients = |name: RuntimeName| -> BTreeSet<Client> {
            let there = cells.iter().filter(|cell| resolved(cell, auto) == name);
            there.map(|cell| cell.settings.client.clone()).collect()
        };
        let docker = match engine {
            Some(engine) => Some(engine.prepare(&clients(RuntimeName::Docker)).await?),
            None => None,
        };
        if let Some(netns) = &mut netns {
            netns.prepare(&clients(RuntimeName::Netns))?;
        }
        if let Some((tag, true)) = docker.as_ref().map(Docker::image) {
            say(format_args!("built the image {tag}"));
        }
        Ok(Places { docker, netns, auto })
    }
}

impl Places {
    /// What was found out, for the manifest.
    pub(crate) fn facts(&self) -> Facts {
        joined(self.docker.as_ref().map(|it| it.facts()), self.netns.as_ref().map(|it| it.facts()))
    }

    /// What was found out about the place where a cell runs.
    pub(crate) fn facts_of(&self, cell: &Cell) -> Facts {
        let mut facts = match resolved(cell, self.auto) {
            RuntimeName::Netns => joined(None, self.netns.as_ref().map(|it| it.facts())),
            _ => joined(self.docker.as_ref().map(|it| it.facts()), None),
        };
        // What other cells run is none of its business.
        let own = client_fact(&cell.settings.client);
        facts.retain(|key, _| !key.starts_with("client.") || *key == own);
        facts
    }

    /// Runs one trial where its cell runs.
    ///
    /// # Errors
    /// As [`trial::run`].
    pub(crate) async fn run(
        &self,
        cell: &Cell,
        trial: &Trial,
        identity: Identity,
        log: &mut Writer,
        observer: &mut (dyn FnMut(Update) + Send),
        stop: watch::Receiver<Option<Signal>>,
    ) -> Result<(), RuntimeError> {
        match (resolved(cell, self.auto), &self.docker, &self.netns) {
            (RuntimeName::Docker, Some(docker), _) => {
                trial::run(docker, cell, trial, identity, log, observer, stop).await.map(drop)
            }
            (RuntimeName::Netns, _, Some(netns)) => {
                trial::run(netns, cell, trial, identity, log, observer, stop).await.map(drop)
            }
            // Whatever a cell names was looked for, or the run did not begin.
            (name, ..) => Err(RuntimeError::Machine(format!("the runtime {name:?} was not made ready"))),
        }
    }
}

/// Where a cell runs, once it is known what `auto` comes to.
fn resolved(cell: &Cell, auto: Option<RuntimeName>) -> RuntimeName {
    match cell.settings.runtime {
        RuntimeName::Auto => auto.unwrap_or_default(),
        named => named,
    }
}

fn joined(docker: Option<&Facts>, netns: Option<&Facts>) -> Facts {
    let mut facts = Facts::new();
    for other in [docker, netns].into_iter().flatten() {
        for (key, value) in other {
            facts
                .entry(key.clone())
                .and_modify(|before| *before = format!("{before}, {value}"))
                .or_insert_with(|| value.clone());
        }
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_of_two_runtimes_stand_side_by_side() {
        let facts = |pairs: &[(&str, &str)]| -> Facts {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let docker = facts(&[("runtime", "docker"), ("image", "x")]);
        let netns = facts(&[("runtime", "netns"), ("program", "y")]);
        assert_eq!(
            joined(Some(&docker), Some(&netns)),
            facts(&[("runtime", "docker, netns"), ("image", "x"), ("program", "y")])
        );
        assert_eq!(joined(None, Some(&netns)), netns);
    }
}
