//! Where the engine is: `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`, read as the `docker` command
//! reads them. It parses and decides; it opens nothing.

use std::path::PathBuf;

/// The engine's usual place.
const DEFAULT: &str = "unix:///var/run/docker.sock";

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

/// `DOCKER_HOST` is of no use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressError {
    /// Over SSH.
    #[error(
        "DOCKER_HOST=`{0}`: engines over ssh are not supported (hint: forward the socket with \
         `ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock HOST` and set DOCKER_HOST=unix:///tmp/docker.sock)"
    )]
    Ssh(String),
    /// Anything else.
    #[error("DOCKER_HOST=`{0}` is no address of an engine (hint: unix:///PATH, tcp://HOST:PORT or http://HOST:PORT)")]
    Unknown(String),
    /// TLS is asked for, and there is no directory to look for certificates in.
    #[error("DOCKER_TLS_VERIFY is set, but there are no certificates (hint: set DOCKER_CERT_PATH to their directory)")]
    NoCertificates,
}

impl Address {
    /// The address that the environment names; `var` looks a variable up.
    ///
    /// # Errors
    /// If it names something that is not supported.
    pub(super) fn from_environment(var: impl Fn(&str) -> Option<String>) -> Result<Self, AddressError> {
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let host = var("DOCKER_HOST").unwrap_or_else(|| DEFAULT.to_owned());
        let Some((scheme, rest)) = host.split_once("://") else {
            return Err(AddressError::Unknown(host));
        };
        let rest = if scheme == "unix" { rest } else { rest.trim_end_matches('/') };
        if rest.is_empty() {
            return Err(AddressError::Unknown(host));
        }
        let tls = scheme == "https" || (scheme == "tcp" && var("DOCKER_TLS_VERIFY").is_some());
        match scheme {
            "unix" => Ok(Self::Unix(rest.to_owned())),
            "tcp" | "http" | "https" if tls => {
                let certs = var("DOCKER_CERT_PATH")
                    .map(PathBuf::from)
                    .or_else(|| var("HOME").map(|home| PathBuf::from(home).join(".docker")))
                    .ok_or(AddressError::NoCertificates)?;
                Ok(Self::Tls { host: rest.to_owned(), certs })
            }
            "tcp" | "http" => Ok(Self::Tcp(rest.to_owned())),
            "ssh" => Err(AddressError::Ssh(host)),
            _ => Err(AddressError::Unknown(host)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Address, AddressError> {
        Address::from_environment(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
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
        assert_eq!(parse(&[("DOCKER_HOST", "ssh://box")]), Err(AddressError::Ssh("ssh://box".into())));
        for bad in ["box:2375", "npipe:////./pipe/docker", "tcp://"] {
            assert_eq!(parse(&[("DOCKER_HOST", bad)]), Err(AddressError::Unknown(bad.into())));
        }
        let pairs = [("DOCKER_HOST", "tcp://box:2376"), ("DOCKER_TLS_VERIFY", "1")];
        assert_eq!(parse(&pairs), Err(AddressError::NoCertificates));
    }
}
