//! The engine's API, verb by verb, in our own words: the only module that names bollard.
//!
//! Each verb has an error of its own with the name that it was about. It knows nothing of trials, and decides
//! nothing: what is gone already when it is to be removed is no error, everything else is the caller's to judge.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions, NetworkCreateRequest,
    RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    BuildImageOptionsBuilder, CreateContainerOptionsBuilder, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    ListImagesOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, RemoveVolumeOptionsBuilder,
    UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};

use super::address::Address;

/// Longest that the engine may take to answer the first question.
const PING: Duration = Duration::from_secs(5);
/// Longest that it may take to begin to answer any other, seconds.
const ANSWER: u64 = 120;

/// What the engine said, or why it said nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct Fault {
    /// HTTP status of the engine's answer; none if there was no answer.
    pub(super) status: Option<u16>,
    /// In its words.
    pub(super) message: String,
    /// What the system said, if there was no answer.
    pub(super) io: Option<std::io::ErrorKind>,
}

impl From<bollard::errors::Error> for Fault {
    fn from(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error as E;
        match error {
            E::DockerResponseServerError { status_code, message } => {
                let message = match message.trim_end() {
                    // A proxy, or another server than an engine.
                    "" => format!("HTTP status {status_code} with no message"),
                    message => message.to_owned(),
                };
                Self { status: Some(status_code), message, io: None }
            }
            E::DockerStreamError { error } => Self { status: None, message: error.trim_end().to_owned(), io: None },
            E::SocketNotFoundError(_) => Self {
                status: None,
                message: "there is no such socket".to_owned(),
                io: Some(std::io::ErrorKind::NotFound),
            },
            E::RequestTimeoutError => Self {
                status: None,
                message: "the engine does not answer".to_owned(),
                io: Some(std::io::ErrorKind::TimedOut),
            },
            other => {
                // The cause that matters (connection refused, permission denied) is the last of the chain.
                let (mut last, mut io): (&dyn std::error::Error, _) = (&other, None);
                loop {
                    if let Some(found) = last.downcast_ref::<std::io::Error>() {
                        io = Some(found.kind());
                    }
                    match last.source() {
                        Some(source) => last = source,
                        None => break,
                    }
                }
                Self { status: None, message: last.to_string(), io }
            }
        }
    }
}

/// A verb failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ClientError {
    #[error("no Docker engine answers at `{address}`: {fault}")]
    Connect { address: String, fault: Fault },
    #[error("cannot ask the engine for its {what}: {fault}")]
    Describe { what: &'static str, fault: Fault },
    #[error("cannot build image `{tag}`: {fault}")]
    BuildImage { tag: String, fault: Fault },
    #[error("cannot inspect image `{tag}`: {fault}")]
    InspectImage { tag: String, fault: Fault },
    #[error("cannot remove image `{id}`: {fault}")]
    RemoveImage { id: String, fault: Fault },
    #[error("cannot create network `{name}`: {fault}")]
    CreateNetwork { name: String, fault: Fault },
    #[error("cannot remove network `{name}`: {fault}")]
    RemoveNetwork { name: String, fault: Fault },
    #[error("cannot create container `{name}`: {fault}")]
    CreateContainer { name: String, fault: Fault },
    #[error("cannot start container `{name}`: {fault}")]
    StartContainer { name: String, fault: Fault },
    #[error("cannot inspect container `{name}`: {fault}")]
    InspectContainer { name: String, fault: Fault },
    #[error("cannot send {signal} to container `{name}`: {fault}")]
    SignalContainer { name: String, signal: &'static str, fault: Fault },
    #[error("cannot remove container `{name}`: {fault}")]
    RemoveContainer { name: String, fault: Fault },
    #[error("cannot read the output of container `{name}`: {fault}")]
    Logs { name: String, fault: Fault },
    #[error("cannot remove volume `{name}`: {fault}")]
    RemoveVolume { name: String, fault: Fault },
    #[error("cannot list {what} with label `{label}`: {fault}")]
    List { what: &'static str, label: String, fault: Fault },
}

impl ClientError {
    /// What the engine said.
    pub(super) fn fault(&self) -> &Fault {
        match self {
            Self::Connect { fault, .. }
            | Self::Describe { fault, .. }
            | Self::BuildImage { fault, .. }
            | Self::InspectImage { fault, .. }
            | Self::RemoveImage { fault, .. }
            | Self::CreateNetwork { fault, .. }
            | Self::RemoveNetwork { fault, .. }
            | Self::CreateContainer { fault, .. }
            | Self::StartContainer { fault, .. }
            | Self::InspectContainer { fault, .. }
            | Self::SignalContainer { fault, .. }
            | Self::RemoveContainer { fault, .. }
            | Self::Logs { fault, .. }
            | Self::RemoveVolume { fault, .. }
            | Self::List { fault, .. } => fault,
        }
    }
}

/// Labels of a thing, by key.
pub(super) type Labels = BTreeMap<String, String>;

/// What the engine is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) engine: String,
    pub(super) api: String,
    pub(super) os: String,
    pub(super) arch: String,
    pub(super) kernel: String,
}

/// What the engine has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Info {
    pub(super) system: String,
    pub(super) storage_driver: String,
    pub(super) cgroup_version: String,
    pub(super) cpus: i64,
    pub(super) memory: i64,
    pub(super) security: Vec<String>,
    /// Where networks get their addresses from, and how long a network's prefix is; empty for the engine's own.
    pub(super) pools: Vec<(String, u8)>,
}

