//! Where the engine is: `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`, or else the context that `DOCKER_CONTEXT`
//! or `docker context use` names, read as the `docker` command reads them. It parses and decides; what it reads of files it
//! is given.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// The engine's usual place.
const DEFAULT: &str = "unix:///var/run/docker.sock";

/// Ports of engines, as the `docker` command has them.
const PORT: u16 = 2375;
const PORT_TLS: u16 = 2376;
/// The context that stands for none.
const NO_CONTEXT: &str = "default";

/// Where the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A Unix socket.
    Unix(String),
    /// Plain TCP: `host:port`.
    Tcp(String),
    /// TLS over TCP, with `key.pem`, `cert.pem` and `ca.pem` in that directory.
    Tls {
        /// `host:port`.
        host: String,
        /// Directory of the certificates.
        certs: PathBuf,
    },
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{path}"),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
            Self::Tls { host, .. } => write!(f, "tcp://{host} (TLS)"),
        }
    }
}

/// What names the engine is of no use. `named` is what names it, as it is to be shown.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressError {
    /// Over SSH.
    #[error(
        "{named}: engines over ssh are not supported (hint: forward the socket with \
         `ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock HOST` and set DOCKER_HOST=unix:///tmp/docker.sock)"
    )]
    Ssh { named: Source },
    /// Anything else.
    #[error("{named} is no address of an engine (hint: unix:///PATH, tcp://HOST:PORT or http://HOST:PORT)")]
    Unknown { named: Source },
    /// TLS is asked for, and there is no directory to look for certificates in.
    #[error("DOCKER_TLS_VERIFY is set, but there are no certificates (hint: set DOCKER_CERT_PATH to their directory)")]
    NoCertificates,
    /// The `docker` command's configuration, which may name a context, cannot be read.
    #[error(
        "`{path}` {why}, so that it cannot be told which docker context is in use (hint: mend it, or set DOCKER_HOST)"
    )]
    Config { path: String, why: String },
    /// A context that cannot be used.
    #[error(
        "the docker context `{name}` {why} (hint: `docker context ls` shows those that there are; or set DOCKER_HOST)"
    )]
    Context { name: String, why: String },
}

/// What names the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// `DOCKER_HOST`.
    Host(String),
    /// A context, and its address.
    Context(String, String),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Host(address) => write!(f, "DOCKER_HOST=`{address}`"),
            Self::Context(name, address) => write!(f, "`{address}` of the docker context `{name}`"),
        }
    }
}

/// As much as is needed of the `docker` command's `config.json`.
#[derive(Default, Deserialize)]
struct Config {
    #[serde(default, rename = "currentContext")]
    current_context: String,
}

/// As much as is needed of a context's `meta.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Option<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    #[serde(default)]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

/// The `docker` command's directory, if there may be one.
fn directory(var: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    var("DOCKER_CONFIG").map(PathBuf::from).or_else(|| var("HOME").map(|home| PathBuf::from(home).join(".docker")))
}

/// The context that is in use; `None` if an address is named, or none of both. `read` gives the text of a file.
///
/// # Errors
/// If there is a configuration that may name one, and it cannot be read. The `docker` command warns and takes the usual
/// place; links would be measured on an engine that nobody meant.
pub(super) fn context(
    var: impl Fn(&str) -> Option<String>,
    read: impl Fn(&Path) -> io::Result<String>,
) -> Result<Option<String>, AddressError> {
    let var = |name: &str| var(name).filter(|value| !value.is_empty());
    if var("DOCKER_HOST").is_some() {
        return Ok(None);
    }
    let used = || {
        let Some(path) = directory(&var).map(|directory| directory.join("config.json")) else { return Ok(None) };
        let refused = |why: String| AddressError::Config { path: path.display().to_string(), why };
        match read(&path) {
            // Another user's is none of ours, as where there is none.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => Ok(None),
            Err(error) => Err(refused(format!("cannot be read: {error}"))),
            // What a tool made and never wrote to, as the `docker` command takes it.
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => match serde_json::from_str::<Config>(&text) {
                Ok(config) => Ok(Some(config.current_context)),
                Err(error) => Err(refused(format!("is damaged: {error}"))),
            },
        }
    };
    let named = var("DOCKER_CONTEXT").map_or_else(used, |name| Ok(Some(name)))?;
    Ok(named.filter(|name| !name.is_empty() && name != NO_CONTEXT))
}

