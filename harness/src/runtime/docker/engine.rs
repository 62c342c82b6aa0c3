//! An engine that answers and can run our nodes, and how it becomes a runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use tokio::sync::mpsc;

use super::address::{self, Address};
use super::clean::{self, Cleaned, Extent, Leftovers};
use super::client::{Client, ClientError, Version};
use super::deployment::{DockerDeployment, nodes_in};
use super::image::{self, Image, ImageError, Program};
use super::owner::Owner;
use crate::plan;
use crate::runtime::{Notice, Runtime, RuntimeError, Scope, client_fact, processor};

/// The oldest API that has all we use.
pub(super) const OLDEST_API: (u32, u32) = (1, 40);

/// An engine that answers and can run our nodes.
#[derive(Debug, Clone)]
pub struct Engine {
    client: Client,
    arch: String,
    facts: BTreeMap<String, String>,
}

impl Engine {
    /// Connects to the engine that `DOCKER_HOST` or a context names, or to the usual one, and checks that it can run our
    /// nodes.
    ///
    /// # Errors
    /// [`RuntimeError::Machine`] with the cure: no engine, no permission, too old, another operating system.
    pub async fn connect() -> Result<Self, RuntimeError> {
        let address = Address::find(variable, |path| std::fs::read_to_string(path))
            .map_err(|error| RuntimeError::Machine(error.to_string()))?;
        let client = Client::connect(&address).await.map_err(|error| no_engine(&address, &error))?;
        let version = client.version().await?;
        check(&address, &version).map_err(RuntimeError::Machine)?;
        let info = client.info().await?;
        // The engine does not tell it; where its kernel is ours, its processor is.
        let is_here = rustix::system::uname().release().to_string_lossy() == version.kernel;
        let processor = processor::model().filter(|_| is_here).map(|model| ("engine.processor", model));
        let facts = [
            ("runtime", "docker".to_owned()),
            ("engine", address.to_string()),
            ("engine.version", version.engine),
            ("engine.api", version.api),
            ("engine.os", info.system),
            ("engine.arch", version.arch.clone()),
            ("engine.kernel", version.kernel),
            ("engine.storage-driver", info.storage_driver),
            ("engine.cgroup-version", info.cgroup_version),
            ("engine.cpus", info.cpus.to_string()),
            ("engine.memory", info.memory.to_string()),
            ("engine.security", info.security.join(" ")),
            ("engine.address-pools", pools(&info.pools)),
        ];
        let facts = facts.into_iter().chain(processor).map(|(key, value)| (key.to_owned(), value)).collect();
        Ok(Self { client, arch: version.arch, facts })
    }

    /// What was found out about the engine.
    #[must_use]
    pub fn facts(&self) -> &BTreeMap<String, String> {
        &self.facts
    }

    /// Makes sure that the engine has the peer's image, and those of the clients, and builds what it can if not.
    ///
    /// # Errors
    /// [`RuntimeError::Machine`] if a binary is none that can run there, the engine cannot build an image, or does not have
    /// one that it cannot build.
    pub async fn prepare(self, clients: &BTreeSet<plan::Client>) -> Result<Docker, RuntimeError> {
        let refused = |error| match error {
            ImageError::Client(error) => RuntimeError::from(error),
            other => RuntimeError::Machine(other.to_string()),
        };
        let image = image::ensure(&self.client, &self.arch, &image::binary()).await.map_err(refused)?;
        let mut facts = self.facts;
        facts.insert("image".to_owned(), image.tag.clone());
        facts.insert("image.id".to_owned(), image.id.clone());
        let mut programs = BTreeMap::new();
        for client in clients.iter().filter(|client| !client.is_own()) {
            let program = match client.command.split_first() {
                Some((path, arguments)) if client.image.is_empty() => {
                    let built = image::ensure(&self.client, &self.arch, Path::new(path)).await.map_err(refused)?;
                    let entry = std::iter::once(image::ENTRYPOINT).chain(arguments.iter().map(String::as_str));
                    Program { image: built.id, entrypoint: Some(entry.map(str::to_owned).collect()) }
                }
                _ => {
                    let entrypoint = Some(client.command.clone()).filter(|command| !command.is_empty());
                    match self.client.image(&client.image).await? {
                        Some(image) => Program { image, entrypoint },
                        None => {
                            return Err(RuntimeError::Machine(format!(
                                "the engine has no image `{}` (hint: build or load it first; nothing is pulled)",
                                client.image
                            )));
                        }
                    }
                }
            };
            facts.insert(client_fact(client), program.image.clone());
            programs.insert(client.clone(), program);
        }
        Ok(Docker { client: self.client, owner: Owner::this_process(), image, programs, facts })
    }