/// What a container is made of.
#[derive(Debug, Clone)]
pub(super) struct Container<'a> {
    pub(super) name: &'a str,
    pub(super) hostname: &'a str,
    pub(super) image: &'a str,
    /// What is started in it, instead of the image's own.
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) argument: String,
    pub(super) network: &'a str,
    pub(super) labels: &'a Labels,
    /// Longest memory, bytes; there is no swap on top.
    pub(super) memory: i64,
    /// Most processes and threads.
    pub(super) pids: i64,
    /// Where an anonymous volume is mounted.
    pub(super) volume: Option<&'a str>,
    /// A file that it finds, in an anonymous volume of its own: the engine writes to no root that is read-only.
    pub(super) file: Option<File<'a>>,
}

/// A file in a container.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'a> {
    pub(super) dir: &'a str,
    pub(super) name: &'a str,
    pub(super) content: &'a [u8],
}

impl File<'_> {
    /// As the engine takes it.
    fn tar(&self) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o444);
        header.set_mtime(0);
        header.set_size(self.content.len() as u64);
        let mut tar = tar::Builder::new(Vec::with_capacity(self.content.len() + 4096));
        tar.append_data(&mut header, self.name, self.content).expect("a tar in memory takes a short name and any data");
        tar.into_inner().expect("a tar in memory can be finished")
    }
}

/// How a container stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) running: bool,
    pub(super) code: i64,
    pub(super) oom: bool,
    /// Address on each of its networks, by the network's name.
    pub(super) addresses: BTreeMap<String, IpAddr>,
}

/// Something with labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Labelled {
    pub(super) name: String,
    pub(super) labels: Labels,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) id: String,
    pub(super) tags: Vec<String>,
}

/// Some bytes of a container's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) stderr: bool,
    pub(super) bytes: Bytes,
}

/// A connection to an engine.
#[derive(Debug, Clone)]
pub(super) struct Client {
    docker: bollard::Docker,
}

impl Client {
    /// Connects and waits for the engine's first answer.
    pub(super) async fn connect(address: &Address) -> Result<Self, ClientError> {
        let fail = |fault: Fault| ClientError::Connect { address: address.to_string(), fault };
        let version = bollard::API_DEFAULT_VERSION;
        let docker = match address {
            Address::Unix(path) => bollard::Docker::connect_with_unix(path, ANSWER, version),
            Address::Tcp(host) => bollard::Docker::connect_with_http(host, ANSWER, version),
            Address::Tls { host, certs } => bollard::Docker::connect_with_ssl(
                host,
                &certs.join("key.pem"),
                &certs.join("cert.pem"),
                &certs.join("ca.pem"),
                ANSWER,
                version,
            ),
        }
        .map_err(|error| fail(error.into()))?;
        let greeting = async {
            docker.ping().await?;
            docker.negotiate_version().await
        };
        match tokio::time::timeout(PING, greeting).await {
            Ok(Ok(docker)) => Ok(Self { docker }),
            Ok(Err(error)) => Err(fail(error.into())),
            Err(_) => Err(fail(bollard::errors::Error::RequestTimeoutError.into())),
        }
    }

