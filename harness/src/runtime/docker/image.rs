//! The peer's image: an empty one with a single static binary, built on the engine from a tar that is made in memory,
//! so that it needs neither a registry nor an engine on this host.
//!
//! Its tag is a hash of all that goes into it: an image that exists is the right one, and is not built again.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::client::{Client, ClientError};
use super::elf;
use crate::runtime::program;

/// What the image is built from.
const DOCKERFILE: &str = include_str!("../../../../Dockerfile.peer");
/// Where the binary is in the image.
pub(super) const ENTRYPOINT: &str = "/peer";
/// Label of our images; the Dockerfile sets it.
pub(super) const LABEL: &str = "harness.image=peer";
/// Names another executable to put into the image.
const OVERRIDE: &str = "HARNESS_PEER_BINARY";

/// The image is not to be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImageError {
    #[error("cannot read the peer's binary `{}`: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the peer's binary `{}` is no ELF executable (hint: set {OVERRIDE} to a static Linux build)", path.display())]
    NotElf { path: PathBuf },
    #[error(
        "the peer's binary `{}` is linked dynamically and cannot run in an empty image (hint: build it with \
         RUSTFLAGS='-C target-feature=+crt-static', or set {OVERRIDE} to a static build)",
        path.display()
    )]
    Dynamic { path: PathBuf },
    #[error(
        "the engine runs on `{engine}`, but the peer's binary `{}` is for `{binary}` (hint: set {OVERRIDE} to a \
         static build for `{engine}`)",
        path.display()
    )]
    Arch { path: PathBuf, engine: String, binary: String },
    #[error("image `{tag}` was built, but the engine does not have it (hint: another program may have removed it)")]
    Vanished { tag: String },
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// An image that the engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// `harness-peer:<hash>`.
    pub(super) tag: String,
    /// The engine's ID of it; local images have no digest.
    pub(super) id: String,
    /// Whether it had to be built.
    pub(super) built: bool,
}

/// The image with the binary at `path` in it, built if the engine, whose machine is `arch`, does not have it.
pub(super) async fn ensure(client: &Client, arch: &str, path: &Path) -> Result<Image, ImageError> {
    let binary = program::read(path).map_err(|source| ImageError::Read { path: path.to_owned(), source })?;
    check(path, &binary, arch)?;
    let tag = tag(&binary);
    if let Some(id) = client.image(&tag).await? {
        return Ok(Image { tag, id, built: false });
    }
    client.build(&tag, context(&binary)).await?;
    match client.image(&tag).await? {
        Some(id) => Ok(Image { tag, id, built: true }),
        None => Err(ImageError::Vanished { tag }),
    }
}

/// The tag of the image that [`ensure`] would give; none if there is no binary to read.
pub(super) fn current() -> Option<String> {
    program::read(&binary()).ok().map(|binary| tag(&binary))
}

/// Where the binary is: this very executable, unless the environment names another.
pub(super) fn binary() -> PathBuf {
    let named = std::env::var_os(OVERRIDE).filter(|path| !path.is_empty());
    // The link, not what it points to: it still opens when the file was replaced or removed.
    named.map_or_else(|| PathBuf::from("/proc/self/exe"), PathBuf::from)
}

fn check(path: &Path, binary: &[u8], engine: &str) -> Result<(), ImageError> {
    let path = || path.to_owned();
    let executable = elf::read(binary).ok_or_else(|| ImageError::NotElf { path: path() })?;
    if executable.arch != engine {
        return Err(ImageError::Arch { path: path(), engine: engine.to_owned(), binary: executable.arch });
    }
    if executable.dynamic { Err(ImageError::Dynamic { path: path() }) } else { Ok(()) }
}

fn tag(binary: &[u8]) -> String {
    let mut hash = Sha256::new();
    // The length keeps a byte that moves from one to the other from going unseen.
    hash.update((DOCKERFILE.len() as u64).to_le_bytes());
    hash.update(DOCKERFILE.as_bytes());
    hash.update(binary);
    let hex: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("harness-peer:{hex}")
}

/// The build context: a tar of the Dockerfile and the binary.
fn context(binary: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::with_capacity(binary.len() + 8192));
    for (name, mode, data) in [("Dockerfile", 0o644, DOCKERFILE.as_bytes()), ("peer", 0o755, binary)] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_mtime(0);
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, name, data).expect("a tar in memory takes a short name and any data");
    }
    tar.into_inner().expect("a tar in memory can be finished")
}

/// What a container runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    /// The image's id.
    pub(super) image: String,
    /// What is started in it, instead of its own.
    pub(super) entrypoint: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::super::elf::tests::elf;
    use super::*;

    #[test]
    fn the_tag_follows_from_what_goes_in() {
        assert_eq!(tag(b"a"), tag(b"a"));
        assert_ne!(tag(b"a"), tag(b"b"));
        assert_eq!(tag(b"a").len(), "harness-peer:".len() + 12);
    }

    #[test]
    fn the_context_is_the_dockerfile_and_an_executable_peer() {
        let tar = context(b"binary");
        let mut archive = tar::Archive::new(tar.as_slice());
        let entries: Vec<(String, u32)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap())
            })
            .collect();
        assert_eq!(entries, [("Dockerfile".to_owned(), 0o644), ("peer".to_owned(), 0o755)]);
    }

    #[test]
    fn the_dockerfile_sets_the_label_that_cleaning_goes_by() {
        assert!(DOCKERFILE.lines().any(|line| line == format!("LABEL {LABEL}")));
        assert!(DOCKERFILE.lines().any(|line| line == format!("ENTRYPOINT [\"{ENTRYPOINT}\"]")));
    }

    #[test]
    fn a_binary_that_cannot_run_there_is_refused_with_a_cure() {
        let refused = |binary: &[u8]| check(Path::new("harness"), binary, "amd64").unwrap_err().to_string();
        assert!(refused(b"#!/bin/sh").contains("is no ELF executable (hint:"));
        assert!(
            refused(&elf(183, 1))
                .starts_with("the engine runs on `amd64`, but the peer's binary `harness` is for `arm64`")
        );
        assert!(refused(&elf(62, 3)).contains("linked dynamically"));
        assert!(check(Path::new("harness"), &elf(62, 1), "amd64").is_ok());
    }
}