    /// What runs left on the engine, by whether they are dead, elsewhere or alive.
    ///
    /// # Errors
    /// If the engine does not list it.
    pub async fn leftovers(&self) -> Result<Leftovers, RuntimeError> {
        Ok(clean::leftovers(&self.client, &Owner::this_process()).await?)
    }

    /// Removes what dead runs of this machine left, but no image: what each run does before it begins.
    ///
    /// # Errors
    /// If the engine does not list it; what could not be removed is in the result.
    pub async fn clean_dead(&self) -> Result<Cleaned, RuntimeError> {
        Ok(clean::clean(&self.client, &Owner::this_process(), Extent::Dead, None).await?)
    }

    /// Removes what dead runs of this machine left, and images that the present binary has no use for; with `all`, also
    /// what was started elsewhere or before the last boot, and every image of ours. Never what a run holds that is
    /// alive on this machine, or may be elsewhere.
    ///
    /// # Errors
    /// If the engine does not list it; what could not be removed is in the result.
    pub async fn clean(&self, all: bool) -> Result<Cleaned, RuntimeError> {
        let extent = if all { Extent::All } else { Extent::Old };
        let current = image::current();
        Ok(clean::clean(&self.client, &Owner::this_process(), extent, current.as_deref()).await?)
    }
}

/// An engine with the peer's image: a place to run nodes.
#[derive(Debug, Clone)]
pub struct Docker {
    client: Client,
    owner: Owner,
    image: Image,
    /// What server and peers run, for each client that is not our own.
    programs: BTreeMap<plan::Client, Program>,
    facts: BTreeMap<String, String>,
}

impl Docker {
    /// The image's tag, and whether it had to be built.
    #[must_use]
    pub fn image(&self) -> (&str, bool) {
        (&self.image.tag, self.image.built)
    }
}

impl Runtime for Docker {
    type Deployment = DockerDeployment;

    fn facts(&self) -> &BTreeMap<String, String> {
        &self.facts
    }