    pub(super) async fn version(&self) -> Result<Version, ClientError> {
        let fail = |e: bollard::errors::Error| ClientError::Describe { what: "version", fault: e.into() };
        let version = self.docker.version().await.map_err(fail)?;
        Ok(Version {
            engine: version.version.unwrap_or_default(),
            api: version.api_version.unwrap_or_default(),
            os: version.os.unwrap_or_default(),
            arch: version.arch.unwrap_or_default(),
            kernel: version.kernel_version.unwrap_or_default(),
        })
    }

    pub(super) async fn info(&self) -> Result<Info, ClientError> {
        let fail = |e: bollard::errors::Error| ClientError::Describe { what: "configuration", fault: e.into() };
        let info = self.docker.info().await.map_err(fail)?;
        Ok(Info {
            system: info.operating_system.unwrap_or_default(),
            storage_driver: info.driver.unwrap_or_default(),
            cgroup_version: info.cgroup_version.map(|version| version.to_string()).unwrap_or_default(),
            cpus: info.ncpu.unwrap_or_default(),
            memory: info.mem_total.unwrap_or_default(),
            security: info.security_options.unwrap_or_default(),
            pools: info
                .default_address_pools
                .unwrap_or_default()
                .into_iter()
                .filter_map(|pool| Some((pool.base?, u8::try_from(pool.size?).ok()?)))
                .collect(),
        })
    }

    /// The ID of the image with that tag, if there is one.
    pub(super) async fn image(&self, tag: &str) -> Result<Option<String>, ClientError> {
        absent(self.docker.inspect_image(tag).await, &[404])
            .map(|image| image.and_then(|image| image.id))
            .map_err(|fault| ClientError::InspectImage { tag: tag.to_owned(), fault })
    }

    /// Builds the Dockerfile in `context` (a tar) as `tag`.
    pub(super) async fn build(&self, tag: &str, context: Vec<u8>) -> Result<(), ClientError> {
        let options =
            BuildImageOptionsBuilder::default().dockerfile("Dockerfile").t(tag).rm(true).forcerm(true).build();
        let body = bollard::body_full(context.into());
        let mut steps = Box::pin(self.docker.build_image(options, None, Some(body)));
        while let Some(step) = steps.next().await {
            step.map_err(|error| ClientError::BuildImage { tag: tag.to_owned(), fault: error.into() })?;
        }
        Ok(())
    }

    pub(super) async fn images(&self, label: &str) -> Result<Vec<Image>, ClientError> {
        let options = ListImagesOptionsBuilder::default().filters(&by_label(label)).build();
        let images = self.docker.list_images(Some(options)).await;
        let images = images.map_err(|error| list_failed("images", label, error))?;
        Ok(images.into_iter().map(|image| Image { id: image.id, tags: image.repo_tags }).collect())
    }

    /// Removes an image by ID unless a container uses it; says whether it did.
    pub(super) async fn remove_image(&self, id: &str) -> Result<bool, ClientError> {
        // Not forced: the engine then refuses (409) while a container uses it.
        let options = RemoveImageOptionsBuilder::default().force(false).build();
        absent(self.docker.remove_image(id, Some(options), None).await, &[404, 409])
            .map(|removed| removed.is_some())
            .map_err(|fault| ClientError::RemoveImage { id: id.to_owned(), fault })
    }

    /// Creates a bridge network without a way out.
    pub(super) async fn create_network(&self, name: &str, labels: &Labels) -> Result<(), ClientError> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            internal: Some(true),
            enable_ipv6: Some(false),
            options: Some(HashMap::from([("com.docker.network.bridge.enable_icc".to_owned(), "true".to_owned())])),
            labels: Some(labels.clone().into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        let created = self.docker.create_network(request).await;
        created.map(|_| ()).map_err(|error| ClientError::CreateNetwork { name: name.to_owned(), fault: error.into() })
    }