impl Address {
    /// The address that the environment names; `var` looks a variable up, `read` gives the text of a file.
    ///
    /// # Errors
    /// If it names something that is not supported.
    pub(super) fn find(
        var: impl Fn(&str) -> Option<String>,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, AddressError> {
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        if let Some(name) = context(var, &read)? {
            return Self::of_context(&name, directory(&var), read);
        }
        let host = var("DOCKER_HOST").unwrap_or_else(|| DEFAULT.to_owned());
        let certs = || {
            let named = var("DOCKER_CERT_PATH").map(PathBuf::from);
            named.or_else(|| directory(&var)).ok_or(AddressError::NoCertificates)
        };
        let tls = var("DOCKER_TLS_VERIFY").map(|_| certs());
        Self::parse(&host, tls, certs, || Source::Host(host.clone()))
    }

    /// Where a context's files in the `docker` command's directory say.
    fn of_context(
        name: &str,
        directory: Option<PathBuf>,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, AddressError> {
        let refused = |why: String| AddressError::Context { name: name.to_owned(), why };
        let contexts = directory.map(|directory| directory.join("contexts"));
        let contexts = contexts.ok_or_else(|| refused("is nowhere: there is no HOME".to_owned()))?;
        let id: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = contexts.join("meta").join(&id).join("meta.json");
        let text =
            read(&path).map_err(|error| refused(format!("cannot be read from `{}`: {error}", path.display())))?;
        let meta: Meta = serde_json::from_str(&text)
            .map_err(|error| refused(format!("is damaged: `{}`: {error}", path.display())))?;
        let endpoint = meta.endpoints.docker.filter(|endpoint| !endpoint.host.is_empty());
        let endpoint = endpoint.ok_or_else(|| refused("names no engine".to_owned()))?;
        let certs = contexts.join("tls").join(&id).join("docker");
        let has_certs = read(&certs.join("ca.pem")).is_ok();
        if endpoint.skip_tls_verify && has_certs {
            return Err(refused("skips the engine's verification, which is not supported".to_owned()));
        }
        let tls = has_certs.then(|| Ok(certs.clone()));
        Self::parse(&endpoint.host, tls, || Ok(certs), || Source::Context(name.to_owned(), endpoint.host.clone()))
    }

    /// An address in words; `tls` has the directory of the certificates if TLS is asked for beside it, `certs` if the address
    /// asks for it.
    fn parse(
        host: &str,
        tls: Option<Result<PathBuf, AddressError>>,
        certs: impl FnOnce() -> Result<PathBuf, AddressError>,
        source: impl Fn() -> Source,
    ) -> Result<Self, AddressError> {
        let unknown = || AddressError::Unknown { named: source() };
        let (scheme, rest) = host.split_once("://").ok_or_else(unknown)?;
        let rest = if scheme == "unix" { rest } else { rest.trim_end_matches('/') };
        if rest.is_empty() {
            return Err(unknown());
        }
        match scheme {
            "unix" => Ok(Self::Unix(rest.to_owned())),
            "tcp" => match tls {
                Some(certs) => Ok(Self::Tls { host: with_port(rest, PORT_TLS), certs: certs? }),
                None => Ok(Self::Tcp(with_port(rest, PORT))),
            },
            "http" => Ok(Self::Tcp(with_port(rest, PORT))),
            "https" => Ok(Self::Tls { host: with_port(rest, PORT_TLS), certs: certs()? }),
            "ssh" => Err(AddressError::Ssh { named: source() }),
            _ => Err(unknown()),
        }
    }
}

/// `host:port` of a host that may have none: a name, an IPv4 address, or an IPv6 address in brackets.
fn with_port(host: &str, port: u16) -> String {
    let after = host.rsplit_once(']').map_or(host, |(_, after)| after);
    if after.contains(':') { host.to_owned() } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Address, AddressError> {
        parse_with(pairs, &[])
    }

    /// With files that there are.
    fn parse_with(pairs: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Address, AddressError> {
        let found = |of: &[(&str, &str)], name: &str| of.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let read = |path: &Path| found(files, path.to_str().unwrap()).ok_or_else(|| io::ErrorKind::NotFound.into());
        Address::find(|name| found(pairs, name), read)
    }

    fn host(address: &str) -> Source {
        Source::Host(address.to_owned())
    }

    #[test]
    fn without_a_word_the_engine_is_at_its_usual_socket() {
        let usual = Address::Unix("/var/run/docker.sock".into());
        assert_eq!(parse(&[]), Ok(usual.clone()));
        assert_eq!(parse(&[("DOCKER_HOST", "")]), Ok(usual));
    }

    #[test]
    fn sockets_and_tcp_are_taken_as_the_docker_command_takes_them() {
        assert_eq!(parse(&[("DOCKER_HOST", "unix:///run/x.sock")]), Ok(Address::Unix("/run/x.sock".into())));
        assert_eq!(parse(&[("DOCKER_HOST", "tcp://box:2375/")]), Ok(Address::Tcp("box:2375".into())));
        assert_eq!(parse(&[("DOCKER_HOST", "http://box:2375")]), Ok(Address::Tcp("box:2375".into())));
        let tls = Address::Tls { host: "box:2376".into(), certs: "/certs".into() };
        let pairs = [("DOCKER_HOST", "tcp://box:2376"), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/certs")];
        assert_eq!(parse(&pairs), Ok(tls));
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_a_cure() {
        assert_eq!(parse(&[("DOCKER_HOST", "ssh://box")]), Err(AddressError::Ssh { named: host("ssh://box") }));
        for bad in ["box:2375", "npipe:////./pipe/docker", "tcp://"] {
            assert_eq!(parse(&[("DOCKER_HOST", bad)]), Err(AddressError::Unknown { named: host(bad) }));
        }
        let pairs = [("DOCKER_HOST", "tcp://box:2376"), ("DOCKER_TLS_VERIFY", "1")];
        assert_eq!(parse(&pairs), Err(AddressError::NoCertificates));
    }

    #[test]
    fn an_engine_without_a_port_has_the_one_of_the_docker_command() {
        let tcp = |address: &str| parse(&[("DOCKER_HOST", address)]).unwrap().to_string();
        assert_eq!(tcp("tcp://127.0.0.1"), "tcp://127.0.0.1:2375");
        assert_eq!(tcp("tcp://[::1]/"), "tcp://[::1]:2375");
        assert_eq!(tcp("tcp://[::1]:99"), "tcp://[::1]:99");
        let pairs = [("DOCKER_HOST", "tcp://box"), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/certs")];
        assert_eq!(parse(&pairs).unwrap().to_string(), "tcp://box:2376 (TLS)");
    }

    /// Where the context `far` lies.
    const FAR: &str = "/h/.docker/contexts/meta/ID/meta.json";

    fn far(path: &str) -> String {
        let id: String = Sha256::digest("far").iter().map(|byte| format!("{byte:02x}")).collect();
        path.replace("ID", &id)
    }

    #[test]
    fn a_context_is_honoured_after_docker_host_and_before_the_usual_place() {
        let meta = r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://far","SkipTLSVerify":false}}}"#;
        let (path, config) = (far(FAR), "/h/.docker/config.json");
        let files = [(path.as_str(), meta), (config, r#"{"auths":{},"currentContext":"far"}"#)];
        let (home, tcp) = (("HOME", "/h"), Address::Tcp("far:2375".into()));
        let usual = Address::Unix("/var/run/docker.sock".into());
        let there = |more: &[(&str, &str)]| parse_with(&[&[home], more].concat(), &files);
        assert_eq!(there(&[]), Ok(tcp.clone()));
        assert_eq!(there(&[("DOCKER_CONTEXT", "default")]), Ok(usual.clone()));
        assert_eq!(there(&[("DOCKER_HOST", "unix:///x")]), Ok(Address::Unix("/x".into())));
        assert_eq!(there(&[("DOCKER_HOST", "unix:///x"), ("DOCKER_CONTEXT", "far")]), Ok(Address::Unix("/x".into())));
        assert_eq!(parse_with(&[home, ("DOCKER_CONTEXT", "far")], &files[..1]), Ok(tcp.clone()));
        assert_eq!(parse_with(&[home], &files[..1]), Ok(usual));
        let elsewhere = far("/c/contexts/meta/ID/meta.json");
        let pairs = [home, ("DOCKER_CONFIG", "/c"), ("DOCKER_CONTEXT", "far")];
        assert_eq!(parse_with(&pairs, &[(elsewhere.as_str(), meta)]), Ok(tcp));
    }

    #[test]
    fn a_context_brings_its_certificates() {
        let meta = r#"{"Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":SKIP}}}"#;
        let (path, ca) = (far(FAR), far("/h/.docker/contexts/tls/ID/docker/ca.pem"));
        let pairs = [("HOME", "/h"), ("DOCKER_CONTEXT", "far"), ("DOCKER_TLS_VERIFY", "")];
        let with =
            |skip: &str| parse_with(&pairs, &[(path.as_str(), &meta.replace("SKIP", skip)), (ca.as_str(), "PEM")]);
        let certs = far("/h/.docker/contexts/tls/ID/docker").into();
        assert_eq!(with("false"), Ok(Address::Tls { host: "far:2376".into(), certs }));
        assert!(with("true").unwrap_err().to_string().contains("`far` skips the engine's verification"));
    }

    #[test]
    fn a_configuration_that_may_name_a_context_is_not_passed_over() {
        // What a tool made and never wrote to.
        let empty = [("/h/.docker/config.json", " \n")];
        assert_eq!(parse_with(&[("HOME", "/h")], &empty).unwrap(), parse_with(&[], &[]).unwrap());
        let damaged = [("/h/.docker/config.json", r#"{"currentContext":"#)];
        let why = parse_with(&[("HOME", "/h")], &damaged).unwrap_err().to_string();
        assert!(why.starts_with("`/h/.docker/config.json` is damaged: ") && why.contains("DOCKER_HOST"), "{why}");
        let named = parse_with(&[("HOME", "/h"), ("DOCKER_HOST", "unix:///x")], &damaged);
        assert_eq!(named, Ok(Address::Unix("/x".into())), "it names none if an address is named");
    }

    #[test]
    fn a_context_that_cannot_be_used_is_refused_by_name() {
        let pairs = [("HOME", "/h"), ("DOCKER_CONTEXT", "far")];
        let path = far(FAR);
        let why = |files: &[(&str, &str)]| parse_with(&pairs, files).unwrap_err().to_string();
        assert!(why(&[]).starts_with("the docker context `far` cannot be read from `/h/.docker/contexts/meta/"));
        assert!(why(&[(&path, "{")]).contains("`far` is damaged"));
        assert!(why(&[(&path, r#"{"Endpoints":{}}"#)]).contains("`far` names no engine (hint: "));
        let ssh = why(&[(&path, r#"{"Endpoints":{"docker":{"Host":"ssh://me@box"}}}"#)]);
        assert!(ssh.starts_with("`ssh://me@box` of the docker context `far`: engines over ssh"), "{ssh}");
        let nowhere = parse_with(&[("DOCKER_CONTEXT", "far")], &[]).unwrap_err().to_string();
        assert!(nowhere.contains("`far` is nowhere"), "{nowhere}");
    }
}