    async fn deploy(
        &self,
        scope: &Scope,
        client: &plan::Client,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Result<DockerDeployment, RuntimeError> {
        let own = Program { image: self.image.id.clone(), entrypoint: None };
        let theirs = match self.programs.get(client) {
            Some(program) => program.clone(),
            None if client.is_own() => own.clone(),
            None => return Err(RuntimeError::Machine(format!("the client `{}` was not made ready", client.label()))),
        };
        DockerDeployment::create(self.client.clone(), [own, theirs], &self.owner, scope, notices).await
    }
}

/// A variable of the environment: one that is no text names nothing that there is, and is not taken for none.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Whether somebody says which engine is meant, by `DOCKER_HOST` or by a context.
#[must_use]
pub fn is_named() -> bool {
    let context = || address::context(variable, |path| std::fs::read_to_string(path));
    variable("DOCKER_HOST").is_some_and(|host| !host.is_empty()) || !matches!(context(), Ok(None))
}

/// `10.0.0.0/8 by /24, …`, or what an engine has of its own: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 by
/// /20.
pub(super) fn pools(pools: &[(String, u8)]) -> String {
    let shown: Vec<String> = pools.iter().map(|(base, size)| format!("{base} by /{size}")).collect();
    if shown.is_empty() { "the engine's own".to_owned() } else { shown.join(", ") }
}

/// How many nodes the smallest network holds that an engine with these `engine.address-pools` makes: its addresses
/// without the network's own, the gateway's and the broadcast.
#[must_use]
pub fn nodes_per_network(pools: &str) -> u64 {
    pools.split(", ").filter_map(nodes_in).min().unwrap_or((1 << 12) - 3)
}

/// Why there is no engine to work with, and the cure.
pub(super) fn no_engine(address: &Address, error: &ClientError) -> RuntimeError {
    let fault = error.fault();
    RuntimeError::Machine(match (fault.io, address) {
        (Some(ErrorKind::PermissionDenied), Address::Unix(path)) => format!(
            "no permission to use the engine at `{address}` (hint: join the group that owns `{path}`, usually \
             `sudo usermod -aG docker $USER`, and log in again)"
        ),
        (Some(ErrorKind::NotFound | ErrorKind::ConnectionRefused), _) => {
            format!("no engine at `{address}`: {fault} (hint: start it, or set DOCKER_HOST)")
        }
        (_, Address::Tls { certs, .. }) => format!(
            "{error} (hint: check DOCKER_HOST, and `key.pem`, `cert.pem` and `ca.pem` in `{}`)",
            certs.display()
        ),
        _ => format!("{error} (hint: check that it runs, and DOCKER_HOST)"),
    })
}

/// Whether that engine is one that we can use.
pub(super) fn check(address: &Address, version: &Version) -> Result<(), String> {
    let Version { engine, api, os, .. } = version;
    let (major, minor) = OLDEST_API;
    let number = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok());
    let mut parts = api.split('.');
    let found = number(parts.next()).zip(number(parts.next()));
    if found.is_none_or(|found| found < OLDEST_API) {
        return Err(format!(
            "engine too old: `{address}` is version `{engine}` with API `{api}`, API {major}.{minor} is needed \
             (hint: Docker 19.03 or newer)"
        ));
    }
    if os != "linux" {
        return Err(format!(
            "the engine at `{address}` runs `{os}` containers, links are shaped by Linux (hint: switch it to Linux \
             containers, or set DOCKER_HOST)"
        ));
    }
    Ok(())
}