    /// The subnets of a network.
    pub(super) async fn subnets(&self, name: &str) -> Result<Vec<String>, ClientError> {
        let fail = |e: bollard::errors::Error| ClientError::Describe { what: "networks", fault: e.into() };
        let network = self.docker.inspect_network(name, None).await.map_err(fail)?;
        let pools = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        Ok(pools.into_iter().filter_map(|pool| pool.subnet).collect())
    }

    pub(super) async fn remove_network(&self, name: &str) -> Result<(), ClientError> {
        absent(self.docker.remove_network(name).await, &[404])
            .map(|_| ())
            .map_err(|fault| ClientError::RemoveNetwork { name: name.to_owned(), fault })
    }

    pub(super) async fn networks(&self, label: &str) -> Result<Vec<Labelled>, ClientError> {
        let options = ListNetworksOptionsBuilder::default().filters(&by_label(label)).build();
        let networks = self.docker.list_networks(Some(options)).await;
        let networks = networks.map_err(|error| list_failed("networks", label, error))?;
        Ok(networks
            .into_iter()
            .filter_map(|network| Some(Labelled { name: network.id?, labels: sorted(network.labels) }))
            .collect())
    }

    pub(super) async fn create(&self, container: Container<'_>) -> Result<(), ClientError> {
        let (name, file) = (container.name, container.file);
        let fail =
            |error: bollard::errors::Error| ClientError::CreateContainer { name: name.to_owned(), fault: error.into() };
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let mut body = body(container);
        let mut made = self.docker.create_container(Some(options.clone()), body.clone()).await;
        if let Err(bollard::errors::Error::DockerResponseServerError { message, .. }) = &made
            && message.contains(BUFFER)
        {
            never_drop(&mut body);
            made = self.docker.create_container(Some(options), body).await;
        }
        made.map_err(fail)?;
        if let Some(file) = file {
            let options = UploadToContainerOptionsBuilder::default().path(file.dir).build();
            let content = bollard::body_full(file.tar().into());
            self.docker.upload_to_container(name, Some(options), content).await.map_err(fail)?;
        }
        Ok(())
    }

    pub(super) async fn start(&self, name: &str) -> Result<(), ClientError> {
        self.docker
            .start_container(name, None)
            .await
            .map_err(|error| ClientError::StartContainer { name: name.to_owned(), fault: error.into() })
    }

    /// How the container stands; none if there is no such container.
    pub(super) async fn inspect(&self, name: &str) -> Result<Option<State>, ClientError> {
        let found = absent(self.docker.inspect_container(name, None).await, &[404])
            .map_err(|fault| ClientError::InspectContainer { name: name.to_owned(), fault })?;
        Ok(found.map(|found| {
            let state = found.state.unwrap_or_default();
            let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
            State {
                running: state.running.unwrap_or_default(),
                code: state.exit_code.unwrap_or_default(),
                oom: state.oom_killed.unwrap_or_default(),
                addresses: networks
                    .into_iter()
                    .filter_map(|(network, endpoint)| Some((network, endpoint.ip_address?.parse().ok()?)))
                    .collect(),
            }
        }))
    }

    /// Sends a signal; a container that does not run, or is no more, is no error.
    pub(super) async fn signal(&self, name: &str, signal: &'static str) -> Result<(), ClientError> {
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        absent(self.docker.kill_container(name, Some(options)).await, &[404, 409])
            .map(|_| ())
            .map_err(|fault| ClientError::SignalContainer { name: name.to_owned(), signal, fault })
    }

    /// Removes a container and its anonymous volumes, running or not.
    pub(super) async fn remove(&self, name: &str) -> Result<(), ClientError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        // 409: somebody is removing it already.
        absent(self.docker.remove_container(name, Some(options)).await, &[404, 409])
            .map(|_| ())
            .map_err(|fault| ClientError::RemoveContainer { name: name.to_owned(), fault })
    }

    pub(super) async fn containers(&self, label: &str) -> Result<Vec<Labelled>, ClientError> {
        let options = ListContainersOptionsBuilder::default().all(true).filters(&by_label(label)).build();
        let containers = self.docker.list_containers(Some(options)).await;
        let containers = containers.map_err(|error| list_failed("containers", label, error))?;
        Ok(containers
            .into_iter()
            .filter_map(|container| Some(Labelled { name: container.id?, labels: sorted(container.labels) }))
            .collect())
    }

    pub(super) async fn volumes(&self, label: &str) -> Result<Vec<Labelled>, ClientError> {
        let options = ListVolumesOptionsBuilder::default().filters(&by_label(label)).build();
        let volumes = self.docker.list_volumes(Some(options)).await;
        let volumes = volumes.map_err(|error| list_failed("volumes", label, error))?;
        Ok(volumes
            .volumes
            .unwrap_or_default()
            .into_iter()
            .map(|volume| Labelled { name: volume.name, labels: volume.labels.into_iter().collect() })
            .collect())
    }

    pub(super) async fn remove_volume(&self, name: &str) -> Result<(), ClientError> {
        let options = RemoveVolumeOptionsBuilder::default().force(true).build();
        absent(self.docker.remove_volume(name, Some(options)).await, &[404])
            .map(|_| ())
            .map_err(|fault| ClientError::RemoveVolume { name: name.to_owned(), fault })
    }

    /// The container's output from its first byte, over all of its lives; with `follow`, until its process ends.
    pub(super) fn logs(&self, name: &str, follow: bool) -> impl Stream<Item = Result<Chunk, ClientError>> + use<> {
        let options = LogsOptionsBuilder::default().follow(follow).stdout(true).stderr(true).build();
        let name = name.to_owned();
        let failed = {
            let name = name.clone();
            move |fault| ClientError::Logs { name: name.clone(), fault }
        };
        self.docker
            .logs(&name, Some(options))
            .map_err(Fault::from)
            .and_then(async |output| match output {
                LogOutput::StdOut { message } => Ok(Chunk { stderr: false, bytes: message }),
                LogOutput::StdErr { message } => Ok(Chunk { stderr: true, bytes: message }),
                // Our containers have no terminal: bytes without a frame are the rest of a frame that was cut off.
                LogOutput::Console { .. } | LogOutput::StdIn { .. } => Err(Fault {
                    status: None,
                    message: "the stream was cut off".to_owned(),
                    io: Some(std::io::ErrorKind::UnexpectedEof),
                }),
            })
            .map_err(failed)
    }
}