impl From<ClientError> for RuntimeError {
    /// What a failed verb means for the run: what an engine refuses to make is the machine's doing.
    fn from(error: ClientError) -> Self {
        let fault = error.fault();
        let lower = fault.message.to_lowercase();
        let says = |needle: &str| lower.contains(needle);
        let hint = if says("no space left on device") {
            "free some space on the engine's disk: `docker system df` shows what takes it"
        } else if says("non-overlapping ipv4 address pool") || says("predefined address pools") {
            "the engine's address pools are used up: `harness clean`, remove networks that nobody needs (`docker network \
         ls`), or give it more `default-address-pools`"
        } else if says("has active endpoints") {
            "if `docker network inspect` shows no container on it, the engine has miscounted: restart the engine, then \
             `harness clean`"
        } else if says("exchange full") {
            "a bridge has 1024 ports: use fewer than 1000 peers"
        } else if says("net_admin") || says("capabilit") || says("apply caps") {
            "nodes need NET_ADMIN in their own network namespace to shape their links: allow `--cap-add NET_ADMIN`"
        } else if fault.io.is_some() {
            "the engine does not answer any more: check that it runs"
        } else {
            ""
        };
        let making = matches!(
            error,
            ClientError::BuildImage { .. }
                | ClientError::CreateNetwork { .. }
                | ClientError::CreateContainer { .. }
                | ClientError::StartContainer { .. }
                | ClientError::Connect { .. }
                | ClientError::Describe { .. }
        );
        match (hint, making) {
            ("", true) => Self::Machine(error.to_string()),
            ("", false) => Self::Trial(error.to_string()),
            (hint, _) => Self::Machine(format!("{error} (hint: {hint})")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::docker::client::Fault;

    #[test]
    fn the_smallest_pool_says_how_many_nodes_a_network_holds() {
        assert_eq!(nodes_per_network(&pools(&[])), 4093);
        let own = pools(&[("10.0.0.0/8".to_owned(), 16), ("192.168.0.0/16".to_owned(), 24)]);
        assert_eq!(own, "10.0.0.0/8 by /16, 192.168.0.0/16 by /24");
        assert_eq!(nodes_per_network(&own), 253);
    }

    #[test]
    fn what_is_not_permitted_for_another_cause_is_not_blamed_on_net_admin() {
        let start = |message: &str| {
            RuntimeError::from(ClientError::StartContainer { name: "x".into(), fault: fault(message, None) })
                .to_string()
        };
        assert!(
            start("OCI runtime create failed: unable to apply caps: operation not permitted").contains("NET_ADMIN")
        );
        for other in [
            "open /dev/null: operation not permitted",
            "setrlimit RLIMIT_NOFILE: operation not permitted",
            "mounting \"proc\" to rootfs: mount: operation not permitted",
        ] {
            assert!(!start(other).contains("NET_ADMIN"), "{other}");
        }
    }

    fn socket() -> Address {
        Address::Unix("/var/run/docker.sock".into())
    }

    fn fault(message: &str, io: Option<ErrorKind>) -> Fault {
        Fault { status: io.is_none().then_some(500), message: message.into(), io }
    }

    fn unreachable(io: ErrorKind) -> String {
        let fault = fault(&io.to_string(), Some(io));
        no_engine(&socket(), &ClientError::Connect { address: socket().to_string(), fault }).to_string()
    }

    #[test]
    fn an_engine_that_does_not_answer_is_named_with_the_cure() {
        assert_eq!(
            unreachable(ErrorKind::ConnectionRefused),
            "no engine at `unix:///var/run/docker.sock`: connection refused (hint: start it, or set DOCKER_HOST)"
        );
        assert!(unreachable(ErrorKind::PermissionDenied).contains("usermod -aG docker"));
        assert!(unreachable(ErrorKind::TimedOut).starts_with("no Docker engine answers at `unix:"));
    }

    #[test]
    fn an_old_engine_and_another_system_are_refused() {
        let version = |api: &str, os: &str| Version { api: api.into(), os: os.into(), ..Version::default() };
        let check = |api, os| check(&socket(), &version(api, os));
        for (api, os) in [("1.40", "linux"), ("1.41", "linux"), ("2.0", "linux")] {
            assert_eq!(check(api, os), Ok(()), "{api}");
        }
        for api in ["1.39", "1.9", "0.99", "", "new"] {
            assert!(check(api, "linux").unwrap_err().starts_with("engine too old"), "{api}");
        }
        assert!(check("1.41", "windows").unwrap_err().contains("runs `windows` containers"));
    }

    #[test]
    fn what_the_machine_refuses_is_the_machines_doing_and_has_a_cure() {
        let start = |message: &str| {
            RuntimeError::from(ClientError::StartContainer { name: "x".into(), fault: fault(message, None) })
        };
        for message in [
            "write /x: no space left on device",
            "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
            "all predefined address pools have been fully subnetted",
            "adding interface veth0 to bridge br0 failed: exchange full",
            "OCI runtime create failed: apply caps: operation not permitted",
        ] {
            let error = start(message);
            assert!(matches!(error, RuntimeError::Machine(_)), "{message}");
            assert!(error.to_string().contains("(hint: "), "{message}");
        }
        assert!(matches!(start("anything"), RuntimeError::Machine(_)));
        let signal = ClientError::SignalContainer { name: "x".into(), signal: "SIGKILL", fault: fault("no", None) };
        assert!(matches!(RuntimeError::from(signal), RuntimeError::Trial(_)));
    }
}