/// A container without any privilege but NET_ADMIN, which it needs to shape its own link.
fn body(container: Container<'_>) -> ContainerCreateBody {
    let labels: HashMap<String, String> = container.labels.clone().into_iter().collect();
    let targets = container.volume.into_iter().chain(container.file.map(|file| file.dir));
    let mount = |target: &str| Mount {
        target: Some(target.to_owned()),
        typ: Some(MountType::VOLUME),
        // No source: the volume is anonymous, and goes with its container.
        volume_options: Some(MountVolumeOptions { labels: Some(labels.clone()), ..MountVolumeOptions::default() }),
        ..Mount::default()
    };
    let mounts = Some(targets.map(mount).collect::<Vec<_>>()).filter(|mounts| !mounts.is_empty());
    ContainerCreateBody {
        image: Some(container.image.to_owned()),
        hostname: Some(container.hostname.to_owned()),
        entrypoint: container.entrypoint,
        cmd: Some(vec![container.argument]),
        labels: Some(labels),
        stop_signal: Some("SIGTERM".to_owned()),
        host_config: Some(HostConfig {
            network_mode: Some(container.network.to_owned()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(vec!["NET_ADMIN".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            readonly_rootfs: Some(true),
            // Nobody shares memory: without /dev/shm there is one mount less, and one place less to write to.
            ipc_mode: Some("none".to_owned()),
            pids_limit: Some(container.pids),
            memory: Some(container.memory),
            memory_swap: Some(container.memory),
            log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(log_options()) }),
            restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), ..RestartPolicy::default() }),
            mounts,
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// How a container's output is kept: all of it. An engine fills in its own defaults (`log-opts`) for whatever is not said
/// here, and those may rotate lines away, drop them, or compress them out of reach.
fn log_options() -> HashMap<String, String> {
    // The driver takes no word for "unlimited": a petabyte is as good.
    let options = [("max-size", "1p"), ("max-file", "1"), ("compress", "false"), ("mode", "blocking")];
    options.map(|(option, value)| (option.to_owned(), value.to_owned())).into()
}

/// The option that an engine's default may have, and that it refuses beside `mode: blocking`.
const BUFFER: &str = "max-buffer-size";

/// Lets an engine keep output by way of a buffer, where its defaults leave no other way: one that is never full.
fn never_drop(body: &mut ContainerCreateBody) {
    let log = body.host_config.as_mut().and_then(|host| host.log_config.as_mut());
    if let Some(options) = log.and_then(|log| log.config.as_mut()) {
        let buffered = [("mode", "non-blocking"), (BUFFER, "1g")];
        options.extend(buffered.map(|(option, value)| (option.to_owned(), value.to_owned())));
    }
}

/// An answer with one of these statuses means that there is nothing to act on.
fn absent<T>(result: Result<T, bollard::errors::Error>, statuses: &[u16]) -> Result<Option<T>, Fault> {
    match result.map_err(Fault::from) {
        Ok(value) => Ok(Some(value)),
        Err(fault) if fault.status.is_some_and(|status| statuses.contains(&status)) => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn by_label(label: &str) -> HashMap<&'static str, Vec<&str>> {
    HashMap::from([("label", vec![label])])
}

fn sorted(labels: Option<HashMap<String, String>>) -> Labels {
    labels.unwrap_or_default().into_iter().collect()
}

fn list_failed(what: &'static str, label: &str, error: bollard::errors::Error) -> ClientError {
    ClientError::List { what, label: label.to_owned(), fault: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(file: Option<File<'static>>) -> ContainerCreateBody {
        static LABELS: Labels = Labels::new();
        body(Container {
            name: "x",
            hostname: "x",
            image: "x",
            entrypoint: None,
            argument: String::new(),
            network: "x",
            labels: &LABELS,
            memory: 1,
            pids: 1,
            volume: Some("/state"),
            file,
        })
    }

    #[test]
    fn an_answer_with_no_message_is_told_by_its_status() {
        let answer = |message: &str| {
            let (status_code, message) = (502, message.to_owned());
            Fault::from(bollard::errors::Error::DockerResponseServerError { status_code, message }).to_string()
        };
        assert_eq!([answer("\n"), answer("no\n")], ["HTTP status 502 with no message", "no"]);
    }

    #[test]
    fn no_default_of_the_engine_decides_how_output_is_kept() {
        let log = container(None).host_config.and_then(|host| host.log_config).unwrap();
        assert_eq!(log.typ.as_deref(), Some("json-file"));
        let said: BTreeMap<String, String> = log.config.unwrap().into_iter().collect();
        // The options of the driver, and of all drivers, that can lose a line.
        let options = ["compress", "max-file", "max-size", "mode"];
        assert_eq!(said.keys().map(String::as_str).collect::<Vec<_>>(), options);
        assert_eq!(said["mode"], "blocking");
        // Where it insists on a buffer, that is larger than all that a node writes.
        let mut buffered = container(None);
        never_drop(&mut buffered);
        let said = buffered.host_config.and_then(|host| host.log_config?.config).unwrap();
        assert_eq!((said["mode"].as_str(), said["max-buffer-size"].as_str()), ("non-blocking", "1g"));
        assert_eq!(said["max-size"], "1p");
    }

    #[test]
    fn a_file_lies_in_a_volume_of_its_own() {
        let file = File { dir: "/specification", name: "node.json", content: b"{}" };
        let mounts = |file| container(file).host_config.and_then(|host| host.mounts).unwrap();
        let targets = |mounts: Vec<Mount>| -> Vec<String> { mounts.into_iter().filter_map(|it| it.target).collect() };
        assert_eq!(targets(mounts(None)), ["/state"]);
        assert_eq!(targets(mounts(Some(file))), ["/state", "/specification"]);
        let tar = file.tar();
        let mut archive = tar::Archive::new(tar.as_slice());
        let names = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
        assert_eq!(names.collect::<Vec<_>>(), ["node.json"]);
    }
}
